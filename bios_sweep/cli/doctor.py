"""`doctor`: what a run of these overrides would find here."""

from __future__ import annotations

from argparse import Namespace
from functools import partial

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.doctor.diagnose import diagnose
from bios_sweep.doctor.shown import print_diagnosis
from bios_sweep.driver.invocation import Invocation
from bios_sweep.errors import InputError


def run(args: Namespace) -> int:
    """Print what was looked at; a red line is bad input to a run, which would have to be refused."""
    asked = invocation_of(args)
    diagnosis = diagnose(asked)
    print_answer(args, diagnosis, partial(print_diagnosis, following=_following(asked)))
    return InputError.exit_code if diagnosis.red else 0


def _following(asked: Invocation) -> str:
    """What comes after a machine that is ready: the plan of a sweep that is chosen, else a first sweep."""
    chosen = any(word.startswith("sweeps=") for word in asked.overrides)
    return asked.command.replace(" run", " plan", 1) if chosen else "bios-sweep init"
