"""Checks of single values, with refusals in one voice: `KEY: VALUE is not allowed; WHAT IS`.

A check takes the key as the user knows it and gives the value back, or raises the refusal. True and False
are no numbers here, though Python counts with them. error: the class of the refusal, an `InputError`, for
rooms that promise one of their own.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bios_sweep.errors import ConfigError, InputError

SHOWN = 200  # characters of a value in a refusal; chosen: a line or two of a terminal
# A size that a number of ours may have. Beyond it products and powers leave what a float can hold, and nobody
# means it: chosen, far from every setting in use (Adam's epsilon 1e-8, tokens of a data set 1e13).
SMALLEST, LARGEST = 1e-30, 1e15
Refusal = type[InputError]
SANE = f"of a size between {SMALLEST:g} and {LARGEST:g}"
Check = Callable[[str, Any], Any]  # of a value by its key


def not_allowed(key: str, value: Any, allowed: str, error: Refusal = ConfigError) -> InputError:
    """The refusal of a value, to be raised. allowed: what may stand there, in words."""
    return error(f"{key}: {shown(value)} is not allowed; {allowed}")


def shown(value: Any) -> str:
    """A value as it was given; of a long one the beginning, and how long it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; what holds itself
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


def is_number(value: Any) -> bool:
    """Whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, written as one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    return is_number(value) and abs(value) <= sys.float_info.max


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    return is_finite(value) and value > 0


def is_sane(value: Any) -> bool:
    """Whether a number is of a size that is meant."""
    return bool(value == 0 or SMALLEST <= abs(value) <= LARGEST)


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that a value may be: above or from a least one, below another, whole or not."""

    above: float = -math.inf
    least: float = -math.inf
    below: float = math.inf
    most: float = LARGEST
    whole: bool = False

    @property
    def words(self) -> str:
        """What is allowed, for a message."""
        if self.whole:
            return f"a whole number of at least {self.least:g}"
        if self.above > -math.inf:
            return f"a finite number above {self.above:g}"
        if self.below < math.inf:
            return f"a number from {self.least:g} up to, not including, {self.below:g}"
        return f"a finite number of at least {self.least:g}" if self.least > -math.inf else "a finite number"

    def holds(self, value: Any) -> bool:
        """Whether a value is a number of the range."""
        right = is_whole(value) if self.whole else is_finite(value)
        return right and self.above < value and self.least <= value < self.below

    def require(self, key: str, value: Any, error: Refusal = ConfigError) -> Any:
        """Refuse a value that is no number of the range, or of a size that nobody means."""
        require(self.holds(value), key, value, f"it must be {self.words}", error)
        holds = is_sane(value) and value <= self.most
        size = f"of a size between {SMALLEST:g} and {self.most:g}"
        return require(holds, key, value, f"it must be {self.words}, {size}", error)


def one_of(key: str, value: Any, allowed: Sequence[str], error: Refusal = ConfigError) -> Any:
    """One of the allowed words."""
    return require(value in allowed, key, value, f"choose from {', '.join(allowed)}", error)


def whole(key: str, value: Any, least: int = 1, error: Refusal = ConfigError) -> int:
    """A whole number of at least `least`."""
    holds = is_whole(value) and value >= least
    require(holds, key, value, f"a whole number of at least {least}", error)
    return int(require(is_sane(value), key, value, f"a whole number of at least {least}, {SANE}", error))


def at_least_zero(key: str, value: Any) -> Any:
    """A finite number of 0 or more, of a size that is meant."""
    require(is_finite(value) and value >= 0, key, value, "a number of at least 0")
    return require(is_sane(value), key, value, f"a number of at least 0, {SANE}")


def positive(key: str, value: Any, error: Refusal = ConfigError) -> Any:
    """A finite number above 0, of a size that is meant."""
    require(is_positive(value), key, value, "a number above 0", error)
    return require(is_sane(value), key, value, f"a number above 0, {SANE}", error)


def or_null(check: Check) -> Check:
    """The same check of a value that may be left open."""
    return partial(unless_null, check)


def unless_null(check: Check, key: str, value: Any) -> Any:
    """A value by its check, or None; `or_null` in the shape that can be looked into."""
    return None if value is None else check(key, value)


def truth(key: str, value: Any) -> bool:
    """True or false, and not what merely counts as one."""
    return bool(require(isinstance(value, bool), key, value, "true or false"))


def line(key: str, value: Any) -> str:
    """A text of one line. Control characters, line breaks and invisible characters are refused."""
    require(isinstance(value, str) and value.strip(), key, value, "a text")
    allowed = "a text of one line without control characters"
    return str(require(value.isprintable(), key, value, allowed))


def matching(key: str, value: Any, pattern: str, allowed: str) -> str:
    """A text of a known form, of one line and without control characters."""
    holds = isinstance(value, str) and value.isprintable() and re.fullmatch(pattern, value)
    return str(require(holds, key, value, allowed))


def listed(key: str, value: Any) -> tuple[Any, ...]:
    """The items of a list."""
    return tuple(require(isinstance(value, list | tuple), key, value, "a list"))


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Names with their values; null counts as none."""
    holds = value is None or isinstance(value, Mapping)
    require(holds, key, value, "names with values, such as {NAME: value}")
    return {str(name): item for name, item in (value or {}).items()}


def require(holds: Any, key: str, value: Any, allowed: str, error: Refusal = ConfigError) -> Any:
    """The value, where it holds. allowed: as `not_allowed` has it."""
    if not holds:
        raise not_allowed(key, value, allowed, error)
    return value
