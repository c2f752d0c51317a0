"""What the ledger remembers: an entry per question of every study that could be looked at. Pure.

Who asks the same question again looks again (docs/statistics.md, item 10). A question is known by what
decides its answer (scenario, the default's settings, what is held equal, metric, factor, claim), and not by
the name of the sweep.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bios_sweep.claims import REPEAT, Claim
from bios_sweep.decision.finding import EDGE, Finding
from bios_sweep.decision.gates import BASELINE_DIVERGED
from bios_sweep.decision.ladder import LADDER_EDGE
from bios_sweep.decision.question import Question
from bios_sweep.jsonable import OPTIONAL, from_fields
from bios_sweep.procedure.by_hand import STOPPED, identity_of
from bios_sweep.procedure.questions import arms_asked, factor_of, levels_of, questions
from bios_sweep.procedure.served import own_cell, serves, stands_for
from bios_sweep.procedure.state import State
from bios_sweep.reasons import is_any
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.margins import BEFORE, MARGINS, STANDARD, margins_of, of_before
from bios_sweep.study.metric_names import is_signed
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import as_hashed, canonical_json, plain, short_hash
from bios_sweep.vocabulary import Stage

KEPT = "must not lose"  # key of what `DecisionRule.must_not_lose` says
BY_PURPOSE = (
    "by purpose"  # margins that nobody gave: a release may name others, which is no change of the rule
)
Asked = tuple[str, str, str]  # factor, claim, cell


@dataclass(frozen=True, kw_only=True)
class Look:
    """One study's look at one question.

    sweep: the study; asked: the plan's id as it was asked for. question: its identity, the other names are
    for people. multiply, values: the levels that were tested, as they were given; rungs: of a ladder. seeds:
    on which levels were compared, none where no trial was new and the word of before was told again; fresh:
    on which candidates met the default. rule: what a verdict rests on
    beside trials. value: what the word stands for. counts: whether the study could have given a word; a stop
    by hand frees nothing, for results are shown as they come in, and whoever stopped may have seen them.
    pools: whether its trials belong into every later judgement of the question. series, changed: as in
    `study.history`. stopped: arm -> identity of its settings, of those that somebody stopped by hand and that
    nothing excluded.
    """

    sweep: str
    asked: str
    question: str
    factor: str
    claim: str
    cell: str
    default: Any
    multiply: tuple[float, ...]
    values: tuple[Any, ...]
    rungs: tuple[float, ...]
    seeds: tuple[int, ...]
    fresh: tuple[int, ...]
    rule: Mapping[str, Any]
    word: str
    value: Any
    counts: bool
    pools: bool
    series: int = 0
    changed: bool = False
    stopped: Mapping[str, str] | None = field(default=None, metadata=OPTIONAL)

    @property
    def told_again(self) -> bool:
        """Whether it brought no new trial, so that it is no look."""
        return not self.seeds

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the ledger and the journal; `stopped` only where something was."""
        values = dict(plain(asdict(self)))
        return values if self.stopped else {key: one for key, one in values.items() if key != "stopped"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Look:
        """Inverse of `to_dict`.

        Raises:
            TypeError: a key too many or too few.
        """
        return from_fields(cls, values)


def question_id(plan: Plan, question: Question) -> str:
    """The identity of a question of a plan without cells; the same for every study that asks it."""
    study, nuisance = plan.study, factor_of(plan, question).nuisance
    return short_hash(
        {
            "scenario": study.scenario.identity(),
            "default": as_hashed(study.baseline),
            "hold": study.budget.hold,
            "metric": study.metric.name,
            "factor": question.factor,
            "claim": question.claim.name,
            "nuisance": None if nuisance is None else [nuisance.setting, nuisance.scale],
        }
    )


def asked_questions(plan: Plan) -> dict[str, tuple[Plan, Question]]:
    """Identity -> the question with the plan of its cell; a control asks nothing that anybody asks again."""
    return {
        question_id(cell, question): (cell, question)
        for cell in plan.cells or (plan,)
        for question in questions(cell)
        if question.factor != REPEAT
    }


def rule_of(study: Study, claim: Claim) -> dict[str, Any]:
    """What decides the words of a claim beside its trials, as it was asked for; and the metric's direction.

    Where nobody knows clusters, the scope is this evaluation set, however it was asked for.
    """
    rule = study.decision
    given = {name: value for name in MARGINS if (value := getattr(rule, name)) is not None}
    clusters = study.scenario.data.eval_clusters and study.metric.name == "eval_loss"
    decides: dict[str, Any] = {
        "alpha": study.history.alpha if study.history else rule.alpha,
        "scope": rule.scope if clusters or rule.scope != "auto" else "evaluation",
        "direction": study.metric.direction,
        KEPT: sorted((one.identity() for one in rule.must_not_lose(study.metric)), key=canonical_json),
        **{name: getattr(rule, name) for name in claim.judged_by},
        "margin": BY_PURPOSE if _by_purpose(study) else given,
    }
    return dict(plain(decides))


def _by_purpose(study: Study) -> bool:
    """Whether the margins are those that this release has where nobody chose any, or version 1 had."""
    return has_margins_of(study, STANDARD if study.decision.version > 1 else BEFORE)


def has_margins_of(study: Study, purpose: str) -> bool:
    """Whether the margins are those that a purpose names for the study's metric."""
    rule, metric = study.decision, study.metric.name
    given = {name: getattr(rule, name) for name in MARGINS}
    margins = given if rule.version > 1 else of_before(given, metric)
    return rule.purpose == purpose and not is_signed(metric) and margins == margins_of(purpose, metric, {})


def rungs_tested(factor: Factor) -> tuple[float, ...]:
    """The multiples of a factor's ladder, where it has one that is given."""
    return tuple(map(float, factor.nuisance.multiply)) if factor.nuisance else ()


def looks_of(plan: Plan, state: State) -> tuple[Look, ...]:
    """What a study adds to the ledger: an entry per question that it judged, with what was seen on the way.

    Of a question of which it brought no new trial it is no look: the entry says that the study told the word
    again, and what its candidate has met on fresh seeds.
    """
    return tuple(
        _look(plan, cell, question, known, state)
        for known, (cell, question) in asked_questions(plan).items()
        if question in state.screening
    )


@dataclass(frozen=True, kw_only=True)
class Overtaken:
    """The later study whose word counts instead of an earlier one's.

    together: whether it was judged with the earlier one's trials; a series on fresh seeds leaves them out.
    rule: the parts of the rule that differ.
    """

    by: str
    together: bool
    rule: tuple[str, ...]


def overtaken(looks: Iterable[Look]) -> dict[str, dict[Asked, Overtaken]]:
    """Study -> (factor, claim, cell) of its questions that a later one judged again -> the last that did.

    looks: as the ledger has them; of a study that was finished again the last counts, in the first's place.
    """
    later: dict[str, Look] = {}
    found: dict[str, dict[Asked, Overtaken]] = {}
    for look in reversed(_last_said(looks)):
        if (last := later.get(look.question)) is not None:
            found.setdefault(look.sweep, {})[look.factor, look.claim, look.cell] = _by(last, look)
        elif look.pools and not look.changed:
            later[look.question] = look
    return found


def _by(later: Look, look: Look) -> Overtaken:
    rule = tuple(key for key in look.rule if key in later.rule and later.rule[key] != look.rule[key])
    return Overtaken(by=later.sweep, together=set(look.seeds) <= set(later.seeds), rule=rule)


def left_to_others(looks: Iterable[Look], sweep: str) -> set[Asked]:
    """(factor, claim, cell) of a study's questions on which the word of another study is the one that counts.

    The last that judged all trials together, or the last that told its word again beside other answers.
    """
    ordered, counting = _last_said(looks), dict[str, Look]()
    for look in ordered:
        before = counting.get(look.question)
        again = look.told_again and before and (look.word, look.value) == (before.word, before.value)
        if again or (look.pools and not look.changed):
            counting[look.question] = look
    return {
        (look.factor, look.claim, look.cell)
        for look in ordered
        if look.sweep == sweep and counting.get(look.question, look).sweep != sweep
    }


def factors_served(plan: Plan, asked: Iterable[Asked]) -> set[str]:
    """The factors of those questions that decide what a study serves: a crossed one's own cell does."""
    own = own_cell(plan)
    return {factor for factor, _, cell in asked if own is not None and cell == own.cell}


def _last_said(looks: Iterable[Look]) -> list[Look]:
    """Of a study that was finished again the last entry, in the first's place."""
    return list({(look.sweep, look.question): look for look in looks}.values())


def _stands(study: Study, cell: Plan, question: Question) -> bool:
    known = study.history.of(question.factor) if study.history else None
    asked = (question.claim.name, cell.cell)
    return known is not None and asked in [(one.claim, one.cell) for one in known.stands]


def _look(plan: Plan, cell: Plan, question: Question, known: str, state: State) -> Look:
    factor, study = factor_of(cell, question), plan.study
    history = study.history
    before = history.of(factor.name) if history else None
    levels = levels_of(cell, factor.name, state.untested)
    screening, final = state.screening[question], state.findings[question]
    stopped = _stopped(cell, question, final, state)
    asked = arms_asked(cell, question) - {cell.baseline.name}
    seeds = () if _stands(study, cell, question) else _seeds(state, Stage.SCREENING, asked)
    tested = [
        number
        for number, (_, value) in zip(factor.multiply, factor.levels(cell.study.baseline), strict=False)
        if value in levels.levels
    ]
    return Look(
        sweep=plan.sweep_id,
        asked=history.asked if history else plan.sweep_id,
        question=known,
        factor=question.factor,
        claim=question.claim.name,
        cell=question.cell,
        default=levels.default,
        multiply=tuple(tested),
        values=() if factor.multiply else levels.levels,
        rungs=rungs_tested(factor),
        seeds=seeds,
        fresh=_seeds(state, Stage.CONFIRMATION),
        rule=rule_of(study, question.claim),
        word=str(final.state),
        value=stands_for(cell, question, final) if serves(question, final) else None,
        counts=len(seeds) > 1
        and (bool(stopped) or (_could_tell(screening) and not is_any(final.reasons, EDGE, LADDER_EDGE))),
        pools=len(seeds) > 1
        and (bool(stopped) or _could_tell(screening) or is_any(screening.reasons, BASELINE_DIVERGED)),
        series=before.series if before else 0,
        changed=bool(before and before.changed),
        stopped=stopped or None,
    )


def _stopped(cell: Plan, question: Question, final: Finding, state: State) -> dict[str, str]:
    """The arms whose stop leaves the question without a word."""
    if not is_any(final.reasons, *STOPPED):
        return {}
    lacking = arms_asked(cell, question) & state.halted
    return {arm.name: identity_of(arm) for arm in cell.arms if arm.name in lacking}


def _seeds(state: State, stage: str, arms: set[str] | None = None) -> tuple[int, ...]:
    """The seeds of a stage's trials, of some arms or of all."""
    found = {trial.seed for trial in state.needed if trial.stage == stage and (not arms or trial.arm in arms)}
    return tuple(sorted(found))


def _could_tell(finding: Finding) -> bool:
    """Whether the gains had bounds: the gates were passed, and there was more than one seed."""
    return any(math.isfinite(bound.standard_error) for bound in finding.bounds)
