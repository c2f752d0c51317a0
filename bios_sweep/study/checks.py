"""Checks of single values that a study's parts share; a refusal names the value and what is allowed."""

from __future__ import annotations

import math
from typing import Any

from bios_sweep.errors import PlanError


def require_one_of(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not among the allowed ones.

    Raises:
        PlanError: with the key, the value and the allowed words.
    """
    if value not in allowed:
        raise PlanError(f"{key}: {value!r} is not allowed; choose from {', '.join(allowed)}")


def is_number(value: Any) -> bool:
    """Whether a value is a number; True and False are none, though Python counts with them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    return is_number(value) and math.isfinite(value) and value > 0
