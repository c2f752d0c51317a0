"""A margin as it is typed: the overrides that set it in place of those that a study has. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bios_sweep.decision.finding import Margin
from bios_sweep.study.companions import LIMITS, OF_ITEMS, Companion
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.margins import MARGINS
from bios_sweep.units import PERCENT, POINTS

SEVERAL = "decision.metrics"
BARE = re.compile(r"[\w./@-]+")  # a name that needs no quotes in a list


def margin_key(rule: DecisionRule, unit: str) -> str:
    """In what kind of margin a coarser one is given: of a score in points, else as the rule has it."""
    if unit == POINTS:
        return "margin_points"
    return "margin_percent" if unit == PERCENT and rule.margin_absolute is None else "margin_absolute"


def coarser(rule: DecisionRule, percent: float, margin: Margin) -> dict[str, float]:
    """The margin that is `percent` of the level that `margin` is of: its kind and its value."""
    key = margin_key(rule, margin.scale.unit)
    value = {
        "margin_points": margin.scale.number(percent),
        "margin_percent": percent,
        "margin_absolute": margin.level * percent / 100.0,
    }[key]
    return {key: float(f"{value:.4g}")}


def times_as_coarse(rule: DecisionRule, times: float) -> dict[str, float]:
    """Every margin that the rule has, that many times as large."""
    own = {name: getattr(rule, name) for name in MARGINS}
    return {name: float(f"{times * value:.4g}") for name, value in own.items() if value is not None}


def margin_words(study: Study, margins: Mapping[str, float], command: str = "") -> tuple[str, ...]:
    """The overrides that give a study these margins and no others.

    The smallest of those given counts, so that none but they may be left. command: how the study was asked
    for; what it says of several metrics is said anew, for a margin stands there once.
    """
    rule = study.decision
    others = [name for name in MARGINS if getattr(rule, name) is not None and name not in margins]
    unasked = rule.by_purpose(study.metric.name)
    nulls = tuple(f"decision.{name}=null" for name in others if not unasked or f"decision.{name}=" in command)
    if not (SEVERAL in command or rule.companions or rule.items or rule.differing):
        return (*(f"decision.{name}={value:g}" for name, value in margins.items()), *nulls)
    first = {"name": study.metric.name, "role": "decides", "direction": study.metric.direction, **margins}
    first |= {name: value for name in OF_ITEMS if (value := getattr(rule, name)) is not None}
    entries = ", ".join(map(_entry, (first, *map(_kept, rule.companions or ()))))
    at_once = tuple(word for word in nulls if f"{word.partition('=')[0]}=" in command)
    return (f"{SEVERAL}=[{entries}]", *at_once)


def _kept(one: Companion) -> dict[str, object]:
    own = {name: getattr(one, name) for name in (*LIMITS, *OF_ITEMS)}
    said = {name: value for name, value in own.items() if value is not None}
    return {"name": one.metric.name, "role": "must not lose", "direction": one.metric.direction, **said}


def _entry(values: Mapping[str, object]) -> str:
    told = (f"{name}: {_written(name, value)}" for name, value in values.items())
    return f"{{{', '.join(told)}}}"


def _written(key: str, value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text if key != "name" or BARE.fullmatch(text) else "'" + text.replace("'", r"\'") + "'"
