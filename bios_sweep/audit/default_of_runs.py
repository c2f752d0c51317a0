"""Which of a table's combinations of settings is the default, as the user names it. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.audit.runs import RunTable
from bios_sweep.errors import InputError
from bios_sweep.tables.column_names import plain_name
from bios_sweep.tables.spelling import readings
from bios_sweep.vocabulary import Status

PAIRS = re.compile(r",(?=[^,=\[\](){}]+=)")  # between pairs, not inside a value such as [q_proj, v_proj]


NOTHING = ("none", "null", "nan", "")  # how a setting that is off is written


TRUTH = ("true", "false")  # written in any case


NEAREST = 3  # combinations named beside a default that is not there (chosen, not measured)


class NoDefault(InputError):
    """The default is named, and no run is of it."""


def default_key(
    table: RunTable, columns: Sequence[str], counts: Counter[tuple[Any, ...]], baseline: str | None
) -> tuple[Any, ...]:
    """The one combination of settings that is the default's."""
    if baseline is None:
        if len(counts) == 1:
            return next(iter(counts))
        once = max(counts.values()) == 1 and len(counts) > 2
        search = (
            "; no combination was run twice, so that whichever it is, no verdict can be reached: run your "
            f"default and the best of these{_best(table, columns)} at the same 5 seeds, and audit those runs"
            if once
            else ""
        )
        raise InputError(
            f"{table.source}: which of the {len(counts):,} combinations of settings is the default? name it, "
            f"for example --baseline {_candidates(columns, counts)}{search}"
        )
    asked = _asked(table, columns, baseline)
    fitting = Counter(
        {
            key: amount
            for key, amount in counts.items()
            if all(_equal(key[columns.index(name)], value) for name, value in asked.items())
        }
    )
    if len(fitting) == 1:
        return next(iter(fitting))
    if not fitting:
        near = sorted(counts, key=lambda key: _distance(dict(zip(columns, key, strict=True)), asked))
        there = Counter({key: counts[key] for key in near[:NEAREST]})
        raise NoDefault(
            f"{table.source}: no run has {baseline!r}; the nearest are {_candidates(columns, there)}"
        )
    raise InputError(
        f"{table.source}: --baseline {baseline!r} fits {len(fitting):,} combinations of settings; say which, "
        f"for example {_candidates(columns, fitting)}"
    )


def _best(table: RunTable, columns: Sequence[str]) -> str:
    """The settings of the run with the best outcome, as --baseline takes them."""
    ended = [
        row
        for row, value in enumerate(table.values)
        if table.statuses[row] == Status.COMPLETED and math.isfinite(value)
    ]
    if not ended:
        return ""
    row = max(ended, key=lambda row: table.metric.sign * table.values[row])
    return f" ({described({name: table.settings[name][row] for name in columns}, {})})"


def _asked(table: RunTable, columns: Sequence[str], baseline: str) -> dict[str, str]:
    """The pairs of `setting=value, ...`; a setting that never varies is checked and dropped."""
    asked: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in PAIRS.split(baseline))):
        name, given, value = (text.strip() for text in part.partition("="))
        if not given:
            raise InputError(
                f"--baseline {baseline!r}: the table has no column of arms, so the default is named by its "
                f"settings, such as {columns[0] if columns else 'learning_rate'}=VALUE"
            )
        name = table.aliases.get(name, name)
        if name not in table.settings:
            _refuse_other_columns(table, name)
            near = difflib.get_close_matches(name, list(table.settings), n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(
                f"--baseline: {name!r} is no setting of this table{hint}; it has {', '.join(table.settings)}"
            )
        if name in columns:
            asked[name] = value
        elif not _equal(table.settings[name][0], value):
            raise NoDefault(
                f"--baseline: {name} is {setting_text(table.settings[name][0])} in every run, not {value}"
            )
    return asked


def _refuse_other_columns(table: RunTable, name: str) -> None:
    """A column that is there and was taken for no setting: how to make it one."""
    columns, asked = table.columns, plain_name(name)
    if any(plain_name(column) == asked for column in columns.contexts):
        raise InputError(
            f"--baseline: {name!r} is a context here, judged one value at a time; leave it out, or say "
            f"--setting {name} to compare its values"
        )
    if any(plain_name(column) == asked for column in (*columns.outcomes, *columns.labels)):
        raise InputError(
            f"--baseline: column {name!r} is taken for no setting here, by its name or because it behaves as "
            f"an outcome; say --setting {name} if the runs were told it"
        )


def _distance(settings: Mapping[str, Any], asked: Mapping[str, str]) -> float:
    """How far a combination is from what was asked: ratios of numbers, and 100 for each other text."""
    total = 0.0
    for name, text in asked.items():
        value = settings[name]
        if _equal(value, text):
            continue
        try:
            total += abs(math.log(float(value) / float(text)))
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            total += 100.0
    return total


def _equal(value: Any, text: str) -> bool:
    if isinstance(value, int | float):
        return any(math.isclose(float(value), number, rel_tol=1e-9) for number in readings(text))
    if value is None or text.lower() in TRUTH:
        return text.lower() == str(value).lower() or (value is None and text.lower() in NOTHING)
    return text == str(value)


def _candidates(columns: Sequence[str], counts: Counter[tuple[Any, ...]]) -> str:
    shown = [
        (described(dict(zip(columns, key, strict=True)), {}), amount) for key, amount in counts.most_common(3)
    ]
    return " or ".join(f'"{named}" ({amount:,} run{"" if amount == 1 else "s"})' for named, amount in shown)


def described(settings: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """`learning_rate=0.001,batch_size=64`: what differs from the base, in a form --baseline takes."""
    pairs = {name: value for name, value in settings.items() if name not in base or base[name] != value}
    return ",".join(f"{name}={setting_text(value)}" for name, value in pairs.items())


def setting_text(value: Any) -> str:
    """A setting as --baseline takes it."""
    if value is None:
        return NOTHING[0]
    return f"{value:.10g}" if isinstance(value, float) else str(value)
