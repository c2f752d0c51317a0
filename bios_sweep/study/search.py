"""What a search may try: ranges around the moved factors, and the proposals that come out of them.

Screening tests one factor at a time on a grid; the refinement searches the moved factors jointly,
inside their brackets. Values are kept readable and few: a proposal becomes a trial, and a trial's key is
a hash of its settings, so `0.0003121` must never come back as `0.00031209999`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.errors import PlanError
from bios_sweep.settings import KNOWN, is_whole
from bios_sweep.vocabulary import Status

SIGNIFICANT_DIGITS = 4  # chosen, not measured: a step of 0.01-0.1 %, far below any effect of a setting


@dataclass(frozen=True, kw_only=True)
class SearchRange:
    """Where one setting may move, both ends included. log: equal ratios count as equal distances.

    Raises:
        PlanError: an empty or infinite range, or an end that the scale cannot hold.
    """

    setting: str
    low: float
    high: float
    whole: bool = False
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise PlanError(
                f"search of {self.setting}: [{self.low!r}, {self.high!r}] is no range; low must be below high"
            )
        if self.log and self.low <= 0:
            raise PlanError(f"search of {self.setting}: {self.low!r} is not allowed on a log scale; above 0")
        if self.whole and (self.low != int(self.low) or self.high != int(self.high)):
            raise PlanError(
                f"search of {self.setting}: [{self.low!r}, {self.high!r}] is not allowed; whole numbers only"
            )

    @classmethod
    def within(cls, setting: str, low: float, high: float, *, whole: bool = False) -> SearchRange:
        """The range between a factor's bracket ends; the scale follows from the setting, where it is known.

        whole: the setting counts something; its ends move inwards to whole numbers.
        """
        known = KNOWN.get(setting)
        whole = whole or is_whole(setting)
        if whole and math.isfinite(low) and math.isfinite(high):
            low, high = math.ceil(low), math.floor(high)
        return cls(
            setting=setting, low=low, high=high, whole=whole, log=bool(known and known.scaled) and low > 0
        )

    def contains(self, value: Any) -> bool:
        """Whether a value lies in the range and is of its kind."""
        if not is_number(value):
            return False
        return self.low <= value <= self.high and (not self.whole or value == int(value))

    def readable(self, value: float) -> int | float:
        """The nearest value with few digits that is still in the range; an int for whole numbers."""
        inside = min(max(value, self.low), self.high)
        if self.whole:
            return round(inside)
        rounded = float(f"{inside:.{SIGNIFICANT_DIGITS}g}")
        return float(min(max(rounded, self.low), self.high))


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The ranges that are searched jointly, and what is tried first.

    starts: values per setting of known points, the default's own first; proposed before anything else
    and to the last digit, so that trials that exist already are found again. Starts that leave out a
    setting, or lie outside (the default, when the bracket has moved past it), are not proposed.

    Raises:
        PlanError: no range, or one setting twice.
    """

    ranges: tuple[SearchRange, ...]
    starts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not self.ranges:
            raise PlanError("search: no range is given; at least one factor must have moved")
        twice = [name for name in self.settings if self.settings.count(name) > 1]
        if twice:
            raise PlanError(f"search: {twice[0]} has two ranges; give one per setting")

    @property
    def settings(self) -> tuple[str, ...]:
        """Names of the searched settings, in order."""
        return tuple(one.setting for one in self.ranges)

    @property
    def first(self) -> tuple[dict[str, Any], ...]:
        """The starts that lie in the space, each once, in order."""
        inside: list[dict[str, Any]] = []
        for start in self.starts:
            values = {name: start[name] for name in self.settings if name in start}
            if self._contains(values) and values not in inside:
                inside.append(values)
        return tuple(inside)

    def readable(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Raw values as they go into a trial; a start stays as it is, whatever its digits."""
        for start in self.first:
            if all(start[name] == values[name] for name in self.settings):
                return start
        return {one.setting: one.readable(values[one.setting]) for one in self.ranges}

    def _contains(self, values: Mapping[str, Any]) -> bool:
        return all(one.setting in values and one.contains(values[one.setting]) for one in self.ranges)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What to try next. number: counts from 0 over the whole search, across processes."""

    number: int
    values: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the journal."""
        return {"number": self.number, "values": dict(self.values)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Proposal:
        """Inverse of `to_dict`."""
        return cls(number=values["number"], values=values["values"])


@dataclass(frozen=True, kw_only=True)
class KnownProposal:
    """A proposal as the sweep's journal knows it, told to a search that was interrupted.

    status: completed (with its `objectives`), diverged, failed (no outcome), or None: still to be run.
    """

    proposal: Proposal
    status: str | None = None
    objectives: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.status not in (None, Status.COMPLETED, Status.DIVERGED, Status.FAILED):
            raise PlanError(f"search: {self.status!r} is no status of a proposal")
        if (self.status == Status.COMPLETED) != (self.objectives is not None):
            raise PlanError(
                f"search: proposal {self.proposal.number} is {self.status} with objectives "
                f"{self.objectives!r}; a completed one has objectives, any other none"
            )
