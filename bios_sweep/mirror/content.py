"""What MLflow should hold about a sweep, as plain values derived from the journal alone. Pure.

Times, values and names come from the journal and not from the clock, so the same journal gives the
same runs whenever, and however often, it is mirrored.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from bios_sweep.decision.statement import question_titles
from bios_sweep.defaults.tuned_file import FILE_NAME
from bios_sweep.mirror.arms import arm_rows
from bios_sweep.records.sweep_state import DONE, PLANNED, RUNNING, SweepState, TrialState
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.column_names import DECIDED
from bios_sweep.units import kept_scale
from bios_sweep.vocabulary import Status


class RunStatus(StrEnum):
    """What a tracker says of a run; the words are MLflow's."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


CURVES = ("eval_loss", "eval_bits_per_byte", "train_loss")  # few: MLflow's charts slow down with many keys
COUNTED = ("planned", Status.COMPLETED, Status.DIVERGED, Status.FAILED)
TAG_LIMIT = 5000  # characters; MLflow 3.17 stores 8000 of a run's tag, older servers 5000
NOTE = "mlflow.note.content"
PARENT = "mlflow.parentRunId"
OF_THE_SWEEP = {"arm": "the sweep", "stage": "verdict"}  # its run is a group of its own among its trials
FOREIGN = re.compile(r"[^\w\-. /]+", re.ASCII)  # what MLflow refuses in the name of a metric or tag


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """One value of a metric. timestamp: milliseconds since 1970. step: optimizer steps, or as said."""

    key: str
    value: float
    timestamp: int
    step: int

    @property
    def identity(self) -> tuple[str, int, float]:
        """What makes two points the same; the time at which it was noted does not."""
        return self.key, self.step, self.value


@dataclass(frozen=True, kw_only=True)
class DataInput:
    """A data set a run used, and for what: `training` or `evaluation`."""

    name: str
    digest: str
    source: str
    context: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class RunContent:
    """What one MLflow run should hold.

    birth: tags given when the run is made and never touched again; tags: kept up to date.
    settled: the run has an outcome that this sweep vouches for. started, ended: milliseconds since 1970.
    reopens: a sweep's run, which goes on when more trials are added; a finished trial never does.
    guest: another sweep made the run. arms: a sweep's table, a row per arm.
    """

    name: str
    status: RunStatus
    started: int
    ended: int | None
    settled: bool
    birth: Mapping[str, str]
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: tuple[MetricPoint, ...]
    inputs: tuple[DataInput, ...] = ()
    arms: tuple[Mapping[str, Any], ...] = ()
    reopens: bool = False
    guest: bool = False


def as_guest(content: RunContent, sweep_id: str, *, finished: bool) -> RunContent:
    """What a sweep may say on a run that another sweep made: its own tag, and news of a trial it runs."""
    names = (sweep_tag(sweep_id), *(() if finished else ("status", "attempt", "cause", "failure")))
    tags = {name: content.tags[name] for name in names if name in content.tags}
    return replace(content, tags=tags, points=() if finished else content.points, guest=True)


def sweep_tag(sweep_id: str) -> str:
    """The tag by which a sweep claims a trial; its value is the arm's name there."""
    return f"sweep.{plain_name(sweep_id)}"


def plain_name(text: str) -> str:
    """A text as MLflow takes it for the name of a metric or a tag."""
    return FOREIGN.sub(" ", text).strip()[:200]


def has_run(trial: TrialState) -> bool:
    """Whether the trial ever began, or ended elsewhere, and so has something to show."""
    return trial.attempts > 0 or trial.result is not None


def child_content(state: SweepState, trial: TrialState, parent_id: str, *, alive: bool) -> RunContent:
    """The run of a trial. alive: a driver is at work, so a trial in flight really runs."""
    spec, sweep_id = trial.spec, state.facts["sweep_id"]
    status = _child_status(trial, alive=alive)
    arm = state.facts["arms"].get(spec.arm, {})
    birth = {
        "kind": "trial",
        "trial_key": spec.key,
        "sweep_id": sweep_id,
        PARENT: parent_id,
        "arm": spec.arm,
        "seed": str(spec.seed),
        "stage": spec.stage,
        "factor": str(arm.get("factor") or "none"),
        "level": str(arm["level"]) if arm.get("factor") else "none",
    }
    settings = spec.settings.by_name()
    told = state.facts.get("told", settings)  # what the trial heard of: nothing else is a parameter of it
    heard = {name: value for name, value in settings.items() if name in told}
    cause, failure = ("", "") if trial.result is None else (trial.result.cause, trial.result.failure)
    return RunContent(
        name=f"{spec.arm} seed {spec.seed}",
        status=status,
        started=trial.started or state.started,
        ended=None if status == RunStatus.RUNNING else _child_end(trial, status),
        settled=status == RunStatus.FINISHED,
        birth=birth,
        tags=_tags(
            {
                "status": trial.status if status != RunStatus.KILLED else "interrupted",
                "attempt": str(max(trial.attempts, 1)),
                sweep_tag(sweep_id): spec.arm,
                "cause": cause or "none",  # always there: a retried trial's old cause must be overwritten
                "failure": failure or "none",
            }
        ),
        params=_texts({**heard, "seed": spec.seed, "repeat": spec.repeat}),
        points=_child_points(trial),
        inputs=_inputs(state),
    )


def parent_content(state: SweepState, *, alive: bool) -> RunContent:
    """The run of the sweep: its question, its baseline, what all arms add up to, the verdict as note."""
    facts, counts = state.facts, state.counts
    status = RunStatus.FINISHED if state.closed == DONE else RunStatus.KILLED
    if alive and not state.closed:
        status = RunStatus.RUNNING
    verdict = state.verdict or {}
    note = verdict.get("markdown") or facts["question"]
    return RunContent(
        name=facts["sweep_id"],
        status=status,
        started=state.started,
        ended=None if status == RunStatus.RUNNING else state.latest,
        settled=status == RunStatus.FINISHED,
        birth={"kind": "sweep", "sweep_id": facts["sweep_id"]},
        tags=_tags(
            {
                **OF_THE_SWEEP,
                sweep_tag(facts["sweep_id"]): OF_THE_SWEEP["arm"],
                "sweep_name": facts["name"],
                "verdict": str(verdict.get("headline") or "none yet"),
                "question": facts["question"],
                **_judged_on(facts),
                "status": state.closed or ("running" if alive else "interrupted"),
                "model": facts["model"]["name"],
                "data": facts["data"]["name"],
                **_model(facts),
                **{name: str(counts[name]) for name in COUNTED},
                **_timing(state.timing),
                **_looks(verdict),
                **_effects(verdict),
                "tuned_file": FILE_NAME if FILE_NAME in state.report else "none",
                NOTE: note,
            }
        ),
        params=_texts(
            {
                **facts["baseline"],
                "metric": facts["metric"],
                "direction": facts.get("direction"),  # a journal of an older version does not say
                "seeds": facts["seeds"],
                "looks": facts["decision"]["looks"],
                **_beside(facts),
                **{title: facts["decision"].get(name) for title, name in DECIDED.items()},
                **{f"budget.{name}": value for name, value in facts["budget"].items()},
            }
        ),
        points=(),
        inputs=_inputs(state),
        arms=arm_rows(state),
        reopens=True,
    )


def _judged_on(facts: Mapping[str, Any]) -> dict[str, str]:
    """Which way the metric is better, in words; nothing where the journal of an older version is silent."""
    direction = facts.get("direction")
    return {"judged_on": Metric(name=facts["metric"], direction=direction).words} if direction else {}


def _beside(facts: Mapping[str, Any]) -> dict[str, str]:
    """The metrics that do not decide, and what each may lose; nothing where there are none."""
    direction = facts.get("direction")
    if not direction:
        return {}
    rule = DecisionRule.from_dict(facts["decision"])
    kept = rule.must_not_lose(Metric(name=facts["metric"], direction=direction))
    return {"must_not_lose": "; ".join(one.words for one in kept)} if kept else {}


def _model(facts: Mapping[str, Any]) -> dict[str, str]:
    """What a learning-rate rule is about; nothing where a script's model, or an older journal, is silent."""
    model, method = facts["model"], facts.get("method")
    if not model.get("hidden_size") or not method:
        return {}
    by = {"objective": facts["objective"]} if "objective" in facts else {}
    return {"family": model["family"], "hidden_size": str(model["hidden_size"]), "method": method, **by}


def _timing(timing: Mapping[str, Any] | None) -> dict[str, str]:
    """What a step of each timed arm takes: the geometric mean of the repeats, as their ratios are taken."""
    if timing is None:
        return {}
    columns = zip(timing["arms"], zip(*timing["seconds"], strict=True), strict=True)
    means = {arm: math.exp(sum(map(math.log, column)) / len(column)) for arm, column in columns}
    steps = {plain_name(f"timing.{arm}"): f"{1000 * mean:.3g} ms per step" for arm, mean in means.items()}
    return {"timing.hardware": timing["hardware"], **steps}


def _looks(verdict: Mapping[str, Any]) -> dict[str, str]:
    """What the sweep added to the workspace's ledger, an entry per question, as the ledger has it."""
    return {
        plain_name(f"look.{look['factor']} {look['claim']} {look['cell']}"): json.dumps(look)
        for look in verdict.get("looks", ())
    }


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: cut(value) for name, value in tags.items()}


def cut(text: str) -> str:
    """No longer than MLflow takes; the report has the whole text."""
    mark = "\n... (cut; all of it is in report.md)"
    return text if len(text) <= TAG_LIMIT else text[: TAG_LIMIT - len(mark)] + mark


def _child_status(trial: TrialState, *, alive: bool) -> RunStatus:
    if trial.status == RUNNING:
        return RunStatus.RUNNING if alive else RunStatus.KILLED
    if trial.status == PLANNED:
        return RunStatus.KILLED
    return RunStatus.FAILED if trial.status == Status.FAILED else RunStatus.FINISHED


def _child_end(trial: TrialState, status: str) -> int:
    """When it ended; a killed one with the last thing it said."""
    last_sign = max((trial.started or 0, *trial.times))
    return last_sign if status == RunStatus.KILLED else trial.ended or last_sign


def _child_points(trial: TrialState) -> tuple[MetricPoint, ...]:
    points: list[MetricPoint] = []
    for one, time in zip(trial.curve, trial.times, strict=True):
        points += _points({**{name: one.value(name) for name in CURVES}, **one.metrics}, time, one.step)
    if trial.result is None or trial.status == Status.FAILED:
        return tuple(points)
    step = trial.curve[-1].step if trial.curve else 0
    shown = {point.key for point in points if point.step == step}
    final = {"wall_seconds": trial.result.wall_seconds, "tokens": trial.result.tokens, **trial.result.final}
    new = {name: value for name, value in final.items() if name not in shown}
    return (*points, *_points(new, trial.ended or 0, step))


def _points(values: Mapping[str, float | None], time: int, step: int) -> list[MetricPoint]:
    """A value that is not finite is left out: MLflow would plot infinity as 1.8e308."""
    return [
        MetricPoint(key=plain_name(name), value=float(value), timestamp=time, step=step)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    ]


def _effects(verdict: Mapping[str, Any]) -> dict[str, str]:
    """Question -> effect in words. Tags and no metrics: each would be a chart of one dot above the curves."""
    told = verdict.get("verdicts", ())
    asked = [(line["factor"], line.get("claim", ""), line.get("cell", "")) for line in told]
    return {
        plain_name(
            f"effect.{title.replace(' (', ' ')}"
        ): f"{scale.number(line['effect_percent']):g} {scale.word}"
        for title, line in zip(question_titles(asked), told, strict=True)
        if isinstance(line.get("effect_percent"), int | float)
        for scale in [kept_scale(line.get("unit"), line.get("per_percent"))]
    }


def _inputs(state: SweepState) -> tuple[DataInput, ...]:
    data = state.facts["data"]
    source = data["source"] or data["name"]
    sides = (("training", "fingerprint", "train"), ("evaluation", "evaluation_fingerprint", "eval"))
    return tuple(
        DataInput(
            name=data["name"][:500],
            digest=data[fingerprint][:16],
            source=source,
            context=context,
            rows=data[f"{rows}_examples"],
        )
        for context, fingerprint, rows in sides
    )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }
