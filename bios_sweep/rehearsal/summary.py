"""A rehearsal as plain values, with what it assumed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bios_sweep.claims import REPEAT, claim_named
from bios_sweep.rehearsal.chances import Chances, Share
from bios_sweep.rehearsal.designs import JUDGED_AT, Search
from bios_sweep.rehearsal.noise import EARLIER, Noise
from bios_sweep.rehearsal.world import (
    FIXED_TIME,
    LOST_BY_BATCH,
    LOST_BY_LESS,
    margin_percent,
    planted_level,
)
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import most_confirmation_trials, most_search_trials


def summarise_rehearsal(
    plan: Plan,
    noise: Noise,
    chances: Sequence[Chances],
    *,
    sweeps: int,
    seed: int,
    seconds_per_example: float | None,
    most_seconds: float | None,
) -> dict[str, Any]:
    """What `rehearse --json` prints of a plan. Shares are from 0 to 1, each with its standard error."""
    study = plan.study
    return {
        "sweep": study.name,
        "question": study.question,
        "scenario": study.scenario.name,
        "judged_on": study.metric.words,
        "arms": len(plan.arms),
        "seeds": list(study.seeds),
        "looks": list(study.decision.looks),
        "confirmation_seeds": study.decision.confirmation_seeds,
        "margin_percent": margin_percent(plan, noise),
        "noise": {
            "percent": noise.percent,
            "source": noise.source,
            "degrees_of_freedom": noise.degrees,
            "lower": noise.lower,
            "upper": noise.upper,
            "sweeps": list(noise.sweeps),
        },
        "sweeps_simulated": sweeps,
        "random_seed": seed,
        "questions": [
            _question(plan, [row for row in chances if row.question == name], seconds_per_example)
            for name in dict.fromkeys(row.question for row in chances)
        ],
        "most_trials": len(plan.trials) + most_search_trials(study) + most_confirmation_trials(study),
        "most_seconds": most_seconds,
        "notes": _notes(plan, noise),
    }


def summarise_design(search: Search, hours: float) -> dict[str, Any]:
    """The design that was chosen for a budget; seconds are of all trials together."""
    best = search.best
    return {
        "gpu_hours": hours,
        "overrides": list(best.overrides),
        "decides": best.decides,
        "decides_error": best.error,
        "judged_at": list(JUDGED_AT),
        "expected_seconds": best.expected,
        "most_seconds": best.worst,
        "fitting": search.compared,
        "compared": search.of,
        "weak": search.weak,
    }


def _question(plan: Plan, rows: Sequence[Chances], seconds_per_example: float | None) -> dict[str, Any]:
    first = rows[0]
    own = plan.cells[0] if plan.cells else plan
    factor = next(factor for factor in own.factors if factor.name == first.factor)
    claim, planted = claim_named(first.claim), planted_level(own, factor).level
    elsewhere = claim.of_another_level and planted != claim.claimed(getattr(plan.study.baseline, factor.name))
    return {
        "question": first.question,
        "factor": first.factor,
        "claim": first.claim,
        "level": first.level,
        "about_another_level": elsewhere,
        "chances": [_row(row, seconds_per_example) for row in rows],
    }


def _row(row: Chances, seconds_per_example: float | None) -> dict[str, Any]:
    words = {
        "confirm": row.confirm,
        "refine": row.refine,
        "inconclusive": row.inconclusive,
        "wrong": row.wrong,
    }
    return {
        "effect_margins": row.effect,
        "effect_percent": row.percent,
        **{word: share.value for word, share in words.items()},
        **{f"{word}_error": _error(share) for word, share in words.items()},
        "trials": row.trials,
        "seconds": None if seconds_per_example is None else row.examples * seconds_per_example,
    }


def _error(share: Share) -> float:
    return round(share.error, 6)


def _notes(plan: Plan, noise: Noise) -> list[str]:
    notes = [plan.study.metric.doubt] if plan.study.metric.doubt else []
    if noise.source == EARLIER and noise.degrees < 10:
        notes.append(
            f"the noise has {noise.degrees} degrees of freedom only; its interval says how far it may be off"
        )
    if not noise.gained_known:
        rule = plan.study.decision
        notes.append(
            f"training gains {rule.margin_percent / rule.margin_share:g} % or more over the untouched model; "
            "where it gains less, the margin is smaller and harder to reach"
        )
    own = plan.cells[0] if plan.cells else plan
    factors = [factor for factor in own.factors if own.levels_of(factor.name)]
    for factor in factors:
        level = planted_level(own, factor)
        if _ends(own, factor.name, level.level):
            notes.append(
                f"{factor.name} {level.label} ends the grid: it can never be refined; add a level beyond it"
            )
    names = {factor.name for factor in factors}
    if {"lora_rank", "max_steps"} & names:
        notes.append(f"a smaller rank and fewer steps lose {LOST_BY_LESS:g} margins per halving")
    if "batch_size" in names:
        notes.append(f"a larger batch loses {LOST_BY_BATCH:g} margin per squared doubling")
    if own.timed_arms:
        notes.append(
            f"{FIXED_TIME:.0%} of the time of a step does not grow with its batch; nothing else costs time"
        )
    if plan.study.decision.refine is not None:
        search = f"the search of decision.refine={plan.study.decision.refine}"
        notes.append(f"{search} is left out of the chances; the most trials include it")
    notes.append("the error of the evaluation set (over its documents) is left out; it widens every bound")
    return notes


def _ends(plan: Plan, name: str, level: Any) -> bool:
    if name == REPEAT:
        return False
    tested = [getattr(plan.study.baseline, name), *(arm.level for arm in plan.levels_of(name))]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in tested)
    return numbers and level in (min(tested), max(tested))
