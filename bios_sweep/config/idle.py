"""Where a configured value cannot count, as data: the circumstances, the key, why, and what to do.

A value that means nothing in the chosen groups would be passed over in silence, and another training, or
another verdict, than was asked for would come out without a sign. So every key of every group is in one of
three tables: it counts everywhere (`ALWAYS`, below), the user would get something else than was asked for
(`config.refused`), or the value is only without effect (`config.unheard`). Here is what the tables are
written in; a test goes over all keys of `conf/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.settings import KNOWN

Test = Callable[[Any], bool]

# What trains, by the groups `model` and `method` together: our own training, a script, planted curves.
OURS, SCRIPT, PLANTED = "ours", "script", "planted"
# Facts that only the plan tells; a rule that asks for one waits for it.
#   told: settings that a script's placeholders carry, None for all; claims: those the plan judges;
#   seeds_used: how many; looks_used: those of the study; searched: factors that a joint search can move;
#   undecided: margins that their items cannot decide
OF_THE_PLAN = ("told", "claims", "seeds_used", "looks_kept", "searched", "undecided")


def among(*allowed: Any) -> Test:
    """One of these values."""
    return lambda value: value in allowed


def beyond(*values: Any) -> Test:
    """None of these values."""
    return lambda value: value not in values


def absent(value: Any) -> bool:
    """Null, empty, false or 0."""
    return not value


def present(value: Any) -> bool:
    """Any value that is not nothing."""
    return bool(value)


def like_a_hub_id(value: Any) -> bool:
    """A text such as `ORG/NAME`."""
    return isinstance(value, str) and "/" in value


def lacks(*names: str) -> Test:
    """A collection without any of the names; None stands for one that has them all."""
    return lambda value: value is not None and not set(names) & set(value)


def no_claim(wanted: Callable[[Claim], bool]) -> Test:
    """Claims none of which is such a one; None stands for all that there are."""
    return lambda value: value is not None and not any(map(wanted, value))


def judged_without(key: str) -> Test:
    """Claims none of which is judged by that key of `decision`."""
    return no_claim(lambda claim: key in claim.judged_by)


@dataclass(frozen=True)
class Idle:
    """Keys that mean nothing under some circumstances.

    where: all of these hold, each a value or a test of it; a name is `verb`, `runs` (what trains), `moves`
    (settings on which planted curves depend), one of `OF_THE_PLAN`, or a dotted key. why: what is said behind
    each key; `GROUP.*` is all of a group, a group's bare name the choice of its member.
    """

    where: Mapping[str, Any]
    why: Mapping[str, str]


ALWAYS = frozenset(
    {
        "method.metric", "method.direction",  # of any engine; one that no trial measures is refused
        "workspace", "on_verdict", "seeds", "sweeps", "data.kind", "model.kind",
        "method.name", "method.objective", "method.runner",
        "cluster.executor", "tracking.enabled",
        "decision.margin_percent", "decision.margin_absolute", "decision.margin_points", "decision.scope",
        "decision.metrics",
        "decision.target", "decision.deadline",
        "budget.max_trials", "budget.hold", "budget.least_free_gb",
        "budget.max_hours",  # where no time is known yet `plan` says so
    }
)  # fmt: skip

# Settings that a script hears by a placeholder; those of `COUNTED` count without one, by the plan's numbers.
COUNTED = ("batch_size", "max_steps")  # the plan counts examples by them
SETTINGS = tuple(name for name, known in KNOWN.items() if known.group and name not in COUNTED)
SCORED = ("data.score", "data.score_items", "data.score_tokens", "data.score_stop", "data.score_pattern")
