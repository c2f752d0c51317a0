"""A study rehearsed before it is paid for: chances of verdicts, noise, designs, and what the verb prints."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shlex

import numpy as np
import pytest

from bios_sweep.cli.main import main
from bios_sweep.decision.claims.judgement import judgement_of
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.errors import InputError, PlanError
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.questions import questions
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.rehearsal import truth
from bios_sweep.rehearsal.chances import Share, rehearse
from bios_sweep.rehearsal.designs import affordable, choose_design, cost_of
from bios_sweep.rehearsal.noise import guessed_noise, noise_from, stated_noise, with_interval
from bios_sweep.rehearsal.world import Draws, World, planted_level, possible_trials
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status
from tests.decision import simulated

LITTLE = 0.2  # noise in percent at which the decision rule was checked
MUCH = 0.35
SECONDS = 1e-3  # per training example


MARGIN = (f"decision.margin_percent={simulated.DELTA}", "decision.margin_share=0.05")
DESIGN = ("decision.looks=[5]", *MARGIN)


def plan_of(*overrides, sweep="learning_rate"):
    words = (f"sweeps={sweep}", "model=planted", "decision.purpose=publish", *overrides)
    return prepare(Invocation(overrides=words)).plan


def by_effect(plan, noise=LITTLE, *, claim=None, **options):
    rows = rehearse(plan, stated_noise(noise), **options)
    return {row.effect: row for row in rows if claim is None or row.question.claim.name == claim}


def near(share, promised, errors=4.0):
    return abs(share.value - promised) <= errors * (promised * (1 - promised) / share.sweeps) ** 0.5


# --- the chances


def in_numpy(margins, sigma, looks):
    """The same study on 20 000 simulated sweeps: its planted level is the first one below the default."""
    gains = (0.0, margins * simulated.DELTA, 0.0, 0.0)
    return simulated.words(simulated.World(gains=gains, sigma=(sigma,) * 5, looks=looks), 20_000)


def test_a_right_default_is_confirmed_as_often_as_the_rule_promises():
    null = by_effect(plan_of(*DESIGN), sweeps=400, effects=(0.0,))[0.0]
    assert near(null.confirm, in_numpy(0, LITTLE, (5,)).confirm)
    assert null.refine.count <= 4
    assert null.wrong.count == null.refine.count


def test_a_default_that_a_level_beats_by_the_margin_is_falsely_confirmed_in_about_alpha():
    row = by_effect(plan_of(*DESIGN), sweeps=400, effects=(1.0,))[1.0]
    assert near(row.confirm, 0.05)
    assert row.wrong == row.confirm


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("looks", [(5,), (3, 5, 8)])
@pytest.mark.parametrize("noise", [LITTLE, MUCH])
def test_chances_and_trials_are_those_of_simulated_sweeps_within_two_points(noise, looks):
    plan = plan_of(*MARGIN, f"decision.looks=[{','.join(map(str, looks))}]")
    rows = by_effect(plan, noise, sweeps=3000, effects=(0.0, 1.0, 2.0))
    for effect, row in rows.items():
        found = in_numpy(effect, noise, looks)
        assert row.confirm.value == pytest.approx(found.confirm, abs=0.02), effect
        assert row.refine.value == pytest.approx(found.refine, abs=0.02), effect
        fresh = 10 * found.candidate  # the default and the candidate at five seeds
        assert row.trials == pytest.approx(found.trials.mean() + fresh, rel=0.02), effect


@pytest.mark.slow
def test_more_noise_leaves_more_open():
    confirm = in_numpy(0, MUCH, (5,)).confirm
    assert near(by_effect(plan_of(*DESIGN), MUCH, sweeps=300, effects=(0.0,))[0.0].confirm, confirm)


@pytest.mark.slow
def test_the_chance_to_refine_grows_with_the_true_gain_and_that_to_confirm_shrinks():
    rows = list(by_effect(plan_of(), MUCH, sweeps=100).values())
    refine, confirm = [row.refine.value for row in rows], [row.confirm.value for row in rows]
    assert all(after >= before - 0.02 for before, after in itertools.pairwise(refine))
    assert all(after <= before + 0.02 for before, after in itertools.pairwise(confirm))
    assert refine[0] == 0 < 0.9 < refine[-1]
    assert confirm[-1] == 0


def test_more_seeds_decide_more_often():
    few, many = (
        by_effect(plan_of(f"decision.looks=[{seeds}]"), MUCH, sweeps=120, effects=(0.0, 1.5))
        for seeds in (3, 8)
    )
    assert many[0.0].confirm.value > few[0.0].confirm.value + 0.3
    assert many[1.5].refine.value > few[1.5].refine.value + 0.1


def test_shares_add_up_and_no_error_is_zero():
    row = by_effect(plan_of(), sweeps=30, effects=(0.0,))[0.0]
    assert row.confirm.count + row.refine.count + row.inconclusive.count == 30
    assert row.right.count + row.wrong.count + row.inconclusive.count == 30
    assert Share(count=0, sweeps=30).error > 0
    assert Share(count=50, sweeps=100).error == pytest.approx(0.05)


def test_looks_that_decide_early_make_the_sweep_cheaper():
    plan = plan_of("decision.looks=[3,5,8]")
    rows = by_effect(plan, sweeps=60, effects=(0.0, 0.5))
    assert 15 <= rows[0.0].trials < rows[0.5].trials < len(plan.trials)
    assert rows[0.0].examples == pytest.approx(rows[0.0].trials * plan.baseline.examples())


def test_the_same_rehearsal_gives_the_same_numbers_and_another_seed_others():
    plan = plan_of()
    first, again, other = (
        rehearse(plan, stated_noise(MUCH), sweeps=20, effects=(1.0,), seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_level_that_ends_the_grid_is_never_refined():
    rows = by_effect(plan_of("sweeps.factors.learning_rate.multiply=[0.5,2]"), sweeps=20, effects=(3.0,))
    assert rows[3.0].inconclusive.value == 1.0


def test_one_seed_decides_nothing():
    rows = by_effect(plan_of("seeds=[0]"), sweeps=5, effects=(0.0, 3.0))
    assert [row.inconclusive.value for row in rows.values()] == [1.0, 1.0]


@pytest.mark.parametrize(
    "sweep", ["aa", "batch_size", "batch_size_retuned", "capacity", "capacity_by_data", "duration"]
)
def test_every_role_is_mostly_right_where_every_default_is(sweep):
    plan = plan_of("decision.guardrails={eval_bits_per_byte: 2}", sweep=sweep)
    rows = rehearse(plan, stated_noise(0.1), sweeps=8, effects=(0.0,))
    asked = [question for cell in plan.cells or (plan,) for question in questions(cell)]
    assert [row.question for row in rows] == asked
    assert [row.question for row in rows if row.right.count < 6] == []


def test_smaller_batches_that_gain_are_the_better_quality_but_buy_nothing_for_balance_below_the_margin():
    plan = plan_of(sweep="batch_size")
    assert by_effect(plan, 0.1, claim="quality", sweeps=8, effects=(2.0,))[2.0].confirm.value == 1.0
    assert by_effect(plan, 0.1, claim="balanced", sweeps=8, effects=(2.0,))[2.0].refine.value == 1.0


def test_the_joint_search_is_left_out():
    plan = plan_of("decision.refine=optuna")
    assert by_effect(plan, sweeps=5, effects=(3.0,))[3.0].refine.value == 1.0


# --- the very code that judges


@pytest.mark.parametrize(
    ("sweep", "words"),
    [("learning_rate", ("decision.looks=[3,5,8]",)), ("batch_size", ()), ("defaults", ())],
)
def test_a_simulated_sweep_ends_as_a_driver_would_end_it(sweep, words):
    plan = plan_of(*words, sweep=sweep)
    world = world_of(plan, plan.factors[0].name, 1.0)
    for number in range(3):
        draws = Draws(plan, possible_trials(plan), world, stated_noise(MUCH), (5, number))
        source = ProcedureSource(plan, known=draws.known())
        while not source.closed:
            trial = source.take()
            draws.run([trial])
            source.add(draws[trial.key])
        assert source.state == state_of(plan, draws, draws.known())


def test_pairing_removes_the_block_and_the_noise_is_as_stated():
    plan = plan_of()
    world = world_of(plan, "learning_rate", 0.0)
    draws = Draws(plan, possible_trials(plan), world, stated_noise(LITTLE), (1, 0))
    values = np.array([[draws[t.key].final["eval_loss"] for t in plan.trials if t.arm == arm.name]
                       for arm in plan.arms])  # fmt: skip
    block = values.mean(axis=0)
    assert block.std() > 3 * (values - block).std()


def test_the_effect_is_planted_at_the_end_of_what_there_is_rather_than_beyond_the_tested():
    study = plan_of().study
    baseline = dataclasses.replace(study.baseline, lora_dropout=0.1)
    dropout = Factor(name="lora_dropout", values=(0.0, 0.15))
    plan = build_plan(dataclasses.replace(study, baseline=baseline, factors=(dropout,)))
    assert planted_level(plan, plan.factors[0]).level == 0.0


def world_of(plan, factor, effect):
    planted = planted_level(plan, next(f for f in plan.factors if f.name == factor))
    return World(
        baseline=plan.study.baseline,
        factor=factor,
        planted=planted,
        effect=effect * 0.5,
        margin=0.5,
        gained=50.0,
    )


# --- what is wrong


def truth_of(sweep, claim, effect, *words):
    """The judgement of a claim and what is true of it."""
    plan = plan_of(*words, sweep=sweep)
    question = next(question for question in questions(plan) if question.claim.name == claim)
    world = world_of(plan, question.factor, effect)
    return judgement_of(question.claim), truth.truth_of(plan, world, question)


def wrong_refinement(sweep, claim, effect, level):
    judgement, known = truth_of(sweep, claim, effect)
    return judgement.wrong_refinement(known, level)


@pytest.mark.parametrize(
    ("sweep", "claim", "effect", "wrong"),
    [
        ("learning_rate", "optimum", 0.9, False),
        ("learning_rate", "optimum", 1.0, True),
        ("capacity", "enough", 0.9, False),
        ("capacity", "enough", 1.0, True),
        ("batch_size", "balanced", 0.9, False),
        ("batch_size", "balanced", 1.0, True),
        ("batch_size", "quality", 0.0, True),
        ("batch_size", "quality", 0.5, False),
        ("batch_size", "speed", 0.0, False),
    ],
)
def test_a_confirmation_is_wrong_where_the_claim_is_false(sweep, claim, effect, wrong):
    judgement, known = truth_of(sweep, claim, effect)
    assert judgement.wrong_confirmation(known) is wrong


def test_a_refinement_is_wrong_towards_what_is_no_better():
    plan = plan_of()
    level = planted_level(plan, plan.factors[0]).level
    assert [wrong_refinement("learning_rate", "optimum", effect, level) for effect in (-1, 0, 1)] == [
        True, True, False,
    ]  # fmt: skip
    assert wrong_refinement("capacity", "enough", 0.0, 8)  # loses four margins
    assert wrong_refinement("batch_size", "quality", 0.0, 128) is False  # smaller buys nothing
    assert wrong_refinement("batch_size", "quality", 2.0, 128) is True
    assert wrong_refinement("batch_size", "speed", 0.0, 512) is True  # loses four margins


# --- noise


def table(values, arms, untouched=None):
    outcomes = {
        (arm, seed): Outcome(status="completed", value=float(value))
        for arm, row in zip(arms, values, strict=True)
        for seed, value in enumerate(row)
    }
    return ResultTable(
        arms=arms,
        seeds=tuple(range(values.shape[1])),
        outcomes=outcomes,
        metric=Metric(),
        untouched=untouched,
    )


def planted_table(random, arms=6, seeds=10, percent=LITTLE, loss=2.0, untouched=3.0):
    noise = percent / 100 * random.standard_normal((arms, seeds))
    values = loss * (1 + 0.01 * random.standard_normal(seeds) + noise + 0.01 * np.arange(arms)[:, None])
    return table(values, tuple(f"arm {place}" for place in range(arms)), untouched)


def test_the_noise_of_earlier_tables_is_pooled_and_its_interval_covers_nine_times_in_ten():
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        tables = {"a": [planted_table(random)], "b": [planted_table(random, arms=3, seeds=5)]}
        found = with_interval(noise_from(tables))
        assert (found.degrees_of_freedom, found.sweeps) == (45 + 8, ("a", "b"))
        covered += found.lower <= LITTLE <= found.upper
    assert 170 <= covered <= 192


def test_what_training_gained_narrows_the_margin():
    random = np.random.default_rng(3)
    found = noise_from({"a": [planted_table(random, untouched=2.1)]})
    assert found.gained == pytest.approx(5, abs=1)
    assert rehearse(plan_of(), found, sweeps=2, effects=(1.0,))[0].percent == pytest.approx(
        0.05 * found.gained
    )


def test_tables_without_a_residual_tell_no_noise():
    one_seed = table(np.array([[2.0], [2.1]]), ("a", "b"))
    gone = dataclasses.replace(
        planted_table(np.random.default_rng(0), arms=2),
        outcomes={
            ("arm 0", 0): Outcome(status="completed", value=2.0),
            ("arm 1", 0): Outcome(status=Status.DIVERGED),
        },
    )
    assert noise_from({"a": [one_seed], "b": [gone]}) is None
    assert noise_from({}) is None


@pytest.mark.parametrize("percent", [0.0, -1.0, float("nan"), float("inf")])
def test_a_noise_that_is_none_is_refused(percent):
    with pytest.raises(InputError, match="--noise"):
        stated_noise(percent)


# --- designs


def found_design(hours, noise, sweeps=25):
    """The best of every fourth design, for speed."""
    study = plan_of().study
    designs, of = affordable(study, SECONDS, 3600 * hours)
    return choose_design(designs[::4], study, stated_noise(noise), SECONDS, sweeps=sweeps, of=of)


def test_too_small_a_budget_says_so_and_what_the_smallest_design_needs():
    study = plan_of().study
    with pytest.raises(PlanError, match=r"no design can decide within 0.01 hours.*needs up to") as refusal:
        affordable(study, SECONDS, 36.0)
    hours = float(str(refusal.value).split()[-2])
    designs, _ = affordable(study, SECONDS, 3600 * hours)
    assert min(design.worst for design in designs) <= 3600 * hours
    with pytest.raises(PlanError, match="no design can decide"):
        affordable(study, SECONDS, 3600 * (hours - 0.02))


def test_a_ceiling_of_trials_below_every_design_says_so():
    study = plan_of().study
    tight = dataclasses.replace(study, budget=dataclasses.replace(study.budget, max_trials=3))
    with pytest.raises(PlanError, match=r"every design has more than budget\.max_trials = 3"):
        affordable(tight, SECONDS, 1e9)


@pytest.mark.slow
def test_the_design_fits_in_the_worst_case_and_more_hours_decide_more():
    small, large = (found_design(hours, noise=0.3) for hours in (0.7, 2.0))
    assert small.best.worst <= 0.7 * 3600 < large.best.worst <= 2.0 * 3600
    assert small.best.expected <= small.best.worst == cost_of(small.best.plan, SECONDS)
    assert small.compared < large.compared <= large.of
    assert small.best.decides < large.best.decides - 0.1
    assert not large.weak


def test_a_design_that_leaves_most_open_is_told_as_weak():
    assert found_design(0.7, noise=1.0, sweeps=20).weak


def test_levels_are_dropped_from_the_outside_and_never_the_last_of_a_side():
    study = plan_of("sweeps.factors.learning_rate.multiply=[0.1,0.25,0.5,2,4,8]").study
    designs, of = affordable(study, SECONDS, 1e9)
    kept = {design.levels[0][2] if design.levels else None for design in designs}
    assert kept == {None, (0.25, 0.5, 2, 4), (0.5, 2)}
    assert of == len(designs) == 3 * 8 * 3


# --- the verb


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words, code=0):
        assert main([*words, f"workspace={tmp_path / 'runs'}"]) == code
        return capsys.readouterr()

    return run


REHEARSE = ("rehearse", "sweeps=learning_rate", "model=planted", "--sweeps", "10")


def test_what_is_printed_fits_80_columns_names_its_assumptions_and_writes_nothing(shell, tmp_path):
    text = shell(*REHEARSE, "--seconds-per-trial", "60").out
    prose = " ".join(text.split())
    assert max(len(line.rstrip()) for line in text.splitlines() if not line.startswith("run it")) <= 80
    assert "a guess (chosen, not measured)" in prose
    assert "give --noise PERCENT" in prose
    assert "random seed 20240611" in prose
    assert "at most 50 trials, 50 min" in prose
    assert list(tmp_path.iterdir()) == []


def test_the_answer_as_json_is_repeatable_and_its_shares_add_up(shell):
    answer = json.loads(shell(*REHEARSE, "--json", "--noise", "0.2").out)
    assert answer == json.loads(shell(*REHEARSE, "--json", "--noise", "0.2").out)
    assert answer["noise"]["source"] == "given"
    [question] = answer["questions"]
    assert [row["effect_margins"] for row in question["chances"]] == [-1, 0, 0.5, 1, 1.5, 2, 3]
    for row in question["chances"]:
        assert row["confirm"] + row["refine"] + row["inconclusive"] == pytest.approx(1)
        assert row["seconds"] is None


def test_the_noise_of_an_earlier_sweep_of_the_scenario_is_found(shell):
    shell("run", "sweeps=learning_rate", "model=planted", "decision.looks=[10]")
    answer = json.loads(shell(*REHEARSE, "--json").out)
    noise = answer["noise"]
    assert noise["source"] == "earlier sweeps"
    assert noise["lower"] <= 0.2 <= noise["upper"]  # planted: model.planted.noise_percent
    assert noise["degrees_of_freedom"] >= 36
    assert noise["sweeps"][0].startswith("learning_rate-")
    assert answer["most_seconds"] > 0  # the speed is known now, too
    elsewhere = json.loads(shell(*REHEARSE, "model.planted.noise_percent=0.4", "--json").out)
    assert elsewhere["noise"]["source"] == "guess"


CLUSTERED = ("model.planted.clusters=12", "model.planted.cluster_noise_percent=1")


@pytest.mark.slow
def test_the_error_of_the_evaluation_set_is_that_of_earlier_sweeps_given_or_a_guess_and_told(shell):
    guess = json.loads(shell(*REHEARSE, *CLUSTERED, "--json").out)["evaluation"]
    assert (guess["clusters"], guess["source"]) == (12, "guess")
    text = " ".join(shell(*REHEARSE, *CLUSTERED, "--evaluation-error", "0.3").out.split())
    assert (
        "another evaluation set of 12 clusters moves a gain by 0.3 % (one standard error), as given" in text
    )
    shell("run", "sweeps=learning_rate", "model=planted", *CLUSTERED, "decision.looks=[5]")
    earlier = json.loads(shell(*REHEARSE, *CLUSTERED, "--json").out)["evaluation"]
    assert earlier["source"] == "earlier sweeps"
    assert earlier["percent"] == pytest.approx((2 / 12) ** 0.5, rel=0.5)  # two arms off by 1 % in each


def test_a_study_without_clusters_says_so_and_takes_no_error_of_them(shell):
    assert json.loads(shell(*REHEARSE, "--json").out)["evaluation"] is None
    assert "verdicts are about this evaluation set" in " ".join(shell(*REHEARSE).out.split())
    whole = (*REHEARSE, *CLUSTERED, "decision.scope=evaluation")
    assert json.loads(shell(*whole, "--json").out)["evaluation"] is None
    assert "--evaluation-error" in shell(*REHEARSE, "--evaluation-error", "0.3", code=2).err
    assert "-1.0 is not allowed" in shell(*REHEARSE, *CLUSTERED, "--evaluation-error", "-1", code=2).err


def test_a_budget_is_answered_with_a_command_that_plans_that_design(shell, tmp_path):
    words = (
        *REHEARSE,
        "--noise",
        "0.2",
        "--seconds-per-trial",
        "120",
        "seeds=[4,5]",
        "budget.measurements=3",
    )
    answer = json.loads(shell(*words, "decision.gpu_hours=1", "--json").out)
    design, command = answer["design"], shlex.split(answer["command"])
    assert design["expected_seconds"] <= design["most_seconds"] <= 3600
    assert command[:2] == ["bios-sweep", "run"]
    assert "budget.measurements=3" in command
    assert not [word for word in command if "gpu_hours" in word or word == "seeds=[4,5]"]
    plan = json.loads(shell("plan", *command[2:], "--json").out)
    assert (plan["looks"], plan["seeds"]) == (answer["looks"], answer["seeds"])
    assert len(plan["arms"]) == answer["arms"]
    prose = " ".join(shell(*words, "decision.gpu_hours=1").out.split())
    assert "The design that decides most within 1 hours" in prose


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("decision.gpu_hours=1",), "give --seconds-per-trial S"),
        (("decision.gpu_hours=0", "--seconds-per-trial", "9"), "decision.gpu_hours: 0 is not allowed"),
        (("decision.gpu_hours=x", "--seconds-per-trial", "9"), "decision.gpu_hours: 'x' is not allowed"),
        (("decision.gpu_hours=0.01", "--seconds-per-trial", "60"), "no design can decide within 0.01 hours"),
        (("--noise", "0"), "--noise: 0.0 is not allowed"),
        (("--seconds-per-trial", "-1"), "--seconds-per-trial: -1.0 is not allowed"),
        (("--sweeps", "1"), "--sweeps: 1 is not allowed; at least 2"),
        (("seeds=[1,1]",), "seeds: 1 is given twice"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(shell, words, message):
    error = shell(*REHEARSE, *words, code=2).err
    assert message in error
    assert len(error.splitlines()) == 1


def test_hours_are_no_part_of_the_plan():
    assert plan_of("decision.gpu_hours=5").sweep_id == plan_of().sweep_id


def test_a_guess_is_called_one():
    assert guessed_noise().source == "guess"


def test_a_share_is_rehearsed_in_points_and_the_other_metrics_move_with_the_one_that_decides():
    """In a world without an effect nothing loses; an accuracy at two margins is found."""
    plan = plan_of(
        "+model.planted.metrics.accuracy={value: 0.6}",
        "decision.metrics=[{name: accuracy, role: decides, margin_points: 2}, "
        "{name: eval_loss, role: must not lose, margin_percent: 1}]",
    )
    world = world_of(plan, "learning_rate", 1.0)
    draws = Draws(plan, possible_trials(plan), world, stated_noise(LITTLE), (1, 0))
    finals = [draws[trial.key].final for trial in plan.trials]
    assert {round(final["accuracy"], 1) for final in finals} <= {0.4, 0.5, 0.6}
    losses, shares = ([final[name] for final in finals] for name in ("eval_loss", "accuracy"))
    assert np.corrcoef(losses, shares)[0, 1] < -0.99  # better in one is better in the other
    margin = plan.study.decision.margin(0.5, None)
    assert margin == pytest.approx(4.0)  # 2 points of a half, in percent
    assert by_effect(plan, 0.1, sweeps=8, effects=(8.0,))[8.0].refine.value == 1.0
