"""How held-out preference pairs are judged, alike for all arms, and what is measured on them. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Figures of a measurement beside its loss: the share of pairs whose chosen answer has the larger reward, a
# tie being half a pair; means of rewards and of their difference; nats per token of chosen answers, which
# tells of a model that forgets to speak. A reward is beta times what the log-probability of an answer gained.
ACCURACY, REWARD_MARGIN, REWARD_CHOSEN, REWARD_REJECTED, CHOSEN_LOSS = FIGURES = (
    "preference_accuracy",
    "reward_margin",
    "reward_chosen",
    "reward_rejected",
    "chosen_loss",
)
UNIT = "nats per pair"
UNTRAINED = 0.6931471805599453  # ln 2: the loss of a model that prefers nothing to its reference


@dataclass(frozen=True, kw_only=True)
class PairJudge:
    """The loss that the held-out pairs are measured by. beta: one for all arms, whatever they train with.

    length_normalised: log-probabilities are divided by the tokens of their answer.
    """

    beta: float
    length_normalised: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a plan and for workers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PairJudge:
        """Inverse of `to_dict`."""
        return cls(beta=float(values["beta"]), length_normalised=bool(values["length_normalised"]))

    @property
    def words(self) -> str:
        """`the DPO loss at beta 0.1`."""
        return f"the DPO loss at beta {self.beta:g}" + (", by token" if self.length_normalised else "")
