"""What a user stated and what of it cannot count: the tables of `config.idle`, read for one configuration.

Stated is a value that differs from those that the chosen groups bring: typed, or written in a sweep's file,
in a group of the user's own or in an exported baseline. A value equal to the default needs no word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from bios_sweep.config.belonging import chosen_by_a_person
from bios_sweep.config.compose import Config
from bios_sweep.config.group_files import file_values, member_names, member_values
from bios_sweep.config.idle import IDLE, OF_THE_PLAN, OURS, PLANTED, SCRIPT, Idle
from bios_sweep.config.method import method_of
from bios_sweep.config.places import config_root
from bios_sweep.errors import ConfigError
from bios_sweep.secrecy import masked
from bios_sweep.settings import baseline_values

KINDS = {"data": "kind", "model": "kind", "method": "runner", "cluster": "executor", "tracking": "enabled"}
WALL, EXAMPLES = "wall", "examples"
Said = dict[str, str]  # key -> sentence


def refuse_idle(config: Config, facts: Mapping[str, Any], same: Mapping[str, Any] | None = None) -> Said:
    """Key -> what is said of a value that is without effect; nothing where every stated value counts.

    facts: `verb`, and those of the plan where there is one. same: key -> a value that says no more than the
    default, such as the number that `auto` stands for.

    Raises:
        ConfigError: a value that contradicts the chosen groups.
    """
    known = {**_facts(config.values), **facts}
    said: Said = {}
    for rule in IDLE:
        if not _holds(rule, config.values, known):
            continue
        for key in _stated(rule, config, same or {}):
            if rule.refused:
                raise ConfigError(f"{key}: {rule.why}")
            said.setdefault(key, f"{key}={_shown(key, config)} has no effect: {rule.why}")
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
    metrics = planted.get("metrics")
    shaped = [planted.get("truth"), *(metrics.values() if isinstance(metrics, Mapping) else ())]
    found = {str(name) for shapes in shaped for name in _names(shapes)}
    found |= {str(name) for shapes in shaped[1:] for name in _names(_part(shapes, "truth"))}
    interactions = planted.get("interactions")
    for name in _names(interactions):
        found |= {str(name), *map(str, _names(_part(interactions, name)))}
    return found | ({"learning_rate"} if planted.get(WALL) is not None else set())


def _part(values: Any, name: str) -> Any:
    return values.get(name) if isinstance(values, Mapping) else None


def _names(values: Any) -> Sequence[Any]:
    return tuple(values) if isinstance(values, Mapping) else ()


def _holds(rule: Idle, values: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    for name, test in rule.where.items():
        if name in OF_THE_PLAN and name not in facts:
            return False
        if not test(facts[name] if name in facts else value_at(values, name)):
            return False
    return True


def _stated(rule: Idle, config: Config, same: Mapping[str, Any]) -> Iterator[str]:
    for key in rule.keys:
        group, _, rest = key.partition(".")
        if group in config.members and not rest:
            if chosen_by_a_person(group, config.chooser):
                yield key
        elif rest == "*":
            inside = config.values.get(group) or {}
            yield from (f"{group}.{name}" for name in inside if _differs(f"{group}.{name}", config, same))
        elif _differs(key, config, same):
            yield key


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
