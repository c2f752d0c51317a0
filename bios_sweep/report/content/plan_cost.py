"""What a plan takes before it is run: hours, GPU-hours, money, and cheaper designs of a long one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bios_sweep.report.content.expense import Tariff
from bios_sweep.report.content.wording import duration, money, number, plural
from bios_sweep.settings import what_learns
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.stable import steps_saved
from bios_sweep.study.stages import most_confirmation_trials, most_search_trials
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Cheaper

NIGHT = 12.0  # hours from an evening to a morning; above it a plan names cheaper designs
TERA = 1e12


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What an estimate rests on while nothing was timed.

    operations: floating-point, of the baseline's trial. device: the slowest kind. peak: its TFLOP/s in that
    number format; None on CPUs, whose rate is one for all. utilisation: the share of the peak that training
    is taken to reach. per_second: operations that a trial gets.
    """

    operations: float
    device: str
    dtype: str
    peak: float | None
    utilisation: float | None
    per_second: float


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Seconds of a whole trial per training example. trials: earlier ones; 0: reckoned, by its basis."""

    seconds_per_example: float
    trials: int
    basis: Basis | None = None


@dataclass(frozen=True, kw_only=True)
class CheaperDesign:
    """A design that takes less. trials, hours and money: at most, candidates' confirmation included.

    changes: what to type in place of what was typed; command: all of it.
    """

    kind: Cheaper
    changes: tuple[str, ...]
    trials: int
    hours: float
    gpu_hours: float | None
    money: float | None
    command: str


@dataclass(frozen=True, kw_only=True)
class PlanCost:
    """Hours of what is to run; `most` with a whole search and the confirmation of every candidate.

    hours: by the clock, on the workers that are configured; trial_hours: of one baseline trial. gpu_hours:
    None where no GPU trains; money: None without `cluster.price_per_gpu_hour`. estimated: nothing was timed
    yet, see basis; else from_trials says how many earlier trials were. cheaper: designs, where the plan may
    take longer than a night.
    """

    estimated: bool
    from_trials: int
    trial_hours: float
    hours: float
    most_hours: float
    gpu_hours: float | None
    most_gpu_hours: float | None
    money: float | None
    most_money: float | None
    basis: Basis | None
    cheaper: tuple[CheaperDesign, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What turns training examples into hours. workers: trials at a time. gpus: of one trial.

    weights: by what learns, what a trial takes over one of the baseline's.
    once: what is computed once beside all trials, in examples of the baseline: the reference of pairs.
    """

    rate: Rate
    workers: int
    gpus: float
    tariff: Tariff
    weights: Mapping[tuple[str, bool], float] = field(default_factory=dict)
    once: float = 0.0

    def weighed(self, trials: Iterable[TrialSpec]) -> float:
        """Training examples of trials, as many of the baseline's as take that long; 0 without trials."""
        alike: dict[tuple[str, bool], list[TrialSpec]] = {}
        for trial in trials:
            alike.setdefault(what_learns(trial.settings), []).append(trial)
        found = sum(self.weights.get(key, 1.0) * examples_of(own) for key, own in alike.items())
        return found + self.once if found else 0.0

    def most_after(self, arms: Iterable[Arm], more: int) -> float:
        """The same of so many trials that may follow, each as long as the longest arm's."""
        return more * max(self.weights.get(what_learns(arm.settings), 1.0) * arm.examples() for arm in arms)

    def hours(self, examples: float) -> float:
        """By the clock."""
        return _short(self._trained(examples) / max(1, self.workers))

    def gpu_hours(self, examples: float) -> float | None:
        """None where no GPU trains."""
        return _short(self._trained(examples) * self.gpus) if self.gpus else None

    def money(self, examples: float) -> float | None:
        """None without a price."""
        amount = self.tariff.money(self._trained(examples))
        return None if amount is None else round(amount, 2)

    def _trained(self, examples: float) -> float:
        return examples * self.rate.seconds_per_example / 3600.0


def plan_cost(plan: Plan, examples: float, most: float, prices: Prices) -> PlanCost:
    """examples: of what is to run, as `Prices.weighed` has them; most: with what may follow."""
    return PlanCost(
        estimated=not prices.rate.trials,
        from_trials=prices.rate.trials,
        trial_hours=_short(plan.baseline.examples() * prices.rate.seconds_per_example / 3600.0),
        hours=prices.hours(examples),
        most_hours=prices.hours(most),
        gpu_hours=prices.gpu_hours(examples),
        most_gpu_hours=prices.gpu_hours(most),
        money=prices.money(examples),
        most_money=prices.money(most),
        basis=prices.rate.basis,
    )


def examples_of(trials: Iterable[TrialSpec]) -> int:
    """Training examples of trials; a stable part that one trains for others counts once."""
    listed = list(trials)
    saved = steps_saved(listed)
    return sum((one.settings.max_steps - saved.get(one.key, 0)) * one.settings.batch_size for one in listed)


def cheaper_design(
    kind: Cheaper,
    plan: Plan,
    changes: tuple[str, ...],
    command: str,
    finished: Collection[str],
    prices: Prices,
) -> CheaperDesign:
    """What a design takes at most. finished: keys of trials that are there already."""
    missing = [trial for trial in plan.trials if trial.key not in finished]
    more = most_search_trials(plan.study) + most_confirmation_trials(plan.study)
    most = prices.weighed(missing) + prices.most_after(plan.arms, more)
    return CheaperDesign(
        kind=kind,
        changes=changes,
        trials=len(missing) + more,
        hours=prices.hours(most),
        gpu_hours=prices.gpu_hours(most),
        money=prices.money(most),
        command=command,
    )


def cost_lines(cost: PlanCost, workers: int) -> list[str]:
    """What `plan` says of time and money."""
    source = "estimated"
    if not cost.estimated:
        source = f"from {plural(cost.from_trials, 'earlier trial')} of this model"
    amount = _amount(cost.hours, cost.gpu_hours, cost.money)
    told = f"time: about {amount} on {plural(workers, 'worker')}, {source}"
    if cost.most_hours > cost.hours:
        most = _amount(cost.most_hours, cost.most_gpu_hours, cost.most_money)
        told = f"{told}; at most {most}, if every factor gets a candidate"
    return [told, *([] if cost.basis is None else [_basis(cost.basis, cost.trial_hours)])]


def cheaper_lines(cost: PlanCost) -> list[str]:
    """The cheaper designs, each with what it takes at most and what to type."""
    return [
        f"{WHAT[one.kind]}: at most {plural(one.trials, 'trial')}, "
        f"{_amount(one.hours, one.gpu_hours, one.money)}: {one.command}"
        for one in cost.cheaper
    ]


WHAT = {
    Cheaper.FIRST_NIGHT: "the learning rate in a first night, whose trials all count later",
    Cheaper.FEWER_LOOKS: "one look, with fewer seeds",
    Cheaper.STAGED: "staged: one factor first, the others with its value",
    Cheaper.FEWER_STEPS: "half the steps, an answer for trainings of that length alone",
}


def _basis(basis: Basis, trial_hours: float) -> str:
    if basis.peak is None or basis.utilisation is None:
        how = f"{basis.per_second / 1e9:.3g} GFLOP/s on {basis.device}, a rough rate for any CPU"
    else:
        how = (
            f"{100 * basis.utilisation:.0f} % of the {number(basis.peak)} TFLOP/s of {basis.device} in "
            f"{basis.dtype}"
        )
    return (
        f"estimated: {basis.operations:.2g} floating-point operations a trial at {how}: "
        f"{duration(3600.0 * trial_hours)} a trial; the first timed trial replaces it"
    )


def _amount(hours: float, gpu_hours: float | None, price: float | None) -> str:
    """`29 h`, or `29 h, 29 GPU-hours, at a price of 87.00`."""
    parts = [duration(3600.0 * hours)]
    if gpu_hours is not None:
        parts.append(f"{gpu_hours:,.3g} GPU-hours" if gpu_hours < 1000 else f"{gpu_hours:,.0f} GPU-hours")
    if price is not None:
        parts.append(money(price))
    return ", ".join(parts)


def _short(value: float) -> float:
    return float(f"{value:.6g}")
