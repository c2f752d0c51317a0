"""The next study: the smallest that would settle what is open, as a file that composes, plans and decides."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.config.sweep_file import changed_values, next_name, sweep_text, without
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import Finding
from bios_sweep.driver.invocation import Invocation
from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.next_levels import extended, narrowed, seeds_needed
from bios_sweep.procedure.suggestion import suggest
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Cross, Factor, Nuisance
from bios_sweep.study.plan import build_plan
from bios_sweep.study.trials import TrialResult
from tests.answers import by_factor
from tests.damage import as_killed
from tests.scenarios import PLANTED, PUBLISH

BASELINE = TrainingSettings(learning_rate=5e-4, batch_size=128, lora_rank=32, max_steps=1000)
RATE = Factor(name="learning_rate", multiply=(0.25, 0.5, 2, 4))
RANK = Factor(name="lora_rank", values=(8, 16, 64, 128))
WORLD = {
    "truth": {
        "learning_rate": {"optimum": 1e-3, "curvature": 0.8},
        "lora_rank": {"knee": 32, "gain": 0.8},
        "batch_size": {"critical": 128, "cost": 0.7},
        "examples": {"knee": 128000, "gain": 1.0},
    },
    "noise_percent": 0.05,
    "seed_noise_percent": 1.0,
    "wall": 4e-3,
}


def study_of(*factors, seeds=5, baseline=BASELINE, confirmation=5, **changes):
    rule = DecisionRule(looks=(seeds,), confirmation_seeds=confirmation, **{**PUBLISH, **changes})
    return Study(
        name="asked",
        question="Which?",
        scenario=PLANTED,
        baseline=baseline,
        factors=factors,
        seeds=tuple(range(seeds)),
        decision=rule,
    )


def finished(study, folder, world=WORLD):
    """Every trial the study needs, run by the planted engine; (plan, state, results)."""
    plan, engine, results = build_plan(study), PlantedEngine(world), {}
    while (state := state_of(plan, results)).missing:
        for trial in state.missing:
            *_, result = engine.run(trial, folder / trial.key)
            assert isinstance(result, TrialResult)
            results[trial.key] = result
    return plan, state, results


def suggested(study, folder, world=WORLD, elsewhere=()):
    return suggest(*finished(study, folder, world), elsewhere)


def bound(gain, error, arm="a", seeds=4):
    return Bound(
        arm=arm, gain=gain, lower=gain - 2 * error, upper=gain + 2 * error, standard_error=error, seeds=seeds
    )


def found(*bounds, seeds=4):
    return Finding(
        factor="f", state="inconclusive", bounds=bounds, bound=bounds[0], seeds=tuple(range(seeds))
    )


# what is asked again


def test_a_sweep_whose_questions_are_settled_needs_no_study(tmp_path):
    told = suggested(study_of(RATE), tmp_path)
    assert (told.study, told.open) == (None, ())


def test_a_setting_that_a_script_ignores_is_asked_no_further(tmp_path):
    study = study_of(Factor(name="weight_decay", values=(0.05, 0.1)))
    study = replace(study, scenario=replace(study.scenario, repeatable=False))
    plan, state, results = finished(study, tmp_path, {**WORLD, "noise_percent": 0.0})
    assert by_factor(state.findings)["weight_decay"].state == "inconclusive"
    told = suggest(plan, state, results)
    assert told.study is None or "weight_decay" not in [factor.name for factor in told.study.factors]
    assert any("every level gave exactly the baseline's metric" in one for one in told.open)


def test_a_best_level_that_ends_the_grid_gets_one_level_more_on_the_same_seeds(tmp_path):
    study = study_of(
        Factor(name="learning_rate", multiply=(0.5, 2)), baseline=replace(BASELINE, learning_rate=2e-4)
    )
    told = suggested(study, tmp_path)
    assert told.study is not None
    assert told.study.factors == (Factor(name="learning_rate", multiply=(0.5, 2, 4)),)
    assert told.study.seeds == study.seeds, "what ran is reused"
    assert told.why == ("learning_rate: the best level 0.0004 ends the grid; one level beyond it is added",)


def test_what_was_neither_shown_nor_excluded_is_asked_on_fresh_seeds_with_the_levels_that_matter(tmp_path):
    noisy = {**WORLD, "noise_percent": 0.3, "noise_seed": 6}
    study = study_of(RATE, seeds=3)
    told = suggested(study, tmp_path, noisy)
    assert told.study is not None
    [factor] = told.study.factors
    assert 2 in factor.multiply
    assert 0.25 not in factor.multiply, (
        "a level that lost clearly, and is no neighbour, is not paid for again"
    )
    assert not set(told.study.seeds) & set(study.seeds)
    assert len(told.study.seeds) < 20
    assert told.study.decision.looks == (len(told.study.seeds),)


def test_fresh_seeds_are_not_those_that_confirmed(tmp_path):
    """The rate was confirmed on seeds from a million on; the rank's new study comes after them."""
    world = {**WORLD, "noise_percent": 0.15, "noise_seed": 5}
    world["truth"] = {**WORLD["truth"], "learning_rate": {"optimum": 1e-3, "curvature": 3.0}}
    world["truth"]["lora_rank"] = {"knee": 64, "gain": 0.4}
    plan, state, results = finished(study_of(RATE, RANK, seeds=3), tmp_path, world)
    told = suggest(plan, state, results)
    assert [factor.name for factor in told.study.factors] == ["lora_rank"]
    used = {trial.seed for trial in state.needed}
    assert max(used) == 1_000_004
    assert min(told.study.seeds) == 1_000_005


def test_an_unconfirmed_refinement_needs_its_confirmation_alone(tmp_path):
    study = study_of(RATE, confirmation=0)
    plan, state, results = finished(study, tmp_path)
    told = suggest(plan, state, results)
    assert told.study is not None
    new = build_plan(told.study)
    assert {trial.key for trial in new.trials} <= set(results), "no screening trial is new"
    assert told.study.decision.confirmation_seeds == 5


def test_one_seed_is_grown_to_five(tmp_path):
    told = suggested(study_of(RATE, seeds=1), tmp_path)
    assert told.study is not None
    assert told.study.seeds == (0, 1, 2, 3, 4)


def test_a_diverging_baseline_is_followed_by_the_next_lower_rate_that_does_not(tmp_path):
    study = study_of(RATE, baseline=replace(BASELINE, learning_rate=8e-3))
    told = suggested(study, tmp_path)
    assert told.study is not None
    assert told.study.baseline.learning_rate == 4e-3
    assert told.study.question == "The learning rate 0.008 diverges: is 0.004 right?"


def test_refined_settings_that_do_not_hold_together_are_asked_one_on_top_of_the_other(tmp_path):
    """A higher rank wants a lower rate: each is better alone, together they are past the optimum."""
    world = {
        **WORLD,
        "truth": {
            "learning_rate": {"optimum": 1e-3, "curvature": 1.0},
            "lora_rank": {"knee": 64, "gain": 3.0},
        },
        "interactions": {"learning_rate": {"lora_rank": {"power": -1.0, "at": 32}}},
    }
    told = suggested(study_of(RATE, RANK), tmp_path, world)
    assert told.study is not None
    assert told.baseline == {"lora_rank": 64}
    assert told.study.baseline.lora_rank == 64
    [factor] = told.study.factors
    assert factor.name == "learning_rate"
    assert 1e-3 in factor.values


def test_signs_ask_only_once_nothing_else_is_open_and_never_what_was_asked(tmp_path):
    slow_world = {**WORLD, "t0_seconds": 1.0, "untouched": 3.0}
    study = study_of(RATE, target=1.5)
    told = suggested(study, tmp_path, slow_world)
    assert told.study is not None
    assert [factor.name for factor in told.study.factors] == ["batch_size"]
    assert told.study.baseline.learning_rate == 1e-3, "the refined value is the new baseline"
    assert told.study.name == "batch_size"
    _plan, state, _ = finished(study, tmp_path, slow_world)
    used = {trial.seed for trial in state.needed}
    assert used.isdisjoint(told.study.seeds), "the seeds that chose the new baseline do not judge it"
    assert len(told.study.seeds) == len(study.seeds)
    other = suggested(study, tmp_path, slow_world, elsewhere={"batch_size"})
    assert [factor.name for factor in other.study.factors] == ["lora_rank"]
    nothing = suggested(study, tmp_path, slow_world, elsewhere={"batch_size", "lora_rank"})
    assert nothing.study is None
    assert nothing.open == ("learning_rate x2: quality not reached, and what is advised was tested",)


def test_a_sweep_that_is_not_done_has_no_next_study():
    plan = build_plan(study_of(RATE))
    told = suggest(plan, state_of(plan, {}), {})
    assert told.study is None
    assert told.open == ("the sweep is not done; run it to its end first",)


# seeds and levels


def test_more_noise_needs_more_seeds_and_a_clear_gain_needs_fewer():
    assert seeds_needed(found(bound(0.1, 0.2)), 0.5, 0.05) < seeds_needed(found(bound(0.1, 0.4)), 0.5, 0.05)
    assert seeds_needed(found(bound(2.0, 0.5)), 0.5, 0.05) < seeds_needed(found(bound(0.6, 0.5)), 0.5, 0.05)
    assert seeds_needed(found(bound(3.0, 0.01)), 0.5, 0.05) == 3, "never under three"
    assert seeds_needed(Finding(factor="f", state="inconclusive"), 0.5, 0.05) is None


def test_the_number_of_seeds_keeps_its_promise():
    """Nine in ten: at that many seeds a paired difference with this noise shows the gain it seems to have."""
    import numpy as np

    from bios_sweep.decision.bounds import student

    needed = seeds_needed(found(bound(0.8, 0.4), seeds=4), 0.5, 0.05)
    draws = 0.8 + 0.8 * np.random.default_rng(0).normal(size=(4000, needed))  # 0.4 sqrt(4) per seed
    lower = draws.mean(axis=1) - student(0.05, 30) * draws.std(axis=1, ddof=1) / np.sqrt(needed)
    assert (lower > 0).mean() > 0.87


def test_kept_levels_have_neighbours_and_the_default_a_rival_on_either_side():
    assert narrowed(RATE, BASELINE, {2 * 5e-4}).multiply == (0.5, 2, 4)
    assert narrowed(RATE, BASELINE, {0.25 * 5e-4}).multiply == (0.25, 0.5, 2)
    assert narrowed(RANK, BASELINE, {128}).values == (16, 64, 128)
    words = Factor(name="schedule", values=("cosine", "constant"))
    assert narrowed(words, BASELINE, {"cosine"}) == words


def test_a_grid_is_extended_by_a_doubling():
    assert extended(RATE, BASELINE, 4 * 5e-4).multiply == (0.25, 0.5, 2, 4, 8)
    assert extended(RATE, BASELINE, 0.25 * 5e-4).multiply == (0.125, 0.25, 0.5, 2, 4)
    assert extended(RANK, BASELINE, 8).values == (4, 8, 16, 64, 128)


# the file and the command


def test_names_count_up():
    assert [next_name(name) for name in ("rate", "rate_2", "rate_9", "a_b")] == [
        "rate_2",
        "rate_3",
        "rate_10",
        "a_b_2",
    ]


def test_a_command_is_kept_as_a_list_and_typed_words_replace_its_own():
    asked = Invocation(overrides=("sweeps=a", "seeds=[0,1]", "cluster=inline"), config_dir=Path("my conf"))
    kept = asked.to_dict()
    assert kept["command"] == "bios-sweep run sweeps=a 'seeds=[0,1]' cluster=inline --config-dir 'my conf'"
    assert Invocation.from_dict(json.loads(json.dumps(kept))) == asked
    assert Invocation.from_dict({"command": kept["command"]}) == asked  # a plan of an earlier version
    bare, called = Invocation(overrides=("sweeps=a",)), Invocation(called="bios_sweep.run(f)")
    assert Invocation.from_dict(bare.to_dict()) == Invocation.from_dict({"command": bare.command}) == bare
    assert Invocation.from_dict(called.to_dict()) == called
    assert asked.replaced(["seeds=[2]"]).overrides == ("sweeps=a", "cluster=inline", "seeds=[2]")
    assert without(
        ["+sweeps.cross=1", "~sweeps.x", "sweeps=a", "seeds=[1]", "seedsy=2"], ["sweeps", "seeds"]
    ) == ["seedsy=2"]


def test_a_comment_cannot_leave_its_line():
    text = sweep_text(study_of(RATE), {}, ["one\ntwo: [\x85x]", "long " * 60])
    lines = text.splitlines()
    assert lines[0] == "# @package _global_"
    assert all(line.startswith("# ") for line in lines[1 : lines.index("sweeps:")])


def test_a_file_holds_every_part_of_a_factor():
    study = replace(
        study_of(
            Factor(
                name="batch_size",
                multiply=(0.5, 2),
                claims=("optimum",),
                nuisance=Nuisance(multiply=(0.5, 2.0)),
            )
        ),
        cross=(Cross(setting="train_examples", values=(500, 2000)),),
    )
    text = sweep_text(study, changed_values(study_of(RATE), study), [])
    assert "nuisance:" in text
    assert "claims: [optimum]" in text
    assert "train_examples: [500, 2000]" in text


# from end to end, by the command line's own entry


@pytest.fixture
def world(tmp_path, capsys):
    """Runs verbs in a workspace of its own; answers of --json come back as values."""

    def call(verb, *words, code=0):
        assert main([verb, *words, f"workspace={tmp_path}/runs", "--json"]) == code
        out = capsys.readouterr().out
        return json.loads(out) if out else {}

    return call


QUIET = (
    *("model=planted", "cluster=inline", "tracking=none", "baseline.learning_rate=5e-4"),
    "decision.purpose=publish",
)
NOISY = ("model.planted.noise_percent=0.3", "model.planted.noise_seed=6", "seeds=[0,1,2]")


def test_an_inconclusive_sweep_ends_decided_after_suggest_and_run(world, tmp_path):
    [open_] = world("run", "sweeps=learning_rate", *QUIET, *NOISY)["verdicts"]
    assert open_["verdict"] == "inconclusive"
    told = world("suggest")
    assert told["trials"] == len(told["seeds"]) * len(told["arms"]), "judged with all seeds and levels so far"
    assert told["to_run"] + told["reused"] == told["trials"]
    assert told["reused"] == 15
    view = bios_sweep.open(tmp_path / "runs")
    study = suggest(view.plan, view.state, view.journal.results).study
    planned = bios_sweep.plan(
        sweeps=told["name"],
        overrides=[*QUIET, NOISY[0], NOISY[1]],
        workspace=tmp_path / "runs",
        config_dir=Path(told["file"]).parents[1],
    )
    meant = build_plan(replace(study, name=told["name"])).sweep_id
    assert planned.plan.study.history.asked == meant, "the file composes to the study that was meant"
    [settled] = world("run", "--next")["verdicts"]
    assert (settled["verdict"], settled["best_level"]) == ("refine", 0.001)
    assert world("suggest")["open"] == []
    wanted = world("suggest", "decision.target=1.5")
    assert "batch_size is asked" in wanted["why"][0], "a wish is told at any time, and its sign asks"
    assert "decision.target=1.5" in wanted["command"]
    assert main(["report", f"workspace={tmp_path}/runs", "decision.target=true"]) == 2


def test_run_next_goes_on_with_a_sweep_that_is_not_done_and_refuses_where_nothing_is_open(
    world, tmp_path, capsys
):
    words = ("sweeps=learning_rate", *QUIET, "seeds=[0,1,2]", "model.planted.noise_percent=0.05")
    done = world("run", *words)
    journal = tmp_path / "runs" / "sweeps" / done["sweep_id"] / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    as_killed(journal, lines[: len(lines) // 3])
    again = world("run", "--next")
    assert again["sweep_id"] == done["sweep_id"]
    assert again["counts"] == done["counts"]
    assert main(["run", "--next", f"workspace={tmp_path}/runs"]) == 2
    assert "its questions are settled" in capsys.readouterr().err


def test_what_the_earlier_sweeps_file_set_is_kept_and_a_file_of_the_users_is_not_overwritten(world):
    """The demo's file chooses a budget; the next file has its values, so that trials are shared."""
    world(
        "run",
        "sweeps=demo",
        *QUIET,
        "decision.confirmation_seeds=0",
        "model.planted.noise_percent=0.02",
        "sweeps.factors.lora_rank.values=[16,64]",
    )
    told = world("suggest")
    text = Path(told["file"]).read_text()
    assert "batch_size: 32" in text
    assert "max_steps: 100" in text
    assert told["to_run"] == 10, "five fresh seeds of the default and of its candidate"
    assert world("suggest")["file"] == told["file"], "the same suggestion is the same file"
    Path(told["file"]).write_text("question: mine\n")
    assert Path(world("suggest")["file"]).name == "demo_3.yaml"
    assert Path(told["file"]).read_text() == "question: mine\n"


def test_a_share_is_extended_towards_its_end_and_never_beyond():
    base = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=10)
    wanted = {"adam_beta2": ((0.999,), (0.999, 0.9995)), "lora_dropout": ((0.1,), (0.1, 0.2))}
    for name, (levels, extended_to) in wanted.items():
        assert extended(Factor(name=name, values=levels), base, levels[-1]).values == extended_to
    times = extended(Factor(name="adam_beta1", multiply=(1.05,)), base, 0.945)
    assert 0.945 < dict(times.levels(base))["x1.08056"] < 1.0
    nearly = extended(Factor(name="adam_beta2", values=(0.9999999,)), base, 0.9999999)
    assert 0.9999999 < nearly.values[-1] < 1.0


@pytest.mark.parametrize(
    ("name", "levels", "best"),
    [
        ("weight_decay", (0.0, 0.1), -1.0),
        ("lora_rank", (1, 8), 1),
        ("adam_beta2", (1 - 2.0**-53,), 1 - 2.0**-53),
    ],
)
def test_a_grid_that_ends_where_nothing_lies_beyond_stays_as_it_is(name, levels, best):
    base = TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=10)
    assert extended(Factor(name=name, values=levels), base, best).values == levels
