"""`defaults ACTION`: shown, exported and merged here; `diff` and `refit` have modules of their own."""

from __future__ import annotations

import importlib
import json
import shlex
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bios_sweep import defaults
from bios_sweep.atomic import require_folder, write_atomically
from bios_sweep.cli.answer import print_answer
from bios_sweep.defaults.merge import NEWEST, REFUSE, AskedTwiceError, directions_apart, questions_apart
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.driver.view import open_sweep
from bios_sweep.errors import DefaultsError, InputError
from bios_sweep.paths import expanded
from bios_sweep.procedure.looks import factors_served, left_to_others
from bios_sweep.records.ledger import read_ledger
from bios_sweep.records.workspace import SWEEPS, Workspace, left_by_sweeps
from bios_sweep.report.content.wording import clean, number
from bios_sweep.report.text.layout import HEAD, QUIET, bullets, heading, line, plain_table


def run(args: Namespace) -> int:
    """Do the action.

    Raises:
        InputError: nothing to do it with, or experiments for an action that reads none.
    """
    if args.from_mlflow and args.action != "refit":
        raise InputError(f"--from-mlflow: belongs to `defaults refit`, not to `defaults {args.action}`")
    if not args.operands and not args.from_mlflow:
        raise InputError(f"defaults {args.action}: name a model or a file; --help shows examples")
    own = {"show": _show, "export": _export, "merge": _merge}
    if args.action in own:
        own[args.action](args)
        return 0
    return int(importlib.import_module(f"bios_sweep.cli.defaults_{args.action}").run(args))


def only_operand(args: Namespace) -> str:
    """The model that the action is about.

    Raises:
        DefaultsError: more than one was given.
    """
    if len(args.operands) != 1:
        raise DefaultsError(f"`defaults {args.action}` takes one model, not {len(args.operands)}")
    return str(args.operands[0])


def facts_given(args: Namespace) -> dict[str, Any]:
    """What the flags say of a model and its training, as `defaults.recommend` takes it."""
    names = ("method", "examples", "tokens", "goal", "objective", "alpha_rule", "family", "hidden_size")
    return {name: getattr(args, name) for name in names}


def _served(args: Namespace) -> defaults.Recommendation:
    """What is served for the model: tuned values where a place has them, else the heuristics."""
    facts = facts_given(args)
    return defaults.serve(only_operand(args), **facts, parameters=args.parameters, path=args.defaults)


def _show(args: Namespace) -> None:
    """Print the table of what is served for the model, and which source won."""
    found = _served(args)
    print_answer(args, found.to_dict(), lambda _, console: _print(only_operand(args), found, console))


def _print(model: str, recommendation: defaults.Recommendation, console: Console) -> None:
    judged = [name for name, why in recommendation.why.items() if why.source == recommendation.source]
    main = defaults.MAIN_SETTINGS
    rows = defaults.explain(recommendation, [*main, *(name for name in judged if name not in main)])
    line(console, f"Default settings of {model}", HEAD)
    line(console, f"from: {recommendation.source}", QUIET)
    if recommendation.distance:
        line(console, f"nearest key: {recommendation.distance}", QUIET)
    if recommendation.judged_on:
        line(console, f"tuned values judged on: {recommendation.judged_on}", QUIET)
    table = plain_table("setting", "default", "range", "why", "confidence", flexible=("why",))
    for row in rows:
        table.add_row(
            row["setting"],
            number(row["default"]),
            _range(row["range"]),
            _why(row, tuned=row["setting"] in judged),
            clean(row["confidence"]),
        )
    console.print(table)
    heading(console, "What each does, and when to change it")
    for row in rows:
        line(console, f"{row['setting']}: {row['does']} {row['when_to_change']}")
    if recommendation.preference_beta is not None:
        line(console, f"beta: {number(recommendation.preference_beta)}, of preference training (DPO)")
    bullets(console, "To bear in mind", recommendation.warnings)
    if recommendation.searched and not judged:
        bullets(console, "Searched for tuned defaults", recommendation.searched)


def _why(row: dict[str, Any], *, tuned: bool) -> Text:
    """The rule and its source; a tuned value's verdict with its bounds instead of the source above."""
    return Text(clean(row["why"])).append(f"\n{clean(row['evidence' if tuned else 'source'])}", style=QUIET)


def _range(bounds: Any) -> str:
    if bounds is None:
        return ""
    low, high = bounds
    return f"from {number(low)}" if high is None else f"{number(low)}-{number(high)}"


def _export(args: Namespace) -> None:
    """Write another trainer's file of what is served for a model, or print it where none is named."""
    if args.to is None:
        raise DefaultsError(f"`defaults export` needs --to; choose from {', '.join(defaults.TOOLS)}")
    asked = _asked(args)
    exported = defaults.export_file(
        asked.settings,
        to=args.to,
        gpus=args.gpus,
        micro_batch=args.micro_batch,
        profile=args.goal if isinstance(asked.settings, defaults.TunedDefaults) else None,
        title=f"{asked.name}, {args.goal}, from {asked.source}",
    )
    if args.output is not None:
        require_folder(args.output)
        write_atomically(args.output, exported.text())
    if args.json:
        print(decimal_json(_exported(args, asked, exported)))
    elif args.output is None:
        print(exported.text(), end="")
    else:
        warnings = (f"to bear in mind: {text}" for text in asked.warnings)
        print("\n".join((f"wrote {args.output} for {exported.tool.title}", exported.use, *warnings)))


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is exported: the settings, whose they are, where they were found, and what to bear in mind."""

    settings: defaults.Recommendation | defaults.TunedDefaults
    name: str
    source: str
    warnings: tuple[str, ...] = ()


def _asked(args: Namespace) -> _Asked:
    """Of a model, or of the one study of a tuned-defaults file."""
    word = only_operand(args)
    if not word.endswith(".json"):
        found = _served(args)
        return _Asked(settings=found, name=word, source=found.source, warnings=found.warnings)
    if args.defaults is not None:
        raise DefaultsError(f"--defaults: belongs to a model; {word} is a tuned-defaults file itself")
    tuned = defaults.read_tuned(word)
    name = tuned.provenance.model or tuned.key.words
    return _Asked(settings=tuned, name=name, source=word, warnings=tuned.warnings)


def _exported(args: Namespace, asked: _Asked, exported: defaults.Exported) -> dict[str, object]:
    return {
        "to": exported.tool.name,
        "file": None if args.output is None else str(args.output),
        "profile": args.goal,
        "source": asked.source,
        "judged_on": asked.settings.judged_on,
        "values": exported.to_dict(),
        "commented_out": {name: dict(values) for name, values in exported.aside.items()},
        "comments": {name: dict(comments) for name, comments in exported.comments.items()},
        "keys_from": exported.tool.source,
        "use": exported.use,
        "warnings": list(asked.warnings),
    }


def _merge(args: Namespace) -> None:
    """Many tuned-defaults files as one collection; nothing is written unless all of it holds."""
    if args.output is None:
        raise DefaultsError("`defaults merge` needs -o FILE, the file to write")
    require_folder(args.output)
    files = _tuned_files(args.operands)
    sources = [(str(file), entry) for file in files for entry in _standing(file)]
    try:
        entries = defaults.merge(sources, on_conflict=NEWEST if args.newest else REFUSE)
    except AskedTwiceError as error:
        raise DefaultsError(f"{error}, as in: {_without(error.leave_out, files, args)}") from None
    if not entries:
        raise DefaultsError(f"{args.operands[0]}: nothing to merge, no entry says a word about any setting")
    defaults.write_entries(args.output, entries)
    if args.json:
        print(json.dumps(_merged(args, files, entries), indent=1))
        return
    print(f"wrote {args.output}; entries {len(entries)}, files read {len(files)}")
    for entry in entries:
        judged = f" (judged on {entry.judged_on})" if entry.judged_on else ""
        print(f"  {entry.key.words}: {', '.join(_settings_of(entry)) or 'nothing decided'}{judged}")
    for text in _warnings(entries):
        print(f"to bear in mind: {text}")


def _without(left_out: str, files: Sequence[Path], args: Namespace) -> str:
    """The command that merges all files but one."""
    others = [str(file) for file in files if str(file) != left_out]
    words = [*others, *(["--newest"] if args.newest else []), "-o", str(args.output)]
    return f"bios-sweep defaults merge {shlex.join(words)}"


def _standing(file: Path) -> list[defaults.TunedDefaults]:
    """A file's entries; of a sweep in a workspace without the questions that another study of it answers."""
    entries = defaults.read_entries(file)
    sweep, workspace = file.parent, Workspace(file.absolute().parents[2])
    if sweep.parent.name != SWEEPS or not workspace.ledger_file.exists():
        return list(entries)
    gone = left_to_others((entry.look for entry in read_ledger(workspace.ledger_file)), sweep.name)
    factors = factors_served(open_sweep(workspace, sweep.name).plan, gone) if gone else set()
    return [entry.without(factors) for entry in entries]


def _settings_of(entry: defaults.TunedDefaults) -> list[str]:
    """Settings with a value, those of one profile alone with its name."""
    own = [f"{name} ({profile})" for profile, values in entry.profiles.items() for name in values]
    return [*entry.values, *own]


def _warnings(entries: Sequence[defaults.TunedDefaults]) -> list[str]:
    """What entries say of themselves, by key, and what two of them say against each other."""
    own = [f"{entry.key.words}: {text}" for entry in entries if entry.values for text in entry.warnings]
    asked = [f"{entry.key.words}: {text}" for entry in entries for text in questions_apart(entry)]
    return [*own, *asked, *directions_apart(entries)]


def _merged(
    args: Namespace, files: list[Path], entries: tuple[defaults.TunedDefaults, ...]
) -> dict[str, object]:
    return {
        "file": str(args.output),
        "read": [str(file) for file in files],
        "entries": [
            {
                "key": entry.to_dict()["key"],
                "values": dict(entry.values),
                "profiles": entry.to_dict()["profiles"],
                "sweep": entry.provenance.sweep,
                "judged_on": entry.judged_on,
            }
            for entry in entries
        ],
        "warnings": _warnings(entries),
    }


def _tuned_files(words: list[str]) -> list[Path]:
    """Tuned-defaults files; a folder stands for those of the sweeps below it.

    Raises:
        DefaultsError: a folder without any, or a path that does not exist.
    """
    files: list[Path] = []
    for word in words:
        path = expanded(word)
        found = left_by_sweeps(path, defaults.FILE_NAME) if path.is_dir() else [path]
        if not found:
            raise DefaultsError(f"{path}: no {defaults.FILE_NAME} in this folder or below")
        files += found
    return files
