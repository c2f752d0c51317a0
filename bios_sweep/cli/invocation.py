"""From parsed flags to what the driver is asked."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.driver.invocation import Invocation


def invocation_of(args: Namespace) -> Invocation:
    """The overrides and the folder of groups that were typed, for the verb that was."""
    return Invocation(overrides=tuple(args.overrides), config_dir=args.config_dir, verb=args.verb)
