"""`init`: from a model and a file to a first sweep. What no flag says is asked for, if anybody can answer."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from bios_sweep.cli.answer import print_answer
from bios_sweep.config.draft import EMBEDDED, LEVELS
from bios_sweep.driver.beginning import (
    ALL,
    FIRST,
    HARDWARE,
    HERE,
    Wish,
    begin,
    data_source,
    doubted,
    hardware_group,
    model_source,
    require_new,
)
from bios_sweep.errors import InputError
from bios_sweep.report.text.beginning import print_beginning


@dataclass(frozen=True, kw_only=True)
class Question:
    """One thing to be known. name: of its flag. usual: what an empty answer means, and `--yes`.

    needed: somebody has to say it, for no answer suits everyone. read: refuses what is wrong.
    """

    name: str
    text: str
    usual: str
    needed: bool
    read: Callable[[str], object]


QUESTIONS = (
    Question(
        name="model",
        text="Which model? A folder, a name of the hub (ORG/NAME), or embedded",
        usual=EMBEDDED,
        needed=True,
        read=model_source,
    ),
    Question(
        name="data",
        text="Which data? A file, a folder, a data set of the hub (ORG/NAME), or embedded",
        usual=EMBEDDED,
        needed=True,
        read=data_source,
    ),
    Question(
        name="doubt",
        text=f"Which default is in doubt? {', '.join(LEVELS)}, several with commas, or {ALL}",
        usual=FIRST,
        needed=False,
        read=doubted,
    ),
    Question(
        name="hardware",
        text=f"Where will it run? {', '.join(HARDWARE)}, or the address HEAD:PORT of a Ray cluster",
        usual=HERE,
        needed=False,
        read=hardware_group,
    ),
)


def run(args: Namespace) -> int:
    """Ask, look, write, and print what comes next."""
    require_new(args.out, force=args.force)
    said = {question.name: _said(question, args) for question in QUESTIONS}
    wish = Wish(
        model=said["model"],
        data=said["data"],
        doubts=doubted(said["doubt"]),
        hardware=said["hardware"],
        out=args.out,
        download=args.download,
        force=args.force,
        overrides=tuple(args.overrides),
        config_dir=args.config_dir,
    )
    print_answer(args, begin(wish), print_beginning)
    return 0


def _said(question: Question, args: Namespace) -> str:
    """By its flag, else as answered, else as usual.

    Raises:
        InputError: a flag's value is wrong, or what is needed was not said and nobody can be asked.
    """
    given = getattr(args, question.name)
    if given is not None:
        question.read(given)
        return str(given)
    if args.yes or not (question.needed or sys.stdin.isatty()):
        return question.usual
    if not sys.stdin.isatty():
        raise InputError(
            f"init: --{question.name} is missing and nobody can be asked, for standard input is no terminal; "
            f"give it, or --yes for {question.usual}"
        )
    return _asked(question)


def _asked(question: Question) -> str:
    """The first answer that can be read. Questions go to standard error: standard output is what is found."""
    while True:
        print(f"{question.text} [{question.usual}]: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise InputError(f"init: the answer to --{question.name} is missing; nothing was written")
        answer = line.strip() or question.usual
        try:
            question.read(answer)
        except InputError as error:
            print(error, file=sys.stderr)
        else:
            return answer
