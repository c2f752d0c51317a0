"""`defaults refit FILE...|WORKSPACE`: does the learning-rate rule hold over the models that were studied?"""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from bios_sweep import defaults
from bios_sweep.atomic import require_folder, write_atomically
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.driver.experiments import rate_studies
from bios_sweep.errors import DefaultsError, InputError
from bios_sweep.paths import expanded
from bios_sweep.refit.design import together_over
from bios_sweep.refit.heuristics_file import (
    answer_of,
    heuristics_diff,
    refitted,
    told_of,
    told_of_terms,
)
from bios_sweep.refit.regret import Refit, refits
from bios_sweep.refit.terms import terms_of
from bios_sweep.report.content.wording import clean, number, plural
from bios_sweep.report.text.layout import HEAD, bullets, heading, line, plain_table


def run(args: Namespace) -> int:
    """Print the law of each family and what each rule gives away; with -o write the next heuristics file."""
    if not (args.margin > 0 and math.isfinite(args.margin)):
        raise DefaultsError(f"--margin: {args.margin:g} is not allowed; it is a percentage above 0")
    found = rate_studies(
        [expanded(word) for word in args.operands],
        args.from_mlflow or (),
        tracking_uri=args.tracking_uri,
        direction=args.direction,
    )
    terms = terms_of((*found.studies, *found.elsewhere))
    if not found.studies and terms is None:
        raise InputError(f"no learning-rate ladder to fit; {found.left_out[0]}")
    fits = refits(found.studies, args.margin)
    answer: dict[str, Any] = {
        "families": [answer_of(fit) for fit in fits],
        "confounded": [list(names) for names in together_over(found)] if found.studies else [],
        "terms": None if terms is None else told_of_terms(terms),
        "studies": [told_of(study) for study in found.studies],
        "left_out": list(found.left_out),
    }
    if args.output is not None:
        require_folder(args.output)
        old = defaults.heuristics()
        new = refitted(old, fits)
        write_atomically(args.output, decimal_json(new) + "\n")
        answer |= {"diff": heuristics_diff(old, new), "file": str(args.output)}
    if args.json:
        print(json.dumps(answer, indent=1, allow_nan=False))
    else:
        _print(fits, answer, Console())
    return 0


def _print(fits: Sequence[Refit], answer: dict[str, Any], console: Console) -> None:
    for fit, told in zip(fits, answer["families"], strict=True):
        counts = f"{plural(fit.law.studies, 'ladder')} of {plural(fit.law.models, 'model')}"
        heading(console, f"{clean(fit.family)}, {clean(fit.method)}: {counts}")
        if fit.law.refusal:
            line(console, fit.law.refusal)
        else:
            _print_law(told, console)
        bullets(console, "Not told apart", _not_told_apart(told))
        line(console, _cells(told["cells"]))
        line(console, fit.reason, HEAD)
    if answer["terms"] is not None:
        _print_terms(answer["terms"], console)
    bullets(console, "Not told apart, over all of it", [_together(names) for names in answer["confounded"]])
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


def _print_terms(told: dict[str, Any], console: Console) -> None:
    counts = f"{plural(told['studies'], 'ladder')} of {plural(told['cells'], 'cell')}"
    heading(console, f"What else moves the best rate, inside a model on one data: {counts}")
    for name, one in told["per_doubling"].items():
        line(console, f"per doubling of {name}, all else equal, it goes times {_interval(one)}")
    for rule, one in told["rank_by_alpha_rule"].items():
        line(console, f"per doubling of rank under alpha rule {rule} it goes times {_interval(one)}")
    for method, one in told["methods"].items():
        line(console, f"{method} takes {_interval(one)} times the rate of {told['reference']}")
    bullets(console, "Not told apart", told["not_identified"])


def _not_told_apart(told: dict[str, Any]) -> list[str]:
    """What the law says of its factors; a confounding that refused the law stands above already."""
    named = [f"{_together(names)}: not identified" for names in told["confounded"]]
    return [text for text in dict.fromkeys((*named, *told["not_identified"])) if text != told["refused"]]


def _together(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} move together"


def _cells(told: dict[str, Any]) -> str:
    """In how many cells each rule loses little."""
    if not told["known"]:
        return "in how many cells (model x data) a rule loses little is not known: there are brackets alone"
    counts = [
        f"{name} in {less}{f' ({beyond} beyond the tested rates)' if beyond else ''}"
        for (name, less), beyond in zip(told["less"].items(), told["beyond"].values(), strict=True)
    ]
    brackets = told["cells"] - told["known"]
    held_out = "; fitted without the cell's model" if told["held_out"] else ""
    return (
        f"less than {told['less_than_percent']:g} % lost against the best of its cell, of "
        f"{plural(told['known'], 'cell')} (model x data): rule {', '.join(counts)}{held_out}"
        f"{f'; {brackets} more with a bracket alone' if brackets else ''}"
    )


def _interval(one: dict[str, float | None]) -> str:
    ends = ["open" if one[end] is None else number(_three(one[end])) for end in ("lower", "upper")]
    return f"{number(_three(one['value']))} (95 % interval {ends[0]} to {ends[1]})"


def _three(value: float | None) -> float:
    return float(f"{value:.3g}")
