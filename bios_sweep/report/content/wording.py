"""How numbers, times and names are written, the same in the terminal, in Markdown and in figures. Pure."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

from bios_sweep.checks import is_number
from bios_sweep.units import Scale, with_unit
from bios_sweep.vocabulary import Status

NONE = "—"  # no number: unknown, unbounded or not measured
DIGITS = 4  # significant: more would be noise at the precision of these trials (chosen, not measured)
LISTED = 8  # names in one line (chosen, not measured)
ENDINGS = tuple(Status)
Write: TypeAlias = Callable[[float | None], str]


def clean(text: Any) -> str:
    """A user's text on one line, without control characters: a name must not move anyone's cursor."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def pasted(text: str) -> str:
    """A command, or a path, on one line that a shell reads back, whatever is in a name."""
    if text.isprintable():
        return text
    words = shlex.split(text) if text.startswith("bios-sweep ") else [text]
    return " ".join(map(shell_word, words))


def shell_word(word: str) -> str:
    """A word that a shell reads back to the letter, on one line.

    Only bash and zsh read `$'...'`, and no shell has another way to write a line end on one line.
    """
    return shlex.quote(word) if word.isprintable() else f"$'{''.join(map(_escaped, word))}'"


def _escaped(char: str) -> str:
    if char.isprintable():
        return f"\\{char}" if char in "\\'" else char
    return "\\n" if char == "\n" else "".join(f"\\x{byte:02x}" for byte in char.encode())


def number(value: Any) -> str:
    """A setting's value: whole numbers in full, others as a decimal of at most four significant digits."""
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(name)} {number(one)}" for name, one in value.items())
    if not is_number(value):
        return clean(value)
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return NONE
    text = format(Decimal(f"{value:.{DIGITS}g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def finite_or_none(value: float) -> float | None:
    """The value as JSON can write it: None for infinities and NaN, which it lacks."""
    return value if value - value == 0.0 else None


def count(value: int | None) -> str:
    """A number of things: `141,760`, from a million on `1.418 M`."""
    if value is None:
        return NONE
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{value:,}"


def gain(value: float | None) -> str:
    """A signed effect in the unit of its column, without it: `+1.22`; exactly zero is `0`."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2f}"


def told(percent: float | None, scale: Scale) -> str:
    """A gain as it is told, with its unit: `+1.22 %`, `+0.98 points`."""
    return with_unit(gain(scale.known(percent)), scale.unit)


def times(ratio: float | None) -> str:
    """A ratio as a factor with three digits: `x1.80`, `x0.95`."""
    if ratio is None or not math.isfinite(ratio):
        return NONE
    return f"x{ratio:.0f}" if abs(ratio) >= 100 else f"x{ratio:.3g}" if abs(ratio) >= 10 else f"x{ratio:.2f}"


def interval(lower: float | None, upper: float | None, write: Write = gain) -> str:
    """`[+1.08, +1.33]`, of `times` `[1.71, 1.89]`; a dash where a bound lacks, empty where both do."""
    if lower is None and upper is None:
        return ""
    return f"[{write(lower).lstrip('x')}, {write(upper).lstrip('x')}]"


def bounded(value: float | None, lower: float | None, upper: float | None, write: Write = gain) -> str:
    """A gain or a ratio with its bounds: `+1.22 [+1.08, +1.33]`, `x1.80 [1.71, 1.89]`."""
    return f"{write(value)} {interval(lower, upper, write)}".strip()


def size(count: int | None) -> str:
    """Bytes as they are said: `0.9 MiB`, `12 MiB`, `21.5 GiB`."""
    if count is None:
        return NONE
    unit, word = (1024**3, "GiB") if count >= 1024**3 else (1024**2, "MiB")
    return f"{count / unit:.3g} {word}"


def duration(seconds: float) -> str:
    """A time as it is said: `8.1 s`, `42 s`, `4 min`, `1 h 20 min`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} h {rest} min" if hours < 24 else f"{hours:,} h"


def trained(hours: float) -> str:
    """How long trials train in all, one after the other: `about 2 h of training` without its first word."""
    return f"{duration(3600.0 * hours)} of training"


def money(amount: float) -> str:
    """In the currency that the price of an hour was given in, which nobody names: `at a price of 12.40`."""
    return f"at a price of {amount:,.2f}"


def plural(amount: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """The first few names, and how many more there are."""
    rest = len(names) - most
    between = "; " if any(", " in name for name in names) else ", "
    return between.join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def changes(values: Mapping[str, Any]) -> str:
    """Settings with their values: `batch_size 64, max_steps 50`."""
    return ", ".join(f"{clean(name)} {number(value)}" for name, value in values.items())


def ended_as(status: str, failure: str) -> str:
    """How a trial ended, and what kind of failure it was where it is one: failed (out of memory)."""
    return f"{clean(status)} ({clean(failure)})" if failure else clean(status)
