"""The lines of our own trainer: what each step did, in a file of the trial's folder, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bios_sweep.study.trials import TRAINING_LOG

MOST_LINES = 2000  # of steps, of a trial; chosen: of a longer one every 2nd, 3rd, ... step is told


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimizer step. number: from 1. loss: training nats per token before it. tokens: so far, in all."""

    number: int
    loss: float
    learning_rate: float
    tokens: int


class StepLog:
    """Writes lines as they come; a disk that is full, or a folder that is gone, costs lines and no trial."""

    def __init__(
        self, directory: Path, steps: int, tokens: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """steps: of the trial. tokens: seen before this attempt."""
        self._file: IO[str] | None = None
        with suppress(OSError):
            self._file = (directory / TRAINING_LOG).open("a", encoding="utf-8")
        self._steps, self._every = steps, -(-steps // MOST_LINES)
        self._clock = clock
        self._then, self._tokens = clock(), tokens

    def step(self, done: Step) -> None:
        """Tell a step: its number, loss, learning rate, and tokens per second since the one told before."""
        if done.number % self._every and done.number != self._steps:
            return
        now = self._clock()
        speed = (done.tokens - self._tokens) / max(now - self._then, 1e-9)
        self._then, self._tokens = now, done.tokens
        self.say(
            f"step {done.number}/{self._steps}  loss {done.loss:.4f}  lr {done.learning_rate:.3e}  "
            f"{speed:,.0f} tokens/s"
        )

    def say(self, text: str) -> None:
        """One line, with the time."""
        if self._file is not None:
            with suppress(OSError):
                now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
                self._file.write(f"{now}  {text}\n")
                self._file.flush()

    def resting(self, tokens: int) -> None:
        """What follows is no training: its time is not that of the next step."""
        self._then, self._tokens = self._clock(), tokens

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None
