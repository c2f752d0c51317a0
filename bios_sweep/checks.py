"""Checks of single values, with refusals in one voice: `KEY: VALUE is not allowed; WHAT IS`.

A check takes the key as the user knows it and gives the value back. True and False are no numbers here,
though Python counts with them. error: the class of the refusal, for rooms that promise one of their own.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.errors import ConfigError, InputError

Refusal = type[InputError]
Check = Callable[[str, Any], Any]  # of a value by its key


def not_allowed(key: str, value: Any, allowed: str, error: Refusal = ConfigError) -> InputError:
    """The refusal of a value, to be raised. allowed: what may stand there, in words."""
    return error(f"{key}: {value!r} is not allowed; {allowed}")


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


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that a value may be: above or from a least one, below another, whole or not."""

    above: float = -math.inf
    least: float = -math.inf
    below: float = math.inf
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
        """Refuse a value that is no number of the range.

        Raises:
            InputError: of the class `error`, with the range in words.
        """
        if not self.holds(value):
            raise not_allowed(key, value, f"it must be {self.words}", error)
        return value


def one_of(key: str, value: Any, allowed: Sequence[str], error: Refusal = ConfigError) -> Any:
    """Refuse a word that is not among the allowed ones.

    Raises:
        InputError: of the class `error`, with the allowed words.
    """
    if value not in allowed:
        raise not_allowed(key, value, f"choose from {', '.join(allowed)}", error)
    return value


def whole(key: str, value: Any, least: int = 1, error: Refusal = ConfigError) -> int:
    """A whole number of at least `least`.

    Raises:
        InputError: of the class `error`: it is none.
    """
    if not is_whole(value) or value < least:
        raise not_allowed(key, value, f"a whole number of at least {least}", error)
    return int(value)


def at_least_zero(key: str, value: Any) -> Any:
    """A finite number of 0 or more.

    Raises:
        ConfigError: it is none.
    """
    if not is_finite(value) or value < 0:
        raise not_allowed(key, value, "a number of at least 0")
    return value


def positive(key: str, value: Any, error: Refusal = ConfigError) -> Any:
    """A finite number above 0.

    Raises:
        InputError: of the class `error`: it is none.
    """
    if not is_positive(value):
        raise not_allowed(key, value, "a number above 0", error)
    return value


def or_null(check: Check) -> Check:
    """The same check of a value that may be left open."""
    return lambda key, value: None if value is None else check(key, value)


def truth(key: str, value: Any) -> bool:
    """True or false, and not what merely counts as one.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, bool):
        raise not_allowed(key, value, "true or false")
    return value


def line(key: str, value: Any) -> str:
    """A text of one line. Control characters, line breaks and invisible characters are refused.

    Raises:
        ConfigError: no text, an empty one, or one with such a character.
    """
    if not isinstance(value, str) or not value.strip():
        raise not_allowed(key, value, "a text")
    if not value.isprintable():
        raise not_allowed(key, value, "a text of one line without control characters")
    return value


def matching(key: str, value: Any, pattern: str, allowed: str) -> str:
    """A text of a known form, of one line and without control characters.

    Raises:
        ConfigError: it has another form; says what is allowed.
    """
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(pattern, value):
        raise not_allowed(key, value, allowed)
    return value


def listed(key: str, value: Any) -> tuple[Any, ...]:
    """The items of a list.

    Raises:
        ConfigError: it is no list.
    """
    if not isinstance(value, list | tuple):
        raise not_allowed(key, value, "a list")
    return tuple(value)


def mapping(key: str, value: Any) -> dict[str, Any]:
    """Names with their values; null counts as none.

    Raises:
        ConfigError: it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise not_allowed(key, value, "names with values, such as {NAME: value}")
    return {str(name): item for name, item in value.items()}
