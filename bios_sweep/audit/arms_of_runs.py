"""Which arm a run belongs to, and what that arm changes against the default. Pure."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.audit.runs import ARM, JOINED, ArmRuns, ArmSet, RunTable
from bios_sweep.claims import REPEAT
from bios_sweep.errors import InputError
from bios_sweep.study.arms import BASELINE
from bios_sweep.tables.column_names import plain_name
from bios_sweep.tables.spelling import readings

SHOWN = 6  # candidates named in one error (chosen, not measured)

# (setting, leader, how): a setting that only keeps something constant while its leader varies
FOLLOWERS = (
    ("max_steps", "batch_size", "product"),
    ("epochs", "max_steps", "ratio"),
    ("warmup_steps", "max_steps", "ratio"),
    ("lora_alpha", "lora_rank", "ratio"),
)
PAIRS = re.compile(r",(?=[^,=\[\](){}]+=)")  # between pairs, not inside a value such as [q_proj, v_proj]
NOTHING = ("none", "null", "nan", "")  # how a setting that is off is written
TRUTH = ("true", "false")  # written in any case
NEAREST = 3  # combinations named beside a default that is not there (chosen, not measured)
CLOSE = 0.02  # a follower rounds (steps = ceil(examples / batch)); chosen, not measured


class NoDefault(InputError):
    """The default is named, and no run is of it."""


def arrange(table: RunTable, baseline: str | None) -> ArmSet:
    """Find the arms and what each changes against the baseline.

    baseline: an arm's name; where arms are made of settings, `setting=value` pairs.

    Raises:
        NoDefault: the baseline is not there; the message lists the candidates.
        InputError: it is not named, or fits several; two arms have the same level of a factor.
    """
    arms = _arranged(table, baseline)
    if table.factors is None:  # our own tables say which arms re-tune another setting at a level
        _check_levels(table, arms)
    return arms


def _check_levels(table: RunTable, arms: ArmSet) -> None:
    """Two arms at one level would be one level with two answers."""
    seen: dict[tuple[str, Any], ArmRuns] = {}
    for arm in arms.arms[1:]:
        if arm.factor == ARM:
            continue
        other = seen.setdefault((arm.factor, arm.level), arm)
        if other is arm:
            continue
        names = [name for name in arm.settings if arm.settings[name] != other.settings.get(name)]
        where = f"{table.source}: arms {other.name!r} and {arm.name!r} are both {arm.factor} {arm.label}"
        if not names:
            raise InputError(
                f"{where}, and no setting tells them apart; give the runs of one level one name, or name the "
                "column that differs with --setting COL"
            )
        told = ", ".join(
            f"{name} ({_text(other.settings.get(name))} and {_text(arm.settings[name])})" for name in names
        )
        leaders = {follower: leader for follower, leader, _ in FOLLOWERS}
        follows = [name for name in names if name in leaders]
        way = f"say --setting {follows[0]} to ask about it for itself, or " if follows else ""
        rule = f", which follows {leaders[follows[0]]} in one of them" if follows else ""
        raise InputError(f"{where} and differ in {told}{rule}; {way}keep the rows of one of them")


def _arranged(table: RunTable, baseline: str | None) -> ArmSet:
    varying = {name: values for name, values in table.settings.items() if len(set(values)) > 1}
    if table.arms is not None:
        return _named(table, table.arms, varying, baseline)
    return _by_settings(table, varying, baseline)


def _named(
    table: RunTable, arms: tuple[str, ...], varying: Mapping[str, tuple[Any, ...]], baseline: str | None
) -> ArmSet:
    names = list(dict.fromkeys(arms))
    first = _find(table.source, names, baseline)
    settings, mixed = _settings_of(arms, varying)
    own = _own_factors(table, arms)
    ordered = [first, *(name for name in names if name != first)]
    followers = _followers(table.apart, settings, first)
    return ArmSet(
        arms=tuple(
            _arm(name, settings[name], settings[first], own.get(name), followers, mixed[name])
            for name in ordered
        ),
        of_run=arms,
    )


def _find(source: str, names: Sequence[str], baseline: str | None) -> str:
    if baseline is None:
        if BASELINE in names:
            return BASELINE
        raise InputError(
            f"{source}: no arm is called 'baseline'; name the default's arm with --baseline NAME; "
            f"the arms are {_some(names)}"
        )
    if baseline in names:
        return baseline
    near = difflib.get_close_matches(baseline, names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise NoDefault(f"{source}: no arm is called {baseline!r}{hint}; the arms are {_some(names)}")


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def _by_settings(table: RunTable, varying: Mapping[str, tuple[Any, ...]], baseline: str | None) -> ArmSet:
    columns = list(varying)
    keys = list(zip(*varying.values(), strict=True)) if varying else [()] * table.rows
    wanted = _baseline_key(table, columns, Counter(keys), baseline)
    base = dict(zip(columns, wanted, strict=True))
    names = {
        key: BASELINE if key == wanted else described(dict(zip(columns, key, strict=True)), base)
        for key in dict.fromkeys(keys)
    }
    settings = {names[key]: dict(zip(columns, key, strict=True)) for key in names}
    followers = _followers(table.apart, settings, BASELINE)
    ordered = [BASELINE, *(name for name in settings if name != BASELINE)]
    return ArmSet(
        arms=tuple(_arm(name, settings[name], base, None, followers, ()) for name in ordered),
        of_run=tuple(names[key] for key in keys),
    )


def _baseline_key(
    table: RunTable, columns: Sequence[str], counts: Counter[tuple[Any, ...]], baseline: str | None
) -> tuple[Any, ...]:
    """The one combination of settings that is the default's."""
    if baseline is None:
        if len(counts) == 1:
            return next(iter(counts))
        once = max(counts.values()) == 1 and len(counts) > 2
        search = (
            "; no combination was run twice, so that whichever it is, no verdict can be reached"
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
                f"--baseline: {name} is {_text(table.settings[name][0])} in every run, not {value}"
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
    return ",".join(f"{name}={_text(value)}" for name, value in pairs.items())


def _text(value: Any) -> str:
    if value is None:
        return NOTHING[0]
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _settings_of(
    arms: Sequence[str], varying: Mapping[str, tuple[Any, ...]]
) -> tuple[dict[str, dict[str, Any]], dict[str, tuple[str, ...]]]:
    """Each arm's settings (those of most of its runs), and the settings its runs disagree on."""
    settings: dict[str, dict[str, Any]] = {name: {} for name in dict.fromkeys(arms)}
    mixed: dict[str, list[str]] = defaultdict(list)
    for column, values in varying.items():
        amounts = Counter(zip(arms, values, strict=True))
        for (arm, value), _ in sorted(amounts.items(), key=lambda item: -item[1]):
            if column in settings[arm]:
                mixed[arm].append(column)
            else:
                settings[arm][column] = value
    return settings, {name: tuple(dict.fromkeys(mixed[name])) for name in settings}


def _own_factors(table: RunTable, arms: Sequence[str]) -> dict[str, tuple[str, Any]]:
    """What the table's own columns say of an arm."""
    if table.factors is None:
        return {}
    levels = table.levels or (None,) * table.rows
    rows = zip(arms, table.factors, levels, strict=True)
    return {arm: (factor, level) for arm, factor, level in rows if factor}


def _followers(
    apart: Sequence[str], settings: Mapping[str, Mapping[str, Any]], baseline: str
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Per arm the (follower, leader) pairs that move together by a rule and not by a choice."""
    base = settings[baseline]
    return {
        arm: pairs
        for arm, own in settings.items()
        if (
            pairs := tuple(
                rule[:2] for rule in FOLLOWERS if rule[0] not in apart and _keeps(own, base, *rule)
            )
        )
    }


def _keeps(own: Mapping[str, Any], base: Mapping[str, Any], follower: str, leader: str, how: str) -> bool:
    """Whether two settings both moved, but their product or ratio did not."""
    moved, led = _times(own.get(follower), base.get(follower)), _times(own.get(leader), base.get(leader))
    if 1.0 in (moved, led):
        return False
    return math.isclose(moved, 1 / led if how == "product" else led, rel_tol=CLOSE)


def _times(value: Any, base: Any) -> float:
    """How many times the base; 1 (not moved) when one of them is no positive number."""
    numbers = all(isinstance(number, int | float) and number > 0 for number in (value, base))
    return float(value / base) if numbers else 1.0


def _arm(
    name: str,
    settings: Mapping[str, Any],
    base: Mapping[str, Any],
    own: tuple[str, Any] | None,
    followers: Mapping[str, tuple[tuple[str, str], ...]],
    mixed: tuple[str, ...],
) -> ArmRuns:
    changes = {key: value for key, value in settings.items() if value != base.get(key)}
    follows = tuple(follower for follower, _ in followers.get(name, ()))
    moved = [key for key in changes if key not in follows]
    if own is not None:
        factor, level = own
        follows = tuple(key for key in changes if key != factor and (key in follows or factor == REPEAT))
    elif not moved:
        factor, level = ARM, name
    elif len(moved) == 1:
        factor, level = moved[0], settings[moved[0]]
    else:
        factor, level = JOINED.join(moved), described({key: settings[key] for key in moved}, {})
    return ArmRuns(
        name=name,
        factor=factor,
        level=level,
        label=f"{level:.6g}" if isinstance(level, float) else _text(level),
        settings=settings,
        changes=changes,
        follows=follows,
        mixed=mixed,
    )


def default_level(arms: ArmSet, factor: str) -> Any:
    """The baseline's value of a factor, in the form of the factor's levels."""
    base = arms.baseline.settings
    if factor in base:
        return base[factor]
    names = arms.together.get(factor, ())
    if names and all(name in base for name in names):
        return described({name: base[name] for name in names}, {})
    return 0 if factor == REPEAT else arms.baseline.name
