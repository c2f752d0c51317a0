"""A batch size that claims to give the best loss. Pure. See docs/statistics.md, item 13."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bios_sweep.claims import CLAIMS
from bios_sweep.decision.claims.evidence import (
    Evidence,
    claimed_arm,
    edge,
    found,
    modest,
    open_gain,
    planned,
    unclaimed,
)
from bios_sweep.decision.claims.judgement import Judgement, Words
from bios_sweep.decision.claims.said import Said, value_text
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.finding import BELOW, SUPERIOR, FactorLevels, Finding, FreshTest
from bios_sweep.reasons import Kind
from bios_sweep.vocabulary import Word

QUALITY = CLAIMS["quality"]
NO_RIVAL = Kind("no other level was tested against it")
BUYS_NOTHING = Kind("smaller buys nothing")


def judge_quality(levels: FactorLevels, evidence: Evidence) -> Finding:
    """The claimed level is the best there is, and better than the default."""
    claimed = claimed_arm(QUALITY, levels, evidence)
    if claimed is None:
        return unclaimed(QUALITY, levels)
    over, base, margin = evidence.contrasts.over, evidence.baseline, evidence.margin.percent
    rivals = [arm for arm in evidence.finite(levels) if arm != claimed]
    gain = planned(over(claimed, base))
    nearest = max((over(arm, claimed) for arm in rivals), key=lambda bound: bound.upper, default=None)
    if gain.lower > 0 and (nearest is None or nearest.upper < margin):
        reasons = () if rivals else (NO_RIVAL(),)
        value = levels.level(claimed)
        return found(Word.CONFIRM, levels, evidence, claimed, *reasons, bound=gain, value=value)
    if all(over(arm, base).upper < margin for arm in (claimed, *rivals)):
        test = FreshTest(arm=claimed, over=base, kind=BELOW, limit=margin, value=levels.default)
        return found(Word.CANDIDATE, levels, evidence, claimed, BUYS_NOTHING(), bound=gain, test=test)
    # better than the claimed level is not enough: both may be worse than the default
    better = [arm for arm in rivals if over(arm, claimed).lower > 0 and over(arm, base).lower > 0]
    if better:
        return _better_than(claimed, better, levels, evidence)
    return found(Word.UNDECIDED, levels, evidence, claimed, open_gain(gain, evidence), bound=gain)


def _better_than(claimed: str, better: Sequence[str], levels: FactorLevels, evidence: Evidence) -> Finding:
    gains = {arm: evidence.contrasts.over(arm, claimed) for arm in better}
    best = modest(better, gains, levels, evidence.margin.percent)
    level = levels.level(best)
    if levels.ends_grid(level):
        return edge(levels, evidence, best, bound=gains[best])
    test = FreshTest(arm=best, over=claimed, kind=SUPERIOR, value=level)
    return found(Word.CANDIDATE, levels, evidence, best, bound=gains[best], test=test)


def _confirmed(said: Said) -> str:
    tested = said.compared()
    beaten = f", and no other level ({tested}) beats it by {said.least} or more" if tested else ""
    return (
        f"{said.default} is better than {value_text(said.levels.default)} by {said.by} "
        f"({said.level} lower bound {said.lower}; {said.runs()}){beaten}"
    )


def _no_better(truth: Truth) -> bool:
    own = truth.gains[truth.claimed]
    return own <= 0 or max(truth.gains.values()) - own >= truth.margin


def _harms(truth: Truth, level: Any) -> bool:
    if level == truth.default:
        return max(truth.gains.values()) >= truth.margin
    return truth.gains[level] - truth.gains[truth.claimed] <= 0


JUDGEMENT = Judgement(
    judge=judge_quality,
    confirmed=_confirmed,
    wrong_confirmation=_no_better,
    wrong_refinement=_harms,
    smaller_first=True,
    words=Words(
        confirmed="better than the default, and no tested level beats it by as much as matters",
        refined="another value suits this goal, on fresh seeds",
        goal="for the best quality",
        turns_down=("buys nothing that matters", "buy nothing that matters", "buy nothing that matters"),
    ),
)
