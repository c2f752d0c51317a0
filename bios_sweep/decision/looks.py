"""From one planned look to the next: which arms are out, and what those last showed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import Finding, Margin


def out_of(finding: Finding, margin: Margin) -> dict[str, Bound]:
    """The arms that a look showed to gain less than the margin, with the bounds that showed it."""
    return {bound.arm: bound for bound in finding.bounds if bound.upper < margin.percent}


def last_bounds(findings: Iterable[Finding], running: Collection[str]) -> dict[str, Bound]:
    """Arm -> its bound at its last look, of the arms that run no more."""
    bounds = sorted((bound for one in findings for bound in one.bounds), key=lambda bound: bound.seeds)
    return {bound.arm: bound for bound in bounds if bound.arm not in running}
