"""`defaults show MODEL`: the quick-reference table of a model's default settings."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console

from bios_sweep import defaults
from bios_sweep.report.terminal import print_defaults


def run(args: Namespace) -> int:
    """Print the recommendation."""
    recommendation = defaults.recommend(
        args.model, method=args.method, examples=args.examples, goal=args.goal
    )
    if args.json:
        print(json.dumps(recommendation.to_dict(), indent=1))
    else:
        print_defaults(defaults.explain(recommendation), recommendation.warnings, Console())
    return 0
