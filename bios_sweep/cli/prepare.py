"""From a command line to a plan: the facts of model and data are read here, and adapters are chosen."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import Any

from bios_sweep import defaults
from bios_sweep.assets import base_model_path
from bios_sweep.config.build import build_study
from bios_sweep.config.compose import Config, compose_config, sweep_names
from bios_sweep.errors import ConfigError, DataError
from bios_sweep.records.workspace import Workspace
from bios_sweep.simulation.engine import PlantedEngine
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import short_hash
from bios_sweep.training.corpus import embedded_examples
from bios_sweep.training.data import DataSet
from bios_sweep.training.facts import ENGINE_VERSION, describe_model, software_versions
from bios_sweep.training.jsonl import jsonl_examples

LORA_ENGINE = "bios_sweep.training.engine:LoraEngine"
PLANTED_ENGINE = "bios_sweep.simulation.engine:PlantedEngine"


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
    """The configured workspace."""
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
    return Prepared(
        config=config,
        plan=build_plan(study),
        workspace=workspace,
        dataset=dataset,
        command=shlex.join(["bios-sweep", "run", *config.overrides, *_config_dir(args)]),
        warnings=recommendation.warnings,
    )


def _config_dir(args: Namespace) -> list[str]:
    return ["--config-dir", str(args.config_dir)] if args.config_dir else []


def _trained(values: Mapping[str, Any], workspace: Workspace) -> tuple[Scenario, DataSet]:
    model = read_model(values["model"])
    dataset = read_data(values["data"])
    method, cluster = values["method"], values["cluster"]
    data = _data_facts(dataset, model, int(method["max_length"]), workspace)
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
                "micro_batch_size": method["micro_batch_size"],
                "measurements": values["budget"]["measurements"],
            },
            software=software_versions(),
        ),
        dataset,
    )


def read_model(values: Mapping[str, Any]) -> ModelFacts:
    """The facts of the configured base model."""
    if values["kind"] == "embedded":
        return describe_model(str(base_model_path()), values["name"])
    if not values["path"]:
        raise ConfigError("model.path: missing; give a folder with config.json, or a Hugging Face id")
    return describe_model(str(values["path"]), values["name"])


def read_data(values: Mapping[str, Any]) -> DataSet:
    """The configured examples, split and checked."""
    if values["kind"] == "embedded":
        return embedded_examples(_count(values["eval_examples"]))
    if not values["path"]:
        raise DataError("data.path: missing; give a JSONL file such as data.path=train.jsonl")
    return jsonl_examples(
        Path(str(values["path"])),
        eval_path=Path(str(values["eval_path"])) if values["eval_path"] else None,
        eval_fraction=values["eval_fraction"],
        eval_examples=_count(values["eval_examples"]),
    )


def _count(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"data.eval_examples: {value!r} is not allowed; a whole number of at least 1")
    return value


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
    return round(count.train / len(dataset.train), 2), count.evaluation


def _planted(values: Mapping[str, Any]) -> Scenario:
    """A scenario without files: the planted curves are model and data in one."""
    planted = dict(values["model"]["planted"])
    family, hidden_size = planted.pop("family"), planted.pop("hidden_size")
    fingerprint = short_hash(planted)
    options = {**planted, "measurements": values["budget"]["measurements"]}
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
            train_examples=int(values["data"].get("train_examples", 100_000)),
            eval_examples=int(values["data"]["eval_examples"] or 1000),
        ),
        method=values["method"]["name"],
        engine=PLANTED_ENGINE,
        engine_version=PlantedEngine.version,
        engine_options=json.loads(json.dumps(options)),
        software={},
    )
