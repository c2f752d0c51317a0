"""What a study asks, and a verdict answers: one claim of one factor's default."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.claims import REPEAT, Claim


@dataclass(frozen=True, kw_only=True)
class Question:
    """One claim of one factor's default. cell: of a crossed study; empty where there is none."""

    factor: str
    claim: Claim
    cell: str = ""

    @property
    def served(self) -> bool:
        """Whether its answer is a value that somebody is to use; a control's is none."""
        return self.claim.served and self.factor != REPEAT
