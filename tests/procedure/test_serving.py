"""What a sweep serves was tried as it is served: together, within its guardrails, by its own margin."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from bios_sweep.decision.costs import Timing, cost_ratios, least_ratio
from bios_sweep.method import PRESETS
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.state import Known
from bios_sweep.procedure.suggestion import suggest
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.verdict_rows import Ways
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor, Nuisance
from bios_sweep.study.margins import margins_of
from bios_sweep.study.plan import build_plan
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status, Word
from tests.answers import by_factor
from tests.procedure.planted import BASELINE
from tests.scenarios import PLANTED as SCENARIO
from tests.scenarios import PUBLISH
from tests.texts import texts

BATCHES = (8, 16, 64, 128)
UNTOUCHED = 3.0


def study(*factors, looks=(5,), scenario=SCENARIO, metric=None, **rule):
    return Study(
        name="s",
        question="q",
        scenario=scenario,
        baseline=BASELINE,
        factors=factors,
        seeds=tuple(range(looks[-1])),
        decision=DecisionRule(looks=looks, **{**PUBLISH, **rule}),
        metric=metric or Metric(),
    )


def wobble(*what):
    return 1e-4 * random.Random(repr(what)).gauss(0, 1)


def ended(trial, value, metric="eval_loss", **more):
    def point(step, fraction, loss):
        named = {} if metric == "eval_loss" else {metric: loss}
        return Measurement(
            step=step,
            fraction=fraction,
            examples=step,
            tokens=step,
            eval_loss=math.nan if named else loss,
            metrics=named,
        )

    curve = (point(0, 0.0, UNTOUCHED), point(trial.settings.max_steps, 1.0, value))
    return TrialResult(key=trial.key, status=Status.COMPLETED, curve=curve, final={metric: value, **more})


def finished(plan, world, known=None):
    """The end of a sweep in which every trial gives `world(trial)`."""
    results, known = {}, known or Known()
    while (state := state_of(plan, results, known)).missing:
        results |= {trial.key: world(trial) for trial in state.missing}
    return state, results


def timed(plan, seconds):
    """A probe that finds seconds per step by batch size, with little noise."""
    arms = tuple(arm.name for arm in plan.timed_arms)
    sizes = {arm.name: arm.settings.batch_size for arm in plan.timed_arms}
    rows = tuple(tuple(seconds[sizes[arm]] * (1 + wobble(arm, row)) for arm in arms) for row in range(5))
    return Known(timing=Timing(arms=arms, seconds=rows, hardware="a clock"))


def test_a_claimed_level_that_breaks_a_guardrail_is_not_served_to_its_profile():
    def world(trial):
        batch = trial.settings.batch_size
        loss = 2.0 * {8: 0.99, 16: 0.98, 32: 1.0, 64: 1.004, 128: 1.05}[batch]
        forgot = {16: 2.0}.get(batch, 1.0)
        return ended(
            trial, loss * (1 + wobble(trial.arm, trial.seed)), general_loss=forgot + wobble(trial.seed)
        )

    factor = Factor(name="batch_size", values=BATCHES, claims=("quality",))
    free = build_plan(study(factor))
    seconds = {8: 0.3, 16: 0.55, 32: 1.0, 64: 1.4, 128: 2.6}
    state, _ = finished(free, world, timed(free, seconds))
    assert state.profiles["quality"] == {"batch_size": 16}
    kept = build_plan(study(factor, guardrails={"general_loss": 1.0}))
    state, _ = finished(kept, world, timed(kept, seconds))
    assert by_factor(state.findings)["batch_size"].state == Word.INCONCLUSIVE
    assert "guardrail general_loss" in texts(by_factor(state.findings)["batch_size"].reasons)[0]
    assert "quality" not in state.profiles


def test_a_profile_is_not_served_beside_a_refined_setting_that_it_never_met():
    def world(trial):
        loss = {8: 0.99, 16: 0.98, 32: 1.0, 64: 1.05}[trial.settings.batch_size]
        rate = {0.5: 1.02, 1: 1.0, 2: 0.98, 4: 1.03}[round(trial.settings.learning_rate / 1e-3, 2)]
        return ended(trial, 2.0 * loss * rate * (1 + wobble(trial.arm, trial.seed)))

    quality = Factor(name="batch_size", values=(8, 16, 64), claims=("quality",))
    plan = build_plan(study(quality, Factor(name="learning_rate", multiply=(0.5, 2, 4))))
    state, results = finished(plan, world)
    assert by_factor(state.findings)["batch_size"].state == Word.CONFIRM
    assert state.served == {"learning_rate": 2e-3}
    assert not state.profiles
    assert texts(by_factor(state.findings)["batch_size"].reasons)[-1] == (
        "not served: it was not tried together with the refined learning_rate"
    )
    told = {
        verdict.factor: verdict for verdict in summarise(plan, state, results, Ways(command="c")).verdicts
    }
    assert told["batch_size"].served is None


def test_what_is_settled_before_the_sweep_is_done_is_not_recommended_yet():
    def world(trial):
        loss = {16: 1.02, 32: 1.0, 64: 0.98, 128: 1.02}[trial.settings.lora_rank]
        rate = {0.5: 1.05, 1: 1.0, 2: 1.05}[round(trial.settings.learning_rate / 1e-3, 2)]
        return ended(trial, 2.0 * loss * rate * (1 + wobble(trial.arm, trial.seed)))

    rank = Factor(name="lora_rank", values=(16, 64, 128), claims=("optimum",))
    plan = build_plan(study(rank, Factor(name="learning_rate", multiply=(0.5, 2))))
    results = {trial.key: world(trial) for trial in state_of(plan, {}).missing}
    state = state_of(plan, results)
    assert by_factor(state.findings)["learning_rate"].state == Word.CONFIRM
    assert state.stage == "confirmation"
    told = summarise(plan, state, results, Ways(command="c"))
    rate = next(verdict for verdict in told.verdicts if verdict.factor == "learning_rate")
    assert rate.advice.startswith("keep 0.001; not served: the sweep is not finished; ")
    assert told.headline.endswith("no tuned defaults: the sweep is not finished")
    assert (told.served, told.recommended, rate.served) == ({}, {}, None)


def test_a_profile_s_value_that_is_the_default_was_tried_with_every_refined_setting():
    def world(trial):
        loss = {16: 1.0, 32: 1.0, 64: 1.05}[trial.settings.batch_size]
        rate = {0.5: 1.02, 1: 1.0, 2: 0.98, 4: 1.03}[round(trial.settings.learning_rate / 1e-3, 2)]
        return ended(trial, 2.0 * loss * rate * (1 + wobble(trial.arm, trial.seed)))

    quality = Factor(name="batch_size", values=(16, 64), claims=("quality",))
    plan = build_plan(study(quality, Factor(name="learning_rate", multiply=(0.5, 2, 4))))
    state, _ = finished(plan, world)
    found = by_factor(state.findings)["batch_size"]
    assert (found.state, found.value) == (Word.REFINE, 32)
    assert (state.profiles, state.withheld) == ({"quality": {"batch_size": 32}}, {})


def test_a_level_with_a_rate_of_its_own_does_not_push_out_one_that_is_served_alone():
    def world(trial):
        given = trial.settings
        loss = 2.0 * {16: 1.02, 32: 1.0, 64: 0.98, 128: 1.02}[given.lora_rank]
        if given.batch_size == 64:
            loss *= 0.95 if 1.4e-3 < given.learning_rate < 3e-3 else 1.0
        loss *= {16: 1.03, 128: 1.03}.get(given.batch_size, 1.0)
        if given.batch_size == 64 and given.lora_rank == 64:
            loss *= 1.1
        return ended(trial, loss * (1 + wobble(trial.arm, trial.seed)))

    rates = Nuisance(multiply=(0.5, 1, 2, 4))
    own_rate = Factor(name="batch_size", values=(16, 64, 128), claims=("optimum",), nuisance=rates)
    rank = Factor(name="lora_rank", values=(16, 64, 128), claims=("optimum",))
    state, _ = finished(build_plan(study(own_rate, rank)), world)
    found = by_factor(state.findings)
    assert found["batch_size"].state == found["lora_rank"].state == Word.REFINE
    assert state.served["lora_rank"] == 64
    assert "batch_size" not in state.served


def test_another_method_is_judged_and_neither_served_nor_combined_with_a_rate_of_the_default_s():
    """The tuned file has the default's method in its key, and a rate ten times that of full fine-tuning."""
    rates = Factor(name="learning_rate", multiply=(0.5, 2, 4))
    plan = build_plan(study(rates, Factor(name="method", values=("full",))))

    def world(trial):
        now = trial.settings
        gain = 0.03 * (now.learning_rate == 2e-3) + 0.1 * (now.method == "full")
        return ended(trial, 2 - gain + wobble(trial.key))

    state, results = finished(plan, world)
    found = by_factor(state.findings)
    assert {name: one.state for name, one in found.items()} == dict.fromkeys(
        ("learning_rate", "method"), Word.REFINE
    )
    assert (state.served, state.combination) == ({"learning_rate": 2e-3}, None)
    why = "tuned values hold for one method each, and these for the default's; method.trains=full asks for"
    assert why in texts(found["method"].reasons)[-1]
    verdicts = {one.factor: one for one in summarise(plan, state, results, Ways()).verdicts}
    assert why in str(verdicts["method"].withheld)
    assert not any("better alone" in why for why in suggest(plan, state, results).why)


def test_another_method_that_was_refined_at_a_rate_of_its_own_is_served_to_nobody():
    full = Factor(name="method", values=("full",), nuisance=Nuisance(multiply=(0.25, 0.5, 2)))
    plan = build_plan(study(full))
    state, _ = finished(
        plan, lambda t: ended(t, 2 - 0.1 * (t.settings.learning_rate == 5e-5) + wobble(t.key))
    )
    assert by_factor(state.findings)["method"].state == Word.REFINE
    assert (state.served, state.profiles) == ({"learning_rate": 1e-3}, {})


def test_a_verdict_is_told_with_the_margin_that_decided_it():
    def world(trial):
        loss = 2.0 + (0.06 if trial.seed > 2 else 0.0)  # later seeds shrink what training gains
        if trial.settings.learning_rate != BASELINE.learning_rate:
            loss *= 1 - 0.0044 if trial.settings.learning_rate > BASELINE.learning_rate else 1.01
        if trial.settings.weight_decay > 0:
            loss *= 1 + 40 * wobble(trial.seed, trial.settings.weight_decay)
        point = ended(trial, loss * (1 + 0.2 * wobble(trial.arm, trial.seed)))
        return replace(point, curve=(replace(point.curve[0], eval_loss=2.2), point.curve[1]))

    decay = Factor(name="weight_decay", values=(0.1, 0.2), claims=("optimum",))
    plan = build_plan(study(Factor(name="learning_rate", multiply=(0.25, 0.5, 2, 4)), decay, looks=(3, 5, 8)))
    state, _ = finished(plan, world)
    finding, margin = by_factor(state.findings)["learning_rate"], by_factor(state.margins)["learning_rate"]
    assert (finding.state, len(finding.seeds)) == (Word.CONFIRM, 3)
    assert finding.bound.upper < margin.percent
    assert by_factor(state.margins)["weight_decay"].percent < margin.percent


def test_a_script_whose_levels_change_nothing_sends_no_candidate():
    script = replace(SCENARIO, repeatable=False, method=PRESETS["command"])
    plan = build_plan(study(Factor(name="max_steps", values=(50, 200)), scenario=script))
    state, _ = finished(plan, lambda trial: ended(trial, 2.0 + 0.01 * trial.seed))
    assert by_factor(state.findings)["max_steps"].state == Word.INCONCLUSIVE
    assert not state.served
    assert {trial.stage for trial in state.needed} == {"screening", "control"}


def test_an_accuracy_of_0_on_fresh_seeds_is_told_not_raised():
    accuracy = Metric(name="accuracy", direction="maximize", unit="")

    def world(trial):
        better = 0.1 if trial.settings.learning_rate > BASELINE.learning_rate else 0.0
        start = 0.5 if trial.seed < 100 else 0.0
        return ended(trial, start + better + (wobble(trial.arm, trial.seed) if start else 0.0), "accuracy")

    rate = Factor(name="learning_rate", multiply=(0.5, 2, 4))
    state, _ = finished(build_plan(study(rate, metric=accuracy)), world)
    found = by_factor(state.findings)["learning_rate"]
    assert found.state == Word.INCONCLUSIVE
    assert texts(found.reasons)[-1].startswith(("the default's mean is 0", "edge:"))


def test_the_least_ratio_of_two_arms_pairs_their_repeats():
    drift = [1.0, 1.3, 0.8, 1.1, 0.9]  # both arms feel it
    seconds = {"base": [1.0] * 5, "a": [0.7 * d for d in drift], "b": [0.35 * d for d in drift]}
    costs = cost_ratios(seconds, dict.fromkeys(seconds, 10), 0.05, "a clock")
    assert math.isclose(least_ratio(costs["b"], costs["a"], 0.05), 0.5)


def test_the_margin_of_an_accuracy_is_one_point_in_a_sweep_too():
    accuracy = Metric(name="accuracy", direction="maximize", unit="")

    def world(trial):
        better = 0.004 if trial.settings.learning_rate == 2e-3 else -0.02  # shown, and less than a point
        moved = better if trial.settings.learning_rate != BASELINE.learning_rate else 0.0
        start = ended(trial, 0.3 + moved + 0.1 * wobble(trial.arm, trial.seed), "accuracy")
        return replace(start, curve=(replace(start.curve[0], metrics={"accuracy": 0.05}), start.curve[1]))

    asked = study(Factor(name="learning_rate", multiply=(0.5, 2, 4)), metric=accuracy)
    rule = replace(asked.decision, **margins_of("publish", accuracy.name, {}))
    plan = build_plan(replace(asked, decision=rule))
    state, _ = finished(plan, world)
    assert math.isclose(by_factor(state.margins)["learning_rate"].absolute, 0.01)
    assert by_factor(state.findings)["learning_rate"].state == Word.CONFIRM
