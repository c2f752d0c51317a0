"""The sweep file that a first evening begins with: what is in doubt, of which model, on which data. Pure.

One file says all of it, so that the commands that follow name nothing else. Every choice stands in it with a
comment, for the file is where its reader goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

EMBEDDED = "embedded"
LEVELS: Mapping[str, tuple[str, str]] = {  # a setting that may be in doubt -> its levels, and why these
    "learning_rate": ("{multiply: [0.25, 0.5, 2, 4]}", "times the default's value: which way, and how far"),
    "batch_size": ("{multiply: [0.5, 2]}", "the guide's 64 for quality and 256 for speed beside its 128"),
    "lora_rank": ("{values: [8, 128]}", "far below and far above: is the default enough, is less?"),
    "max_steps": ("{multiply: [0.5, 2]}", "half as long, twice as long"),
}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What was asked for.

    model, data: the group that reads each, and where it is (empty: what comes with the package). doubts:
    settings. cluster: the group, and the address of one that runs already. download: what is not in the local
    cache may be fetched. small: the budget of the demo. made_by, runs: commands on one line each, told in the
    file's head.
    """

    model: tuple[str, str]
    data: tuple[str, str]
    doubts: tuple[str, ...]
    cluster: tuple[str, str]
    download: bool
    small: bool
    made_by: str
    runs: str


def draft_text(draft: Draft) -> str:
    """The file, which composes as any other sweep's does."""
    lines = [
        "# @package _global_",
        f"# Made by `{draft.made_by}`; run it with",
        f"#   {draft.runs}",
        "# Change what you like: `bios-sweep keys WORD` explains every key, and the command line still wins.",
        "",
        *_groups(draft),
        *_source("model", draft.model, "path", draft.download),
        *_data(draft),
        *_address(draft),
        "",
        *_sweep(draft.doubts),
    ]
    return "\n".join(lines) + "\n"


def _groups(draft: Draft) -> list[str]:
    groups = {"model": draft.model[0], "data": draft.data[0], "cluster": draft.cluster[0]}
    small = (
        ["  - override /budget: demo # 100 steps of 32 examples: minutes on a laptop"] if draft.small else []
    )
    return ["defaults:", *(f"  - override /{group}: {name}" for group, name in groups.items()), *small]


def _source(group: str, source: tuple[str, str], key: str, download: bool) -> list[str]:
    """Where model or data are; nothing of what comes with the package."""
    kind, place = source
    if kind == EMBEDDED:
        return []
    fetched = ["  download: true # from the hub, pinned to its commit"] if download else []
    return [f"{group}:", f"  {key}: {quoted(place)}", *fetched]


def _data(draft: Draft) -> list[str]:
    hub = draft.data[0] == "hub"
    lines = _source("data", draft.data, "name" if hub else "path", draft.download and hub)
    if lines and draft.small:
        lines.append("  eval_examples: null # a tenth is held out; the demo's 500 may be more than there is")
    return lines


def _address(draft: Draft) -> list[str]:
    address = draft.cluster[1]
    return ["cluster:", f"  address: {quoted(address)} # of a Ray cluster that runs"] if address else []


def _sweep(doubts: tuple[str, ...]) -> list[str]:
    names = ", ".join(doubts[:-1]) + (" and " if len(doubts) > 1 else "") + doubts[-1]
    right = "Is the default" if len(doubts) == 1 else "Are the defaults of"
    width = max(len(f"{name}: {LEVELS[name][0]}") for name in doubts)
    return [
        "sweeps:",
        f"  question: {right} {names} right for this model and this data?",
        "  factors:",
        *(f"    {f'{name}: {LEVELS[name][0]}':<{width}} # {LEVELS[name][1]}" for name in doubts),
    ]


def quoted(text: str) -> str:
    """A text that YAML reads to the letter, and OmegaConf without filling anything in."""
    literal = text.replace("${", "\\${")
    inside = (
        char if char.isprintable() and char not in '"\\' else json.dumps(char)[1:-1] for char in literal
    )
    return f'"{"".join(inside)}"'
