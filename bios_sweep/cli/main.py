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
from typing import NoReturn

from bios_sweep.cli import habits
from bios_sweep.cli.misspelt import in_our_words
from bios_sweep.cli.output import Output
from bios_sweep.cli.verbs import FLAGS, HYDRAS, OPERANDS, VERBS, Verb
from bios_sweep.config.places import config_root
from bios_sweep.errors import BiosSweepError, MissingExtraError
from bios_sweep.secrecy import masked
from bios_sweep.version import __version__

LONGEST_SENTENCE, SENTENCE_HEAD, SENTENCE_TAIL = 3_000, 1_200, 400  # characters; chosen: a screen at most
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
    """Overrides and flags may mix in any order, also before the verb; argparse's subcommands cannot."""
    place = next((place for place, word in enumerate(words) if word in VERBS), None)
    if place is None and _of_hydra(words):
        words, place = ["plan", *words], 0
    if place is None:
        return _parser().parse_args(words)
    name, rest = words[place], [*words[:place], *words[place + 1 :]]
    args = _verb_parser(name, VERBS[name]).parse_intermixed_args(rest)
    args.verb = name
    return args


def _of_hydra(words: Sequence[str]) -> bool:
    """Whether a line without a verb is as Hydra programs have it: overrides, and Hydra's own switches."""
    taken = {place + 1 for place, word in enumerate(words) if word in ("--cfg", "--config-dir")}
    others = (word for place, word in enumerate(words) if place not in taken)
    asked = any(word.partition("=")[0] in HYDRAS for word in words)
    return asked and all("=" in word or word.startswith("-") for word in others)


class Parser(argparse.ArgumentParser):
    """argparse with refusals in the voice of all others: one sentence, and what was probably meant."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"bios-sweep: {_one_line(in_our_words(message, self.prog))}\n")


def _parser() -> argparse.ArgumentParser:
    width = max(len(name) for name in VERBS)
    verbs = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items())
    parser = Parser(
        prog="bios-sweep",
        usage="bios-sweep VERB [hydra overrides and flags, in any order]",
        description="Is the default right for your model and data? Confirm it, refine it, or say why not.",
        epilog=f"verbs:\n{verbs}\n\nfirst steps:\n  bios-sweep doctor\n"
        "  bios-sweep plan sweeps=demo\n  bios-sweep run sweeps=demo\n  bios-sweep ui\n\n"
        "`bios-sweep VERB --help` shows examples and, for plan and run, what can be chosen.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bios-sweep {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="see below")
    return parser


def _verb_parser(name: str, verb: Verb) -> argparse.ArgumentParser:
    examples = "\n".join(f"  {example}" for example in verb.examples)
    usage, positionals = OPERANDS[verb.operands]
    parser = Parser(
        prog=f"bios-sweep {name}",
        usage=f"bios-sweep {name} {usage} [flags]",
        description=verb.help,
        epilog=f"examples:\n{examples}{_choices(name)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for operand, words in positionals.items():
        parser.add_argument(operand, **words)  # type: ignore[arg-type]
    for flag in verb.flags:
        options = FLAGS.get(f"{name} {flag}", FLAGS.get(flag))
        parser.add_argument(flag, **options)  # type: ignore[arg-type]
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def _choices(name: str) -> str:
    """The sweeps and groups that can be chosen, read from the config folders' file names alone."""
    if name not in ("plan", "rehearse", "run", "submit"):
        return ""
    root = config_root()
    groups = [root / "sweeps", *sorted(path for path in (root / "conf").iterdir() if path.is_dir())]
    lines = "\n".join(
        f"  {group.name}: {', '.join(sorted(f.stem for f in group.glob('*.yaml')))}" for group in groups
    )
    return f"\n\nchoices (group=name):\n{lines}"


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
    print(f"bios-sweep: {_one_line(sentence_of(error, leave_report(error, words)))}", file=sys.stderr)
    return UNFORESEEN


def _one_line(text: str) -> str:
    """A sentence without secrets, of one line and of a length that is read."""
    line = masked(text).replace("\n", "\\n")  # of a name
    if len(line) <= LONGEST_SENTENCE:
        return line
    return f"{line[:SENTENCE_HEAD]} ... ({len(line):,} characters) ... {line[-SENTENCE_TAIL:]}"


def _fail(error: Exception, code: int, *, debug: bool) -> int:
    if debug:
        print(masked("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(f"bios-sweep: {_one_line(str(error))}", file=sys.stderr)
    return code
