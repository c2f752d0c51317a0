"""The page of every configuration key, as the site shows it.

Run as a script it prints the page; `make docs` makes it part of the site.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from bios_sweep.config.keys import Option, chosen, joined, read_conf
from bios_sweep.reference.listed import ListedKey, listed_keys

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# Configuration keys

Every key that the files in `conf/` set, with what may stand there (a type and its range, words, `null` where
it may be left open; then the unit) and its default. `bios-sweep keys WORD` finds the same. A key is set on
the command line (`decision.alpha=0.1`), a whole group by one of its options (`cluster=inline`). Made from
those files and from the checks of the values when the site is built. What varies in a study stands in a
sweep file of its own (`sweeps=NAME`).
"""


def page(conf: Path) -> str:
    """The whole page as Markdown: a section per group, a row per key."""
    options, taken = read_conf(conf), chosen(conf)
    keys = listed_keys(conf)
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


def _table(keys: list[ListedKey], default: str) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for path in dict.fromkeys(key.path for key in keys):
        rows.append(_row([key for key in keys if key.path == path], default))
    return "\n".join(rows) + "\n"


def _row(found: list[ListedKey], default: str) -> str:
    """What the taken option says stands first, without its name; the others are named where they differ."""
    main = next((key for key in found if key.option in (default, "")), None)
    values = _differing([(key.option, f"`{key.value}`") for key in found], f"`{main.value}`" if main else "")
    comments = _differing([(key.option, key.comment) for key in found], main.comment if main else "")
    kinds = _differing([(key.option, key.kind.allowed) for key in found], main.kind.allowed if main else "")
    told = _safe(joined(*comments))
    return f"| `{found[0].path}` | {_safe('; '.join(kinds))} | {'; '.join(values)} | {told} |"


def _differing(pairs: list[tuple[str, str]], main: str) -> list[str]:
    """The main text, then each other one behind the options that say it."""
    by_text: dict[str, list[str]] = {}
    for option, text in pairs:
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
