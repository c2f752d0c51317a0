"""The scenario of the planted engine: curves with a known answer instead of model and data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bios_sweep.checks import SANE, is_number, is_sane, require, whole
from bios_sweep.config.method import method_of
from bios_sweep.driver.scenarios.examples import optional_count
from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.engines.simulation.truth import PlantedTruth
from bios_sweep.errors import ConfigError
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import short_hash

PLANTED_ENGINE = "bios_sweep.engines.simulation.engine:PlantedEngine"
MOST_EXAMPLES = 1_000_000  # held-out ones; chosen: every trial writes a loss of each
TOO_MANY = f"times examples_per_cluster at most {MOST_EXAMPLES:,}"
PLANTED_METRICS = ("eval_loss", "eval_bits_per_byte")  # what a trial ends with, beside its own `metrics`


def planted_scenario(values: Mapping[str, Any]) -> Scenario:
    """A scenario without files: the planted curves are model and data in one."""
    planted = _planted_options(values["model"].get("planted"))
    family, hidden_size = planted.pop("family"), planted.pop("hidden_size")
    fingerprint = short_hash(planted)
    options = json.loads(json.dumps(planted))
    truth = PlantedTruth.from_options(options)
    examples = truth.clusters * truth.examples_per_cluster
    require(examples <= MOST_EXAMPLES, "model.planted.clusters", truth.clusters, TOO_MANY)
    evaluation = truth.evaluation  # held-out examples that it writes losses of
    return Scenario(
        model=ModelFacts(
            name=values["model"]["name"],
            path="",
            family=family,
            hidden_size=hidden_size,
            fingerprint=fingerprint,
        ),
        data=DataFacts(
            name="planted",
            file="",
            fingerprint=fingerprint,
            evaluation_fingerprint=fingerprint,
            train_examples=whole("data.train_examples", values["data"].get("train_examples", 100_000)),
            eval_examples=(evaluation and len(evaluation.cluster))
            or optional_count(values["data"]["eval_examples"])
            or 1000,
            eval_clusters=options.get("clusters", 0),
        ),
        method=method_of(values["method"]),
        engine=PLANTED_ENGINE,
        engine_version=PlantedEngine.version,
        engine_options={**options, "measurements": values["budget"]["measurements"]},
        software={},
    )


def _planted_options(planted: Any) -> dict[str, Any]:
    """What the planted engine would only find out in its first trial is refused before anything starts."""
    missing = {"family", "hidden_size"}.difference(planted if isinstance(planted, Mapping) else ())
    if missing:
        raise ConfigError(f"model.planted.{min(missing)}: is missing; see model=planted for an example")
    for path, value in _leaves(planted, "model.planted"):
        text = path == "model.planted.family" or path.startswith("model.planted.fail.")
        optional = path.endswith((".wall", ".examples_per_second"))
        require(is_number(value) or text or (value is None and optional), path, value, "a number")
        require(not is_number(value) or is_sane(value), path, value, f"a number {SANE}")
    return dict(planted)


def _leaves(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value
