"""A rehearsal as it is told, with what it assumed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.claims import REPEAT
from bios_sweep.jsonable import LEFT_OUT, OPTIONAL
from bios_sweep.procedure.questions import factor_of, is_first
from bios_sweep.rehearsal.chances import Chances, Share
from bios_sweep.rehearsal.designs import JUDGED_AT, Search
from bios_sweep.rehearsal.evaluation import Evaluation
from bios_sweep.rehearsal.noise import EARLIER, Noise
from bios_sweep.rehearsal.world import (
    FIXED_TIME,
    LOST_BY_BATCH,
    LOST_BY_LESS,
    margin_percent,
    planted_level,
    told_in,
)
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import most_confirmation_trials, most_search_trials
from bios_sweep.units import PERCENT, Scale, kept_scale


@dataclass(frozen=True, kw_only=True)
class ChanceRow:
    """Shares of the simulated sweeps, from 0 to 1, each with its standard error, at one true effect.

    trials: expected of the whole sweep; seconds: of them, None where the speed is not known.
    """

    effect_margins: float
    effect_percent: float
    confirm: float
    refine: float
    inconclusive: float
    wrong: float
    confirm_error: float
    refine_error: float
    inconclusive_error: float
    wrong_error: float
    trials: float
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class QuestionRow:
    """A question's chances by the true effect. level: label of the level that has it.

    heading: the question with its claim, the factor's first one too. about_another_level: the claim is about
    another level than the one with the effect.
    """

    question: str
    factor: str
    claim: str
    level: str
    about_another_level: bool
    heading: str = field(metadata=LEFT_OUT)
    chances: tuple[ChanceRow, ...]


@dataclass(frozen=True, kw_only=True)
class DesignRow:
    """The design that was chosen for a budget; seconds are of all trials together.

    decides: the probability of a decided and right answer, judged at these effects. fitting: designs that
    fitted the budget, of those compared. weak: it leaves more open than it decides.
    """

    gpu_hours: float
    overrides: tuple[str, ...]
    decides: float
    decides_error: float
    judged_at: tuple[float, ...]
    expected_seconds: float
    most_seconds: float
    fitting: int
    compared: int
    weak: bool


@dataclass(frozen=True, kw_only=True)
class RehearsalSummary:
    """What a study would decide; `to_json` of it is what `rehearse --json` prints.

    most_trials, most_seconds: every look, a whole search, every candidate. design: None without a budget.
    evaluation: None where verdicts are about this evaluation set alone.
    unit, per_percent: of a score, in what texts tell gains, and what one percent is in it; None: percent.
    """

    sweep: str
    question: str
    scenario: str
    judged_on: str
    arms: int
    seeds: tuple[int, ...]
    looks: tuple[int, ...]
    confirmation_seeds: int
    margin_percent: float
    noise: Noise
    evaluation: Evaluation | None
    sweeps_simulated: int
    random_seed: int
    questions: tuple[QuestionRow, ...]
    most_trials: int
    most_seconds: float | None
    notes: tuple[str, ...]
    workers: int
    design: DesignRow | None
    command: str
    warnings: tuple[str, ...]
    unit: str | None = field(default=None, metadata=OPTIONAL)
    per_percent: float | None = field(default=None, metadata=OPTIONAL)

    @property
    def scale(self) -> Scale:
        """How gains, noise and margin are told."""
        return kept_scale(self.unit, self.per_percent)


def summarise_rehearsal(
    plan: Plan,
    noise: Noise,
    chances: Sequence[Chances],
    *,
    evaluation: Evaluation | None = None,
    sweeps: int,
    seed: int,
    seconds_per_example: float | None,
    most_seconds: float | None,
    workers: int,
    design: DesignRow | None,
    command: str,
    notes: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> RehearsalSummary:
    """A plan's chances as they are told. sweeps: simulated per question and effect. notes: further ones."""
    study, scale = plan.study, told_in(plan, noise)
    return RehearsalSummary(
        sweep=study.name,
        question=study.question,
        scenario=study.scenario.name,
        judged_on=study.metric.words,
        arms=len(plan.arms),
        seeds=tuple(study.seeds),
        looks=tuple(study.decision.looks),
        confirmation_seeds=study.decision.confirmation_seeds,
        margin_percent=margin_percent(plan, noise),
        noise=noise,
        evaluation=evaluation,
        sweeps_simulated=sweeps,
        random_seed=seed,
        questions=tuple(
            _question(plan, [row for row in chances if row.question == asked], seconds_per_example)
            for asked in dict.fromkeys(row.question for row in chances)
        ),
        most_trials=len(plan.trials) + most_search_trials(study) + most_confirmation_trials(study),
        most_seconds=most_seconds,
        notes=(*_notes(plan, noise, evaluation), *notes),
        workers=workers,
        design=design,
        command=command,
        warnings=tuple(warnings),
        unit=None if scale.unit == PERCENT else scale.unit,
        per_percent=None if scale.unit == PERCENT else scale.per_percent,
    )


def design_row(search: Search, hours: float) -> DesignRow:
    """The design that was chosen for a budget in hours."""
    best = search.best
    return DesignRow(
        gpu_hours=hours,
        overrides=best.overrides,
        decides=best.decides,
        decides_error=best.error,
        judged_at=JUDGED_AT,
        expected_seconds=best.expected,
        most_seconds=best.worst,
        fitting=search.compared,
        compared=search.of,
        weak=search.weak,
    )


def _question(plan: Plan, rows: Sequence[Chances], seconds_per_example: float | None) -> QuestionRow:
    first = rows[0]
    own = plan.cells[0] if plan.cells else plan
    claim, factor = first.question.claim, factor_of(own, first.question)
    planted = planted_level(own, factor).level
    elsewhere = claim.of_another_level and planted != claim.claimed(getattr(plan.study.baseline, factor.name))
    return QuestionRow(
        question=first.title,
        factor=factor.name,
        claim=claim.name,
        level=first.level,
        about_another_level=elsewhere,
        heading=f"{first.title} ({claim})" if is_first(own, first.question) else first.title,
        chances=tuple(_row(row, seconds_per_example) for row in rows),
    )


def _row(row: Chances, seconds_per_example: float | None) -> ChanceRow:
    return ChanceRow(
        effect_margins=row.effect,
        effect_percent=row.percent,
        confirm=row.confirm.value,
        refine=row.refine.value,
        inconclusive=row.inconclusive.value,
        wrong=row.wrong.value,
        confirm_error=_error(row.confirm),
        refine_error=_error(row.refine),
        inconclusive_error=_error(row.inconclusive),
        wrong_error=_error(row.wrong),
        trials=row.trials,
        seconds=None if seconds_per_example is None else row.examples * seconds_per_example,
    )


def _error(share: Share) -> float:
    return round(share.error, 6)


def _notes(plan: Plan, noise: Noise, evaluation: Evaluation | None) -> list[str]:
    notes = [plan.study.metric.doubt] if plan.study.metric.doubt else []
    if noise.source == EARLIER and noise.degrees_of_freedom < 10:
        notes.append(
            f"the noise has {noise.degrees_of_freedom} degrees of freedom only; its interval says how far it "
            "may be off"
        )
    rule = plan.study.decision
    if not noise.gained_known and rule.margin_share is not None:
        least = rule.plain_margin(None) / rule.margin_share
        notes.append(
            f"training gains {told_in(plan, noise).told(least):g} or more over the untouched model; "
            "where it gains less, the margin is smaller and harder to reach"
        )
    own = plan.cells[0] if plan.cells else plan
    factors = [factor for factor in own.factors if own.levels_of(factor.name)]
    for factor in factors:
        level = planted_level(own, factor)
        if _ends(own, factor.name, level.level):
            notes.append(
                f"{factor.name} {level.label} ends the grid: it can never be refined; add a level beyond it"
            )
    names = {factor.name for factor in factors}
    if {"lora_rank", "max_steps"} & names:
        notes.append(f"a smaller rank and fewer steps lose {LOST_BY_LESS:g} margins per halving")
    if "batch_size" in names:
        notes.append(f"a larger batch loses {LOST_BY_BATCH:g} margin per squared doubling")
    if own.timed_arms:
        notes.append(
            f"{FIXED_TIME:.0%} of the time of a step does not grow with its batch; nothing else costs time"
        )
    if plan.study.decision.refine is not None:
        search = f"the search of decision.refine={plan.study.decision.refine}"
        notes.append(f"{search} is left out of the chances; the most trials include it")
    if evaluation is None:
        notes.append("verdicts are about this evaluation set; how far another may differ plays no part")
    elif not evaluation.tokens:
        notes.append(f"the {evaluation.clusters} clusters of the evaluation examples are of one size")
    return notes


def _ends(plan: Plan, name: str, level: Any) -> bool:
    if name == REPEAT:
        return False
    tested = [getattr(plan.study.baseline, name), *(arm.level for arm in plan.levels_of(name))]
    numbers = all(map(is_number, tested))
    return numbers and level in (min(tested), max(tested))
