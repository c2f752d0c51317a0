"""`PlantedEngine`: trials with a known answer, to rehearse a study and to test everything around training.

What the answer is, and how a user plants one, is told in `truth`.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.engines.simulation.evaluation import BYTES_PER_TOKEN
from bios_sweep.engines.simulation.truth import PlantedTruth
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import EVALUATION_FILE, Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Status

DIVERGENCE_FRACTION = 0.5  # chosen, not measured: a trial beyond the wall ends halfway
CHECKPOINT = "checkpoint.jsonl"

_log = logging.getLogger(__name__)


class PlantedEngine:
    """A `TrialEngine` over `PlantedTruth`, with real checkpoints so that a killed trial resumes."""

    version = "1"
    resumes = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._world = PlantedTruth.from_options(options)

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        """Replay what the checkpoint in `directory` holds, go on from there, end with the result."""
        checkpoint = directory / CHECKPOINT
        final = self._world.final_loss(trial.settings, trial.seed)
        curve = self._resumed(trial, checkpoint, final)
        yield from curve
        directory.mkdir(parents=True, exist_ok=True)
        with checkpoint.open("ab") as file:
            for step in self._steps(trial)[len(curve) :]:
                time.sleep(self._world.pause_seconds)
                message = self._world.fail.get(f"{trial.arm}/{trial.seed}")
                if message is not None and step > 0:
                    raise RuntimeError(message)
                curve.append(self._measure(trial, step, final))
                file.write(_line(curve[-1]))
                file.flush()
                yield curve[-1]
        yield self._result(trial, curve, directory)

    @property
    def hardware(self) -> str:
        """No device at all."""
        return "a simulated clock"

    def time_steps(self, settings: Sequence[TrainingSettings], repeats: int) -> list[list[float]]:
        """Seconds per optimizer step by the simulated clock, shape (repeats, arms).

        Raises:
            NoClockError: no time is planted.
        """
        return [
            [self._world.timed_step_seconds(arm, repeat) for arm in settings] for repeat in range(repeats)
        ]

    def _steps(self, trial: TrialSpec) -> list[int]:
        """Rising steps from 0 to the last (or to where the trial diverges), at equal fractions."""
        last, parts = trial.settings.max_steps, self._world.measurements
        steps = sorted({round(last * part / parts) for part in range(parts + 1)})
        if self._world.diverges(trial.settings):
            return [step for step in steps if step <= last * DIVERGENCE_FRACTION] or [0]
        return steps

    def _resumed(self, trial: TrialSpec, checkpoint: Path, final: float) -> list[Measurement]:
        """The points that a checkpoint holds. What is planted can be computed again: that is its checksum."""
        lines = _whole_lines(checkpoint)
        points = [self._measure(trial, step, final) for step in self._steps(trial)[: len(lines)]]
        if [_line(point) for point in points] == lines:
            return points
        _log.warning("%s: is not what this trial wrote; the trial starts afresh", checkpoint)
        checkpoint.unlink()
        return []

    def _measure(self, trial: TrialSpec, step: int, final: float) -> Measurement:
        settings, world = trial.settings, self._world
        fraction = step / settings.max_steps
        loss = world.loss_at(settings, final, fraction)
        examples = step * settings.batch_size
        return Measurement(
            step=step,
            fraction=fraction,
            examples=examples,
            tokens=examples * world.tokens_per_example,
            eval_loss=loss,
            eval_bits_per_byte=_bits_per_byte(loss),
            train_loss=loss if step else None,
            wall_seconds=step * world.step_seconds(settings),
        )

    def _result(self, trial: TrialSpec, curve: list[Measurement], directory: Path) -> TrialResult:
        last, world = curve[-1], self._world
        final = {"eval_loss": last.eval_loss, "eval_bits_per_byte": _bits_per_byte(last.eval_loss)}
        cause, files = "", {}
        if world.diverges(trial.settings):
            rate, wall = trial.settings.learning_rate, world.wall_at(trial.settings)
            cause = f"learning_rate {rate:g} is beyond the planted wall {wall:g}"
        else:
            final |= world.final_metrics(trial.settings, trial.seed)
            if world.evaluation is not None:
                nats = world.nats(trial.settings, trial.seed)
                files = {EVALUATION_FILE: world.evaluation.save(nats, directory)}
        return TrialResult(
            key=trial.key,
            status=Status.DIVERGED if cause else Status.COMPLETED,
            curve=tuple(curve),
            final=final,
            wall_seconds=last.wall_seconds,
            tokens=last.tokens,
            cause=cause,
            provenance={"engine": "planted"},
            files=files,
        )


def _bits_per_byte(loss: float) -> float:
    return loss / math.log(2) / BYTES_PER_TOKEN


def _line(point: Measurement) -> bytes:
    return json.dumps(point.to_dict()).encode() + b"\n"


def _whole_lines(checkpoint: Path) -> list[bytes]:
    """The lines that were written whole; the file is cut after them, so that one more can follow."""
    if not checkpoint.exists():
        return []
    content = checkpoint.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(checkpoint, whole)
    return content[:whole].splitlines(keepends=True)
