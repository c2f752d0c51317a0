"""What a margin means and what it takes to decide by it: half of the chosen one, it, and twice it. Pure.

docs/statistics.md, item 14.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.procedure.state import Results
from bios_sweep.rehearsal.noise import EARLIER, Noise
from bios_sweep.report.content.margin_chances import StudyChances, study_chances
from bios_sweep.report.content.margin_equals import final_means, four_digits, rate_factor, time_share
from bios_sweep.report.content.margin_lever import cheapest_lever
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.margins import MARGINS, scale_of
from bios_sweep.study.metric_names import is_share, is_signed
from bios_sweep.study.plan import Plan

TIMES = (0.5, 1.0, 2.0)  # of the chosen margin


@dataclass(frozen=True, kw_only=True)
class MarginRow:
    """One margin. chosen: whether it is the study's own.

    percent: of the metric; absolute: in its own unit, points: of a share; each None where the default's level
    is not known yet. learning_rate_factor: the change of learning rate that costs as much; time_share: the
    share of longer training that gains as much; each from the trials of this study that are there, None where
    they do not tell. trials: of screening, where nothing differs; hours: theirs. confirms: the chance that a
    default that nothing beats is confirmed; finds: that a gain of twice the margin is found and refined.
    """

    chosen: bool
    percent: float
    absolute: float | None = None
    points: float | None = None
    learning_rate_factor: float | None = None
    time_share: float | None = None
    trials: float | None = None
    hours: float | None = None
    confirms: float | None = None
    finds: float | None = None


@dataclass(frozen=True, kw_only=True)
class MarginTable:
    """Three margins, what their chances rest on, and the cheapest lever; empty where none is needed.

    noise_percent: of one trial; noise_source: earlier sweeps, or a guess.
    """

    rows: tuple[MarginRow, ...]
    noise_percent: float | None
    noise_source: str
    lever: str


def margin_table(
    plan: Plan, results: Results, noise: Noise, pace: float | None, command: str = ""
) -> MarginTable:
    """pace: seconds per training example, all workers together; None where no trial was timed.

    command: how the study is asked for.
    """
    known = _Known(plan=plan, means=final_means(plan, results), noise=noise, pace=pace)
    rules = [_scaled(plan.study.decision, factor) for factor in TIMES]
    chances = [known.chances(rule) for rule in rules]
    rows = tuple(map(known.row, TIMES, rules, chances))
    _, chosen, double = chances
    lever = cheapest_lever(
        plan, rows[1].percent, noise.percent, chosen=chosen, double=double, command=command
    )
    return MarginTable(
        rows=rows,
        noise_percent=four_digits(noise.percent) if known.told else None,
        noise_source=noise.source if known.told else "",
        lever=lever,
    )


def _scaled(rule: DecisionRule, times: float) -> DecisionRule:
    own: dict[str, Any] = {
        name: times * value for name in MARGINS if (value := getattr(rule, name)) is not None
    }
    return replace(rule, **own)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a margin is told by. means: arm -> its mean final metric; pace: seconds per training example."""

    plan: Plan
    means: Mapping[str, float]
    noise: Noise
    pace: float | None

    @property
    def share(self) -> bool:
        """Whether the metric is a share, whose margins are told in points."""
        return is_share(self.plan.study.metric.name)

    @property
    def own(self) -> bool:
        """Whether margins are told in the metric's own unit alone."""
        study = self.plan.study
        return is_signed(study.metric.name) and study.decision.margin_percent is None

    @property
    def told(self) -> bool:
        """Whether the noise is known: none is typical of a share, or of a metric that may be negative."""
        return not (self.share or self.own) or self.noise.source == EARLIER

    @property
    def level(self) -> float | None:
        """The default's mean final metric."""
        return self.means.get(self.plan.baseline.name)

    def percent(self, rule: DecisionRule) -> float:
        """The rule's margin in percent of the default's level."""
        level = self.noise.level if self.level is None and self.share else self.level
        return rule.margin(level, self.noise.gained if self.noise.gained_known else None)

    def chances(self, rule: DecisionRule) -> StudyChances | None:
        """None where the noise is not known."""
        return study_chances(self.plan, rule, self.percent(rule), self.noise.percent) if self.told else None

    def row(self, times: float, rule: DecisionRule, chances: StudyChances | None) -> MarginRow:
        """times: of the chosen margin, as the rule has it."""
        percent = self.percent(rule)
        return MarginRow(
            chosen=times == 1.0,
            percent=four_digits(percent),
            absolute=self._absolute(rule, percent),
            points=self._points(rule, percent),
            learning_rate_factor=rate_factor(self.plan, self.means, percent),
            time_share=time_share(self.plan, self.means, percent),
            trials=chances.trials if chances else None,
            hours=self._hours(chances.trials) if chances else None,
            confirms=chances.confirms if chances else None,
            finds=chances.finds if chances else None,
        )

    def _absolute(self, rule: DecisionRule, percent: float) -> float | None:
        if self.own:
            return rule.margin_absolute
        return four_digits(percent * abs(self.level) / 100.0) if self.level else None

    def _points(self, rule: DecisionRule, percent: float) -> float | None:
        if not self.share:
            return None
        if not self.level:
            return rule.margin_points
        return four_digits(scale_of(self.plan.study.metric.name, self.level, points=True).number(percent))

    def _hours(self, trials: float) -> float | None:
        if self.pace is None:
            return None
        return four_digits(trials * self.plan.baseline.examples() * self.pace / 3600.0)
