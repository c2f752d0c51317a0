"""YAML with comments above its keys, read the same by PyYAML and OmegaConf: no anchors, and a number is one.

PyYAML takes 1e-8 for text: a small number has a point and a signed exponent, 1.0e-8.

Comments and texts come from files of other people, so nothing of them may start a line of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bios_sweep.defaults.tuned_file import decimal_json

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
EXPONENT = re.compile(r"\b\d+(?:\.\d+)?e[-+]?\d{1,3}\b")
LEAST_DECIMAL = 1e-4  # below it nobody counts the zeros
ASIDE = "As bios-sweep itself trains, without evidence that it matters; set what suits your data and devices:"
WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def yaml_text(
    sections: Mapping[str, Mapping[str, Any]],
    comments: Mapping[str, Mapping[str, str]],
    head: list[str],
    aside: Mapping[str, Mapping[str, Any]],
) -> str:
    """Sections of plain values as YAML. The section "" is not indented; head: comment lines on top.

    aside: section -> key -> value of keys that stand commented out. A comment that two keys have in a row
    stands once.
    """
    lines = [comment(text) for text in head]
    for section, values in sections.items():
        lines += ["", f"{section}:"] if section else [""]
        texts, before = comments.get(section, {}), ""
        inner = []
        for key, value in values.items():
            text = texts.get(key, "")
            inner += [comment(text)] if text and text != before else []
            inner.append(f"{key}: {scalar(value)}")
            before = text
        inner += [comment(ASIDE)] if aside.get(section) else []
        for key, value in aside.get(section, {}).items():
            text = texts.get(key, "")
            inner.append(f"# {key}: {scalar(value)}{f'  {comment(text)}' if text else ''}")
        lines += [f"{'  ' if section else ''}{line}" for line in inner]
    return "\n".join(lines) + "\n"


def comment(text: str) -> str:
    """A comment on one line, without control characters; numbers in it are decimals too."""
    text = EXPONENT.sub(lambda found: format(Decimal(found.group()), "f"), text)
    return "# " + " ".join("".join(char if char.isprintable() else " " for char in text).split())


def scalar(value: Any) -> str:
    """One value, in one line; text is quoted unless it is a plain word that YAML takes for text."""
    if isinstance(value, str):
        plain = PLAIN.fullmatch(value) and value.casefold() not in WORDS_OF_YAML
        return value if plain else json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float) and 0 < abs(value) < LEAST_DECIMAL:
        digits, _, power = f"{Decimal(repr(value)):e}".partition("e")
        return f"{digits if '.' in digits else f'{digits}.0'}e{power}"
    return decimal_json(value)
