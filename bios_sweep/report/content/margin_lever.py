"""The cheapest way to a likely answer, where the chosen margin gives none: more seeds, or a coarser one.

Pure; docs/statistics.md, item 14.
"""

from __future__ import annotations

import itertools
import math
import shlex
from dataclasses import replace

from bios_sweep.procedure.coarser import margin_words, times_as_coarse
from bios_sweep.report.content.margin_chances import StudyChances, study_chances
from bios_sweep.report.content.scope import too_few_clusters
from bios_sweep.study.plan import Plan

LIKELY = 0.8  # chosen: a chance below it asks for a lever
MORE_LOOKS = 1.5  # times the seeds of the last look: what more seeds are tried as

Way = tuple[float, str]  # its trials, and what it is


def cheapest_lever(
    plan: Plan,
    percent: float,
    noise: float,
    *,
    chosen: StudyChances | None,
    double: StudyChances | None,
    command: str,
) -> str:
    """In words; empty where the chosen margin makes an answer likely, or nobody can tell.

    percent: the chosen margin; noise: of one trial, percent. chosen, double: the chances by that
    margin and by twice it. command: how the study is asked for.
    """
    if chosen is None or chosen.confirms >= LIKELY:
        return ""
    if too_few_clusters(plan):
        return (
            "data of more clusters, or decision.scope=evaluation for answers about this evaluation set alone"
        )
    ways = [*_coarser(plan, double, command), *_longer(plan, percent, noise, command)]
    if not ways:
        return "neither half as many seeds more nor a margin twice as coarse makes an answer likely"
    trials, what = min(ways)
    return f"{what}, with about {trials:.0f} trials"


def _coarser(plan: Plan, double: StudyChances | None, command: str) -> list[Way]:
    if double is None or double.confirms < LIKELY:
        return []
    margins = times_as_coarse(plan.study.decision, 2.0)
    words = " ".join(map(shlex.quote, margin_words(plan.study, margins, command)))
    what = f"a margin twice as coarse ({words}) confirms a right default in {double.confirms:.0%}"
    return [(double.trials, what)]


def _longer(plan: Plan, percent: float, noise: float, command: str) -> list[Way]:
    rule = plan.study.decision
    last = math.ceil(MORE_LOOKS * rule.looks[-1])
    longer = study_chances(plan, replace(rule, looks=(*rule.looks, last)), percent, noise)
    if longer is None or longer.confirms < LIKELY:
        return []
    return [(longer.trials, f"{_look_more(plan, last, command)} does in {longer.confirms:.0%}")]


def _look_more(plan: Plan, last: int, command: str) -> str:
    """The overrides that add a look; seeds that the command gives decide how many there are."""
    study = plan.study
    looks = f"decision.looks=[{','.join(map(str, (*study.decision.looks, last)))}]"
    if "seeds=" not in command:
        return looks
    free = (seed for seed in itertools.count() if seed not in study.seeds)
    seeds = (*study.seeds, *itertools.islice(free, last - len(study.seeds)))
    return f"seeds=[{','.join(map(str, seeds))}] {looks}"
