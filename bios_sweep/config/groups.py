"""The groups: our own files as they land in the configuration, and which member a given path belongs to.

`data.path=F` beside the embedded data would otherwise train on the embedded data: nothing reads the path
there. So giving the path chooses the member that reads it. Who chose another member in so many words is not
overruled; `config.refused` refuses that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.config.places import config_root
from bios_sweep.containers.files import ENDINGS
from bios_sweep.hub.cache import HUB_ID

GLOBAL = "# @package _global_"

# group -> the member that reads `path`, and the members that a person gets who chose none
MEMBERS = {"data": ("file", ("embedded",)), "model": ("local", ("embedded", "named"))}

LONGEST_ID = 96  # characters, https://huggingface.co/docs/huggingface_hub (validate_repo_id)
OF_THE_HUB = {"model": ("local", "path"), "data": ("hub", "name")}  # the member, and the key of ORG/NAME


@cache
def group_names() -> tuple[str, ...]:
    """The groups that have files of ours, `sweeps` left out."""
    return tuple(sorted(path.name for path in (config_root() / "conf").iterdir() if path.is_dir()))


@cache
def member_names(group: str) -> tuple[str, ...]:
    """The members of a group that come with the package."""
    return tuple(sorted(path.stem for path in (config_root() / "conf" / group).glob("*.yaml")))


@cache
def shipped_sweeps() -> tuple[str, ...]:
    """The sweeps that come with the package."""
    return tuple(sorted(path.stem for path in (config_root() / "sweeps").glob("*.yaml")))


@cache
def member_values(group: str, member: str | None) -> Mapping[str, Any]:
    """The values that a member brings, from the configuration's top; nothing for a user's own."""
    folder = config_root() / ("sweeps" if group == "sweeps" else f"conf/{group}")
    path = folder / f"{member}.yaml"
    if member is None or not path.is_file():
        return {}
    values = file_values(path)
    return values if path.read_text(encoding="utf-8").startswith(GLOBAL) else {group: values}


@cache
def member_keys(group: str, member: str) -> frozenset[str]:
    """The keys that a member of ours gives its group, those of the files that its defaults name included."""
    path = config_root() / "conf" / group / f"{member}.yaml"
    text = path.read_text(encoding="utf-8")
    values = _read(text)
    bases = [name for name in values.pop("defaults", ()) if isinstance(name, str) and name != "_self_"]
    own = values.get(group, {}) if text.startswith(GLOBAL) else values
    near = (member_keys(group, base) for base in bases if path.with_name(f"{base}.yaml").is_file())
    return frozenset(own).union(*near)


def file_values(path: Path) -> dict[str, Any]:
    """The values of a file of ours over those of the files beside it that its defaults name."""
    values: dict[str, Any] = _read(path.read_text(encoding="utf-8"))
    bases = [path.with_name(f"{name}.yaml") for name in values.pop("defaults", ()) if isinstance(name, str)]
    for base in filter(Path.is_file, bases):
        values = file_values(base) | values
    return values


def _read(text: str) -> Any:
    """By the parser in C, as far as there is one, for every command asks for many files.

    OmegaConf, which takes a tenth of a second, has another idea of values than YAML (`1e-3` is a text there);
    our files are written so that both read the same, which a test holds them to.
    """
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def members_of_paths(values: Mapping[str, Any], chooser: Mapping[str, str]) -> dict[str, str]:
    """Group -> the member to choose, for each group whose path is given and whose member nobody chose.

    values: the composed configuration. chooser: who chose a group's member, see `chosen_by_a_person`.
    """
    found = {}
    for group, (member, unchosen) in MEMBERS.items():
        given = values.get(group)
        if not isinstance(given, Mapping) or given.get("path") is None:  # an empty one is refused there
            continue
        if given.get("kind") in unchosen and not chosen_by_a_person(group, chooser):
            found[group] = member
    return found


def with_hub_models(overrides: Sequence[str], roots: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Overrides where `model=ORG/NAME` or `data=ORG/NAME` is of the hub, and a sentence for each.

    roots: where files of groups are looked for.
    """
    found: list[str] = []
    notes: list[str] = []
    for word in overrides:
        key, _, value = word.partition("=")
        value = value.strip("'\"")  # as it was typed
        if key not in OF_THE_HUB or not HUB_ID.fullmatch(value) or _is_there(key, value, roots):
            found.append(word)
            continue
        member, name = OF_THE_HUB[key]
        found += [f"{key}={member}", f"{key}.{name}={value}"]
        notes.append(chosen_by(word, f"{key}={member} {key}.{name}={value}"))
    return found, notes


def _is_there(key: str, value: str, roots: Sequence[Path]) -> bool:
    """Whether what looks like a hub id is a path or a member in a folder."""
    if len(value) > LONGEST_ID or Path(value).suffix in ENDINGS:
        return True
    files = [root / inside / key / f"{value}.yaml" for root in roots for inside in ("", "conf")]
    return Path(value).exists() or any(map(Path.is_file, files))


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
