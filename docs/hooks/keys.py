"""The page of every configuration key, made from `conf/` and the list of settings: nothing is written twice.

A key's default is the text that stands in the file, its meaning the comment beside it (or right above); a
setting's are those of `bios_sweep.settings` and of the heuristics. Run as a script it prints the page;
`make docs` makes it part of the site.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from bios_sweep.defaults.rules import setting_heuristic
from bios_sweep.settings import baseline_values

ROOT = Path(__file__).resolve().parents[2]
GLOBAL = "# @package _global_"
ROOT_FILE = "config.yaml"
HEAD = """# Configuration keys

Every key that the files in `conf/` set, with its default. A key is overridden on the command line
(`decision.alpha=0.1`), a whole group by one of its options (`cluster=inline`). Made from those files when the
site is built. What varies in a study stands in a sweep file of its own (`sweeps=NAME`).
"""


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
        if not path and key.value == "defaults":
            continue
        own = _joined(_above(key, node, lines), _beside(value, lines)) or comment
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _keys(value, [*path, key.value], option, lines, own if value.flow_style else "")
        else:
            text = _as_written(value, lines)
            yield Key(path=".".join([*path, key.value]), option=option, value=text, comment=own)


def _above(key: yaml.Node, node: yaml.MappingNode, lines: list[str]) -> str:
    """Comment lines right above a key at its own depth; those above the first one are about the whole."""
    place, found = key.start_mark.line - 1, []
    if node.flow_style or key.start_mark.line == node.start_mark.line:
        return ""
    while place >= 0 and re.match(rf" {{{key.start_mark.column}}}#", lines[place]):
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
    return _commented(rest.strip()) if rest.strip().startswith("#") else ""


def _as_written(value: yaml.Node, lines: list[str]) -> str:
    start, end = value.start_mark, value.end_mark
    return lines[start.line][start.column : end.column] if start.line == end.line else "..."


def _commented(line: str) -> str:
    return line.strip().removeprefix("#").strip()


def _joined(*comments: str) -> str:
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


def page(conf: Path) -> str:
    """The whole page as Markdown: a section per group, a row per key."""
    options, taken = read_conf(conf), chosen(conf)
    keys = [key for option in options for key in option.keys]
    groups = dict.fromkeys([*taken, *(key.path.partition(".")[0] for key in keys if "." in key.path)])
    alone = [key for key in keys if "." not in key.path]
    parts = [HEAD, _table(alone, "")]
    for group in groups:
        own = [option for option in options if option.group == group]
        default = f"{group}={taken.get(group, '')}"
        inside = [key for key in keys if key.path.startswith(f"{group}.")]
        inside.sort(key=lambda key: (key.option != default, not key.option.startswith(f"{group}=")))
        if own or inside:
            parts += [f"## {group}\n", *_choices(own, default), _table(inside, default)]
    return "\n".join(parts)


def _choices(options: list[Option], default: str) -> Iterator[str]:
    for option in options:
        taken = " (taken unless another is chosen)" if option.label == default else ""
        yield f"- `{option.label}`{taken}: {_safe(option.about)}"
    yield ""


def _table(keys: list[Key], default: str) -> str:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for path in dict.fromkeys(key.path for key in keys):
        rows.append(_row([key for key in keys if key.path == path], default))
    return "\n".join(rows) + "\n"


def _row(found: list[Key], default: str) -> str:
    """What the taken option says stands first, without its name; the others are named where they differ."""
    main = next((key for key in found if key.option in (default, "")), None)
    values = _differing([(key.option, f"`{key.value}`") for key in found], f"`{main.value}`" if main else "")
    comments = _differing([(key.option, key.comment) for key in found], main.comment if main else "")
    return f"| `{found[0].path}` | {'; '.join(values)} | {_safe(_joined(*comments))} |"


def _differing(told: list[tuple[str, str]], main: str) -> list[str]:
    """The main text, then each other one behind the options that say it."""
    by_text: dict[str, list[str]] = {}
    for option, text in told:
        if text and text != main:
            by_text.setdefault(text, []).append(f"`{option}`")
    others = [f"{', '.join(options)}: {text}" for text, options in by_text.items()]
    return [main, *others] if main else others


def _safe(text: str) -> str:
    """Text of a comment as Markdown in a table, with links to the pages that it names."""
    escaped = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
    return re.sub(r"\bdocs/(\w+\.md)", r"[\1](\1)", escaped)


if __name__ == "__main__":
    sys.stdout.write(page(ROOT / "conf"))
