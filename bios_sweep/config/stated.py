"""What a user stated and what of it cannot count: `config.refused` and `config.unheard`, read.

Stated is a value that differs from those that the chosen groups bring: typed, or written in a sweep's file,
in a group of the user's own or in an exported baseline. A value equal to the default needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from bios_sweep.config.composed import CAME_LATER, Config
from bios_sweep.config.groups import chosen_by_a_person, file_values, member_names, member_values
from bios_sweep.config.idle import OF_THE_PLAN, OURS, PLANTED, SCRIPT, Idle
from bios_sweep.config.method import method_of
from bios_sweep.config.places import config_root
from bios_sweep.config.refused import REFUSED
from bios_sweep.config.unheard import UNHEARD
from bios_sweep.errors import ConfigError
from bios_sweep.secrecy import masked
from bios_sweep.settings import baseline_values

KINDS = {"data": "kind", "model": "kind", "method": "runner", "cluster": "executor", "tracking": "enabled"}
Said = dict[str, str]  # key -> sentence


def refuse_idle(config: Config, facts: Mapping[str, Any], same: Mapping[str, Any] | None = None) -> Said:
    """Key -> what is said of a value that is without effect; nothing where every stated value counts.

    facts: `verb`, and those of the plan where there is one. same: key -> a value that says no more than the
    default, such as the number that `auto` stands for.

    Raises:
        ConfigError: a value that contradicts the chosen groups.
    """
    known = {**_facts(config.values), **facts}
    for key, why in _stated(REFUSED, config, known, same or {}):
        raise ConfigError(f"{key}: {why}")
    said: Said = {}
    for key, why in _stated(UNHEARD, config, known, same or {}):
        said.setdefault(key, f"{key}={_shown(key, config)} has no effect: {why}")
    return said


def _facts(values: Mapping[str, Any]) -> dict[str, Any]:
    planted = value_at(values, "model.planted")
    is_planted = value_at(values, "model.kind") == PLANTED
    runs = PLANTED if is_planted else OURS
    if method_of(values["method"]).scripted:
        runs = SCRIPT
    return {"runs": runs, "moves": _moves(planted) if isinstance(planted, Mapping) else ()}


def _moves(planted: Mapping[str, Any]) -> set[str]:
    """The settings on which planted curves depend: those with a shape, and those that move one."""
    metrics, interactions = _inside(planted.get("metrics")), _inside(planted.get("interactions"))
    truths = [value_at(shapes, "truth") for shapes in (planted, *metrics.values())]
    shaped = [*truths, *metrics.values(), interactions, *interactions.values()]
    moved_by_rate = {"learning_rate"} if planted.get("wall") is not None else set()
    return {str(name) for shapes in shaped for name in _inside(shapes)} | moved_by_rate


def _inside(values: Any) -> Mapping[Any, Any]:
    return values if isinstance(values, Mapping) else {}


def _stated(
    rules: Sequence[Idle], config: Config, facts: Mapping[str, Any], same: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """The stated values that a rule is about, each with why it does not count."""
    for rule in rules:
        if not all(_holds(name, test, config.values, facts) for name, test in rule.where.items()):
            continue
        for key, why in rule.why.items():
            group, _, rest = key.partition(".")
            if group in config.members and not rest:
                if chosen_by_a_person(group, config.chooser):
                    yield key, why
                continue
            inside = [f"{group}.{name}" for name in config.values.get(group) or {}] if rest == "*" else [key]
            yield from ((name, why) for name in inside if _differs(name, config, same))


def _holds(name: str, test: Any, values: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    if name in OF_THE_PLAN and name not in facts:
        return False
    value = facts[name] if name in facts else value_at(values, name)
    return bool(test(value) if callable(test) else value == test)


def _differs(key: str, config: Config, same: Mapping[str, Any]) -> bool:
    value = value_at(config.values, key)
    off = value is False and key.startswith("method.")  # a switch of another method's
    if value in (None, "", [], {}) or off or (key in same and value == same[key]):
        return False
    return all(value != quiet for quiet in _brought(key, config))


def _brought(key: str, config: Config) -> Iterator[Any]:
    """The values that the chosen members bring, and those of our own members of the same kind.

    The latter because a group file of the user's own is not chosen from ours: what it has in common with
    ours of its kind is no statement.
    """
    yield value_at(_root_values(), key)
    yield value_at(baseline_values(), key)
    yield value_at(CAME_LATER, key)
    for name, member in config.members.items():
        yield value_at(member_values(name, member), key)
    group, _, rest = key.partition(".")
    kind = KINDS.get(group)
    if kind is None or rest == kind:
        return
    chosen = value_at(config.values, f"{group}.{kind}")
    for member in member_names(group):
        content = member_values(group, member)
        if value_at(content, f"{group}.{kind}") == chosen:
            yield value_at(content, key)


@cache
def _root_values() -> Mapping[str, Any]:
    return file_values(config_root() / "conf" / "config.yaml")


def value_at(values: Any, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    for name in key.split("."):
        if not isinstance(values, Mapping):
            return None
        values = values.get(name)
    return values


def _shown(key: str, config: Config) -> str:
    if key in config.members:
        return str(config.members[key])
    return masked(str(value_at(config.values, key)))
