"""`defaults show MODEL`: the quick-reference table of a model's default settings."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from rich.console import Console
from rich.text import Text

from bios_sweep import defaults
from bios_sweep.report.layout import HEAD, QUIET, bullets, heading, line, plain_table
from bios_sweep.report.wording import clean, number


def run(args: Namespace) -> int:
    """Print the recommendation."""
    recommendation = defaults.recommend(
        args.model, method=args.method, examples=args.examples, goal=args.goal
    )
    if args.json:
        print(json.dumps(recommendation.to_dict(), indent=1))
    else:
        _print(args.model, recommendation, Console())
    return 0


def _print(model: str, recommendation: defaults.Recommendation, console: Console) -> None:
    rows = defaults.explain(recommendation)
    line(console, f"Default settings of {model}", HEAD)
    table = plain_table("setting", "default", "range", "why", "confidence", flexible=("why",))
    for row in rows:
        why = Text(clean(row["why"])).append(f"\n{clean(row['source'])}", style=QUIET)
        table.add_row(
            row["setting"], number(row["default"]), _range(row["range"]), why, clean(row["confidence"])
        )
    console.print(table)
    heading(console, "What each does, and when to change it")
    for row in rows:
        line(console, f"{row['setting']}: {row['does']} {row['when_to_change']}")
    bullets(console, "To bear in mind", recommendation.warnings)


def _range(bounds: Any) -> str:
    if bounds is None:
        return ""
    low, high = bounds
    return f"from {number(low)}" if high is None else f"{number(low)}-{number(high)}"
