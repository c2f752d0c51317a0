"""A trial from step 0 to its result: measure, leave a checkpoint, go on; divergence is a result."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bios_sweep.engines.training.adapters import adapter, save_adapter
from bios_sweep.engines.training.batches import philox
from bios_sweep.engines.training.checkpoint import (
    FILE,
    Checkpoint,
    load_checkpoint,
    remove_checkpoints,
    save_checkpoint,
)
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import DivergedError, EvaluationSet, Training, evaluate
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.objectives.objective import Figures, HeldOut, Objective
from bios_sweep.engines.training.objectives.pair_figures import leave_preferences
from bios_sweep.engines.training.objectives.pairs import PairTable
from bios_sweep.engines.training.objectives.sft import SFT
from bios_sweep.engines.training.scoring import Scoring
from bios_sweep.engines.training.stable import Stable
from bios_sweep.engines.training.step_log import StepLog
from bios_sweep.engines.training.table import TokenTable
from bios_sweep.sealed import unlike
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.preference import CHOSEN_LOSS
from bios_sweep.study.stable import stable_steps
from bios_sweep.study.trials import (
    ADAPTER_FOLDER,
    ANSWER_SECONDS,
    EVALUATION_FILE,
    EVALUATION_SECONDS,
    GENERAL,
    GENERAL_BEFORE,
    OWN_METRICS,
    SHARED_STEPS,
    Measurement,
    TrialResult,
    TrialSpec,
)
from bios_sweep.vocabulary import Status

LOGGER = logging.getLogger(__name__)
Examples = TokenTable | PairTable


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What all trials of a plan are measured on, while dtype stays.

    general: passages of general text; general_before: the untouched model's loss there, nats per token.
    scoring: the items that are answered and scored, None where they are not; score_before: the untouched
    model's score.
    """

    evaluation: HeldOut
    untouched: Figures
    general: EvaluationSet
    general_before: float
    scoring: Scoring | None = None
    score_before: float | None = None


@dataclass(frozen=True, kw_only=True)
class Material:
    """What trials share while dtype and max_length stay: model and data; and what they are measured on.

    objective: by which loss a trial of such settings trains.
    """

    base: BaseModel
    train: Examples
    judge: Judge
    objective: Callable[[TrainingSettings], Objective] = lambda _settings: SFT

    @property
    def wall(self) -> float:
        """Loss on answers above which a trial has diverged, nats per token.

        ln(vocabulary) is guessing uniformly; a base model that starts above it may stay there. Of pairs the
        chosen answers count, which training may make less likely, but not less than any answer.
        """
        untouched = self.judge.untouched
        return max(math.log(self.base.vocabulary), untouched.metrics.get(CHOSEN_LOSS, untouched.loss))


@dataclass(frozen=True, kw_only=True)
class Work:
    """One trial to do: where, on what, and how often to measure. owner: whose checkpoint is trusted.

    checkpoint_seconds: between two measurements a checkpoint is left that often; None: at measurements alone.
    stable: its place among arms that share the stable part of their schedule, None of others.
    """

    trial: TrialSpec
    directory: Path
    material: Material
    owner: str
    measurements: int
    fit: Fit
    checkpoint_seconds: float | None
    provenance: Mapping[str, Any]
    stable: Stable | None = None


def run_trial(work: Work) -> Generator[Measurement | TrialResult, None, None]:
    """Yield measurements (replayed ones first) and then the result.

    The adapter is on the base model from the first item to the last, or until the iterator is closed.
    """
    settings, seed, before = work.trial.settings, work.trial.seed, len(work.fit.shrunk)
    with adapter(work.material.base, settings, seed) as adapted:
        examples = used_examples(work.material.train, settings.train_examples)
        log = StepLog(work.directory, settings.max_steps)
        objective = work.material.objective(settings)
        training = Training(work.material.base, adapted, settings, seed, examples, work.fit, log, objective)
        curve: list[Measurement] = []
        status, cause, evaluation = Status.COMPLETED, "", ""
        begun = _begin(work, training)
        if begun is not None and begun.shared:
            log.say(f"begins at step {training.step}, with the stable part that a longer arm trained")
        try:
            for point, evaluation in _measurements(work, training, begun):  # noqa: B007 - the last one is kept
                log.say(f"measured at step {point.step}: eval_loss {point.eval_loss:.6g}")
                curve.append(point)
                yield point
        except DivergedError as error:
            status, cause = Status.DIVERGED, str(error)
            log.say(f"diverged: {cause}")
        finally:
            log.close()
        files: dict[str, str] = {}
        provenance = dict(work.provenance)
        if begun is not None and begun.shared:
            provenance[SHARED_STEPS] = begun.checkpoint.step
        measured = {name: getattr(curve[-1], name) for name in OWN_METRICS}
        final = {name: value for name, value in measured.items() if value is not None}
        final |= curve[-1].metrics if curve[-1].step else {}
        if status == Status.COMPLETED:
            final |= _kept(work.material)
            files = {EVALUATION_FILE: evaluation} if evaluation else {}
            files |= leave_preferences(work.directory)
            scoring = work.material.judge.scoring
            if scoring is not None:
                scored = scoring.measure(work.material.base)
                final[scoring.metric] = scored.mean
                files |= scoring.save(scored, work.directory)
                provenance[ANSWER_SECONDS] = scored.seconds / len(scored.values)
            save_adapter(adapted, work.directory / ADAPTER_FOLDER)
        if work.stable is not None:
            work.stable.forget(settings)
        remove_checkpoints(work.directory)  # last, so that a kill before it repeats all this
        yield TrialResult(
            key=work.trial.key,
            status=status,
            curve=tuple(curve),
            final=final,
            wall_seconds=training.wall_seconds,
            tokens=training.tokens,
            cause=cause,
            provenance={**provenance, **_as_cut(work.fit, before), **_of_evaluations(training)},
            files=files,
        )


def _of_evaluations(training: Training) -> dict[str, float]:
    """What one took, where one was made after the trial was begun or taken up."""
    seconds = training.evaluations
    return {EVALUATION_SECONDS: sum(seconds) / len(seconds)} if seconds else {}


def _as_cut(fit: Fit, before: int) -> dict[str, Any]:
    """How the batches were cut in the end, and each time that memory ran out in this trial."""
    cut: dict[str, Any] = {"micro_batch_size": fit.micro_batch_size}
    if fit.checkpointing:
        cut["activation_checkpointing"] = True
    if not fit.kernels.repeatable:
        cut["repeatable"] = False
    return {**cut, "out_of_memory": "; ".join(fit.shrunk[before:])} if fit.shrunk[before:] else cut


def measured_steps(max_steps: int, measurements: int) -> tuple[int, ...]:
    """Step 0 and equal fractions of the trial, rounded; the last is `max_steps`. Equal ones merge."""
    steps = {round(max_steps * part / measurements) for part in range(measurements + 1)}
    return tuple(sorted(steps))


@dataclass(frozen=True, kw_only=True)
class Begun:
    """From where a trial goes on. shared: a longer arm trained so far, not the trial itself."""

    checkpoint: Checkpoint
    shared: bool


def _begin(work: Work, training: Training) -> Begun | None:
    """Go to where the trial was left, or where its stable part ends; None: it begins at the beginning."""
    device, settings = work.material.base.device, work.trial.settings
    checkpoint = load_checkpoint(work.directory, work.owner, device)
    own = checkpoint is not None and _has_its_evaluation(work, checkpoint)
    if not own:
        checkpoint = None if work.stable is None else work.stable.take(settings, device)
    if checkpoint is None:
        return None
    training.restore(checkpoint)
    return Begun(checkpoint=checkpoint, shared=not own)


class Follower:
    """A shorter arm of the trial's stable part: measured where it would be, left where it goes its way."""

    def __init__(self, settings: TrainingSettings, work: Work, training: Training) -> None:
        self._settings, self._work, self._training = settings, work, training
        self._end = stable_steps(settings)
        self._name = f"{settings.max_steps} {settings.decay_fraction}"
        self._curve: list[Measurement] = []
        measured = measured_steps(settings.max_steps, work.measurements)
        self._measured = {step for step in measured if step <= self._end}
        self.stops = self._measured | {self._end}
        training.watch(self._name)

    def at_a_stop(self) -> None:
        """Where the trial is now."""
        training, judge, step = self._training, self._work.material.judge, self._training.step
        if step in self._measured:
            figures = training.evaluated(judge.evaluation) if step else judge.untouched
            loss = training.taken(self._name)
            self._curve.append(_point(judge, self._settings, training, figures, loss))
        if step == self._end and self._work.stable is not None:
            self._work.stable.leave(self._settings, training.snapshot(self._curve, self._name))


def _measurements(work: Work, training: Training, begun: Begun | None) -> Iterator[tuple[Measurement, str]]:
    """Measurements of the checkpoint, then new ones, each followed by a checkpoint.

    Beside each the digest of its `eval.npz`, of replayed ones that of the last.

    Raises:
        DivergedError: after the measurement that shows it, or instead of one that is not finite.
    """
    curve: list[Measurement] = []
    evaluation = ""
    asked = work.stable.followers if work.stable is not None and begun is None else ()
    following = [Follower(settings, work, training) for settings in asked]
    if begun is not None:
        checkpoint = begun.checkpoint
        evaluation = checkpoint.evaluation
        for point in checkpoint.curve:
            curve.append(point)
            yield point, checkpoint.evaluation
            _require_below_wall(work, point)
    done = curve[-1].step if curve else -1
    for stop in measured_steps(work.trial.settings.max_steps, work.measurements):
        if stop <= done:
            continue
        keep = _Keeper(work, training, tuple(curve), evaluation)
        _follow(training, stop, keep, following)
        point, evaluation = _measure(work, training, stop, keep)
        curve.append(point)
        checkpoint = replace(training.snapshot(curve), evaluation=evaluation)
        save_checkpoint(work.directory, work.owner, checkpoint)
        yield point, evaluation
        _require_below_wall(work, point)


def _follow(training: Training, stop: int, keep: _Keeper, following: Sequence[Follower]) -> None:
    """Train up to a stop, halting where shorter arms of the stable part are measured or left."""
    halts = {at for one in following for at in one.stops if training.step < at <= stop or at == stop == 0}
    for at in sorted(halts):
        training.train_to(at, between=keep)
        for one in following:
            if at in one.stops:
                one.at_a_stop()


class _Keeper:
    """Leaves a checkpoint between two steps when it is time; curve and evaluation: as last measured."""

    def __init__(
        self, work: Work, training: Training, curve: tuple[Measurement, ...], evaluation: str
    ) -> None:
        self._work, self._training, self._curve, self._evaluation = work, training, curve, evaluation
        self._left = time.monotonic()

    def __call__(self) -> None:
        seconds = self._work.checkpoint_seconds
        if seconds is None or time.monotonic() - self._left < seconds:
            return
        checkpoint = replace(self._training.snapshot(self._curve), evaluation=self._evaluation)
        save_checkpoint(self._work.directory, self._work.owner, checkpoint)
        self._left = time.monotonic()


def _has_its_evaluation(work: Work, checkpoint: Checkpoint) -> bool:
    """Whether the `eval.npz` of a trial that only has to end is whole; before that a new one comes."""
    if checkpoint.step < work.trial.settings.max_steps:
        return True
    path = work.directory / EVALUATION_FILE
    if not checkpoint.evaluation and path.is_file():
        return True  # an earlier version's: nothing tells what it was
    wrong = unlike(work.directory, {EVALUATION_FILE: checkpoint.evaluation})
    if wrong is None:
        return True
    LOGGER.warning("%s: %s; the trial starts afresh and does not use %s", path, wrong[1], FILE)
    return False


def used_examples(examples: Examples, count: int | None) -> Examples:
    """The first `count` examples of one fixed permutation: a fair sample, smaller ones inside larger."""
    if count is None or count >= len(examples):
        return examples
    order = np.argsort(philox(len(examples), "training subset"), kind="stable")
    return examples.subset(np.sort(order[:count]))


def _measure(work: Work, training: Training, stop: int, keep: _Keeper) -> tuple[Measurement, str]:
    """Train until `stop` and evaluate; `eval.npz`, whose digest comes along, is the latest measurement's."""
    train_loss = training.advance(stop, between=keep)
    judge, settings = work.material.judge, work.trial.settings
    evaluation = training.evaluated(judge.evaluation) if stop else judge.untouched
    if not math.isfinite(evaluation.loss):
        raise DivergedError(f"the evaluation loss was not finite at step {stop}")
    written = evaluation.save(work.directory)
    return _point(judge, settings, training, evaluation, train_loss), written


def _point(
    judge: Judge, settings: TrainingSettings, training: Training, figures: Figures, loss: float | None
) -> Measurement:
    """What was measured where the training is now. loss: of training, since the point before."""
    step = training.step
    return Measurement(
        step=step,
        fraction=step / settings.max_steps,
        examples=step * settings.batch_size,
        tokens=training.tokens,
        eval_loss=figures.loss,
        eval_bits_per_byte=figures.bits_per_byte,
        train_loss=loss,
        wall_seconds=training.wall_seconds,
        metrics={**figures.metrics, **({} if step else _scored_before(judge))},
    )


def _scored_before(judge: Judge) -> dict[str, float]:
    """The untouched model's score, where answers are scored."""
    if judge.scoring is None or judge.score_before is None:
        return {}
    return {judge.scoring.metric: judge.score_before}


def _require_below_wall(work: Work, point: Measurement) -> None:
    of_pairs = point.metrics.get(CHOSEN_LOSS)
    loss, what = (
        (point.eval_loss, "evaluation loss") if of_pairs is None else (of_pairs, "loss on chosen answers")
    )
    if loss > work.material.wall:
        raise DivergedError(
            f"the {what} was {loss:.3g} at step {point.step}, above "
            f"{work.material.wall:.3g}: worse than the untouched model and than guessing every token "
            "with equal chance"
        )


def _kept(material: Material) -> dict[str, float]:
    """What is left of general knowledge: the loss on general text after training, and before it."""
    after = evaluate(material.base, material.judge.general).loss
    values = {GENERAL: after, GENERAL_BEFORE: material.judge.general_before}
    return {name: value for name, value in values.items() if math.isfinite(value)}
