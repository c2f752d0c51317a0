"""In what gains are told: a value that knows its unit writes itself. Standard library only.

Decisions are made in percent of the default's mean, whatever is told: of a score, a share of right answers,
people speak in points, for a percent of it sounds like one; of a metric that may be 0 or less (a reward), in
its own unit, for a percent of it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

PERCENT, POINTS, OWN = "%", "points", ""  # units in which a gain is told; the last: the metric's own


class Own(float):
    """A number in a metric's own unit, of which nobody knows how many decimals it has: three digits."""

    def __format__(self, spec: str) -> str:
        if not spec.endswith("f"):
            return super().__format__(spec)
        if abs(self) >= 100.0:
            return super().__format__(f"{spec[:1] if spec.startswith('+') else ''}.0f")
        text = format(Decimal(f"{float(self):.3g}"), "f")
        return f"+{text}" if spec.startswith("+") and not text.startswith("-") else text


def in_unit(value: float, unit: str) -> float:
    """A number of `unit` that is written as such."""
    return Own(value) if unit == OWN else value


def headed(name: str, unit: str) -> str:
    """A column's name with its unit: `gain, %`, of the metric's own unit `gain`."""
    return f"{name}, {unit}" if unit else name


@dataclass(frozen=True)
class Scale:
    """How gains are told. per_percent: one percent of the default's mean, in `unit`."""

    per_percent: float = 1.0
    unit: str = PERCENT

    @property
    def word(self) -> str:
        """The unit as a name has it, where no sign may stand."""
        return "percent" if self.unit == PERCENT else self.unit or "in its own unit"

    @property
    def kept(self) -> dict[str, str | float]:
        """What is written beside numbers in percent, so that a reader can tell them; nothing of percent."""
        return {} if self.unit == PERCENT else {"unit": self.unit, "per_percent": self.per_percent}

    def number(self, percent: float) -> float:
        """A gain in `unit`."""
        return in_unit(percent * self.per_percent, self.unit)

    def known(self, percent: float | None) -> float | None:
        """The same where it may be unknown."""
        return None if percent is None else self.number(percent)

    def told(self, percent: float) -> Told:
        """A gain that is written in `unit`, with it."""
        return Told(percent, self)


class Told(float):
    """A gain in percent that writes itself in the unit of its scale: `+1.22 %`, `+0.98 points`."""

    scale: Scale

    def __new__(cls, percent: float, scale: Scale) -> Told:
        """percent: of the default's mean."""
        told = super().__new__(cls, percent)
        told.scale = scale
        return told

    def __format__(self, spec: str) -> str:
        return with_unit(format(self.scale.number(float(self)), spec), self.scale.unit)


def kept_scale(unit: str | None, per_percent: float | None) -> Scale:
    """Inverse of `Scale.kept`; None of both: percent."""
    return Scale() if unit is None or per_percent is None else Scale(per_percent, unit)


def with_unit(text: str, unit: str) -> str:
    """`1.2 %`, `2 points`, `1 point`, `0.05`."""
    return f"{text} {unit[:-1] if unit == POINTS and text.lstrip('+-') == '1' else unit}".rstrip()


def common_unit(scales: Iterable[Scale]) -> str:
    """The unit of a table over several judgements; all of them judge one metric."""
    units = {scale.unit for scale in scales}
    return next((unit for unit in (POINTS, OWN) if unit in units), PERCENT)
