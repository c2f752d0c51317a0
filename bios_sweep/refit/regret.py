"""Old rule, refitted rule or one flat value: what each gives away on models it was not fitted to. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bios_sweep.decision.student import student_quantile
from bios_sweep.refit.cells import Cells, cells_of
from bios_sweep.refit.evidence import ALPHA, RateStudy
from bios_sweep.refit.law import Law, Rule, fit_law, fit_rule, served_rule

OLD = "old"
NEW = "new"
FLAT = "flat"
CANDIDATES = (NEW, FLAT)  # they share ALPHA


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """One model judged by rules fitted to the others: per rule its rate, regret (percent) and divergences."""

    model: str
    hidden_size: int
    rates: Mapping[str, float]
    regrets: Mapping[str, float]
    diverged: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Gain:
    """What a candidate saves over the old rule, mean over models in percent, and its lower bound."""

    value: float
    lower: float


@dataclass(frozen=True, kw_only=True)
class Refit:
    """A family's law and whether it should replace the old rule.

    hidden_sizes: of the smallest and the largest model.
    regrets: rule -> mean over the held-out models, percent.
    cells: how many lose little. choice: `old`, `new` or `flat`; reason in words.
    flat: the flat value fitted to all models, None where there is no law.
    """

    family: str
    method: str
    hidden_sizes: tuple[int, int]
    law: Law
    old: Rule
    cells: Cells
    flat: Rule | None = None
    held_out: tuple[HeldOut, ...] = ()
    gains: Mapping[str, Gain] = field(default_factory=dict)
    margin: float
    choice: str = OLD
    reason: str

    @property
    def regrets(self) -> dict[str, float]:
        """Mean regret per rule over the held-out models, percent; empty where none could be held out."""
        if not self.held_out:
            return {}
        return {
            name: float(np.mean([row.regrets[name] for row in self.held_out])) for name in (OLD, *CANDIDATES)
        }

    @property
    def chosen(self) -> Rule:
        """The rule to use from now on."""
        rules = {OLD: self.old, NEW: self.law.rule, FLAT: self.flat}
        return rules[self.choice] or self.old


def refits(studies: Sequence[RateStudy], margin: float) -> list[Refit]:
    """Every family and method by itself, against the rule that is served now; margin: as in `refit`."""
    groups: dict[tuple[str, str], list[RateStudy]] = {}
    for study in studies:
        groups.setdefault((study.family, study.method), []).append(study)
    return [refit(own, served_rule(*key), margin) for key, own in groups.items()]


def refit(studies: Sequence[RateStudy], old: Rule, margin: float) -> Refit:
    """Fit the law of one family and method, and compare it with the old rule on models left out in turn.

    margin: percent of the loss that matters. A change is recommended only where its mean saving over models
    reaches the margin and its one-sided lower bound (paired t over models, ALPHA shared by the two
    candidates) is above 0, and where it diverges on no more studies than the old rule. Where both would do,
    the flat value must save the margin over the new rule too: it forgets the size of the model.
    """
    first, law, sizes = studies[0], fit_law(studies), [study.hidden_size for study in studies]
    kept = Refit(
        family=first.family,
        method=first.method,
        hidden_sizes=(min(sizes), max(sizes)),
        law=law,
        old=old,
        cells=_cells(studies, {OLD: old}),
        margin=margin,
        reason=f"keep the old rule: {law.refusal}",
    )
    if law.refusal:
        return kept
    flat = fit_rule(studies, flat=True)
    kept = replace(kept, flat=None if isinstance(flat, str) else flat)
    rows = held_out(studies, old)
    if isinstance(rows, str):
        cells = _cells(studies, {OLD: old, NEW: law.rule, FLAT: kept.flat})
        return replace(kept, cells=cells, reason=f"keep the old rule: {rows}")
    cells = cells_of(studies, {row.model: row.rates for row in rows}, held_out=True)
    gains = {name: _gain(rows, name) for name in CANDIDATES}
    choice, reason = _choose(rows, gains, margin)
    return replace(kept, held_out=rows, cells=cells, gains=gains, choice=choice, reason=reason)


def _cells(studies: Sequence[RateStudy], rules: Mapping[str, Rule | None]) -> Cells:
    """Of rules that were fitted to the cells themselves, as far as there are such."""
    rates = {
        study.model: {name: rule.rate(study.hidden_size) for name, rule in rules.items() if rule is not None}
        for study in studies
    }
    return cells_of(studies, rates, held_out=False)


def held_out(studies: Sequence[RateStudy], old: Rule) -> tuple[HeldOut, ...] | str:
    """Every model that has gains, judged by rules fitted to the others; or why that cannot be done."""
    models = dict.fromkeys(study.model for study in studies if study.gains)
    if len(models) < 3:
        return f"regret needs the gains of at least 3 models, there are {len(models)}"
    rows = []
    for model in models:
        rest = [study for study in studies if study.model != model]
        rules: dict[str, Rule] = {OLD: old}
        for name in CANDIDATES:
            rule = fit_rule(rest, flat=name == FLAT)
            if isinstance(rule, str):
                return f"cross-validation fails without {model}: {rule}"
            rules[name] = rule
        rows.append(_row([one for one in studies if one.model == model and one.gains], rules))
    return tuple(rows)


def _row(mine: Sequence[RateStudy], rules: Mapping[str, Rule]) -> HeldOut:
    rates = {name: rule.rate(mine[0].hidden_size) for name, rule in rules.items()}
    return HeldOut(
        model=mine[0].model,
        hidden_size=mine[0].hidden_size,
        rates=rates,
        regrets={name: float(np.mean([one.regret(rate) for one in mine])) for name, rate in rates.items()},
        diverged={name: sum(one.diverges_at(rate) for one in mine) for name, rate in rates.items()},
    )


def _gain(rows: Sequence[HeldOut], name: str) -> Gain:
    saved = np.array([row.regrets[OLD] - row.regrets[name] for row in rows])
    t = student_quantile(1 - ALPHA / len(CANDIDATES), len(saved) - 1)
    mean = float(saved.mean())
    return Gain(value=mean, lower=mean - t * float(saved.std(ddof=1)) / math.sqrt(len(saved)))


def _choose(rows: Sequence[HeldOut], gains: Mapping[str, Gain], margin: float) -> tuple[str, str]:
    fallen = {name: sum(row.diverged[name] for row in rows) for name in (OLD, *CANDIDATES)}
    good = [
        name
        for name in CANDIDATES
        if gains[name].value >= margin and gains[name].lower > 0 and fallen[name] <= fallen[OLD]
    ]
    best = max(good or CANDIDATES, key=lambda name: gains[name].value)
    if set(good) == {NEW, FLAT} and gains[FLAT].value - gains[NEW].value < margin:
        best = NEW
    saves = f"{gains[best].value:.2g} % of the loss over {len(rows)} held-out models"
    bound = f"(lower bound {gains[best].lower:.2g} %, margin {margin:g} %)"
    if good:
        return best, f"change to the {best} rule: it saves {saves} {bound}"
    if fallen[best] > fallen[OLD]:
        more = f"diverges on {fallen[best]} held-out studies, the old one on {fallen[OLD]}"
        return OLD, f"keep the old rule: the {best} rule {more}"
    return OLD, f"keep the old rule: the better candidate ({best}) saves {saves} {bound}"
