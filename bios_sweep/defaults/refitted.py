"""A refitted learning-rate rule as a new version of the heuristics file, and the difference for review.

The fitting is done elsewhere; here its outcome is read from the shipped heuristics and written down.
"""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.defaults.rules import Heuristics, family_of, setting_heuristic
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.errors import DefaultsError

DIGITS = 4  # significant ones of a level or an exponent: far finer than any interval


@dataclass(frozen=True, kw_only=True)
class FamilyRule:
    """`level * (2000 / hidden_size)^exponent`, and what is known of it.

    level: learning rate of LoRA at hidden size 2000. changed: whether these numbers replace the old ones;
    else only the evidence is added. hidden_sizes: smallest and largest of the models behind it. evidence:
    plain values.
    """

    family: str
    level: float
    exponent: float
    changed: bool
    hidden_sizes: tuple[int, int]
    evidence: Mapping[str, Any]


def published_rule(family: str, method: str) -> tuple[float, float]:
    """Level at hidden size 2000 and exponent of the rule that is served now; the fallback's where none is.

    Raises:
        DefaultsError: a method without a rule.
    """
    rule = setting_heuristic("learning_rate")["rule"]
    if method not in rule["multipliers"]:
        raise DefaultsError(f"method: {method!r} has no rule; there are {', '.join(rule['multipliers'])}")
    facts = rule["families"].get(family_of(family), rule["fallback"])
    return rule["base"] * rule["multipliers"][method] * facts.get("level", 1.0), facts["exponent"]


def refitted(old: Heuristics, rules: Sequence[FamilyRule]) -> dict[str, Any]:
    """The heuristics with the families' new numbers and evidence, and the next version. `old` stays as it is.

    A family's `level` is its factor on the level that all families share.

    Raises:
        DefaultsError: no rule is given, or the version is no whole number.
    """
    if not rules:
        raise DefaultsError("no family was identified, so that there is no new heuristics file to write")
    if not str(old["version"]).isdigit():
        raise DefaultsError(f"heuristics version {old['version']!r} is no whole number; it counts up from 1")
    new = copy.deepcopy(dict(old))
    new["version"] = str(int(old["version"]) + 1)
    rule = new["settings"]["learning_rate"]["rule"]
    shared = rule["base"] * rule["multipliers"]["lora"]
    for one in rules:
        name = family_of(one.family)
        facts = rule["families"].get(name)
        if one.changed:
            facts = _changed(facts, one, name, shared)
        if facts is not None:
            rule["families"][name] = {**facts, "refit": dict(one.evidence)}
    return new


def _changed(facts: Mapping[str, Any] | None, one: FamilyRule, name: str, shared: float) -> dict[str, Any]:
    new = dict(facts) if facts is not None else {"exponent": 0.0, "model_types": [name]}
    new["exponent"] = _rounded(one.exponent)
    new["level"] = _rounded(one.level / shared)
    new["hidden_sizes"] = list(one.hidden_sizes)
    return new


def heuristics_diff(old: Heuristics, new: Heuristics) -> str:
    """What changed, line by line, in the words of the file."""
    before, after = (decimal_json(one).splitlines() for one in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "heuristics (old)", "heuristics (new)", lineterm=""))


def write_heuristics(path: str | os.PathLike[str], content: Heuristics) -> Path:
    """Write a heuristics file whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = Path(path)
    write_atomically(target, decimal_json(content) + "\n")
    return target


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
