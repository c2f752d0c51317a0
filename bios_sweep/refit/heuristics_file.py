"""A refit as plain values, and as the next version of the heuristics file with the difference for review."""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Sequence
from typing import Any

from bios_sweep.defaults.rules import Heuristics, family_of
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import to_json
from bios_sweep.refit.cells import LITTLE
from bios_sweep.refit.evidence import RateStudy
from bios_sweep.refit.regret import FLAT, NEW, OLD, Refit
from bios_sweep.refit.terms import Terms
from bios_sweep.settings import LORA
from bios_sweep.version import __version__

# of the answer, what stays with the rule
KEPT = (
    "models", "studies", "exponent", "level", "effects", "not_identified", "confounded", "regret_percent",
    "cells", "reason",
)  # fmt: skip


def answer_of(fit: Refit) -> dict[str, Any]:
    """What is told of a family: its law, the rules, and what each gives away on models left out."""
    law = fit.law
    return {
        "family": fit.family,
        "method": fit.method,
        "models": law.models,
        "studies": law.studies,
        "refused": law.refusal,
        "exponent": _short(law.exponent),
        "level": _short(law.level),
        "effects": _short(law.effects),
        "not_identified": list(dict.fromkeys(law.unknown.values())),
        "confounded": to_json(law.together),
        "rules": _short({OLD: fit.old, NEW: law.rule, FLAT: fit.flat}),
        "regret_percent": _short(fit.regrets),
        "gain_percent": _short(fit.gains),
        "cells": {**to_json(fit.cells), "less_than_percent": LITTLE},
        "held_out": [
            {
                "model": row.model,
                "hidden_size": row.hidden_size,
                "learning_rates": _short(row.rates),
                "regret_percent": _short(row.regrets),
                "diverged": dict(row.diverged),
            }
            for row in fit.held_out
        ],
        "margin_percent": fit.margin,
        "choice": fit.choice,
        "reason": fit.reason,
    }


def told_of(study: RateStudy) -> dict[str, Any]:
    """What is told of a study; None for an end that is open and where no rate diverged."""
    return {
        **{name: getattr(study, name) for name in ("name", "model", "family", "hidden_size", "method")},
        **study.facts,
        **({"data": study.data} if study.data else {}),
        "bracket": [study.low or None, None if math.isinf(study.high) else study.high],
        "learning_rates": list(study.rates),
        "gain_percent": _short(study.gains),
        "diverges_at": None if math.isinf(study.wall) else study.wall,
    }


def told_of_terms(terms: Terms) -> dict[str, Any]:
    """What is told of the terms."""
    return {
        "cells": terms.cells,
        "studies": terms.studies,
        "per_doubling": _short(terms.doublings),
        "rank_by_alpha_rule": _short(terms.by_rule),
        "reference": terms.reference,
        "methods": _short(terms.methods),
        "not_identified": list(dict.fromkeys(terms.unknown.values())),
        "confounded": to_json(terms.together),
    }


def _short(value: Any) -> Any:
    """Plain values, numbers of five digits."""
    plain = to_json(value)
    if isinstance(plain, dict):
        return {name: _short(item) for name, item in plain.items()}
    if isinstance(plain, list):
        return [_short(item) for item in plain]
    return float(f"{plain:.5g}") if isinstance(plain, float) else plain


def refitted(old: Heuristics, fits: Sequence[Refit]) -> dict[str, Any]:
    """The heuristics with the families' new numbers and evidence, and the next version. `old` stays as it is.

    A family's `level` is its factor on the level that all families share; its one exponent is that of LoRA.
    A rule that stays as it was gets the evidence alone.

    Raises:
        DefaultsError: no family has a law, or the version is no whole number.
    """
    known = [fit for fit in fits if fit.method == LORA and fit.law.rule is not None]
    if not known:
        raise DefaultsError("no family was identified, so that there is no new heuristics file to write")
    if not str(old["version"]).isdigit():
        raise DefaultsError(f"heuristics version {old['version']!r} is no whole number; it counts up from 1")
    new = copy.deepcopy(dict(old))
    new["version"] = str(int(old["version"]) + 1)
    rule = new["settings"]["learning_rate"]["rule"]
    shared = rule["base"] * rule["multipliers"][LORA]
    for fit in known:
        name = family_of(fit.family)
        facts = rule["families"].get(name)
        if fit.choice != OLD:
            facts = facts or {"exponent": 0.0, "model_types": [name]}
            facts |= {
                "exponent": _rounded(fit.chosen.exponent),
                "level": _rounded(fit.chosen.level / shared),
                "hidden_sizes": list(fit.hidden_sizes),
            }
        if facts is not None:
            answer = answer_of(fit)
            refit = {**{key: answer[key] for key in KEPT}, "by": f"bios_sweep {__version__}"}
            rule["families"][name] = {**facts, "refit": refit}
    return new


def heuristics_diff(old: Heuristics, new: Heuristics) -> str:
    """What changed, line by line, in the words of the file."""
    before, after = (decimal_json(one).splitlines() for one in (old, new))
    return "\n".join(difflib.unified_diff(before, after, "heuristics (old)", "heuristics (new)", lineterm=""))


def _rounded(value: float) -> float:
    """Of four digits: far finer than any interval of a level or an exponent."""
    return float(f"{value:.4g}")
