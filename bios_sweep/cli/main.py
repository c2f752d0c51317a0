"""`bios-sweep VERB [hydra overrides and flags, in any order]`: parsing, exit codes, one-sentence errors."""

from __future__ import annotations

import argparse
import gc
import importlib
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import util

from bios_sweep.cli import habits
from bios_sweep.cli.actions import ACTIONS
from bios_sweep.cli.output import Output
from bios_sweep.cli.parsers import action_parser, verb_parser, whole_parser
from bios_sweep.cli.sentence import one_line
from bios_sweep.cli.verbs import HYDRAS, VERBS
from bios_sweep.errors import BiosSweepError, MissingExtraError
from bios_sweep.secrecy import masked

# what `[run]` brings and a verb that needs it may load
EXTRA_MODULES = (
    "ray",
    "mlflow",
    "torch",
    "transformers",
    "peft",
    "matplotlib",
    "jinja2",
    "tokenizers",
    "filelock",
    "fsspec",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code: 0, 1, 2, 3, 4, 75, or 129 / 130 / 143 after a signal."""
    with Output() as output:
        try:
            args = _parse(sys.argv[1:] if arguments is None else arguments)
        except SystemExit as ended:  # argparse's own answer: --help, --version, a flag that is not there
            raise SystemExit(output.code(int(ended.code or 0))) from None
        output.goes_on = VERBS[args.verb].goes_on
        code = output.code(_run(args, sys.argv[1:] if arguments is None else arguments))
    if arguments is None:  # the program ends: nothing is looked through for garbage again, 0.8 s after a run
        gc.freeze()
    return code


def _run(args: argparse.Namespace, words: Sequence[str]) -> int:
    try:
        if habits.asked(args):
            return habits.run(args)
        _require_extra(args.verb)
        module, _, function = VERBS[args.verb].does.partition(":")
        return int(getattr(importlib.import_module(module), function)(args))
    except BiosSweepError as error:
        return _fail(error, error.exit_code, debug=args.debug)
    except KeyboardInterrupt as interrupt:
        print("bios-sweep: interrupted; the same command goes on from here", file=sys.stderr)
        return 128 + getattr(interrupt, "signal", signal.SIGINT)
    except OSError as error:
        return _fail(error, 4, debug=args.debug)
    except Exception as error:  # noqa: BLE001 - the last net: whatever it is, a person gets a sentence
        return _unforeseen(error, words, debug=args.debug)


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Overrides and flags may mix in any order, also before the verb; argparse's subcommands cannot.

    `help VERB` is what many programs take for `VERB --help`.
    """
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    place = next((place for place, word in enumerate(words) if word in VERBS), None)
    if place is None and _of_hydra(words):
        words, place = ["plan", *words], 0
    if place is None:
        return whole_parser().parse_args(words)
    name, rest = words[place], [*words[:place], *words[place + 1 :]]
    if _asks_of_action(name, rest):
        action_parser(next(word for word in rest if word in ACTIONS)).print_help()
        raise SystemExit(0)
    args = verb_parser(name, VERBS[name]).parse_intermixed_args(rest)
    args.verb = name
    return args


def _asks_of_action(verb: str, words: Sequence[str]) -> bool:
    """Whether a line asks for the help of one thing that `defaults` does."""
    return (
        verb == "defaults" and bool({"-h", "--help"} & set(words)) and any(word in ACTIONS for word in words)
    )


def _of_hydra(words: Sequence[str]) -> bool:
    """Whether a line without a verb is as Hydra programs have it: overrides, and Hydra's own switches."""
    taken = {place + 1 for place, word in enumerate(words) if word in ("--cfg", "--config-dir")}
    others = (word for place, word in enumerate(words) if place not in taken)
    asked = any(word.partition("=")[0] in HYDRAS for word in words)
    return asked and all("=" in word or word.startswith("-") for word in others)


def _require_extra(verb: str) -> None:
    missing = [name for name in EXTRA_MODULES if VERBS[verb].needs_extra and util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"`bios-sweep {verb}` needs {', '.join(missing)}; install them with pip install 'bios-sweep[run]'"
        )


def _unforeseen(error: Exception, words: Sequence[str], *, debug: bool) -> int:
    """What nobody foresaw: a report without secrets, beside which the sentence is told."""
    from bios_sweep.cli.bug_report import UNFORESEEN, leave_report, sentence_of  # seldom needed

    if debug:
        print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(f"bios-sweep: {one_line(sentence_of(error, leave_report(error, words)))}", file=sys.stderr)
    return UNFORESEEN


def _fail(error: Exception, code: int, *, debug: bool) -> int:
    if debug:
        print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(f"bios-sweep: {one_line(str(error))}", file=sys.stderr)
    return code
