"""Settings of one's own, which only a user's script knows: `optimizer: adamw`, `dropout2: 0.1`.

The baseline names them and its value fixes the type: a number, a whole number, a text, or true and false.
From then on such a setting is one like any other: a placeholder, a factor, part of identity and records.
"""

from __future__ import annotations

import difflib
import keyword
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bios_sweep.errors import ConfigError

WORDS = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a text in one line"}
# what placeholders, factors, tables and runs call something else
TAKEN = frozenset(
    {
        "arm", "baseline", "direction", "factor", "level", "looks", "metric", "repeat", "search", "seed",
        "seeds", "stage", "status", "tokens", "trial_dir", "trial_key", "untouched", "value", "wall_seconds",
    }
)  # fmt: skip


class Own(Mapping[str, Any]):
    """Names with typed values, in the order of the names; never changed.

    Raises:
        ConfigError: a name that is taken or no identifier, or a value of another type.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        checked = {name: _checked(name, value) for name, value in (values or {}).items()}
        self._values = dict(sorted(checked.items()))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        return f"Own({self._values!r})"

    def typed(self, name: str, value: Any) -> Any:
        """A value as this one of the type that the setting has; a whole number is also a number.

        Raises:
            ConfigError: it is of another type.
        """
        kind = type(self[name])
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            more = f"; write {float(self[name])!r} for any number" if kind is int else ""
            raise ConfigError(
                f"{name}: {value!r} is not allowed; {WORDS[kind]}, as method.settings has it "
                f"({self[name]!r}){more}"
            )
        return _checked(name, value)

    def changed(self, values: Mapping[str, Any]) -> Own:
        """With other values, of the types that the settings have; a name that is new is taken as it comes."""
        typed = {name: self.typed(name, value) if name in self else value for name, value in values.items()}
        return Own({**self, **typed})


def near(name: str, options: Sequence[str]) -> str:
    """The nearest known names, as a question; empty where none is near."""
    found = difflib.get_close_matches(name, options, n=2, cutoff=0.5)
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def _checked(name: Any, value: Any) -> Any:
    if (
        not isinstance(name, str)
        or not name.isidentifier()
        or keyword.iskeyword(name)
        or name.startswith("_")
    ):
        raise ConfigError(f"method.settings: {name!r} is no name of a setting; letters, digits and _ alone")
    if name in TAKEN:
        raise ConfigError(f"method.settings.{name}: the name is taken; call the setting otherwise")
    if type(value) not in WORDS or (isinstance(value, float) and not math.isfinite(value)):
        raise ConfigError(f"method.settings.{name}: {value!r} is not allowed; {', '.join(WORDS.values())}")
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ConfigError(f"method.settings.{name}: {value!r} is not allowed; {WORDS[str]}")
    return value
