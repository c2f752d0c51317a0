"""`serve`: the heuristics' recommendation with tuned values in place where a place has them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bios_sweep.defaults import rules
from bios_sweep.defaults.lookup import Found, lookup
from bios_sweep.defaults.measured import plain_number, reasons
from bios_sweep.defaults.recommendation import SUPERVISED, TRAINING, Recommendation, recommend
from bios_sweep.errors import NotTunedError
from bios_sweep.method import Objective
from bios_sweep.settings import ALPHA_RULES, TrainingSettings
from bios_sweep.vocabulary import Goal

UNJUDGED = ("dtype", "train_examples")  # what a study is made with, not what it says something about


def serve(
    model: str | os.PathLike[str] | None = None,
    *,
    method: str = "lora",
    examples: int | None = None,
    tokens: int | None = None,
    goal: str = Goal.BALANCED,
    family: str | None = None,
    hidden_size: int | None = None,
    objective: str = SUPERVISED,
    alpha_rule: str = ALPHA_RULES[0],
    parameters: int | None = None,
    path: str | os.PathLike[str] | None = None,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Recommendation:
    """The best settings known for a model: tuned ones where there are any, else those of the heuristics.

    As `recommend`, with `path`, `start` and `environment` of `places`. `source` of the answer says which
    source won, `why` of a tuned setting holds its verdict and bounds, with confidence `measured`.
    Values tuned on a neighbouring size come with confidence `extrapolated` and a warning, and the
    learning rate then moves with the rule. parameters: of the base model, where known; they tell entries of
    one hidden size apart. Preference training is served what was tuned by DPO, never supervised verdicts.

    Raises:
        DefaultsError: facts that are not allowed, or a bad file.
        ModelError: the model cannot be found.
    """
    base = recommend(
        model,
        method=method,
        examples=examples,
        tokens=tokens,
        goal=goal,
        family=family,
        hidden_size=hidden_size,
        objective=objective,
        alpha_rule=alpha_rule,
    )
    try:
        found = lookup_for(base, parameters=parameters, path=path, start=start, environment=environment)
    except NotTunedError as error:
        return replace(base, searched=error.searched)
    return with_tuned(base, found)


def lookup_for(base: Recommendation, **where: Any) -> Found:
    """Tuned defaults for the model that a recommendation is about, as `lookup` finds and misses them.

    where: its `parameters`, `path`, `start` and `environment`.
    """
    return lookup(
        family=base.shape.family,
        hidden_size=base.shape.hidden_size,
        method=base.settings.method,
        alpha_rule=base.settings.alpha_rule,
        objective=next(one for one, word in TRAINING.items() if word == base.objective),
        **where,
    )


def with_tuned(base: Recommendation, found: Found) -> Recommendation:
    """A recommendation with the values of tuned defaults in place, and their verdicts as its reasons."""
    tuned = found.tuned
    if not tuned.values and not tuned.profiles.get(base.goal):
        gone = tuned.withdrawn or {}
        judged = ", ".join(
            f"{name} {item.verdict}{', withdrawn' if item.factor in gone else ''}"
            for name, item in tuned.evidence.items()
        )
        unserved = f"{found.source} has no value for this goal ({judged}); the heuristics stand"
        warnings = (*base.warnings, *tuned.withdrawals, unserved)
        return replace(base, warnings=warnings, searched=found.searched)
    settings = tuned.settings(base.settings, base.goal)
    why = reasons(tuned, settings, base.goal, found.source)
    settled = {text for name in why for text in base.doubts.get(name, ())}
    warnings = tuple(text for text in base.warnings if text not in settled)
    if not found.exact:
        settings, why = _extrapolated(settings, why, found)
        warnings += (found.warning,)
    warnings += _other_conditions(settings, found)
    served = bool(why)
    warnings += tuned.warnings if served else tuned.withdrawals
    return replace(
        base,
        settings=settings,
        why={**base.why, **why},
        warnings=warnings,
        source=found.source,
        searched=found.searched,
        distance=found.distance,
        judged_on=tuned.judged_on if served else "",
    )


def _other_conditions(settings: TrainingSettings, found: Found) -> tuple[str, ...]:
    """What the study held at another value than these settings have: its verdicts were not made there."""
    tuned, warnings = found.tuned, []
    served = tuned.all_served
    apart = [
        f"{name} {plain_number(held)} (here {plain_number(getattr(settings, name))})"
        for name, held in tuned.baseline.items()
        if name not in (*served, *UNJUDGED, "own", *tuned.untold) and held != getattr(settings, name)
    ]
    if tuned.told:
        script = f"the tuned values are a script's that was told {', '.join(tuned.told)} alone"
        warnings.append(f"{script}; all else was its own")
    if apart:
        warnings.append(f"the tuned values were measured with {', '.join(apart)}; they may not hold here")
    return tuple(warnings) if served else ()


def _extrapolated(
    settings: TrainingSettings, why: Mapping[str, rules.Why], found: Found
) -> tuple[TrainingSettings, dict[str, rules.Why]]:
    """Values of a neighbouring size: the learning rate moves as the rule moves between the two sizes.

    Preference training has one rate, whatever the model's size.
    """
    wanted, size = found.wanted, found.tuned.key.hidden_size
    same = size == wanted.hidden_size
    where = dict.fromkeys(why, found.distance if same else f"at hidden size {size}")
    if "learning_rate" in why and wanted.objective == Objective.SFT:
        here, there = (
            rules.learning_rate(family=wanted.family, hidden_size=one, method=wanted.method).value
            for one in (wanted.hidden_size, size)
        )
        settings = replace(settings, learning_rate=settings.learning_rate * float(here / there))
        moved = f"; moved by the rule to {plain_number(settings.learning_rate)}"
        where["learning_rate"] += "" if same else moved
    return settings, {
        name: replace(one, rule=f"{one.rule}, {where[name]}", confidence=rules.EXTRAPOLATED)
        for name, one in why.items()
    }
