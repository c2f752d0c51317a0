"""An object that is printed on several lines, as `json.dumps(..., indent=2)` and `pprint` do. Pure."""

from __future__ import annotations

from bios_sweep.engines.scripted.in_text import LONGEST_TOLD

MOST_LINES = 1000  # chosen: what is longer is no list of metrics


class Spread:
    """Puts the lines of one stream's objects together; each line is still read for itself as well."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = self._depth = 0

    @property
    def opened_behind(self) -> str:
        """What stands before the object that is open; empty where none is, or nothing does."""
        return self._lines[0].partition("{")[0] if self._lines else ""

    def take(self, text: str) -> str:
        """The whole object, with what stands before it, where this line ends it; else empty.

        Braces are counted wherever they stand, so that a text with one of them in it hides its object.
        """
        if not self._lines and "{" not in text:
            return ""
        self._lines.append(text)
        self._size += len(text)
        self._depth += text.count("{") - text.count("}")
        if self._depth > 0 and len(self._lines) < MOST_LINES and self._size < LONGEST_TOLD:
            return ""
        whole = "\n".join(self._lines) if self._depth == 0 and len(self._lines) > 1 else ""
        self._lines, self._size, self._depth = [], 0, 0
        return whole
