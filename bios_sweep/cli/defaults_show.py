"""`defaults show MODEL`: the quick-reference table of a model's settings, tuned ones included."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from rich.console import Console
from rich.text import Text

from bios_sweep import defaults
from bios_sweep.cli.defaults_served import only_operand, served
from bios_sweep.report.content.wording import clean, number
from bios_sweep.report.text.layout import HEAD, QUIET, bullets, heading, line, plain_table


def run(args: Namespace) -> int:
    """Print what is served for the model, and which source won."""
    recommendation = served(args)
    if args.json:
        print(json.dumps(recommendation.to_dict(), indent=1))
    else:
        _print(only_operand(args), recommendation, Console())
    return 0


def _print(model: str, recommendation: defaults.Recommendation, console: Console) -> None:
    judged = [name for name, why in recommendation.why.items() if why.source == recommendation.source]
    main = defaults.MAIN_SETTINGS
    rows = defaults.explain(recommendation, [*main, *(name for name in judged if name not in main)])
    line(console, f"Default settings of {model}", HEAD)
    line(console, f"from: {recommendation.source}", QUIET)
    if recommendation.distance:
        line(console, f"nearest key: {recommendation.distance}", QUIET)
    if recommendation.judged_on:
        line(console, f"tuned values judged on: {recommendation.judged_on}", QUIET)
    table = plain_table("setting", "default", "range", "why", "confidence", flexible=("why",))
    for row in rows:
        table.add_row(
            row["setting"],
            number(row["default"]),
            _range(row["range"]),
            _why(row, tuned=row["setting"] in judged),
            clean(row["confidence"]),
        )
    console.print(table)
    heading(console, "What each does, and when to change it")
    for row in rows:
        line(console, f"{row['setting']}: {row['does']} {row['when_to_change']}")
    if recommendation.preference_beta is not None:
        line(console, f"beta: {number(recommendation.preference_beta)}, of preference training (DPO)")
    bullets(console, "To bear in mind", recommendation.warnings)
    if recommendation.searched and not judged:
        bullets(console, "Searched for tuned defaults", recommendation.searched)


def _why(row: dict[str, Any], *, tuned: bool) -> Text:
    """The rule and its source; a tuned value's verdict with its bounds instead of the source above."""
    return Text(clean(row["why"])).append(f"\n{clean(row['evidence' if tuned else 'source'])}", style=QUIET)


def _range(bounds: Any) -> str:
    if bounds is None:
        return ""
    low, high = bounds
    return f"from {number(low)}" if high is None else f"{number(low)}-{number(high)}"
