"""What each arm spent, and whether that was equal: a larger budget can look like a better setting."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.audit.blocks_of_runs import Sorted
from bios_sweep.audit.flaw import CAUTION, NOTE, SERIOUS, Flaw, compared_arms, new_flaw, some
from bios_sweep.audit.runs import ArmRuns, ArmSet, RunTable, spread
from bios_sweep.checks import is_number
from bios_sweep.claims import FEW_STEPS
from bios_sweep.decision.bounds import Bound
from bios_sweep.vocabulary import Status

EQUAL = 1.02  # budgets within 2 % are equal (chosen, not measured)
KINDS = ("examples", "tokens", "epochs", "steps", "iterations")  # what tells most of what was trained, first
LENGTH = ("max_steps", "epochs", "train_examples")  # factors that change what an arm spends on purpose


def budget_held(table: RunTable, arms: ArmSet, runs: Sorted) -> str:
    """What the compared arms had equal: one of KINDS, `nothing`, or `unknown`.

    Arms that change their own length on purpose do not count.
    """
    spent = _spent(table, arms, [arm for arm in compared_arms(arms, runs) if arm.factor not in LENGTH])
    known = [kind for kind in KINDS if spent[kind]]
    off = _rounding(arms, spent)
    ends = {
        kind: (min(own, key=own.__getitem__), max(own, key=own.__getitem__))
        for kind, own in spent.items()
        if own
    }
    equal = [kind for kind in known if _equal(spent, kind, off, *ends[kind])]
    return equal[0] if equal else "nothing" if known else "unknown"


def _spent(table: RunTable, arms: ArmSet, wanted: Sequence[ArmRuns]) -> dict[str, dict[str, float]]:
    """What each arm spent, where the table tells it for all of them: kind -> arm -> amount."""
    constant = {name: values[0] for name, values in table.settings.items() if len(set(values)) == 1}
    own = {arm.name: {**constant, **arm.settings} for arm in wanted}
    steps = _mean_cost(table, arms, "steps", own)
    if not _whole(steps):
        steps = {name: _positive(values.get("max_steps")) for name, values in own.items()}
    epochs = _mean_cost(table, arms, "epochs", own)
    if not _whole(epochs):
        epochs = {name: _positive(values.get("epochs")) for name, values in own.items()}
    batch = {name: _positive(values.get("batch_size")) for name, values in own.items()}
    spent = {
        "steps": steps,
        "examples": {name: steps[name] * batch[name] for name in own},
        "tokens": _mean_cost(table, arms, "tokens", own),
        "epochs": epochs,
        "iterations": _mean_cost(table, arms, "iterations", own),
    }
    if not _whole(spent["examples"]):
        spent["examples"] = _mean_cost(table, arms, "examples", own)
    return {kind: amounts if _whole(amounts) else {} for kind, amounts in spent.items()}


def _rounding(arms: ArmSet, spent: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Examples by which steps x batch may miss what an arm saw: the last batch of each epoch is not full."""
    batch = {arm.name: _positive(arm.settings.get("batch_size")) for arm in arms.arms}
    return {name: batch[name] * max(1.0, spent["epochs"].get(name, 1.0)) for name in spent["examples"]}


def _equal(
    spent: Mapping[str, Mapping[str, float]], kind: str, off: Mapping[str, float], one: str, other: str
) -> bool:
    """Whether two arms spent the same, but for how steps round; equal batches round alike."""
    less, more = sorted((spent[kind][one], spent[kind][other]))
    if more <= EQUAL * less:
        return True
    rounds = kind == "examples" and off.get(one) != off.get(other)
    return rounds and more - less < max(off[one], off[other])


def _positive(value: Any) -> float:
    return float(value) if is_number(value) and value > 0 else math.nan


def _whole(amounts: Mapping[str, float]) -> bool:
    return bool(amounts) and not any(math.isnan(amount) for amount in amounts.values())


def _mean_cost(table: RunTable, arms: ArmSet, kind: str, wanted: Iterable[str]) -> dict[str, float]:
    """Mean over an arm's completed runs; NaN for an arm without any."""
    amounts: dict[str, list[float]] = {name: [] for name in wanted}
    for arm, status, amount in zip(arms.of_run, table.statuses, table.costs.get(kind, ()), strict=False):
        if arm in amounts and status == Status.COMPLETED and amount > 0 and math.isfinite(amount):
            amounts[arm].append(amount)
    return {name: statistics.fmean(own) if own else math.nan for name, own in amounts.items()}


@dataclass(frozen=True, kw_only=True)
class Another:
    """What an arm spent another amount of than the default: one of KINDS, and whether it was more."""

    kind: str
    more: bool

    def explains(self, bound: Bound | None, margin: float) -> bool:
        """Whether the budget could be what the arm shows: a gain that more made, or one that less took.

        bound: the arm's; nothing is known of an arm without one. More explains no arm whose gain is below
        the margin all the same, less none that gains.
        """
        if bound is None:
            return True
        return bound.upper >= margin if self.more else bound.lower <= 0.0


def confounded_budgets(table: RunTable, arms: ArmSet, runs: Sorted) -> dict[str, Another]:
    """Arms that spent another amount than the default though nothing was held equal.

    Where runs of one arm differ among themselves, what they spent is no part of the arm.
    """
    if table.ours or budget_held(table, arms, runs) != "nothing":
        return {}
    wanted = [arm for arm in compared_arms(arms, runs) if arm.factor not in LENGTH]
    spent = _spent(table, arms, wanted)
    kind = next(kind for kind in KINDS if spent[kind])
    base = spent[kind][wanted[0].name]
    own: dict[str, list[float]] = {}
    for arm, status, amount in zip(arms.of_run, table.statuses, table.costs.get(kind, ()), strict=False):
        if status == Status.COMPLETED:
            own.setdefault(arm, []).append(amount)
    if any(spread(amounts) > EQUAL for amounts in own.values()):
        return {}
    off, first = _rounding(arms, spent), wanted[0].name
    return {
        name: Another(kind=kind, more=amount > base)
        for name, amount in spent[kind].items()
        if not _equal(spent, kind, off, first, name)
    }


def unequal_budgets(table: RunTable, arms: ArmSet, runs: Sorted) -> list[Flaw]:
    """Arms that spent more or less than the default, or whose budget is not recorded."""
    compared = compared_arms(arms, runs)
    if len(compared) < 2:
        return []
    found = []
    lengths = [arm.name for arm in compared[1:] if arm.factor in LENGTH]
    if lengths:
        sentence = (
            f"{some(lengths)}: trained for another length on purpose; what that costs is not weighed here"
        )
        found.append(new_flaw("length_is_the_factor", NOTE, sentence, lengths))
    wanted = [arm for arm in compared if arm.factor not in LENGTH]
    spent = _spent(table, arms, wanted)
    if not any(spent.values()):
        sentence = (
            "the table does not say what each arm spent (tokens, or max_steps and batch_size): whether "
            "budgets were equal cannot be checked"
        )
        return [*found, new_flaw("budget_unknown", CAUTION, sentence)]
    kind = next(kind for kind in KINDS if spent[kind])
    base = spent[kind][compared[0].name]
    ratios = {name: amount / base for name, amount in spent[kind].items()}
    off = _rounding(arms, spent)
    unequal = [name for name in ratios if not _equal(spent, kind, off, compared[0].name, name)]
    if unequal:
        most = max(unequal, key=lambda name: abs(math.log(ratios[name])))
        how = " (steps x batch_size)" if kind == "examples" else ""
        sentence = (
            f"unequal budgets: {most} spent {ratios[most]:.3g} times the {kind} of the default{how}, "
            f"{len(unequal):,} of {len(ratios) - 1:,} arms differ; a gain may be the budget, not the setting"
        )
        found.append(new_flaw("unequal_budgets", SERIOUS, sentence, unequal))
    return found


def short_trainings(table: RunTable, arms: ArmSet, runs: Sorted) -> list[Flaw]:
    """Arms too short to say much of a full training."""
    wanted = [arm for arm in compared_arms(arms, runs) if arm.factor not in LENGTH]
    steps = _spent(table, arms, wanted)["steps"]
    short = [name for name, amount in steps.items() if amount < FEW_STEPS]
    if not short:
        return []
    sentence = f"fewer than {FEW_STEPS} steps: {some(short)}; what holds for so short a training may not last"
    return [new_flaw("few_steps", CAUTION, sentence, short)]
