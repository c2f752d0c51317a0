"""A path belongs to one member of its group, and giving the path chooses that member.

`data.path=F` beside the embedded data would otherwise train on the embedded data: nothing reads the path
there. Who chose another member in so many words is not overruled; `config.idle` refuses that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# group -> the member that reads `path`, and the members that a person gets who chose none
MEMBERS = {"data": ("jsonl", ("embedded",)), "model": ("local", ("embedded", "named"))}


def members_of_paths(values: Mapping[str, Any], chooser: Mapping[str, str]) -> dict[str, str]:
    """Group -> the member to choose, for each group whose path is given and whose member nobody chose.

    values: the composed configuration. chooser: who chose a group's member, see `chosen_by_a_person`.
    """
    found = {}
    for group, (member, unchosen) in MEMBERS.items():
        given = values.get(group)
        if not isinstance(given, Mapping) or not given.get("path"):
            continue
        if given.get("kind") in unchosen and not chosen_by_a_person(group, chooser):
            found[group] = member
    return found


def depends_on_choice(values: Mapping[str, Any]) -> bool:
    """Whether it matters who chose the members: to know it takes Hydra another reading of all files."""
    data, model = values.get("data"), values.get("model")
    if not isinstance(data, Mapping) or not isinstance(model, Mapping):
        return False
    without_data = model.get("kind") == "planted" and data.get("kind") != "planted"
    return bool(members_of_paths(values, {}) or without_data or values.get("submit"))


def chosen_by_a_person(group: str, chooser: Mapping[str, str]) -> bool:
    """Whether a command line or a person's own file chose the group's member.

    chooser: group -> the file whose defaults chose it, or `command line`; a group that is not listed has
    the member of config.yaml. A method chooses the model that it can do without: nobody asked for that one.
    """
    by = chooser.get(group)
    return by is not None and not by.startswith("method/")


def chosen_by(key: str, choice: str) -> str:
    """The sentence for the plan: a key that is given chose a member."""
    return f"{key} is given: {choice} is chosen"
