"""The chance of each verdict by the true effect: the procedure itself, on many planted sweeps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.finding import Finding
from bios_sweep.decision.question import Question
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.questions import factor_of, questions, title_of
from bios_sweep.procedure.state import State
from bios_sweep.rehearsal.evaluation import Evaluation
from bios_sweep.rehearsal.noise import Noise
from bios_sweep.rehearsal.truth import truth_of
from bios_sweep.rehearsal.world import Draws, World, margin_percent, planted_level, possible_trials
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Word

EFFECTS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # true effects, in margins
SEED = 20240611  # of every draw; fixed, so that a rehearsal can be repeated


@dataclass(frozen=True, kw_only=True)
class Share:
    """How often something happened. count of sweeps."""

    count: int
    sweeps: int

    @property
    def value(self) -> float:
        """The share itself."""
        return self.count / self.sweeps

    @property
    def error(self) -> float:
        """Its Monte-Carlo standard error; of the share with one more each way, so that 0 of n has one."""
        share = (self.count + 1) / (self.sweeps + 2)
        return math.sqrt(share * (1.0 - share) / self.sweeps)


@dataclass(frozen=True, kw_only=True)
class Chances:
    """What a question's answer would be, when the effect on one level of its factor is truly so large.

    title: how the question is told. level: label of the level of its factor that has the effect.
    effect: margins, and percent of the loss. right: decided, and not wrong (see `truth`). trials,
    examples: expected of the whole sweep, confirmation included.
    """

    question: Question
    title: str
    level: str
    effect: float
    percent: float
    confirm: Share
    refine: Share
    inconclusive: Share
    wrong: Share
    right: Share
    trials: float
    examples: float


@dataclass(frozen=True, kw_only=True)
class _Sweep:
    """One simulated sweep: its final state and what it spent."""

    state: State
    trials: int
    examples: int


def rehearse(
    plan: Plan,
    noise: Noise,
    *,
    evaluation: Evaluation | None = None,
    sweeps: int = 200,
    effects: Sequence[float] = EFFECTS,
    seed: int = SEED,
    tick: Callable[[], None] = lambda: None,
) -> tuple[Chances, ...]:
    """The chances of every question at every effect, by simulated sweeps through the real procedure.

    The effect is planted on one factor at a time; at effect 0 all factors share their sweeps. The joint
    search of `decision.refine` is left out. evaluation: the set, where its clusters count. tick: called
    after every simulated sweep.
    """
    plan = _without_search(plan)

    def simulated(world: World) -> list[_Sweep]:
        return _sweeps(plan, world, noise, evaluation, sweeps, seed, tick)

    asked = {q: (cell, factor_of(cell, q)) for cell in plan.cells or (plan,) for q in questions(cell)}
    factors = {question.factor: factor for question, (_, factor) in asked.items()}
    found: dict[tuple[Question, float], Chances] = {}
    nothing: list[_Sweep] = []
    for name, factor in factors.items():
        for effect in effects:
            world = _world(plan, noise, factor, effect)
            done = nothing if effect == 0.0 and nothing else simulated(world)
            nothing = done if effect == 0.0 else nothing
            for question, (cell, _) in asked.items():
                if question.factor == name:
                    title = title_of(cell, question)
                    found[question, effect] = _chances(plan, world, question, title, effect, done)
    return tuple(found[question, effect] for question in asked for effect in effects)


def sweeps_simulated(plan: Plan, effects: Sequence[float]) -> int:
    """How often `rehearse` simulates its number of sweeps; those of effect 0 are shared by all factors."""
    factors = {q.factor for cell in plan.cells or (plan,) for q in questions(cell)}
    return sum(1 if effect == 0.0 else len(factors) for effect in effects)


def _without_search(plan: Plan) -> Plan:
    """The plan with its candidates tested one by one; a joint search has no closed-form truth here."""

    def plain(one: Plan) -> Plan:
        study = replace(one.study, decision=replace(one.study.decision, refine=None))
        return replace(one, study=study, cells=tuple(plain(cell) for cell in one.cells))

    return plan if plan.study.decision.refine is None else plain(plan)


def _world(plan: Plan, noise: Noise, factor: Factor, effect: float) -> World:
    own = plan.cells[0] if plan.cells else plan
    margin = margin_percent(plan, noise)
    asked = own.study.factors
    laddered = any(one.nuisance is not None and one.nuisance.multiply for one in asked)
    return World(
        baseline=plan.study.baseline,
        factor=factor.name,
        planted=planted_level(own, factor),
        effect=effect * margin,
        margin=margin,
        gained=noise.gained,
        retuned=laddered and all(one.name != "learning_rate" for one in asked),
    )


def _sweeps(
    plan: Plan,
    world: World,
    noise: Noise,
    evaluation: Evaluation | None,
    sweeps: int,
    seed: int,
    tick: Callable[[], None],
) -> list[_Sweep]:
    done, trials = [], possible_trials(plan)
    for number in range(sweeps):
        done.append(_one(plan, Draws(plan, trials, world, noise, (seed, number), evaluation)))
        tick()
    return done


def _one(plan: Plan, draws: Draws) -> _Sweep:
    """Run a sweep to its end: whatever the procedure misses is drawn, until it misses nothing."""
    known = draws.known()
    state = state_of(plan, draws, known)
    while state.missing:
        draws.run(state.missing)
        state = state_of(plan, draws, known)
    examples = sum(trial.settings.max_steps * trial.settings.batch_size for trial in state.needed)
    return _Sweep(state=state, trials=len(state.needed), examples=examples)


def _chances(
    plan: Plan, world: World, question: Question, title: str, effect: float, done: Sequence[_Sweep]
) -> Chances:
    truth = truth_of(plan, world, question)
    words = [_word(plan, sweep.state.findings[question], truth) for sweep in done]

    def share(of: Iterable[bool]) -> Share:
        return Share(count=sum(of), sweeps=len(done))

    return Chances(
        question=question,
        title=title,
        level=world.planted.label,
        effect=effect,
        percent=world.margin * effect,
        confirm=share(word == Word.CONFIRM for word, _ in words),
        refine=share(word == Word.REFINE for word, _ in words),
        inconclusive=share(word not in (Word.CONFIRM, Word.REFINE) for word, _ in words),
        wrong=share(wrong for _, wrong in words),
        right=share(word in (Word.CONFIRM, Word.REFINE) and not wrong for word, wrong in words),
        trials=sum(sweep.trials for sweep in done) / len(done),
        examples=sum(sweep.examples for sweep in done) / len(done),
    )


def _word(plan: Plan, finding: Finding, truth: Truth) -> tuple[str, bool]:
    """A finding's word, and whether it is wrong."""
    if finding.state == Word.CONFIRM:
        return Word.CONFIRM, judgement_of(truth.claim).wrong_confirmation(truth)
    if finding.state == Word.REFINE:
        return Word.REFINE, judgement_of(truth.claim).wrong_refinement(truth, _served(plan, finding))
    return finding.state, False


def _served(plan: Plan, finding: Finding) -> Any:
    if finding.value is not None or finding.best is None:
        return finding.value
    return plan.arm(finding.best).level
