"""argparse's parsers, made of the verbs and flags: their help, and refusals in one voice."""

from __future__ import annotations

import argparse
from typing import NoReturn

from bios_sweep.cli.actions import ACTIONS
from bios_sweep.cli.flags import FLAGS, OPERANDS
from bios_sweep.cli.misspelt import in_our_words
from bios_sweep.cli.sentence import one_line
from bios_sweep.cli.verbs import FRONT, VERBS, Verb
from bios_sweep.config.places import config_root
from bios_sweep.version import __version__

WIDTH = max(len(name) for name in VERBS)  # of a column of verbs


class Parser(argparse.ArgumentParser):
    """argparse with refusals in the voice of all others: one sentence, and what was probably meant."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"bios-sweep: {one_line(in_our_words(message, self.prog))}\n")


def whole_parser() -> argparse.ArgumentParser:
    """Of a line without a verb: five verbs in front, then all others."""
    front = "\n".join(
        f"  {name:<{WIDTH}}  {VERBS[name].help}\n  {'':<{WIDTH}}    {VERBS[name].examples[0]}"
        for name in FRONT
    )
    more = "\n".join(f"  {name:<{WIDTH}}  {verb.help}" for name, verb in VERBS.items() if name not in FRONT)
    parser = Parser(
        prog="bios-sweep",
        usage="bios-sweep VERB [hydra overrides and flags, in any order]",
        description="Is the default right for your model and data? Confirm it, refine it, or say why not.",
        epilog=f"to begin with:\n{front}\n\nmore:\n{more}\n\n"
        "`bios-sweep VERB --help` shows examples and, for plan and run, what can be chosen;\n"
        "`bios-sweep run sweeps=demo` needs no model, no data and no GPU.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bios-sweep {__version__}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="see below")
    return parser


def _told(verb: str) -> str:
    return f"  {verb:<{WIDTH}}  {VERBS[verb].help}"


def verb_parser(name: str, verb: Verb) -> argparse.ArgumentParser:
    """Of one verb."""
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
        parser.add_argument(flag, **_options(name, flag))  # type: ignore[arg-type]
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def action_parser(name: str) -> argparse.ArgumentParser:
    """Of one thing that `defaults` does: what its help says."""
    action = ACTIONS[name]
    examples = "\n".join(f"  {example}" for example in action.examples)
    parser = Parser(
        prog=f"bios-sweep defaults {name}",
        usage=f"bios-sweep defaults {name} {action.operands} [flags]",
        description=action.help,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for flag in action.flags:
        parser.add_argument(flag, **_options("defaults", flag))  # type: ignore[arg-type]
    return parser


def _options(verb: str, flag: str) -> dict[str, object]:
    """Argparse's words for a flag; one that a verb has to itself goes before."""
    return FLAGS.get(f"{verb} {flag}") or FLAGS[flag]


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
