"""`rehearse`: the chance of each verdict before anything is trained. Launches and writes nothing."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace

from rich.console import Console

from bios_sweep.cli.invocation import invocation_of
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.rehearsed import rehearsed
from bios_sweep.errors import InputError
from bios_sweep.jsonable import to_json
from bios_sweep.report.text.rehearsal import print_rehearsal

PATIENCE_SECONDS = 2.0  # between two lines of progress


def run(args: Namespace) -> int:
    """Print the chances of every verdict, and with `decision.gpu_hours` the design that decides most."""
    if args.sweeps < 2:
        raise InputError(f"--sweeps: {args.sweeps} is not allowed; at least 2")
    summary = rehearsed(
        prepare(invocation_of(args)),
        sweeps=args.sweeps,
        noise_percent=args.noise,
        seconds_per_trial=args.seconds_per_trial,
        progress=Progress,
    )
    if args.json:
        print(json.dumps(to_json(summary), indent=1))
    else:
        print_rehearsal(summary, Console())
    return 0


class Progress:
    """Says on stderr how far a long rehearsal is; one that is over at once says nothing."""

    def __init__(self, total: int) -> None:
        """total: sweeps that will be simulated, about."""
        self._total, self._done, self._said = total, 0, time.monotonic()

    def __call__(self) -> None:
        """One more sweep is simulated."""
        self._done += 1
        now = time.monotonic()
        if now - self._said < PATIENCE_SECONDS:
            return
        self._said = now
        share = min(99, round(100 * self._done / max(1, self._total)))
        print(f"rehearsing: {self._done:,} sweeps, {share} %", file=sys.stderr, flush=True)
