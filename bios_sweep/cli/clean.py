"""`clean`: shows what a workspace could do without, and takes it away when told."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.checks import require
from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.driver.cleaning import cleaned, shown
from bios_sweep.driver.invocation import workspace_of
from bios_sweep.errors import InputError
from bios_sweep.report.text.cleaned import print_cleaning


def run(args: Namespace) -> int:
    """Print what could go, or what went."""
    require(args.older >= 0, "--older", args.older, "0 days or more", InputError)
    workspace = workspace_of(invocation_of(args).composed())
    found = (cleaned if args.yes else shown)(workspace, args.older)
    print_answer(args, found, print_cleaning)
    return 0
