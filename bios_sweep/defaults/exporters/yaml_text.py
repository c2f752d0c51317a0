"""YAML with a comment above each key, read the same by PyYAML and OmegaConf: no exponents, no anchors.

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
WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def yaml_text(
    sections: Mapping[str, Mapping[str, Any]], comments: Mapping[str, Mapping[str, str]], head: list[str]
) -> str:
    """Sections of plain values as YAML. The section "" is not indented; head: comment lines on top."""
    lines = [comment(text) for text in head]
    for section, values in sections.items():
        lines += ["", f"{section}:"] if section else [""]
        indent = "  " if section else ""
        for key, value in values.items():
            text = comments.get(section, {}).get(key, "")
            lines += [indent + comment(text)] if text else []
            lines.append(f"{indent}{key}: {scalar(value)}")
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
    return decimal_json(value)
