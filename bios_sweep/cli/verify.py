"""`verify`: whether a workspace, a sweep or an archive still holds what was written there."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.driver.invocation import workspace_of
from bios_sweep.driver.verifying import verified
from bios_sweep.errors import InputError
from bios_sweep.report.text.verified import print_verification


def run(args: Namespace) -> int:
    """Print what is whole; something damaged is what this verb refuses."""
    given: list[str] = []
    args.overrides = []
    for word in args.words:
        (args.overrides if word.startswith("workspace=") else given).append(word)
    if len(given) > 1:
        raise InputError(f"verify: {len(given)} things are given; give one workspace, sweep or archive")
    workspace = workspace_of(invocation_of(args).composed())
    found = verified(given[0] if given else None, workspace)
    print_answer(args, found, print_verification)
    return InputError.exit_code if found.damaged else 0
