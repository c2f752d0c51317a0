"""`data.eval_examples=auto`: enough for the margin, at a stated share of training, fixed once for all arms.

Trials are compared and shared only on the same evaluation examples. So the first study of a model and its
data decides, by trials that ran before on other evaluation examples where there are some; those that follow
in the workspace take what it has, and so does the study itself when it goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.checks import positive
from bios_sweep.decision.clusters import ClusterSums
from bios_sweep.decision.enough import needed_examples
from bios_sweep.driver.memory import shape_of_plan
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.fitting import DEFAULT_MICRO_BATCH
from bios_sweep.engines.training.operations import (
    Operations,
    forward,
    moved,
    moved_in_training,
    trained,
    untouched,
)
from bios_sweep.engines.training.split import AUTO_EXAMPLES
from bios_sweep.errors import StorageError
from bios_sweep.records.earlier import names_model
from bios_sweep.records.reading import read_state
from bios_sweep.records.results import ClusterReader
from bios_sweep.records.sweep_state import SweepState, TrialState
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.evaluation import PlanEvaluation
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import DataFacts
from bios_sweep.study.trials import EVALUATION_FILE
from bios_sweep.vocabulary import Status

KEY = "data.eval_share"
LEAST = 200  # examples that no cost takes away; chosen: below, a loss says little of anything
JUDGED = "eval_loss"  # the metric whose values per example trials leave in `EVALUATION_FILE`
PAIRS = 12  # trials that are compared with the default's, at most; chosen


@dataclass(frozen=True, kw_only=True)
class Enough:
    """How many examples `auto` asks for, and why, in words."""

    examples: int
    why: str


def enough(plan: Plan, share: Any, workspace: Workspace) -> Enough:
    """What `auto` is for a plan: what the workspace has begun with, else by noise and cost.

    plan: with any number of evaluation examples. share: `data.eval_share`.
    """
    most = positive(KEY, share)
    begun = _begun(plan, workspace)
    if begun is not None:
        return Enough(examples=begun, why="as earlier studies here have, to share trials")
    noise = _needed(plan, workspace)
    asked = Enough(examples=AUTO_EXAMPLES, why="no earlier trial tells the noise")
    if noise is not None:
        asked = Enough(examples=max(LEAST, noise), why="what the margin needs at the noise of earlier trials")
    affordable, there = _affordable(plan, most), plan.study.scenario.data.eval_examples
    wanted = asked.examples if there >= AUTO_EXAMPLES else min(asked.examples, there)
    if affordable is not None and affordable < wanted:
        why = f"evaluations take at most {100 * most:g} % of training ({KEY})"
        return Enough(examples=max(LEAST, affordable), why=why)
    return asked


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """How batches are cut. size: examples of a micro-batch. twice: with activation checkpointing."""

    size: int = DEFAULT_MICRO_BATCH
    twice: bool = False


def operations_of(
    plan: Plan, shape: Shape, pieces: Pieces, settings: TrainingSettings | None = None
) -> Operations | None:
    """Of a trial, the baseline's by default; None where its tokens are not known."""
    study, data = plan.study, plan.study.scenario.data
    settings = settings or study.baseline
    length = data.tokens_at(settings.max_length)
    if length is None:
        return None
    at_once = min(pieces.size, settings.batch_size) * length
    evaluated = data.eval_tokens or 0
    each = evaluated / data.eval_examples
    a_token = forward(shape, settings, each, at_once)
    tokens = settings.max_steps * settings.batch_size * length
    read = (study.budget.measurements + 1) * evaluated  # the untouched model is measured, too
    return Operations(
        training=tokens * trained(shape, settings, length, at_once, twice=pieces.twice),
        evaluation=read * a_token,
        decoding=0 if data.score is None else data.score.most_tokens * a_token,
        moved=tokens * moved_in_training(shape, settings, at_once, twice=pieces.twice)
        + read * moved(shape, settings, at_once),
    )


def reference_operations(plan: Plan, shape: Shape) -> float:
    """Of the pass over all preference pairs by the model without an adapter, once per node; else 0."""
    data = plan.study.scenario.data
    length = data.tokens_at(plan.study.baseline.max_length)
    if data.preference is None or length is None:
        return 0.0
    read = (data.train_examples or 0) * length + (data.eval_tokens or 0)
    return read * untouched(shape, length)


def plan_evaluation(plan: Plan, seconds: tuple[float, int] | None) -> PlanEvaluation | None:
    """What evaluating takes of a trial of the baseline; None where it cannot be reckoned.

    seconds: of one evaluation over seconds of training between two, as earlier trials measured it, and how
    many trials those are.
    """
    data, budget = plan.study.scenario.data, plan.study.budget
    share = _share(plan)
    if share is None:
        return None
    return PlanEvaluation(
        examples=data.eval_examples,
        measurements=budget.measurements + 1,
        share=round(share, 4),
        measured=None if seconds is None else round(seconds[0], 4),
        from_trials=0 if seconds is None else seconds[1],
        why=data.eval_why,
    )


def _share(plan: Plan) -> float | None:
    """Operations of a trial's evaluations over those of its training."""
    shape = shape_of_plan(plan) if plan.study.scenario.engine == LORA_ENGINE else None
    needed = None if shape is None else operations_of(plan, shape, Pieces())
    return None if needed is None or not needed.training else needed.evaluation / needed.training


def _affordable(plan: Plan, most: float) -> int | None:
    """Evaluation examples whose operations are that share of the training's."""
    share = _share(plan)
    return None if not share else int(plan.study.scenario.data.eval_examples * most / share)


def _begun(plan: Plan, workspace: Workspace) -> int | None:
    """Evaluation examples of the latest study of this model and these files that left them to `auto`.

    A study of before `auto` had reasons had as many as there were, up to `AUTO_EXAMPLES`.
    """
    scenario = plan.study.scenario
    for sweep_id in workspace.sweeps():
        with suppress(StorageError):
            if not names_model(workspace.journal_file(sweep_id), scenario.model.fingerprint):
                continue
            data = workspace.read_plan(sweep_id)["study"]["scenario"]["data"]
            if not _same_files(data, scenario.data):
                continue
            if data.get("eval_why") or data["eval_examples"] == scenario.data.eval_examples:
                return int(data["eval_examples"])
    return None


def _same_files(kept: Mapping[str, Any], now: DataFacts) -> bool:
    """By name and by how many examples they hold: others may be called so, as typed in another folder.

    What is held out of a file is the rest of it, and what has a file of its own leaves training alone.
    """
    train, held_out = kept["train_examples"], kept["eval_examples"]
    alike = train == now.train_examples or train + held_out == now.train_examples + now.eval_examples
    return bool(kept["source"] == now.source and alike)


def _needed(plan: Plan, workspace: Workspace) -> int | None:
    """By the latest study of this model and these files whose trials left their losses."""
    if plan.study.metric.name != JUDGED:
        return None  # a score has a margin and items of its own
    rule = plan.study.decision
    reader = ClusterReader(workspace)
    for facts, state in _states(plan, workspace):
        if facts.get("data", {}).get("source") != plan.study.scenario.data.source:
            continue
        examples = facts["data"].get("eval_examples")
        trials = [
            one for one in state.trials.values() if one.result and one.result.status == Status.COMPLETED
        ]
        defaults = {one.spec.seed: one for one in trials if one.spec.arm == BASELINE}
        pairs = list(_pairs(trials, defaults, reader))[:PAIRS]
        if examples and pairs:
            margin = rule.margin(*_level_and_gain(list(defaults.values())))
            return needed_examples(pairs, int(examples), margin)
    return None


def _pairs(
    trials: list[TrialState], defaults: Mapping[int, TrialState], reader: ClusterReader
) -> Iterator[tuple[ClusterSums, ClusterSums]]:
    for one in trials:
        default = defaults.get(one.spec.seed)
        if default is None or one is default:
            continue
        found = [reader(trial.spec.key, EVALUATION_FILE) for trial in (default, one)]
        if found[0] is not None and found[1] is not None:
            yield found[0], found[1]


def _level_and_gain(defaults: list[TrialState]) -> tuple[float, float]:
    """The default's mean loss, and what its training gained in percent of it."""
    results = [trial.result for trial in defaults if trial.result is not None]
    level = sum(result.curve[-1].eval_loss or 0.0 for result in results) / len(results)
    before = sum(result.curve[0].eval_loss or 0.0 for result in results) / len(results)
    return level, 100.0 * (before - level) / level if level else 0.0


def _states(plan: Plan, workspace: Workspace) -> Iterator[tuple[Mapping[str, Any], SweepState]]:
    """Facts and state of every sweep of the plan's model, the latest first."""
    fingerprint = plan.study.scenario.model.fingerprint
    for sweep_id in workspace.sweeps():
        journal = workspace.journal_file(sweep_id)
        if journal.exists() and names_model(journal, fingerprint):
            state = read_state(journal)
            yield state.facts, state


def with_reason(plan: Plan, found: Enough) -> Plan:
    """The plan with the reason beside its evaluation examples."""
    scenario = plan.study.scenario
    data = replace(scenario.data, eval_why=found.why)
    return replace(plan, study=replace(plan.study, scenario=replace(scenario, data=data)))
