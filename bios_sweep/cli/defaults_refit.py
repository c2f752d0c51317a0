"""`defaults refit FILE...|WORKSPACE`: does the learning-rate rule hold over the models that were studied?"""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bios_sweep import defaults
from bios_sweep.atomic import require_folder
from bios_sweep.defaults.refitted import (
    FamilyRule,
    heuristics_diff,
    published_rule,
    refitted,
    write_heuristics,
)
from bios_sweep.driver.experiments import experiments_like, read_experiment, store_uri
from bios_sweep.errors import DefaultsError, InputError
from bios_sweep.mirror.mlflow.ladders import collect_experiment
from bios_sweep.refit.evidence import Ladder
from bios_sweep.refit.ladders import Collected, collect, together
from bios_sweep.refit.law import Estimate, Rule
from bios_sweep.refit.regret import FLAT, NEW, OLD, Refit, refit
from bios_sweep.report.content.wording import clean, finite_or_none, number, plural
from bios_sweep.report.text.layout import HEAD, bullets, heading, line, plain_table
from bios_sweep.version import __version__

WRITTEN = "lora"  # the file has one exponent per family; it is that of LoRA


def run(args: Namespace) -> int:
    """Print the law of each family and what each rule gives away; with -o write the next heuristics file."""
    if not (args.margin > 0 and math.isfinite(args.margin)):
        raise DefaultsError(f"--margin: {args.margin:g} is not allowed; it is a percentage above 0")
    found = _collected(args)
    if not found.ladders:
        raise InputError(f"no learning-rate ladder to fit; {found.left_out[0]}")
    groups: dict[tuple[str, str], list[Ladder]] = {}
    for ladder in found.ladders:
        groups.setdefault((ladder.family, ladder.method), []).append(ladder)
    fits = [_refit(ladders, args.margin) for ladders in groups.values()]
    answer: dict[str, Any] = {
        "families": [_answer(fit) for fit in fits],
        "studies": [_study(ladder) for ladder in found.ladders],
        "left_out": list(found.left_out),
    }
    if args.output is not None:
        require_folder(args.output)
        rules = [_family_rule(fit, groups[fit.family, fit.method]) for fit in fits if _writable(fit)]
        old = defaults.heuristics()
        new = refitted(old, rules)
        answer["diff"] = heuristics_diff(old, new)
        answer["file"] = str(write_heuristics(args.output, new))
    if args.json:
        print(json.dumps(answer, indent=1, allow_nan=False))
    else:
        _print(fits, answer, Console())
    return 0


def _collected(args: Namespace) -> Collected:
    """Ladders of folders and tables, and of experiments."""
    parts = [collect([Path(word).expanduser() for word in args.operands], args.direction)]
    if args.from_mlflow:
        uri = store_uri(args.tracking_uri)
        names = dict.fromkeys(name for word in args.from_mlflow for name in experiments_like(uri, word))
        parts += [collect_experiment(read_experiment(uri, name), args.direction) for name in names]
    return together(parts)


def _refit(ladders: Sequence[Ladder], margin: float) -> Refit:
    level, exponent = published_rule(ladders[0].family, ladders[0].method)
    return refit(ladders, Rule(level=level, exponent=exponent), margin)


def _writable(fit: Refit) -> bool:
    return fit.method == WRITTEN and fit.law.rule is not None


def _family_rule(fit: Refit, ladders: Sequence[Ladder]) -> FamilyRule:
    sizes = [ladder.hidden_size for ladder in ladders]
    answer = _answer(fit)
    kept = ("models", "studies", "exponent", "level", "effects", "not_identified", "regret_percent", "reason")
    return FamilyRule(
        family=fit.family,
        level=fit.chosen.level,
        exponent=fit.chosen.exponent,
        changed=fit.choice != OLD,
        hidden_sizes=(min(sizes), max(sizes)),
        evidence={**{name: answer[name] for name in kept}, "by": f"bios_sweep {__version__}"},
    )


def _answer(fit: Refit) -> dict[str, Any]:
    law = fit.law
    return {
        "family": fit.family,
        "method": fit.method,
        "models": law.models,
        "studies": law.studies,
        "refused": law.refusal,
        "exponent": _estimate(law.exponent),
        "level": _estimate(law.level),
        "effects": {name: _estimate(one) for name, one in law.effects.items()},
        "not_identified": list(dict.fromkeys(law.unknown.values())),
        "rules": {name: _rule(rule) for name, rule in ((OLD, fit.old), (NEW, law.rule), (FLAT, fit.flat))},
        "regret_percent": {name: _short(value) for name, value in fit.regrets.items()},
        "gain_percent": {
            name: {"value": _short(gain.value), "lower": _short(gain.lower)}
            for name, gain in fit.gains.items()
        },
        "held_out": [
            {
                "model": row.model,
                "hidden_size": row.hidden_size,
                "learning_rates": {name: _short(rate) for name, rate in row.rates.items()},
                "regret_percent": {name: _short(value) for name, value in row.regrets.items()},
                "diverged": dict(row.diverged),
            }
            for row in fit.held_out
        ],
        "margin_percent": fit.margin,
        "choice": fit.choice,
        "reason": fit.reason,
    }


def _study(ladder: Ladder) -> dict[str, Any]:
    return {
        "name": ladder.name,
        "model": ladder.model,
        "family": ladder.family,
        "hidden_size": ladder.hidden_size,
        "method": ladder.method,
        **ladder.facts,
        "bracket": [ladder.low or None, finite_or_none(ladder.high)],
        "learning_rates": list(ladder.rates),
        "gain_percent": [_short(gain) for gain in ladder.gains],
        "diverges_at": finite_or_none(ladder.wall),
    }


def _estimate(one: Estimate | None) -> dict[str, float | None] | None:
    if one is None:
        return None
    ends = {"lower": one.lower, "upper": one.upper}
    return {
        "value": _short(one.value),
        **{name: None if end is None else _short(end) for name, end in ends.items()},
    }


def _rule(rule: Rule | None) -> dict[str, float] | None:
    return None if rule is None else {"level": _short(rule.level), "exponent": _short(rule.exponent)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def _print(fits: Sequence[Refit], answer: dict[str, Any], console: Console) -> None:
    for fit, told in zip(fits, answer["families"], strict=True):
        counts = f"{plural(fit.law.studies, 'ladder')} of {plural(fit.law.models, 'model')}"
        heading(console, f"{clean(fit.family)}, {clean(fit.method)}: {counts}")
        if fit.law.refusal:
            line(console, fit.law.refusal)
        else:
            _print_law(told, console)
        bullets(console, "Not told apart", told["not_identified"])
        line(console, fit.reason, HEAD)
    bullets(console, "Left out", answer["left_out"])
    if "file" in answer:
        console.print()
        for row in answer["diff"].splitlines():
            console.print(row, markup=False, soft_wrap=True, highlight=False)
        console.print(
            f"\nwrote {clean(answer['file'])}; review it before it replaces the shipped one", markup=False
        )


def _print_law(told: dict[str, Any], console: Console) -> None:
    table = plain_table("rule", "at hidden size 2000", "exponent", "regret %", flexible=())
    for name, rule in told["rules"].items():
        if rule is not None:
            regret = told["regret_percent"].get(name)
            words = "not known" if regret is None else f"{regret:.2f}"
            table.add_row(name, number(rule["level"]), f"{rule['exponent']:.3g}", words)
    console.print(table)
    line(console, f"exponent {_interval(told['exponent'])}; level {_interval(told['level'])}")
    for name, one in told["effects"].items():
        line(console, f"per doubling of {name} the best rate goes times {_interval(one)}")


def _interval(one: dict[str, float | None]) -> str:
    ends = ["open" if one[end] is None else number(_three(one[end])) for end in ("lower", "upper")]
    return f"{number(_three(one['value']))} (95 % interval {ends[0]} to {ends[1]})"


def _three(value: float | None) -> float:
    return float(f"{value:.3g}")
