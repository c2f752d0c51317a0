"""One thing that was looked at, and all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bios_sweep.vocabulary import Health


@dataclass(frozen=True, kw_only=True)
class Line:
    """check: what was looked at; found: what was seen; way_out: what to do, empty where nothing is."""

    check: str
    state: Health
    found: str
    way_out: str = ""


def ok(check: str, found: str) -> Line:
    """As it should be."""
    return Line(check=check, state=Health.OK, found=found)


def warning(check: str, found: str, way_out: str) -> Line:
    """A run works, perhaps not as it was meant to."""
    return Line(check=check, state=Health.WARNING, found=found, way_out=way_out)


def red(check: str, found: str, way_out: str) -> Line:
    """A run would fail, or not be the run that was asked for."""
    return Line(check=check, state=Health.RED, found=found, way_out=way_out)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything that was looked at.

    versions: of Python, this package and what it stands on; absent packages have none. workspace: the folder
    that a run would write to. red, warnings: how many of the lines are.
    """

    host: str
    workspace: str
    tracking: str
    versions: Mapping[str, str | None]
    lines: tuple[Line, ...]
    red: int
    warnings: int
