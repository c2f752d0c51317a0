"""`defaults merge FILE... -o OUT`: many tuned-defaults files as one collection."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from bios_sweep import defaults
from bios_sweep.atomic import require_folder
from bios_sweep.cli.defaults_served import tuned_files
from bios_sweep.defaults.merge import NEWEST, REFUSE, directions_apart
from bios_sweep.errors import DefaultsError


def run(args: Namespace) -> int:
    """Read, merge and write; nothing is written unless all of it holds."""
    if args.output is None:
        raise DefaultsError("`defaults merge` needs -o FILE, the file to write")
    require_folder(args.output)
    files = tuned_files(args.operands)
    sources = [(str(file), entry) for file in files for entry in defaults.read_entries(file)]
    entries = defaults.merge(sources, on_conflict=NEWEST if args.newest else REFUSE)
    if not entries:
        raise DefaultsError(f"{args.operands[0]}: nothing to merge, no entry says a word about any setting")
    defaults.write_entries(args.output, entries)
    if args.json:
        print(json.dumps(_answer(args, files, entries), indent=1))
        return 0
    print(f"wrote {args.output}; entries {len(entries)}, files read {len(files)}")
    for entry in entries:
        judged = f" (judged on {entry.judged_on})" if entry.judged_on else ""
        print(f"  {entry.key.words}: {', '.join(_served(entry)) or 'nothing decided'}{judged}")
    for text in _warnings(entries):
        print(f"to bear in mind: {text}")
    return 0


def _served(entry: defaults.TunedDefaults) -> list[str]:
    """Settings with a value, those of one profile alone with its name."""
    own = [f"{name} ({profile})" for profile, values in entry.profiles.items() for name in values]
    return [*entry.values, *own]


def _warnings(entries: Sequence[defaults.TunedDefaults]) -> list[str]:
    """What entries say of themselves, by key, and what two of them say against each other."""
    own = [f"{entry.key.words}: {text}" for entry in entries if entry.values for text in entry.warnings]
    return [*own, *directions_apart(entries)]


def _answer(
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
