"""`plan` and `rehearse`: what would run, and the chance of each verdict. They launch nothing."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from bios_sweep.checks import require
from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.driver.planned import planned_here
from bios_sweep.driver.prepare import prepare
from bios_sweep.errors import InputError
from bios_sweep.report.text.terminal import print_plan

PATIENCE_SECONDS = 2.0  # between two lines of progress


def plan(args: Namespace) -> int:
    """Print the plan."""
    print_answer(args, planned_here(prepare(invocation_of(args))).summary, print_plan)
    return 0


def rehearse(args: Namespace) -> int:
    """Print the chances of every verdict, and with `decision.gpu_hours` the design that decides most."""
    from bios_sweep.driver.rehearsed import rehearsed  # loads the simulation, which `plan` needs not
    from bios_sweep.report.text.rehearsal import print_rehearsal

    require(args.sweeps >= 2, "--sweeps", args.sweeps, "at least 2", InputError)
    summary = rehearsed(
        prepare(invocation_of(args)),
        sweeps=args.sweeps,
        noise=args.noise,
        evaluation_error=args.evaluation_error,
        seconds_per_trial=args.seconds_per_trial,
        progress=Progress,
    )
    print_answer(args, summary, print_rehearsal)
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
