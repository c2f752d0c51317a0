"""`defaults diff`: a model's defaults against what was tuned, or one tuned-defaults file against another."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bios_sweep import defaults
from bios_sweep.cli.answer import print_answer
from bios_sweep.cli.defaults import facts_given, only_operand
from bios_sweep.defaults.merge import directions_apart
from bios_sweep.defaults.serving import lookup_for
from bios_sweep.errors import DefaultsError
from bios_sweep.report.content.wording import clean, gain, number
from bios_sweep.report.text.layout import HEAD, bullets, heading, line, plain_table
from bios_sweep.settings import TrainingSettings
from bios_sweep.units import common_unit, kept_scale


def run(args: Namespace) -> int:
    """Print what tuning changed: `diff MODEL`, `diff FILE` (its baselines) or `diff OLD NEW` (two files)."""
    files = [_is_file(word) for word in args.operands]
    if len(files) == 2 and all(files):
        answer = _two_files(args.operands[0], args.operands[1], args.goal)
    elif len(files) == 1 and files[0]:
        answer = _one_file(args.operands[0], args.goal)
    elif len(files) == 1:
        answer = _model(args)
    else:
        raise DefaultsError("`defaults diff` takes a model, a tuned-defaults file, or two such files")
    print_answer(args, answer, _print)
    return 0


def _is_file(word: str) -> bool:
    return word.endswith(".json") or Path(word).is_file()


def _model(args: Namespace) -> dict[str, Any]:
    """The heuristics against what was tuned for the model.

    Raises:
        NotTunedError: nothing was; the message names every place searched.
    """
    base = defaults.recommend(only_operand(args), **facts_given(args))
    found = lookup_for(base, parameters=args.parameters, path=args.defaults)
    tuned = defaults.with_tuned(base, found)
    return {
        "old": base.source,
        "new": found.source,
        "model": only_operand(args),
        "profile": args.goal,
        "exact": found.exact,
        "distance": found.distance,
        "judged_on": {found.tuned.key.words: found.tuned.judged_on},
        "differences": defaults.differences(found.tuned, base.settings, tuned.settings, args.goal),
        "warnings": list(tuned.warnings),
    }


def _one_file(word: str, profile: str) -> dict[str, Any]:
    rows, entries = [], defaults.read_entries(word)
    for entry in entries:
        before = TrainingSettings.from_dict(entry.baseline)
        after = entry.settings(before, profile)
        rows += [
            {"key": entry.key.words, **row} for row in defaults.differences(entry, before, after, profile)
        ]
    return {
        "old": "baseline of the study",
        "new": word,
        "profile": profile,
        "judged_on": {entry.key.words: entry.judged_on for entry in entries},
        "differences": rows,
        "warnings": _warnings(entries),
    }


def _two_files(old: str, new: str, profile: str) -> dict[str, Any]:
    before, after = defaults.read_entries(old), defaults.read_entries(new)
    return {
        "old": old,
        "new": new,
        "profile": profile,
        "judged_on": {entry.key.words: entry.judged_on for entry in after},
        "differences": defaults.file_differences(before, after, profile),
        "warnings": [*_warnings((*before, *after)), *directions_apart((*before, *after))],
    }


def _warnings(entries: Sequence[defaults.TunedDefaults]) -> list[str]:
    """What the entries that serve something say of themselves, each once."""
    return list(dict.fromkeys(text for entry in entries if entry.values for text in entry.warnings))


def _print(answer: Mapping[str, Any], console: Console) -> None:
    rows = answer["differences"]
    line(console, f"{answer['old']} against {answer['new']}, profile {answer['profile']}", HEAD)
    for judged in dict.fromkeys(filter(None, answer["judged_on"].values())):
        line(console, f"tuned values judged on: {judged}")
    if not rows:
        line(console, "no difference")
    elif "old_verdict" in rows[0]:
        _print_files(rows, console)
    else:
        _print_tuned(rows, console)
    bullets(console, "To bear in mind", answer.get("warnings", ()))


def _print_tuned(rows: list[Mapping[str, Any]], console: Console) -> None:
    """A table per key: a key is a sentence, and would leave the columns beside it no room."""
    for key in dict.fromkeys(row.get("key") for row in rows):
        if key is not None:
            heading(console, key)
        console.print(_table_of([row for row in rows if row.get("key") == key]))


def _table_of(rows: list[Mapping[str, Any]]) -> Table:
    scales = [kept_scale(row.get("unit"), row.get("per_percent")) for row in rows]
    unit = common_unit(scales)
    names = (
        "setting",
        "default",
        "tuned",
        "verdict",
        f"gain {unit}".rstrip(),
        f"bounds {unit}".rstrip(),
        "seeds",
    )
    table = plain_table(*names, flexible=())
    for row, scale in zip(rows, scales, strict=True):
        tuned = number(row["tuned"]) if row["changed"] else "same"
        effect, *ends = (gain(scale.known(row[name])) for name in ("effect_percent", "lower", "upper"))
        table.add_row(
            row["setting"],
            number(row["default"]),
            tuned,
            clean(row["verdict"] or row["scope"]),
            effect if row["seeds"] else "",
            " to ".join(ends) if row["seeds"] else "",
            str(len(row["seeds"]) or ""),
        )
    return table


def _print_files(rows: list[Mapping[str, Any]], console: Console) -> None:
    table = plain_table("setting", "old", "verdict", "new", "verdict", "key", flexible=("key",))
    for row in rows:
        table.add_row(
            row["setting"],
            number(row["old"]),
            clean(row["old_verdict"] or ""),
            number(row["new"]),
            clean(row["new_verdict"] or ""),
            clean(row["key"]),
        )
    console.print(table)
