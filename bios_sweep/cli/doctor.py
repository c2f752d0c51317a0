"""`doctor`: what a run of these overrides would find here."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep.cli.answer import invocation_of, print_answer
from bios_sweep.doctor.diagnose import diagnose
from bios_sweep.doctor.shown import print_diagnosis
from bios_sweep.errors import InputError


def run(args: Namespace) -> int:
    """Print what was looked at; a red line is bad input to a run, which would have to be refused."""
    diagnosis = diagnose(invocation_of(args))
    print_answer(args, diagnosis, print_diagnosis)
    return InputError.exit_code if diagnosis.red else 0
