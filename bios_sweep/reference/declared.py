"""Key -> what may stand there: by the class that checks it, and in `OTHERS` for what is checked by hand.

A test holds what is said here against the refusals of a real configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, replace
from functools import cache
from typing import Any

from bios_sweep.checks import Range
from bios_sweep.driver.scenarios.examples import TRAIN_ON
from bios_sweep.driver.scenarios.trained import ATTENTIONS
from bios_sweep.engines.simulation.truth import ABOVE_0, AT_LEAST_0, COUNTS, PlantedTruth
from bios_sweep.engines.training.groups import RULES
from bios_sweep.engines.training.shapes.asked import ON_BAD
from bios_sweep.engines.training.shapes.registry import NAMES as SHAPE_NAMES
from bios_sweep.launch.kuberay import KubeRayOptions
from bios_sweep.launch.rayjob import RayJobOptions
from bios_sweep.launch.slurm import SlurmOptions
from bios_sweep.method import PRESETS, Objective, Runner
from bios_sweep.records.retention import POLICIES
from bios_sweep.reference.kinds import (
    LIST,
    NAMES,
    NUMBER,
    TEXT,
    TEXTS,
    TRUTH,
    WHOLE,
    Kind,
    kind_of_annotation,
    kind_of_check,
    kind_of_range,
)
from bios_sweep.request import Request
from bios_sweep.settings import AUTO, COUNT, DEFAULTS, KNOWN, METHODS, OR_MORE, POSITIVE, Named, key_of
from bios_sweep.settings import TRUTH as TRUTH_VALUES
from bios_sweep.study.design import HOLDS, SCOPES, SEARCHES, UNDECIDABLE, Budget, DecisionRule
from bios_sweep.study.margins import PURPOSES
from bios_sweep.study.metric_names import DIRECTIONS
from bios_sweep.study.score import EXACT, PATTERN
from bios_sweep.vocabulary import SearchGoal

LAUNCHERS = (SlurmOptions, KubeRayOptions, RayJobOptions)
PERCENT, SECONDS, TOKENS, EXAMPLES, SHARE = "percent", "seconds", "tokens", "examples", "share"
UNITS = {  # of keys whose kind is known without one; what a name ends with says it for others
    "baseline.batch_size": "examples per optimizer step",
    "baseline.train_examples": EXAMPLES,
    "budget.max_steps": "optimizer steps",
    "budget.measurements": "per trial",
    "budget.max_trials": "trials",
    "budget.epochs": "epochs",
    "cluster.memory_per_trial": "GiB",
    "cluster.gpus_per_trial": "GPUs",
    "cluster.cpus_per_trial": "CPUs",
    "cluster.num_cpus": "CPUs",
    "cluster.max_concurrent": "trials",
    "cluster.max_attempts": "tries per trial",
    "data.eval_examples": EXAMPLES,
    "data.eval_max_length": TOKENS,
    "data.chunk_tokens": TOKENS,
    "data.max_bad": SHARE,
    "data.eval_share": "share of training",
    "data.score_items": EXAMPLES,
    "data.score_tokens": TOKENS,
    "data.train_examples": EXAMPLES,
    "decision.confirmation_seeds": "seeds",
    "decision.cost_ratio": "times the default's cost",
    "decision.deadline": SECONDS,
    "decision.guardrails": PERCENT,
    "decision.looks": "seeds",
    "decision.margin_absolute": "the metric's own unit",
    "decision.margin_points": "points",
    "decision.margin_share": "share of what fine-tuning gained",
    "decision.refine_trials": "trials",
    "decision.target": "the metric's own unit",
    "method.max_length": TOKENS,
    "method.micro_batch_size": EXAMPLES,
    "method.warmup_fraction": "share of the steps",
    "model.planted.loss": "nats per token",
    "model.planted.untouched": "nats per token",
    "model.planted.examples_per_second": "examples per second",
    "model.planted.time_cv": "standard deviation of the logarithm",
}
ENDINGS = {"_percent": PERCENT, "_share": SHARE, "_fraction": SHARE}
ENDINGS |= {"_seconds": SECONDS, "_minutes": "minutes", "_hours": "hours"}

OPEN_TEXT = Kind(type=TEXT, nullable=True)
OPEN_COUNT = replace(kind_of_range(COUNT), nullable=True)
BELOW_1 = Kind(type=NUMBER, range="above 0 and below 1")


def _choice(words: Any, *, nullable: bool = False) -> Kind:
    return Kind(type=TEXT, choices=tuple(map(str, words)), nullable=nullable)


TEXTS_OR_NULL = (
    *(
        "data.name",
        "data.score_pattern",
        "data.subset",
        "data.train_split",
        "data.eval_split",
        "data.revision",
    ),
    *("method.callable", "method.command", "method.metrics_file", "method.pattern"),
    *("method.settings_template", "method.settings_file"),
    *("model.name", "model.path", "model.revision", "tracking.uri", "on_verdict"),
)
OTHERS: Mapping[str, Kind] = {
    **dict.fromkeys(TEXTS_OR_NULL, OPEN_TEXT),
    **dict.fromkeys(("data.path", "data.eval_path"), Kind(type="text or list of texts", nullable=True)),
    "data.weights": Kind(type=f"{LIST} of numbers", range="above 0", nullable=True),
    "workspace": Kind(type=TEXT),
    "seeds": Kind(type=f"{LIST} of whole numbers", range="of at least 0", nullable=True),
    "budget.hold": _choice(HOLDS),
    "budget.epochs": replace(kind_of_range(POSITIVE), nullable=True),
    "budget.measurements": kind_of_range(COUNT),
    "budget.max_hours": replace(kind_of_range(POSITIVE), nullable=True),
    "budget.least_free_gb": kind_of_range(OR_MORE),
    "budget.checkpoint_minutes": replace(kind_of_range(POSITIVE), nullable=True),
    "budget.keep_adapters": _choice(POLICIES),
    "data.kind": _choice(("embedded", "file", "hub", "jsonl", "named", "planted")),
    "data.eval_fraction": replace(BELOW_1, nullable=True),
    "cluster.gpus_per_trial": replace(kind_of_range(OR_MORE), choices=(AUTO,)),
    "data.eval_examples": replace(OPEN_COUNT, choices=(AUTO,)),
    "data.eval_max_length": OPEN_COUNT,
    "data.shape": _choice(SHAPE_NAMES, nullable=True),
    "data.columns": Kind(type=NAMES, range="of columns", nullable=True),
    "data.on_bad": _choice(ON_BAD, nullable=True),
    "data.max_bad": Kind(type=NUMBER, range="of at least 0 and below 1", nullable=True),
    "data.cluster": OPEN_TEXT,
    "data.split": _choice(RULES, nullable=True),
    "data.chunk_tokens": replace(OPEN_COUNT, choices=(AUTO,)),
    "data.eval_share": kind_of_range(POSITIVE),
    "data.train_on": _choice(TRAIN_ON, nullable=True),
    "data.chat_date": Kind(type=TEXT, range="a day, such as 2026-01-31", nullable=True),
    "data.score": Kind(type=TEXT, range=f"({EXACT}, {PATTERN}, or a function)", nullable=True),
    "data.score_items": OPEN_COUNT,
    "data.score_tokens": OPEN_COUNT,
    "data.score_stop": Kind(type=TEXTS, nullable=True),
    "data.train_examples": OPEN_COUNT,
    "decision.alpha": Kind(type=NUMBER, range="above 0 and below 0.5"),
    "decision.looks": Kind(type=f"{LIST} of whole numbers", range="that rise, from 1, or of several from 2"),
    "decision.confirmation_seeds": Kind(type=WHOLE, range="of at least 2, or 0 for none"),
    "decision.purpose": _choice(PURPOSES),
    **{
        f"decision.margin_{name}": replace(kind_of_range(POSITIVE), nullable=True)
        for name in ("percent", "share", "absolute", "points")
    },
    "decision.scope": _choice(SCOPES),
    "decision.cost_ratio": Kind(type=NUMBER, range="above 1"),
    "decision.speed_loss_percent": kind_of_range(POSITIVE),
    "decision.minimum_share": BELOW_1,
    "decision.refine": _choice(SEARCHES, nullable=True),
    "decision.refine_trials": kind_of_range(Range(least=2, whole=True)),
    "decision.refine_goal": _choice(SearchGoal),
    "decision.metrics": Kind(type=NAMES, nullable=True),
    "decision.guardrails": Kind(type=NAMES, range="above 0", nullable=True),
    "decision.target": Kind(type=NUMBER, nullable=True),
    "decision.deadline": Kind(type="number or text such as 90s, 30min, 2h", range="above 0", nullable=True),
    "decision.undecidable": _choice(UNDECIDABLE),
    "decision.gpu_hours": replace(kind_of_range(POSITIVE), nullable=True),
    "method.name": _choice(PRESETS, nullable=True),
    "method.trains": _choice(METHODS, nullable=True),
    "method.objective": _choice(Objective),
    "method.runner": _choice(Runner),
    "method.dpo_eval_beta": replace(kind_of_range(POSITIVE), nullable=True),
    "method.attention": _choice(ATTENTIONS),
    "method.max_length": replace(kind_of_range(COUNT), choices=(AUTO,)),
    "method.micro_batch_size": replace(kind_of_range(COUNT), choices=(AUTO,)),
    "method.activation_checkpointing": Kind(type=TRUTH, choices=(AUTO,)),
    "method.direction": _choice(DIRECTIONS, nullable=True),
    "method.settings": Kind(type=NAMES, nullable=True),
    "method.env": Kind(type=NAMES, nullable=True),
    "method.inputs": Kind(type=TEXTS),
    "method.time_limit_seconds": replace(kind_of_range(POSITIVE), nullable=True),
    **dict.fromkeys(("data.download", "model.download"), Kind(type=TRUTH)),
    "model.kind": _choice(("embedded", "local", "named", "planted")),
    "model.planted.hidden_size": kind_of_range(COUNT),
    "tracking.flush_seconds": kind_of_range(OR_MORE),
}


@cache
def kinds(option: str) -> Mapping[str, Kind]:
    """Every key that is declared, as an option's file may have it; the unit joined.

    option: `group=name`. Two launchers may mean different things by one key of `submit`.
    """
    job = _of_jobs().get(option, {})
    found = {**_of_settings(), **_of_cluster(), **_of_rules(), **_of_planted(), **OTHERS, **job}
    return {key: replace(kind, unit=kind.unit or _unit(key)) for key, kind in found.items()}


def _unit(key: str) -> str:
    ending = next((ending for ending in ENDINGS if key.endswith(ending)), "")
    return UNITS.get(key, ENDINGS.get(ending, ""))


def _of_settings() -> dict[str, Kind]:
    """A setting that may follow a heuristic, or the place where it is trained, may also be `auto`."""
    found = {}
    for name, facts in KNOWN.items():
        if not facts.group:
            continue
        words = (AUTO,) if facts.auto or facts.placed else ()
        if isinstance(facts.allowed, tuple):
            truth, said = facts.allowed is TRUTH_VALUES, (*words, *facts.spelt, *facts.allowed)
            found[key_of(name)] = Kind(type=TRUTH) if truth else _choice(said)
        elif isinstance(facts.allowed, Named):
            found[key_of(name)] = Kind(type="module names", choices=facts.allowed.words)
        else:
            found[key_of(name)] = replace(kind_of_range(facts.allowed), choices=words)
    open_ones = {
        key_of(name) for name, facts in KNOWN.items() if facts.group and DEFAULTS.get(name, 0) is None
    }
    return {key: replace(kind, nullable=key in open_ones) for key, kind in found.items()}


def _of_cluster() -> dict[str, Kind]:
    return {
        f"cluster.{one.name}": kind_of_check(one.metadata["check"], str(one.type)) for one in fields(Request)
    }


def _of_jobs() -> dict[str, dict[str, Kind]]:
    return {
        f"submit={launcher.group}": {f"submit.{one.name}": _of_job(one) for one in fields(launcher)}
        for launcher in LAUNCHERS
    }


def _of_job(option: Field[Any]) -> Kind:
    """Names with values may be left out there."""
    kind = kind_of_check(option.metadata["check"], str(option.type))
    return replace(kind, nullable=kind.nullable or kind.type == NAMES)


def _of_rules() -> dict[str, Kind]:
    """What `OTHERS` does not say better."""
    classes = {"decision": DecisionRule, "budget": Budget}
    return {
        f"{group}.{one.name}": kind_of_annotation(str(one.type))
        for group, rule in classes.items()
        for one in fields(rule)
    }


def _of_planted() -> dict[str, Kind]:
    found = {f"model.planted.{one.name}": kind_of_annotation(str(one.type)) for one in fields(PlantedTruth)}
    for name in ABOVE_0:
        found[f"model.planted.{name}"] = kind_of_range(POSITIVE)
    for name in AT_LEAST_0:
        found[f"model.planted.{name}"] = kind_of_range(OR_MORE)
    for name, least in COUNTS.items():
        found[f"model.planted.{name}"] = kind_of_range(Range(least=least, whole=True))
    for name in ("wall", "examples_per_second"):
        found[f"model.planted.{name}"] = replace(kind_of_range(POSITIVE), nullable=True)
    return found
