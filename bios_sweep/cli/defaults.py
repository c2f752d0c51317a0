"""`defaults ACTION`: what each action is done by. Light, for `--help` reads it."""

from __future__ import annotations

import importlib
from argparse import Namespace

from bios_sweep.errors import InputError

# each done by `run(args) -> exit code` of its module, `defaults_ACTION`
ACTIONS = ("show", "diff", "export", "merge", "refit")


def run(args: Namespace) -> int:
    """Do the action.

    Raises:
        InputError: nothing to do it with, or experiments for an action that reads none.
    """
    if args.from_mlflow and args.action != "refit":
        raise InputError(f"--from-mlflow: belongs to `defaults refit`, not to `defaults {args.action}`")
    if not args.operands and not args.from_mlflow:
        raise InputError(f"defaults {args.action}: name a model or a file; --help shows examples")
    return int(importlib.import_module(f"bios_sweep.cli.defaults_{args.action}").run(args))
