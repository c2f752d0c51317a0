"""From a command line to a plan: the facts of model and data are read here, and adapters are chosen."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from bios_sweep import defaults
from bios_sweep.assets import base_model_path
from bios_sweep.cli.resources import check_cluster, require_whole
from bios_sweep.config.build import build_study
from bios_sweep.config.compose import Config, compose_config, sweep_names
from bios_sweep.errors import ConfigError, DataError
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked
from bios_sweep.simulation.engine import PlantedEngine
from bios_sweep.simulation.truth import PlantedTruth
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import short_hash
from bios_sweep.training.corpus import embedded_examples
from bios_sweep.training.data import DataSet
from bios_sweep.training.facts import ENGINE_VERSION, describe_model, position_limit, software_versions
from bios_sweep.training.jsonl import jsonl_examples

LORA_ENGINE = "bios_sweep.training.engine:LoraEngine"
PLANTED_ENGINE = "bios_sweep.simulation.engine:PlantedEngine"
FINAL_METRICS = ("eval_loss", "eval_bits_per_byte", "train_loss")  # what a LoRA trial ends with
PLANTED_METRICS = ("eval_loss", "eval_bits_per_byte")  # what a planted one does, beside its own `metrics`
MODEL_KINDS = ("embedded", "local", "planted")
DATA_KINDS = ("embedded", "jsonl")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A validated command: nothing was started or written yet."""

    config: Config
    plan: Plan
    workspace: Workspace
    dataset: DataSet | None
    command: str
    warnings: tuple[str, ...]


def composed(args: Namespace) -> Config:
    """The configuration of a verb's overrides."""
    return compose_config(args.overrides, args.config_dir)


def workspace_of(config: Config) -> Workspace:
    """The configured workspace.

    Raises:
        ConfigError: no folder is named.
    """
    if config.values["workspace"] in (None, ""):
        raise ConfigError("workspace: missing; give a folder such as workspace=./bios_runs")
    return Workspace(Path(str(config.values["workspace"])))


def prepare(args: Namespace) -> Prepared:
    """Read everything a plan depends on and build it.

    Raises:
        InputError: whatever is wrong with the input, before anything is started.
    """
    config = composed(args)
    if config.sweep is None:
        names = ", ".join(sweep_names(args.config_dir))
        raise ConfigError(f"no sweep is chosen; add sweeps=NAME, NAME being one of {names}")
    check_cluster(config.values["cluster"])
    workspace = workspace_of(config)
    if config.values["model"]["kind"] == "planted":
        scenario, dataset = _planted(config.values), None
    else:
        scenario, dataset = _trained(config.values, workspace)
    recommendation = defaults.recommend(
        family=scenario.model.family,
        hidden_size=scenario.model.hidden_size,
        method=scenario.method,
        examples=scenario.data.train_examples,
    )
    study = build_study(config.values, sweep=config.sweep, scenario=scenario, recommendation=recommendation)
    _require_measured(study.decision.guardrails, scenario)
    return Prepared(
        config=config,
        plan=build_plan(study),
        workspace=workspace,
        dataset=dataset,
        command=shlex.join(["bios-sweep", "run", *map(masked, config.overrides), *_config_dir(args)]),
        warnings=recommendation.warnings,
    )


def _require_measured(guardrails: Mapping[str, float], scenario: Scenario) -> None:
    """A guardrail over a metric that no trial reports would leave every refinement open, after the cost."""
    measured = FINAL_METRICS
    if scenario.engine == PLANTED_ENGINE:
        measured = (*PLANTED_METRICS, *scenario.engine_options.get("metrics", {}))
    for name in guardrails:
        if name not in measured:
            raise ConfigError(
                f"decision.guardrails.{name}: no trial measures it; choose from {', '.join(measured)}"
            )


def _config_dir(args: Namespace) -> list[str]:
    return ["--config-dir", str(args.config_dir)] if args.config_dir else []


def _trained(values: Mapping[str, Any], workspace: Workspace) -> tuple[Scenario, DataSet]:
    method, cluster = values["method"], values["cluster"]
    max_length = require_whole("method.max_length", method["max_length"])
    model = read_model(values["model"])
    dataset = read_data(values["data"])
    data = _data_facts(dataset, model, max_length, workspace)
    return (
        Scenario(
            model=model,
            data=data,
            method=method["name"],
            engine=LORA_ENGINE,
            engine_version=ENGINE_VERSION,
            engine_options={
                "model_path": model.path,
                "data_file": data.file,
                "data_fingerprint": data.fingerprint,
                "threads": cluster["cpus_per_trial"],
                "device": _device(cluster),
                "micro_batch_size": require_whole("method.micro_batch_size", method["micro_batch_size"]),
                "measurements": values["budget"]["measurements"],
            },
            software=software_versions(),
        ),
        dataset,
    )


def read_model(values: Mapping[str, Any]) -> ModelFacts:
    """The facts of the configured base model."""
    _require_choice("model.kind", values["kind"], MODEL_KINDS)
    if values["name"] is not None and not isinstance(values["name"], str):
        raise ConfigError(f"model.name: {values['name']!r} is not allowed; give a text, or null")
    if values["kind"] == "embedded":
        return describe_model(str(base_model_path()), values["name"])
    if not values["path"]:
        raise ConfigError("model.path: missing; give a folder with config.json, or a Hugging Face id")
    return describe_model(str(values["path"]), values["name"])


def read_data(values: Mapping[str, Any]) -> DataSet:
    """The configured examples, split and checked."""
    if values["kind"] == "planted":
        raise ConfigError("data=planted has no examples; it goes with model=planted only")
    _require_choice("data.kind", values["kind"], DATA_KINDS)
    if values["kind"] == "embedded":
        return embedded_examples(_count(values["eval_examples"]))
    if not values["path"]:
        raise DataError("data.path: missing; give a JSONL file such as data.path=train.jsonl")
    return jsonl_examples(
        Path(str(values["path"])),
        eval_path=Path(str(values["eval_path"])) if values["eval_path"] else None,
        eval_fraction=_fraction(values["eval_fraction"]),
        eval_examples=_count(values["eval_examples"]),
    )


def _require_choice(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key}: {value!r} is not allowed; choose from {', '.join(allowed)}")


def _count(value: Any) -> int | None:
    return None if value is None else require_whole("data.eval_examples", value)


def _fraction(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"data.eval_fraction: {value!r} is not allowed; a number above 0 and below 1")
    return float(value)


def _device(cluster: Mapping[str, Any]) -> str:
    """`auto` follows the request: a trial that asked for no GPU must not take one."""
    if cluster["device"] != "auto":
        return str(cluster["device"])
    return "cuda" if cluster["gpus_per_trial"] else "cpu"


def _data_facts(dataset: DataSet, model: ModelFacts, max_length: int, workspace: Workspace) -> DataFacts:
    tokens_per_example, eval_tokens = _tokens(dataset, model, max_length)
    return DataFacts(
        name=dataset.name,
        file=str(workspace.data_file(dataset.fingerprint)),
        fingerprint=dataset.fingerprint,
        evaluation_fingerprint=dataset.evaluation_fingerprint,
        train_examples=len(dataset.train),
        eval_examples=len(dataset.evaluation),
        tokens_per_example=tokens_per_example,
        eval_tokens=eval_tokens,
        source=dataset.source,
    )


def _tokens(dataset: DataSet, model: ModelFacts, max_length: int) -> tuple[float | None, int | None]:
    """Counted where `tokenizers` is installed; it also refuses examples that leave nothing to learn."""
    if util.find_spec("tokenizers") is None:
        return None, None
    from bios_sweep.training.tokens import count_tokens, load_tokenizer

    count = count_tokens(dataset, load_tokenizer(model.path), max_length)
    limit = position_limit(Path(model.path))
    if limit is not None and count.longest > limit:
        raise DataError(
            f"method.max_length: an example has {count.longest} tokens but model {model.name} has {limit} "
            f"positions; use method.max_length={limit} or less"
        )
    return round(count.train / len(dataset.train), 2), count.evaluation


def _planted(values: Mapping[str, Any]) -> Scenario:
    """A scenario without files: the planted curves are model and data in one."""
    planted = _planted_options(values["model"].get("planted"))
    family, hidden_size = planted.pop("family"), planted.pop("hidden_size")
    fingerprint = short_hash(planted)
    options = json.loads(json.dumps(planted))
    PlantedTruth.from_options(options)
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
            train_examples=require_whole(
                "data.train_examples", values["data"].get("train_examples", 100_000)
            ),
            eval_examples=_planted_examples(options) or _count(values["data"]["eval_examples"]) or 1000,
        ),
        method=values["method"]["name"],
        engine=PLANTED_ENGINE,
        engine_version=PlantedEngine.version,
        engine_options={**options, "measurements": values["budget"]["measurements"]},
        software={},
    )


def _planted_examples(options: Mapping[str, Any]) -> int:
    """Held-out examples that the planted engine writes losses of; 0 where it writes none."""
    evaluation = PlantedTruth.from_options(options).evaluation
    return 0 if evaluation is None else len(evaluation.cluster)


def _planted_options(planted: Any) -> dict[str, Any]:
    """What the planted engine would only find out in its first trial is refused before anything starts."""
    missing = {"family", "hidden_size"}.difference(planted if isinstance(planted, Mapping) else ())
    if missing:
        raise ConfigError(f"model.planted.{min(missing)}: is missing; see model=planted for an example")
    for path, value in _leaves(planted, "model.planted"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        text = path == "model.planted.family" or path.startswith("model.planted.fail.")
        if not (number or text or (value is None and path.endswith((".wall", ".examples_per_second")))):
            raise ConfigError(f"{path}: {value!r} is not allowed; a number")
    return dict(planted)


def _leaves(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value
