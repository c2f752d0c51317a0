"""Which arm a run belongs to, and what that arm changes against the default. Pure."""

from __future__ import annotations

import difflib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bios_sweep.audit.default_of_runs import NoDefault, default_key, described, setting_text
from bios_sweep.audit.runs import ARM, JOINED, ArmRuns, ArmSet, RunTable
from bios_sweep.claims import REPEAT
from bios_sweep.errors import InputError
from bios_sweep.study.arms import BASELINE

SHOWN = 6  # candidates named in one error (chosen, not measured)

# (setting, leader, how): a setting that only keeps something constant while its leader varies
FOLLOWERS = (
    ("max_steps", "batch_size", "product"),
    ("epochs", "max_steps", "ratio"),
    ("warmup_steps", "max_steps", "ratio"),
    ("lora_alpha", "lora_rank", "ratio"),
)
CLOSE = 0.02  # a follower rounds (steps = ceil(examples / batch)); chosen, not measured


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
        pairs = [(name, other.settings.get(name), arm.settings[name]) for name in names]
        told = ", ".join(f"{name} ({setting_text(one)} and {setting_text(two)})" for name, one, two in pairs)
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
    wanted = default_key(table, columns, Counter(keys), baseline)
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
        label=f"{level:.6g}" if isinstance(level, float) else setting_text(level),
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
