"""Tables with a column per seed or a row per metric, as runs with one metric each. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from bios_sweep.errors import InputError
from bios_sweep.tables.column_names import METRIC, SEEDS, VALUE
from bios_sweep.tables.text_table import RawTable

SEEDED = re.compile(r"^(?P<metric>.*?)[ _./=-]*\(?(?<![a-z])seed[ _./=-]*(?P<seed>\d+)\)?$", re.IGNORECASE)
NAMED = re.compile(r"^(?P<arm>.*[^ _./=-])[ _./=-]+s(?P<word>eed)?[ _./=-]*(?P<seed>\d+)$", re.IGNORECASE)
PER_SEED = "per seed"  # the values of such columns, where their names tell no metric


def one_metric_per_row(raw: RawTable, value: str | None) -> tuple[RawTable, str | None]:
    """The table with one column for the metric and one for the seed, and how that column is then called.

    value: the metric as the user names it.

    Raises:
        InputError: the columns of seeds are of several metrics and none is named.
    """
    if value is not None and value not in raw.columns and VALUE in raw.columns:
        rows = [row for row, name in enumerate(raw.columns.get(METRIC, ())) if name.strip() == value]
        if rows:
            return raw.kept(rows), VALUE
    return _a_row_per_seed(raw, value)


def _a_row_per_seed(raw: RawTable, value: str | None) -> tuple[RawTable, str | None]:
    found = {column: match for column in raw.columns if (match := SEEDED.match(_apart(column)))}
    seeds = {(match["metric"], match["seed"]) for match in found.values()}
    if (
        len(found) < 2
        or len(seeds) < len(found)
        or value in raw.columns.keys() - found.keys()
        or not set(SEEDS).isdisjoint(raw.columns)
    ):
        return raw, value
    metrics = list(dict.fromkeys(match["metric"] for match in found.values()))
    wanted = metrics if len(metrics) == 1 and metrics[0] in ("", value or metrics[0]) else [value]
    if wanted[0] not in metrics:
        if value is not None:
            return raw, value
        raise InputError(
            f"{raw.source}: has a column per seed of {len(metrics)} metrics; name one with --value: "
            f"{', '.join(metrics)}"
        )
    own = [column for column, match in found.items() if match["metric"] == wanted[0]]
    kept = [name for name in raw.columns if name not in found]
    rows = [(row, column) for row in range(raw.rows) for column in own if raw.columns[column][row]]
    name = wanted[0] or value or PER_SEED
    columns = {other: tuple(raw.columns[other][row] for row, _ in rows) for other in kept}
    columns[SEEDS[0]] = tuple(found[column]["seed"] for _, column in rows)
    columns[name] = tuple(raw.columns[column][row] for row, column in rows)
    note = f"a column per seed ({', '.join(own[:3])}): each of its cells is a run"
    lines = tuple(raw.lines[row] for row, _ in rows)
    return replace(raw, columns=columns, lines=lines, notes=(*raw.notes, note)), name


def arms_and_seeds(
    names: Sequence[str], contexts: Sequence[object]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Arm and seed of every run, where all names end with a seed: `lora_r8_s0`, `lr=2e-4, seed 1`.

    contexts: per run the model, data or machine, in each of which the same names may come again. None unless
    there are two arms at least, each at two seeds or more, and no run twice in one context; nor where the
    numbers behind an `s` double, as those of a scale do.
    """
    found = [match for name in names if (match := NAMED.match(name.strip()))]
    told = [(match["arm"].rstrip(" ,;"), match["seed"]) for match in found]
    if len(told) < len(names) or _doubles([int(match["seed"]) for match in found if not match["word"]]):
        return None
    runs = list(zip(contexts, told, strict=True))
    each = Counter((context, arm) for context, (arm, _) in set(runs))
    if len(set(runs)) < len(runs) or len({arm for _, arm in each}) < 2 or min(each.values()) < 2:
        return None
    return tuple(arm for arm, _ in told), tuple(seed for _, seed in told)


def _doubles(numbers: Sequence[int]) -> bool:
    """Whether three numbers or more are each twice the one before: 1, 2, 4."""
    steps = sorted(set(numbers))
    return len(steps) > 2 and all(2 * one == two > 0 for one, two in pairwise(steps))


def _apart(column: str) -> str:
    """`s0` and `eval_loss_s0` as `seed 0`."""
    return re.sub(r"(?:^|(?<=[ _./=-]))s(?=\d+$)", "seed ", column)
