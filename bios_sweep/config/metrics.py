"""`decision.metrics`: which metric decides, and which others must not lose.

Written as a mapping from names or as a list whose entries have a `name`. What is said of the metric that
decides takes the places where a study of one metric has it: `method.metric`, `method.direction` and the
margins of `decision`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import is_finite, is_positive, not_allowed, one_of, whole
from bios_sweep.errors import ConfigError
from bios_sweep.study.companions import LIMITS, OF_ITEMS, Companion
from bios_sweep.study.metric_names import DIRECTIONS, ask_for, direction_of
from bios_sweep.study.scenario import Metric

KEY = "decision.metrics"
DECIDES, MUST_NOT_LOSE = ROLES = ("decides", "must not lose")
ENTRY = ("name", "role", "direction", *LIMITS, *OF_ITEMS)
EXAMPLE = "{eval_loss: {role: decides}, exact_match: {role: must not lose, margin_points: 2}}"


@dataclass(frozen=True, kw_only=True)
class AskedMetric:
    """An entry. margins: those of `LIMITS` that it gives."""

    name: str
    role: str
    direction: str | None
    margins: Mapping[str, float]
    items: int | None
    differing: float | None

    @property
    def key(self) -> str:
        """Where it stands, for messages."""
        return f"{KEY} {self.name}"


def asked_metrics(given: Any) -> tuple[AskedMetric, ...]:
    """The entries, the one that decides first; none where nothing is given.

    Raises:
        ConfigError: an entry that cannot be read, a name twice, or not exactly one that decides.
    """
    if not given:
        return ()
    if isinstance(given, Mapping):
        plain = [name for name, entry in given.items() if not isinstance(entry, Mapping)]
        if plain:
            raise not_allowed(f"{KEY} {plain[0]}", given[plain[0]], f"for example {EXAMPLE}")
        given = [{"name": name, **entry} for name, entry in given.items()]
    if not isinstance(given, list):
        raise not_allowed(KEY, given, f"for example {EXAMPLE}")
    found = [_entry(entry) for entry in given]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{KEY} {name}: is given twice; give each metric once")
    decides = [one for one in found if one.role == DECIDES]
    if len(decides) != 1:
        who = " and ".join(one.name for one in decides) or "none of them"
        raise ConfigError(
            f"{KEY}: {who} would decide; exactly one metric has role: {DECIDES}, the others have role: "
            f"{MUST_NOT_LOSE}"
        )
    return (*decides, *(one for one in found if one.role != DECIDES))


def with_metrics(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with what is said of the deciding metric where a study of one metric has it.

    Raises:
        ConfigError: it is said twice, and not the same.
    """
    asked = asked_metrics(values["decision"].get("metrics"))
    if not asked:
        return values
    first, method, decision = asked[0], values["method"], values["decision"]
    own = Metric().name
    if method.get("metric") not in (None, own, first.name):
        raise ConfigError(
            f"method.metric: {method['metric']!r}, and by {KEY} {first.name} decides; leave method.metric out"
        )
    if None not in (first.direction, method.get("direction")) and first.direction != method["direction"]:
        raise ConfigError(f"{first.key} direction: {first.direction}, and method.direction says otherwise")
    for name in first.margins:
        if decision.get(name) not in (None, first.margins[name]):
            raise ConfigError(f"{first.key} {name}: decision.{name} is given too; leave one of the two out")
    direction = first.direction or method.get("direction")
    return {
        **values,
        "method": {**method, "metric": first.name, "direction": direction},
        "decision": {**decision, **first.margins},
    }


def companions_of(given: Any) -> tuple[Companion, ...] | None:
    """The metrics that must not lose; None where there are none.

    Raises:
        InputError: a name that does not say which way is better, or not exactly one margin.
    """
    return tuple(_companion(one) for one in asked_metrics(given)[1:]) or None


def items_of(given: Any) -> dict[str, Any]:
    """What is said of the items that the deciding metric is a mean over: how many, how many differ."""
    asked = asked_metrics(given)
    return {name: getattr(asked[0], name) if asked else None for name in OF_ITEMS}


def _companion(one: AskedMetric) -> Companion:
    direction = one.direction or direction_of(one.name)
    if direction is None:
        raise ConfigError(f"{one.key}: {ask_for(one.name, 'direction: ')}")
    metric = Metric(name=one.name, direction=direction, unit="")
    return Companion(metric=metric, items=one.items, differing=one.differing, **one.margins)


def _entry(entry: Any) -> AskedMetric:
    if not isinstance(entry, Mapping):
        raise not_allowed(KEY, entry, f"for example {EXAMPLE}")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise not_allowed(f"{KEY} name", name, "the name of a metric")
    unknown = sorted(set(entry) - set(ENTRY))
    if unknown:
        raise ConfigError(f"{KEY} {name}: unknown key {unknown[0]!r}; it has {', '.join(ENTRY[1:])}")
    role = entry.get("role")
    role = one_of(f"{KEY} {name} role", role.replace("_", " ") if isinstance(role, str) else role, ROLES)
    direction = entry.get("direction")
    if direction is not None:
        one_of(f"{KEY} {name} direction", direction, DIRECTIONS)
    margins = {limit: entry[limit] for limit in LIMITS if entry.get(limit) is not None}
    for limit, value in margins.items():
        if not is_finite(value):
            raise not_allowed(f"{KEY} {name} {limit}", value, "a number above 0")
    items, differing = entry.get("items"), entry.get("differing")
    if differing is not None and not (is_positive(differing) and differing <= 1):
        raise not_allowed(f"{KEY} {name} differing", differing, "a share of the items, above 0 and at most 1")
    return AskedMetric(
        name=name,
        role=role,
        direction=direction,
        margins=margins,
        items=None if items is None else whole(f"{KEY} {name} items", items),
        differing=differing,
    )
