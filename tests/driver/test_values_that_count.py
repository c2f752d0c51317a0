"""No value is passed over in silence: it counts, is refused, or is named as without effect.

The keys are read from `conf/`, so that a key that is added without a rule fails here.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from bios_sweep.assets import base_model_path
from bios_sweep.config.build import gpu_hours
from bios_sweep.config.compose import compose_config
from bios_sweep.config.composed import Config
from bios_sweep.config.idle import ALWAYS
from bios_sweep.config.places import config_root
from bios_sweep.config.refused import REFUSED
from bios_sweep.config.stated import refuse_idle
from bios_sweep.config.unheard import UNHEARD
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.place import choose_executor, worker_environment
from bios_sweep.driver.prepare import Prepared, facts_of, prepare_config
from bios_sweep.driver.submission import submission
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.errors import InputError
from bios_sweep.settings import baseline_values

CONF = config_root() / "conf"
GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir())
DATA_SWEEP = ("sweeps=learning_rate", "seeds=[0,1,2]")
COMMAND = "method.command=python3 train.py --lr {learning_rate} --bs {batch_size} --seed {seed}"
SCRIPT = ("method=command", COMMAND, "baseline.learning_rate=1e-3")
OWN_DATA = ("data.path=train.jsonl", "data.eval_examples=5")
ALL = "all"  # every group of the combination

# verb, overrides, and the groups whose keys are tried there
COMBINATIONS: dict[str, tuple[str, tuple[str, ...], Any]] = {
    "embedded": ("plan", (), ("data",)),
    "options of a job that nothing submits": ("run", ("model=planted", "submit=slurm"), ("submit",)),
    "own data, this process": ("plan", (*OWN_DATA, "cluster=inline", "tracking=none"), ALL),
    "own model and data, a running cluster": (
        "run",
        (*OWN_DATA, "model.path=base", "cluster=existing", "cluster.max_concurrent=3"),
        ALL,
    ),
    "own data, GPUs here": ("run", (*OWN_DATA, "cluster=local_gpu", "tracking=sqlite"), ALL),
    "planted": ("plan", ("model=planted",), ALL),
    "planted, Ray here": ("run", ("model=planted", "cluster=ray", "tracking=sqlite"), ALL),
    "a command": ("run", (*SCRIPT, "cluster=ray"), ALL),
    "a command of a known model": ("plan", (*SCRIPT, "model.path=base", "cluster=inline"), ALL),
    "a function": (
        "run",
        ("method=python", "method.callable=train:trial", "baseline.learning_rate=1e-3", "cluster=inline"),
        ALL,
    ),
    "a rehearsal": ("rehearse", ("model=planted",), ("decision", "budget", "seeds")),
    "a rehearsal of a budget": ("rehearse", ("model=planted", "decision.gpu_hours=5"), ("decision", "seeds")),
    "a job for slurm": ("submit slurm", (*OWN_DATA, "submit.container=/x.sif"), ("submit", "cluster")),
    "a job for kuberay": (
        "submit kuberay",
        (*OWN_DATA, "submit.image=x", "submit.claims={c: /}", "workspace=/w", "data.path=/{cwd}/train.jsonl"),
        ("submit",),
    ),
    "a job for a Ray": ("submit rayjob", (*OWN_DATA, "submit.working_dir=.", "workspace=/w"), ("submit",)),
}

# A value of each key that differs from what our own groups bring.
OTHER: dict[str, Any] = {
    "baseline.learning_rate": 3e-4, "baseline.batch_size": 48, "baseline.lora_rank": 24,
    "budget.hold": "steps", "budget.measurements": 3, "budget.max_trials": 150, "budget.max_hours": 9.0,
    "budget.keep_adapters": "all", "budget.max_steps": 77, "budget.epochs": 3,
    "budget.least_free_gb": 0.2, "on_verdict": "./tell.sh",
    "cluster.executor": "inline", "cluster.address": "elsewhere:6379", "cluster.num_cpus": 7,
    "cluster.cpus_per_trial": 3, "cluster.gpus_per_trial": 2, "cluster.memory_per_trial": 1.5,
    "cluster.accelerator_type": "A100",
    "cluster.resources_per_trial": {"big": 1}, "cluster.max_concurrent": 5, "cluster.placement": "spread",
    "cluster.storage": "/elsewhere", "cluster.preinstalled": True, "cluster.py_modules": ["mine"],
    "cluster.environment": ["PATH"], "cluster.max_attempts": 5, "cluster.device": "cpu",
    "cluster.price_per_gpu_hour": 2.5,
    "data.kind": "planted", "data.path": "other.jsonl", "data.eval_path": "held_out.jsonl",
    "data.train_on": "last", "data.chat_date": "2026-01-31",
    "data.weights": [0.7, 0.3], "data.subset": "en", "data.train_split": "all", "data.eval_split": "dev",
    "data.eval_share": 0.4, "data.revision": "v1", "data.download": True,
    "data.shape": "text", "data.columns": {"text": "body"}, "data.on_bad": "skip", "data.max_bad": 0.3,
    "data.cluster": "document", "data.split": "normalised", "data.chunk_tokens": 64,
    "data.eval_fraction": 0.3, "data.eval_max_length": 64, "data.eval_examples": 7,
    "data.score": "exact_match", "data.score_items": 3, "data.score_tokens": 5, "data.score_stop": ["x"],
    "data.score_pattern": "a",
    "data.train_examples": 700, "data.name": "my data",
    "decision.alpha": 0.1, "decision.looks": [2], "decision.confirmation_seeds": 4,
    "decision.margin_percent": 0.7, "decision.margin_share": 0.07, "decision.scope": "evaluation",
    "decision.margin_absolute": 0.3, "decision.margin_points": 2.0, "decision.purpose": "publish",
    "decision.cost_ratio": 1.3, "decision.speed_loss_percent": 2.0, "decision.minimum_share": 0.7,
    "decision.refine": "optuna", "decision.refine_trials": 9, "decision.refine_goal": "quality and cost",
    "decision.guardrails": {"eval_bits_per_byte": 1}, "decision.target": 1.5, "decision.deadline": "90s",
    "decision.gpu_hours": 20.0, "decision.undecidable": "run",
    "decision.metrics": [
        {"name": "eval_loss", "role": "decides"},
        {"name": "eval_bits_per_byte", "role": "must not lose", "margin_percent": 1},
    ],
    "method.name": "python", "method.objective": "dpo", "method.runner": "python",
    "method.lora_alpha": 8.0, "method.lora_dropout": 0.1,
    "method.schedule": "cosine", "method.warmup_fraction": 0.1, "method.weight_decay": 0.1,
    "method.adam_beta1": 0.8, "method.adam_beta2": 0.99, "method.adam_eps": 1e-6,
    "baseline.train_examples": 4, "method.settings": {"optimizer": "lion"},
    "method.alpha_rule": "rank", "method.targets": "attention", "method.init": "gaussian",
    "method.embeddings": True,
    "method.dpo_beta": 0.3, "method.dpo_length_normalised": True, "method.dpo_eval_beta": 0.2,
    "method.decay_fraction": 0.3, "method.neftune_alpha": 5.0, "method.max_grad_norm": 2.0,
    "method.max_length": 128, "method.dtype": "bfloat16", "method.attention": "eager", "method.routers": True,
    "budget.checkpoint_minutes": 5.0, "method.activation_checkpointing": True,
    "method.micro_batch_size": 4, "method.command": "python3 train.py {learning_rate} {seed}",
    "method.pattern": r"val loss (\S+)", "method.settings_file": "{trial_dir}/mine.yaml",
    "method.settings_template": "mine.yaml", "method.env": {"A": "b"},
    "method.shell": True, "method.metric": "accuracy", "method.direction": "maximize",
    "method.metrics_file": "{trial_dir}/m.jsonl", "method.trainer_state": True, "method.trains": "lora",
    "method.inputs": ["helpers.py"], "method.time_limit_seconds": 60, "method.resumes": True,
    "method.callable": "train:other",
    "model.kind": "local", "model.name": "my model", "model.path": "base",
    "model.revision": "v1", "model.download": True,
    "model.planted": {"loss": 3.0},
    "tracking.enabled": True, "tracking.uri": "http://127.0.0.1:9", "tracking.flush_seconds": 7,
    "submit.nodes": 3, "submit.cpus_per_node": 9, "submit.gpus_per_node": 4, "submit.gpu_type": "a100",
    "submit.memory": "64G", "submit.time": "1-00:00:00", "submit.partition": "p", "submit.account": "a",
    "submit.qos": "q", "submit.exclusive": False, "submit.requeue": False, "submit.max_requeues": 3,
    "submit.notice_seconds": 90, "submit.venv": "/v", "submit.container": "/y.sif",
    "submit.container_engine": "apptainer", "submit.container_mounts": ["/d"],
    "submit.environment": {"A": "b"}, "submit.setup": ["module load x"], "submit.directives": ["--nice=1"],
    "submit.image": "y", "submit.ray_version": "2.61.0", "submit.namespace": "n",
    "submit.service_account": "s", "submit.replicas": 2, "submit.gpus": 2, "submit.cpus": 9,
    "submit.head_cpus": 3, "submit.head_memory": "9Gi", "submit.claims": {"d": "/"},
    "submit.secrets": {"V": "s/k"}, "submit.image_pull_secrets": ["s"], "submit.node_selector": {"a": "b"},
    "submit.tolerations": ["t"], "submit.auth": False, "submit.submission_mode": "HTTPMode",
    "submit.backoff_limit": 1, "submit.deadline_seconds": 9, "submit.ttl_seconds": 9,
    "submit.address": "http://h:1", "submit.working_dir": "/x", "submit.runtime_env": {"pip": ["x"]},
    "submit.wait": True,
    "workspace": "./elsewhere", "seeds": [5, 6, 7],
}  # fmt: skip
SAME = {  # the other value where that one is what a combination has anyway
    "method.callable": "train:trial", "method.name": "command", "method.trains": "full",
    "method.runner": "command",
    "model.path": "base_2", "model.kind": "embedded", "data.kind": "jsonl", "cluster.executor": "ray",
    "cluster.device": "cuda", "tracking.enabled": False, "model.planted": {"noise_percent": 0.9},
}  # fmt: skip


@cache
def keys() -> tuple[str, ...]:
    """Every dotted key of `config.yaml`, the settings and the group files; what a truth plants is one key."""
    found = {key for key in _leaves(_yaml(CONF / "config.yaml")) if not key.startswith("defaults")}
    found |= set(_leaves(baseline_values()))
    for group in GROUPS:
        for file in (CONF / group).glob("*.yaml"):
            content = {name: value for name, value in _yaml(file).items() if name != "defaults"}
            whole = content if "@package _global_" in file.read_text() else {group: content}
            found |= set(_leaves(whole))
    return tuple(sorted(found))


def _yaml(file: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(file))


def _leaves(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        inside = isinstance(value, Mapping) and name in GROUPS
        yield from [f"{name}.{key}" for key in value] if inside else [name]


def test_every_key_has_a_rule_and_every_rule_has_a_key():
    told = {key for rule in (*REFUSED, *UNHEARD) for key in rule.why}
    ruled = {key for key in told if not key.endswith("*") and key not in GROUPS}
    whole = {key.removesuffix("*") for key in told if key.endswith("*")}
    without = [k for k in keys() if k not in ALWAYS | ruled and not k.startswith(tuple(whole))]
    assert not without, "say in bios_sweep/config/idle.py, refused.py or unheard.py where these keys count"
    written = {*keys(), "sweeps"}
    gone = [k for k in ALWAYS | ruled if k not in written and not k.startswith("model.planted.")]
    assert not gone


def test_every_key_has_another_value_to_try():
    assert sorted(set(keys()) - set(OTHER)) == ["sweeps"] or set(keys()) <= set(OTHER)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name, numbers in (("train", range(40)), ("other", range(30)), ("held_out", range(90, 99))):
        rows = [{"prompt": f"What is {i}?", "completion": f" The number {i}."} for i in numbers]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "train.py").write_text("def trial(*a): ...\ndef other(*a): ...\n")
    (tmp_path / "helpers.py").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "base").symlink_to(base_model_path())
    shutil.copytree(base_model_path(), tmp_path / "base_2")
    return tmp_path


def does(config: Config, verb: str) -> tuple[Prepared, dict[str, Any]]:
    """All that a command would do or write down, as plain values."""
    verb, _, to = verb.partition(" ")
    prepared = prepare_config(config, Invocation(verb=verb))
    study, values = prepared.plan.study, config.values
    tracking = tracking_of(config, prepared.workspace)
    environment = worker_environment(prepared.request, sweep_id="", tracking_uri=tracking.uri)
    request = dataclasses.replace(prepared.request, device="auto")  # the study's own options tell the device
    executor = choose_executor(request, prepared.workspace, environment)
    done: dict[str, Any] = {
        "study": study.to_dict(),
        "plan": prepared.plan.sweep_id,
        "trials": [trial.key for trial in prepared.plan.trials],
        "workspace": str(prepared.workspace.root),
        "keep": values["budget"]["keep_adapters"],
        "tracking": [tracking.uri, tracking.flush_seconds],
        "executor": [type(executor).__name__, str(vars(executor))],
        "hours": gpu_hours(values) if verb == "rehearse" else None,
        "model path": study.scenario.model.path,
        "asks": not prepared.precision.known,
    }
    if to:
        job = submission(prepared, to=to, file=config_root() / "file")
        done["submission"] = (job.text, job.words, job.follows)
    return prepared, done


def changed(config: Config, key: str, value: Any) -> Config:
    values = copy.deepcopy(dict(config.values))
    *groups, last = key.split(".")
    place = values
    for group in groups:
        place = place[group]
    merged = {**place[last], **value} if isinstance(place.get(last), dict) else value
    place[last] = merged
    return dataclasses.replace(config, values=values)


SLOW = (
    "embedded", "own data, GPUs here", "planted, Ray here", "a command of a known model",
    "a function", "a job for slurm", "a job for kuberay", "a job for a Ray",
    "options of a job that nothing submits",
)  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in COMBINATIONS]
)
def test_a_value_counts_or_is_refused_or_is_named(folder, name):
    verb, overrides, groups = COMBINATIONS[name]
    chosen = [f"submit={verb.partition(' ')[2]}", "cluster=existing"] if verb.startswith("submit") else []
    words = [word.replace("{cwd}", str(folder)) for word in overrides]
    config = compose_config([*DATA_SWEEP, *chosen, *words])
    prepared, before = does(config, verb)
    facts = {"verb": verb.partition(" ")[0], **facts_of(prepared.plan, config)}
    silent = []
    for key in tried(groups, config, verb):
        others = [OTHER[key], *([SAME[key]] if key in SAME else [])]
        if not any(says(config, key, other, facts, before, verb) for other in others):
            silent.append(key)
    assert not silent


def tried(groups: Any, config: Config, verb: str) -> list[str]:
    own = {f"submit.{key}" for key in (config.values.get("submit") or {})}
    of_the_groups = [k for k in keys() if groups == ALL or k.partition(".")[0] in groups]
    return [k for k in of_the_groups if not k.startswith("submit.") or k in own if k not in LATER]


def says(config: Config, key: str, value: Any, facts: dict[str, Any], before: Any, verb: str) -> bool:
    """Whether another value is refused by its key, or named, or changes what would be done."""
    group, _, name = key.rpartition(".")
    other = changed(config, key, value)
    try:
        return key in refuse_idle(other, facts) or does(other, verb)[1] != before
    except InputError as error:
        return any(part in str(error) for part in (name, f"{group}=", f"{group}."))


# nothing of their kind is here: a timed trial, a bad record, a model of the hub; tested where there is
LATER = ("budget.max_hours", "budget.least_free_gb", "on_verdict", "data.on_bad", "model.download")


def test_a_value_that_changes_nothing_would_be_found(folder):
    config = compose_config([*DATA_SWEEP, "model=planted"])
    prepared, before = does(config, "plan")
    facts = {"verb": "plan", **facts_of(prepared.plan, config)}
    assert not says(config, "budget.hold", "examples", facts, before, "plan")
    assert not says(config, "method.dtype", "auto", facts, before, "plan")
    assert says(config, "method.dtype", "bfloat16", facts, before, "plan")
