"""The control: the same settings once more may gain nothing that matters. Pure."""

from __future__ import annotations

from bios_sweep.decision.claims.judgement import Judgement, Words
from bios_sweep.decision.claims.optimum import judge_optimum

JUDGEMENT = Judgement(
    judge=judge_optimum,
    excludes=True,
    words=Words(
        confirmed="the repeated baseline agrees with itself",
        unmoved="nothing to choose: the default was held against itself",
    ),
)
