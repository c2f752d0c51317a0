"""Verdicts, one per judged question with what to do next; and what each goal is to use after them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bios_sweep.claims import JOINT, REPEAT
from bios_sweep.decision.choice import NextStep, Step
from bios_sweep.decision.claims.evidence import OF_SEEDS
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.finding import EDGE, FactorLevels, Finding
from bios_sweep.decision.ladder import LADDER_EDGE
from bios_sweep.decision.question import Question
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.defaults.tuned import PROFILES, settings_for
from bios_sweep.procedure.coarser import coarser, margin_words
from bios_sweep.procedure.next_levels import climbed, extended
from bios_sweep.procedure.next_step import Planned, next_step
from bios_sweep.procedure.questions import SEARCH, WINNER, factor_of, levels_of, questions
from bios_sweep.procedure.refinement import serves_search
from bios_sweep.procedure.served import UNFINISHED, own_cell, serves, stands_for
from bios_sweep.procedure.state import Results, Search, State
from bios_sweep.procedure.untested import UNTESTED, untested_reasons
from bios_sweep.reasons import Reason, is_any
from bios_sweep.report.content.advice import advice
from bios_sweep.report.content.by_hand import resume_command
from bios_sweep.report.content.expense import Tariff, hours_of
from bios_sweep.report.content.held import held_equal
from bios_sweep.report.content.lines import titled
from bios_sweep.report.content.scope import scope_of
from bios_sweep.report.content.summary import NotServed
from bios_sweep.report.content.takes import with_memory
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import BASELINE, Arm
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Goal, Stage


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How a sweep is gone on with. command: runs it again; following: runs the study that follows it.

    Both empty where no command line stands for it. tariff: what its trials cost.
    """

    command: str = ""
    following: str = ""
    tariff: Tariff = field(default_factory=Tariff)


def verdicts_of(plan: Plan, state: State, results: Results, ways: Ways) -> tuple[Verdict, ...]:
    """One verdict per question that has been judged so far, each with what to do now."""
    asked = [
        (cell, question)
        for cell in plan.cells or (plan,)
        for question in questions(cell)
        if question in state.findings
    ]
    verdicts = [
        _advised(
            plan,
            with_memory(_verdict(cell, question, state), cell, state, results),
            _next(cell, question, state, results, ways),
            ways,
        )
        for cell, question in asked
    ]
    if WINNER in state.findings and state.search is not None and state.search.winner is not None:
        verdict = search_verdict(plan, state, state.search, state.search.winner)
        verdicts.append(_advised(plan, verdict, None, ways))
    return tuple(verdicts)


def _verdict(plan: Plan, question: Question, state: State) -> Verdict:
    study, factor = plan.study, question.factor
    verdict = make_verdict(
        levels_of(plan, factor, state.untested),
        state.screening[question],
        state.findings[question],
        state.margins.get(question, state.margin),
        role=factor_of(plan, question).role,
        claim=question.claim,
        arms=[arm.name for arm in plan.arms if arm.name not in state.untested],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[question], state.seen.get(question)),
        held=held_equal(plan, state.seen.get(question)),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        limit=judgement_of(question.claim).limit(study.decision),
        served=_served(plan, state, question),
        withheld=_withheld(state, question),
        recommended=_recommended(plan, state, question),
        cell=question.cell,
        metric=study.metric.name,
        costs=_costs(state, state.findings[question]),
    )
    untested = untested_reasons(plan, factor, state.untested)
    return replace(verdict, reasons=(*verdict.reasons, *untested))


def _costs(state: State, finding: Finding) -> tuple[str, ...]:
    """The metrics beside the judged one that a finding's best arm is not shown to keep, on its seeds."""
    stage = Stage.CONFIRMATION if finding.fresh else Stage.SCREENING
    own = (row for row in state.beside if row.arm == finding.best and row.stage == stage)
    return tuple(row.metric for row in own if not row.kept)


def _served(plan: Plan, state: State, question: Question) -> Any:
    """The value that this very claim serves; an open one serves nothing, whatever another claim does."""
    finding = state.findings[question]
    if state.stage != Stage.DONE or question in state.withheld or not serves(question, finding):
        return None
    return stands_for(plan, question, finding)


def _withheld(state: State, question: Question) -> Reason | None:
    if state.stage != Stage.DONE and serves(question, state.findings[question]):
        return UNFINISHED()
    return state.withheld.get(question)


def _recommended(plan: Plan, state: State, question: Question) -> Any:
    """What the file gives the claim's goal for the factor; the default while nothing is served.

    plan: of the question's cell; another than the study's own is about no file.
    """
    if not question.served or plan.baseline.name != BASELINE:
        return None
    if state.stage != Stage.DONE:
        return getattr(plan.study.baseline, question.factor)
    return getattr(settings_of(plan, state, question.claim.goal or Goal.BALANCED), question.factor)


def search_verdict(plan: Plan, state: State, search: Search, winner: Arm) -> Verdict:
    """The winner of the joint search, judged like any candidate; its levels are settings, not one value."""
    study = plan.study
    values = {name: getattr(winner.settings, name) for name in search.ranges}
    levels = FactorLevels(
        name=SEARCH,
        default={name: getattr(study.baseline, name) for name in search.ranges},
        arms=(winner.name,),
        levels=(values,),
        labels=(winner.name,),
    )
    return make_verdict(
        levels,
        state.screening[WINNER],
        state.findings[WINNER],
        state.margin,
        role=JOINT.role,
        claim=JOINT,
        arms=[arm.name for arm in (plan.baseline, *search.arms)],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[WINNER]),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        served=values if serves_search(state) else None,
        withheld=state.withheld.get(WINNER),
        recommended={name: state.served.get(name, getattr(study.baseline, name)) for name in values},
    )


def _advised(plan: Plan, verdict: Verdict, step: NextStep | None, ways: Ways) -> Verdict:
    """A verdict with what to do now and, where its best ends a grid or a ladder, what extends it."""
    factor = next((factor for factor in plan.study.factors if factor.name == verdict.factor), None)
    more: list[str] = []
    if factor is not None and not is_any(verdict.reasons, UNTESTED):
        more = _one_step_more(factor, plan.study.baseline, verdict)
    extend = _typed(ways.command, *more) if more else None
    if step is not None and step.kind in (Step.LEVEL, Step.RUNG):
        step = replace(step, command=extend or step.command)
    now = verdict.now
    if now is not None and step is not None:
        lower = step.levels[0] if step.kind == Step.RATE and verdict.factor == "learning_rate" else now.value
        now = replace(now, step=step, value=lower)
    reasons = tuple(reason for reason in verdict.reasons if reason.kind not in OF_SEEDS)
    verdict = replace(verdict, now=now, extend=extend, reasons=reasons)
    return replace(verdict, advice=advice(verdict))


def _next(plan: Plan, question: Question, state: State, results: Results, ways: Ways) -> NextStep | None:
    """The cheapest step that would settle a question, with its cost and its command."""
    planned = next_step(plan, question, state, results)
    if planned is None:
        return None
    hours = hours_of(planned.trials, state, results)
    command = _command(plan, planned, state, ways)
    return replace(planned.step, hours=hours, money=ways.tariff.money(hours), command=command)


def _command(plan: Plan, planned: Planned, state: State, ways: Ways) -> str:
    step, factor = planned.step, planned.factor
    if not ways.following:
        return ""
    if step.kind in (Step.NARROWER, Step.EVALUATION):
        return _typed(ways.command, "decision.scope=evaluation")
    if step.kind == Step.AGAIN:
        return ways.command
    if step.kind == Step.TAKEN_UP:
        return resume_command(ways.command, step.levels[0])
    if step.kind in (Step.WORSE, Step.NEARER) and factor is not None:
        return _typed(ways.command, _levels_word(factor))
    if step.kind == Step.MARGIN and step.seeds is not None:
        start = 1 + max(trial.seed for trial in state.needed)
        seeds = ",".join(map(str, range(start, start + step.seeds)))
        margin = state.margin
        if margin is None or step.margin is None:
            return ""
        wider = coarser(plan.study.decision, step.margin, margin)
        words = margin_words(plan.study, wider, ways.command)
        return _typed(ways.command, f"seeds=[{seeds}]", f"decision.looks=[{step.seeds}]", *words)
    return ways.following


def _typed(command: str, *words: str) -> str:
    """The command with the words in place of what it says of the same keys."""
    anew = {word.partition("=")[0].lstrip("+~") for word in words}
    kept = [word for word in shlex.split(command) if word.partition("=")[0].lstrip("+~") not in anew]
    return " ".join(map(shlex.quote, (*kept, *words)))


def _levels_word(factor: Factor) -> str:
    kind = "multiply" if factor.multiply else "values"
    return f"sweeps.factors.{factor.name}.{kind}={_listed(factor.multiply or factor.values)}"


def _one_step_more(factor: Factor, baseline: TrainingSettings, verdict: Verdict) -> list[str]:
    """The overrides that add the next level beyond the best one, and the next rung of a ladder."""
    more = []
    if is_any(verdict.reasons, EDGE):
        more.append(_levels_word(extended(factor, baseline, verdict.best_level)))
    ends = {reason.facts["end"] for reason in verdict.reasons if reason.kind == LADDER_EDGE}
    if ends and factor.nuisance is not None:
        ladder = climbed(factor, baseline, ends).nuisance
        path = f"sweeps.factors.{factor.name}.nuisance.{factor.nuisance.setting}"
        stated = factor.nuisance.scale is not None
        more += [f"~{path}.scale"] if stated else []
        more.append(f"{'+' if stated else ''}{path}.multiply={_listed(ladder.multiply if ladder else ())}")
    return more


def _listed(levels: Sequence[float]) -> str:
    """In at most six digits where they tell the number, else in all."""
    short = {level: f"{level:g}" for level in levels}
    return f"[{','.join(text if float(text) == level else repr(level) for level, text in short.items())}]"


def settings_of(plan: Plan, state: State, goal: str) -> TrainingSettings:
    """The study's baseline with what is served to a goal in place, as `TunedDefaults.settings` has it."""
    base, own = plan.study.baseline, own_cell(plan)
    sizes = own is not None and any(question.factor == "batch_size" for question in questions(own))
    return settings_for(
        base,
        state.served,
        state.profiles.get(goal, {}),
        measured_batch=base.batch_size,
        measured_steps=base.max_steps,
        holds_steps=sizes and plan.study.budget.hold == "steps",
    )


def recommended(plan: Plan, state: State) -> dict[str, dict[str, Any]]:
    """Goal -> setting -> value, of every setting that was asked about or that moves with one.

    Whatever is still open stays at the study's default. Empty before the sweep is done, and where no question
    is about the study's own values.
    """
    own = own_cell(plan)
    if own is None or state.stage != Stage.DONE:
        return {}
    asked = [question.factor for question in questions(own) if question.factor != REPEAT]
    found = {goal: settings_of(plan, state, goal).by_name() for goal in PROFILES} if asked else {}
    start = plan.study.baseline.by_name()
    moved = {name for values in found.values() for name in values if values[name] != start.get(name)}
    names = [name for name in plan.study.baseline.names if name in {*asked, *moved}]
    return {goal: {name: values.get(name) for name in names} for goal, values in found.items()}


def profiles(plan: Plan, state: State) -> dict[str, dict[str, Any]]:
    """What is served, for whoever wants quality, balance or speed; {} where nothing differs."""
    if not state.profiles:
        return {}
    goals = recommended(plan, state)
    served = {name for values in (state.served, *state.profiles.values()) for name in values}
    moved = {name for name in next(iter(goals.values()), {}) if len({v[name] for v in goals.values()}) > 1}
    return {
        goal: {name: value for name, value in values.items() if name in served | moved}
        for goal, values in goals.items()
    }


def not_served(verdicts: Sequence[Verdict]) -> tuple[NotServed, ...]:
    """What verdicts settled and no goal gets."""
    return tuple(
        NotServed(title=title, value=verdict.best_level, why=verdict.withheld)
        for title, verdict in titled(verdicts)
        if verdict.withheld
    )
