"""What held-out pairs come to: the loss at the beta of the study, and who is preferred."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bios_sweep.atomic import write_atomically
from bios_sweep.engines.training.loop import EvaluationSet, evaluate
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.sealed import digest
from bios_sweep.study.preference import (
    ACCURACY,
    CHOSEN_LOSS,
    REWARD_CHOSEN,
    REWARD_MARGIN,
    REWARD_REJECTED,
    PairJudge,
)
from bios_sweep.study.trials import EVALUATION_FILE, PREFERENCE_FILE


@dataclass(frozen=True, kw_only=True)
class PairSet:
    """The held-out pairs. sequences: both answers of each, the chosen one first.

    reference: (pairs, 2), summed nats of both answers by the untouched model, float64.
    """

    sequences: EvaluationSet
    reference: np.ndarray
    judge: PairJudge

    def measure(self, base: BaseModel) -> PairFigures:
        """The model as it stands; dropout is off."""
        return PairFigures(data=self, nats=evaluate(base, self.sequences).nats.reshape(-1, 2))

    @property
    def untouched(self) -> PairFigures:
        """The reference itself: it prefers nothing."""
        return PairFigures(data=self, nats=self.reference)

    @property
    def tokens(self) -> np.ndarray:
        """Under the loss, (pairs, 2)."""
        return self.sequences.tokens.reshape(-1, 2)


@dataclass(frozen=True, kw_only=True)
class PairFigures:
    """Summed nats of both answers of each pair, shape (pairs, 2), float64."""

    data: PairSet
    nats: np.ndarray

    @property
    def rewards(self) -> np.ndarray:
        """Beta times the log-probability gained over the reference, shape (pairs, 2)."""
        gains = self.data.reference - self.nats
        judge = self.data.judge
        return np.asarray(judge.beta * (gains / self.data.tokens if judge.length_normalised else gains))

    @property
    def losses(self) -> np.ndarray:
        """Shape (pairs,)."""
        return np.logaddexp(0.0, -self._margins)  # type: ignore[no-any-return]

    @property
    def right(self) -> np.ndarray:
        """1 where the chosen answer has the larger reward, a half where both have the same; (pairs,)."""
        return (np.sign(self._margins) + 1.0) / 2.0  # type: ignore[no-any-return]

    @property
    def loss(self) -> float:
        """Mean over pairs."""
        return float(self.losses.mean())

    @property
    def bits_per_byte(self) -> None:
        """A preference has no bytes."""
        return None

    @property
    def metrics(self) -> Mapping[str, float]:
        """By the names of `study.preference`."""
        chosen, rejected = self.rewards.mean(axis=0).tolist()
        return {
            ACCURACY: float(self.right.mean()),
            REWARD_MARGIN: float(self._margins.mean()),
            REWARD_CHOSEN: chosen,
            REWARD_REJECTED: rejected,
            CHOSEN_LOSS: float(self.nats[:, 0].sum() / self.data.tokens[:, 0].sum()),
        }

    def save(self, directory: Path) -> str:
        """`eval.npz` as of any objective: a pair is one example of one token, so that each weighs the same.

        right: beside them, from which `leave_preferences` makes a file of its own.
        """
        pairs, buffer = len(self.nats), io.BytesIO()
        np.savez(
            buffer,
            nats=self.losses,
            tokens=np.ones(pairs, dtype=np.int64),
            bytes=self.data.sequences.bytes[::2],
            cluster=self.data.sequences.cluster[::2],
            right=self.right,
        )
        write_atomically(directory / EVALUATION_FILE, [buffer.getvalue()])
        return digest([buffer.getvalue()])

    @property
    def _margins(self) -> np.ndarray:
        rewards = self.rewards
        return rewards[:, 0] - rewards[:, 1]  # type: ignore[no-any-return]


def leave_preferences(directory: Path) -> dict[str, str]:
    """Write, of the last measurement, who was preferred, per pair; its digest by name."""
    with np.load(directory / EVALUATION_FILE, allow_pickle=False) as measured:
        if "right" not in measured:
            return {}
        buffer = io.BytesIO()
        np.savez(buffer, score=measured["right"], cluster=measured["cluster"])
    write_atomically(directory / PREFERENCE_FILE, [buffer.getvalue()])
    return {PREFERENCE_FILE: digest([buffer.getvalue()])}
