"""Every configuration key, read from `conf/` and the list of settings: nothing is written twice.

A key's default is the text that stands in the file, its meaning the comment beside it (or right above), which
goes on in lines that begin with `#   `; a setting's are those of `bios_sweep.settings` and of the heuristics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.defaults.rules import setting_heuristic
from bios_sweep.settings import baseline_values

GLOBAL = "# @package _global_"
GOES_ON = re.compile(r"\s*#\s{3,}")  # a line of the comment beside the key before
ROOT_FILE = "config.yaml"


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key in one file. path: dotted. option: `group=name`, empty for `config.yaml`. value: as written."""

    path: str
    option: str
    value: str
    comment: str


@dataclass(frozen=True, kw_only=True)
class Option:
    """One file of a group. about: the comment that it begins with."""

    group: str
    name: str
    about: str
    keys: tuple[Key, ...]

    @property
    def label(self) -> str:
        """As it is chosen on the command line."""
        return f"{self.group}={self.name}"


def read_option(file: Path, conf: Path) -> Option:
    """One YAML file as its keys, in its order; Hydra's own list of defaults is none of them."""
    text = file.read_text()
    group = "" if file.parent == conf else file.parent.relative_to(conf).as_posix()
    option = f"{group}={file.stem}" if group else ""
    prefix = group.split("/") if group and GLOBAL not in text else []
    lines = text.splitlines()
    root = yaml.compose(text)
    keys = tuple(_keys(root, prefix, option, lines)) if isinstance(root, yaml.MappingNode) else ()
    first = root.start_mark.line if isinstance(root, yaml.MappingNode) else len(lines)
    about = " ".join(_commented(line) for line in lines[:first] if line.startswith("#") and line != GLOBAL)
    return Option(group=group, name=file.stem, about=about, keys=keys)


def _keys(
    node: yaml.MappingNode, path: list[str], option: str, lines: list[str], comment: str = ""
) -> Iterator[Key]:
    """The leaves of a mapping; in a flow mapping they share the comment of its line."""
    for key, value in node.value:
        if key.value == "defaults" and isinstance(value, yaml.SequenceNode):
            continue
        own = joined(_above(key, node, lines), _beside(value, lines)) or comment
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _keys(value, [*path, key.value], option, lines, own if value.flow_style else "")
        else:
            text = _as_written(value, lines)
            yield Key(path=".".join([*path, key.value]), option=option, value=text, comment=own)


def _above(key: yaml.Node, node: yaml.MappingNode, lines: list[str]) -> str:
    """Comment lines right above a key at its own depth; those above the first one are about the whole."""
    place = key.start_mark.line - 1
    found: list[str] = []
    if node.flow_style or key.start_mark.line == node.start_mark.line:
        return ""
    own = re.compile(rf" {{{key.start_mark.column}}}#")
    while place >= 0 and own.match(lines[place]) and not GOES_ON.match(lines[place]):
        found.insert(0, _commented(lines[place]))
        place -= 1
    return " ".join(found)


def _beside(value: yaml.Node, lines: list[str]) -> str:
    """The comment behind a value that ends on the line it began on, or on the line of a block's key."""
    line = value.start_mark.line
    if isinstance(value, yaml.CollectionNode) and not value.flow_style:
        found = re.search(r":\s+#(.*)$", lines[line - 1]) if line else None
        return found[1].strip() if found else ""
    rest = lines[line][value.end_mark.column :] if value.end_mark.line == line else ""
    if not rest.strip().startswith("#"):
        return ""
    more = takewhile(GOES_ON.match, lines[line + 1 :])
    return " ".join(_commented(text) for text in (rest, *more))


def _as_written(value: yaml.Node, lines: list[str]) -> str:
    start, end = value.start_mark, value.end_mark
    return lines[start.line][start.column : end.column] if start.line == end.line else "..."


def _commented(line: str) -> str:
    return line.strip().removeprefix("#").strip()


def joined(*comments: str) -> str:
    """Comments as one sentence, those that say nothing left out."""
    told = [comment for comment in comments if comment]
    return "; ".join([*(comment.removesuffix(".") for comment in told[:-1]), *told[-1:]])


def read_settings() -> Option:
    """The settings of a trial, which no file lists."""
    keys = tuple(
        Key(
            path=f"{group}.{name}",
            option="",
            value="null" if value is None else f"{value}",
            comment=setting_heuristic(name)["does"],
        )
        for group, values in baseline_values().items()
        for name, value in values.items()
    )
    return Option(group="", name="settings", about="", keys=keys)


def read_conf(conf: Path) -> tuple[Option, ...]:
    """`config.yaml` first, then the settings and every group's files in the order of their names."""
    files = sorted(conf.glob("*/*.yaml"))
    first, *others = (read_option(file, conf) for file in (conf / ROOT_FILE, *files))
    return (first, read_settings(), *others)


def chosen(conf: Path) -> dict[str, str]:
    """Group -> the option that `config.yaml` takes, in its order; `null` where none."""
    entries = yaml.safe_load((conf / ROOT_FILE).read_text())["defaults"]
    return {
        group: str(name or "null") for one in entries if isinstance(one, dict) for group, name in one.items()
    }
