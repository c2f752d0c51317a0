"""What an audit says of runs: which verdicts they reach, what weakens them, what would settle it."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from bios_sweep.audit.auditing import Audit, audit
from bios_sweep.audit.runs import RunTable
from bios_sweep.audit.seeds import winner_gain, wrong_winner
from bios_sweep.cli.main import main
from bios_sweep.errors import InputError
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from tests.scenarios import PUBLISH
from tests.texts import texts

RATES = {"baseline": 2e-4, "x0.5": 1e-4, "x2": 4e-4, "x4": 8e-4}
RULE = DecisionRule(**PUBLISH)
NOISE = 0.002


def noise(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def runs(
    effects: dict[str, float],
    seeds: range = range(5),
    *,
    settings: dict[str, dict[str, object]] | None = None,
    stage: str = "screening",
    random: np.random.Generator | None = None,
) -> RunTable:
    """A table of runs: effects in units of the loss, smaller is better; blocks of 0.02, noise of 0.002."""
    random = random or noise()
    blocks = random.normal(0, 0.02, len(seeds))
    cells = [
        (arm, seed, 1.2 + effect + blocks[place] + random.normal(0, NOISE))
        for arm, effect in effects.items()
        for place, seed in enumerate(seeds)
    ]
    names = [arm for arm, _, _ in cells]
    values = settings if settings is not None else {"learning_rate": {a: RATES[a] for a in effects}}
    return RunTable(
        source="t",
        arms=tuple(names),
        seeds=tuple(seed for _, seed, _ in cells),
        values=tuple(float(value) for _, _, value in cells),
        statuses=("completed",) * len(cells),
        stages=(stage,) * len(cells),
        metric=Metric(name="eval_loss"),
        settings={name: tuple(own[arm] for arm in names) for name, own in values.items()},
    )


def joined(*tables: RunTable) -> RunTable:
    first = tables[0]
    columns = ("arms", "seeds", "values", "statuses", "stages")
    return dataclasses.replace(
        first,
        **{name: tuple(cell for table in tables for cell in getattr(table, name)) for name in columns},
        settings={
            name: tuple(cell for table in tables for cell in table.settings[name]) for name in first.settings
        },
    )


def changed(table: RunTable, arm: str, seed: int | None = None, **columns: object) -> RunTable:
    """The table with other cells in the rows of an arm (at one seed)."""
    assert table.arms is not None
    assert table.seeds is not None
    hit = [a == arm and seed in (None, s) for a, s in zip(table.arms, table.seeds, strict=True)]
    return dataclasses.replace(
        table,
        **{
            name: tuple(new if here else old for here, old in zip(hit, getattr(table, name), strict=True))
            for name, new in columns.items()
        },
    )


def kinds(found: Audit) -> set[str]:
    return {flaw.kind for flaw in found.flaws}


def sentence(found: Audit, kind: str) -> str:
    return next(flaw.sentence for flaw in found.flaws if flaw.kind == kind)


BETTER = {"baseline": 0.0, "x0.5": 0.03, "x2": -0.03, "x4": 0.05}
WORSE = {"baseline": 0.0, "x0.5": 0.03, "x2": 0.03, "x4": 0.05}


def test_a_default_that_no_level_beats_is_confirmed():
    found = audit(runs(WORSE), RULE)
    assert [v.verdict for v in found.verdicts] == ["confirm"]
    assert found.verdicts[0].factor == "learning_rate"
    assert found.supports[0].startswith("learning_rate: no tested alternative")
    assert "nothing more on this evaluation set" in found.settle


def test_a_better_level_without_fresh_seeds_stays_unconfirmed_and_is_never_served():
    found = audit(runs(BETTER), RULE)
    verdict = found.verdicts[0]
    assert (verdict.verdict, verdict.best_level) == ("refine (unconfirmed)", 4e-4)
    assert found.to_dict()["served"] == {}
    assert "chosen_and_measured_on_the_same_runs" in kinds(found)
    assert "on 5 fresh seeds (10 trials)" in found.settle
    assert any(text.startswith("learning_rate: how much better 0.0004") for text in found.not_supported)


def test_rows_of_the_confirmation_stage_are_the_fresh_seed_test():
    random = noise()
    fresh = runs({"baseline": 0.0, "x2": -0.03}, range(100, 105), stage="confirmation", random=random)
    found = audit(joined(runs(BETTER, random=random), fresh), RULE)
    verdict = found.verdicts[0]
    assert (verdict.verdict, verdict.stage) == ("refine", "confirmation")
    assert verdict.seeds == (100, 101, 102, 103, 104)


def test_a_candidate_that_does_not_replicate_is_inconclusive():
    fresh = runs({"baseline": 0.0, "x2": 0.01}, range(100, 105), stage="confirmation", random=noise(3))
    verdict = audit(joined(runs(BETTER), fresh), RULE).verdicts[0]
    assert verdict.verdict == "inconclusive"
    assert "did not replicate on fresh seeds" in verdict.sentence


def test_a_confirmation_on_the_seeds_that_chose_is_not_fresh():
    fresh = runs({"baseline": 0.0, "x2": -0.03}, range(5), stage="confirmation", random=noise(3))
    found = audit(joined(runs(BETTER), fresh), RULE)
    assert found.verdicts[0].verdict == "refine (unconfirmed)"
    assert "also chose the candidate and is not fresh" in sentence(found, "confirmation_not_fresh")


@pytest.mark.parametrize("arms, percent", [(2, 50), (5, 80), (20, 95)])
def test_the_winner_of_one_seed_is_wrong_as_often_as_chance_says(arms, percent):
    assert round(100 * wrong_winner(arms)) == percent
    values = noise().normal(size=(20_000, arms))
    assert float((values.argmin(axis=1) != 0).mean()) == pytest.approx(wrong_winner(arms), abs=0.02)
    assert float(-values.min(axis=1).mean()) == pytest.approx(winner_gain(arms), abs=0.03)


def test_one_seed_is_never_a_verdict():
    found = audit(runs(BETTER, range(1)), RULE)
    assert [v.verdict for v in found.verdicts] == ["screening only"]
    assert "best of 4 arms on one seed, which is wrong in 75 %" in sentence(found, "winner_of_one_seed")
    assert "at 5 new seeds" in found.settle


def test_one_arm_has_nothing_to_compare_with():
    found = audit(runs({"baseline": 0.0}), RULE)
    assert found.verdicts == ()
    assert "one arm" in sentence(found, "one_arm")
    assert found.settle.startswith("run the default and at least one variation")


def test_seeds_that_change_nothing_are_one_measurement():
    table = runs(BETTER)
    same = dataclasses.replace(table, values=tuple(1.2 + BETTER[arm] for arm in table.arms or ()))
    found = audit(same, RULE)
    assert [v.verdict for v in found.verdicts] == ["screening only"]
    assert "no error estimate" in sentence(found, "zero_variance")
    assert found.verdicts[0].sentence.startswith("the same at every seed: ")


def test_an_arm_whose_seed_changed_nothing_is_named():
    found = audit(changed(runs(WORSE), "x2", values=1.25), RULE)
    assert "identical at every seed in x2" in sentence(found, "identical_over_seeds")


def test_two_arms_with_the_same_values_are_named():
    table = runs(WORSE)
    copied = list(table.values)
    copied[10:15] = copied[5:10]
    found = audit(dataclasses.replace(table, values=tuple(copied)), RULE)
    assert "x0.5, x2 have the same value at every seed" in sentence(found, "identical_arms")


def test_a_repeated_default_is_equal_on_purpose():
    table = runs({"baseline": 0.0, "x2": 0.03})
    twin = dataclasses.replace(
        runs({"baseline": 0.0}),
        arms=("repeat 1",) * 5,
        values=table.values[:5],
    )
    both = joined(table, twin)
    labelled = dataclasses.replace(
        both,
        factors=("",) * 5 + ("learning_rate",) * 5 + ("repeat",) * 5,
        levels=(None,) * 5 + (4e-4,) * 5 + (1,) * 5,
    )
    found = audit(labelled, RULE)
    assert "identical_arms" not in kinds(found)
    assert {v.factor: v.verdict for v in found.verdicts}["repeat"] == "confirm"


def test_unequal_budgets_are_told_with_their_ratio():
    settings = {
        "learning_rate": RATES,
        "batch_size": dict.fromkeys(RATES, 32),
        "max_steps": {**dict.fromkeys(RATES, 200), "x2": 300},
    }
    found = audit(runs(BETTER, settings=settings), RULE)
    assert "x2 spent 1.5 times the examples of the default" in sentence(found, "unequal_budgets")
    assert found.hold == "nothing"
    assert "that a gain comes from the setting and not from the larger budget" in found.not_supported
    own = next(verdict for verdict in found.verdicts if "max_steps" in verdict.factor)
    assert "its budget differs from the default's, so the gain may be the budget" in texts(own.reasons)


def test_a_batch_size_at_equal_examples_is_one_factor_at_equal_budgets():
    batch = {"baseline": 32, "x2": 64}
    settings = {"batch_size": batch, "max_steps": {"baseline": 400, "x2": 200}}
    found = audit(runs({"baseline": 0.0, "x2": 0.03}, settings=settings), RULE)
    assert [v.factor for v in found.verdicts] == ["batch_size"]
    assert found.hold == "examples"
    assert not kinds(found) & {"unequal_budgets", "moves_together", "collinear"}


def test_a_batch_size_at_equal_steps_spends_more_examples():
    settings = {"batch_size": {"baseline": 32, "x2": 64}, "max_steps": dict.fromkeys(("baseline", "x2"), 200)}
    found = audit(runs({"baseline": 0.0, "x2": -0.03}, settings=settings), RULE)
    assert found.hold == "steps"
    assert "spent 2 times the examples" in sentence(found, "unequal_budgets")


def test_longer_training_as_the_factor_is_no_unequal_budget():
    settings = {"max_steps": {"baseline": 200, "x2": 400}, "batch_size": dict.fromkeys(("baseline", "x2"), 8)}
    found = audit(runs({"baseline": 0.0, "x2": -0.03}, settings=settings), RULE)
    assert "unequal_budgets" not in kinds(found)
    assert "length_is_the_factor" in kinds(found)


def test_budgets_that_are_not_recorded_are_said_to_be_unknown():
    found = audit(runs(BETTER), RULE)
    assert found.hold == "unknown"
    assert "cannot be checked" in sentence(found, "budget_unknown")


def test_settings_that_move_together_belong_to_no_factor():
    arms = {"baseline": 0.0, "x2": -0.03, "x0.5": 0.02}
    settings = {
        "learning_rate": {arm: RATES[arm] for arm in arms},
        "lora_rank": {"baseline": 8, "x2": 16, "x0.5": 4},
    }
    found = audit(runs(arms, settings=settings), RULE)
    assert [v.factor for v in found.verdicts] == ["learning_rate + lora_rank"]
    assert "2 of 2 arms change several settings at once" in sentence(found, "moves_together")
    assert "never changed apart: learning_rate with lora_rank" in sentence(found, "collinear")
    assert found.settle.startswith("change one setting at a time")


def test_a_combination_of_settings_tested_alone_is_a_note():
    arms = {"baseline": 0.0, "x2": 0.03, "x0.5": 0.02, "x4": 0.03}
    settings = {
        "learning_rate": {"baseline": 1e-4, "x2": 2e-4, "x0.5": 1e-4, "x4": 2e-4},
        "lora_rank": {"baseline": 8, "x2": 8, "x0.5": 16, "x4": 16},
    }
    found = audit(runs(arms, settings=settings), RULE)
    assert "combinations" in kinds(found)
    assert not kinds(found) & {"moves_together", "collinear"}


def test_runs_of_one_arm_that_differ_are_no_repetitions():
    table = runs(WORSE)
    rates = list(table.settings["learning_rate"])
    rates[-1] = 9e-4
    found = audit(dataclasses.replace(table, settings={"learning_rate": tuple(rates)}), RULE)
    assert "x4: learning_rate" in sentence(found, "mixed_arm")


def test_a_best_level_at_the_end_of_the_grid_asks_for_one_beyond():
    found = audit(runs({"baseline": 0.0, "x0.5": 0.03, "x2": -0.02, "x4": -0.04}), RULE)
    assert found.verdicts[0].verdict == "inconclusive"
    assert "the best learning_rate (0.0008) is the largest tested" in sentence(found, "edge")
    assert found.settle == "add learning_rate 0.0016, beyond the present end of the grid, at the same seeds"


def test_an_arm_with_other_seeds_is_set_aside_and_still_counted():
    apart = dataclasses.replace(runs({"x4": -0.2}, range(50, 55)), arms=("x4",) * 5)
    found = audit(joined(runs({"baseline": 0.0, "x0.5": 0.03, "x2": 0.03}), apart), RULE)
    without = audit(runs({"baseline": 0.0, "x0.5": 0.03, "x2": 0.03}), RULE)
    (level, *_), (alone, *_) = found.verdicts[0].levels, without.verdicts[0].levels
    assert level.estimate.upper == alone.estimate.upper
    assert level.estimate.lower < alone.estimate.lower
    assert found.compared == ("baseline", "x0.5", "x2")
    assert "x4: no seed is shared with the baseline" in sentence(found, "seeds_not_shared")
    reasons = texts(found.verdicts[0].reasons)
    assert any("shares no seed with the baseline, and a gain of 0.50 % is not excluded" in r for r in reasons)
    assert found.verdicts[0].verdict == "inconclusive"


def test_runs_that_share_no_seed_support_no_verdict():
    apart = runs({"x2": -0.03}, range(50, 55))
    found = audit(joined(runs({"baseline": 0.0}), apart), RULE)
    assert [v.verdict for v in found.verdicts] == ["inconclusive"]
    assert found.settle == "run the variations at the baseline's own seeds (0, 1, 2 and 2 more)"


def test_unequal_seeds_use_those_that_are_shared():
    few = dataclasses.replace(runs({"x4": 0.05}, range(2)), arms=("x4",) * 2)
    more = runs({"baseline": 0.0, "x0.5": 0.03, "x2": 0.03}, range(5))
    found = audit(joined(more, few), RULE)
    assert found.seeds == (0, 1, 2, 3, 4)
    assert "x4 (ran at 2 of 5 shared seeds)" in sentence(found, "unequal_seeds")


def test_a_failed_run_drops_its_seed_for_all_arms():
    table = changed(runs(WORSE, range(8)), "x2", 3, values=math.nan, statuses="failed")
    found = audit(table, RULE)
    assert 3 not in found.verdicts[0].seeds
    assert "x2: without a result at seed 3; 1 of 8 seeds are dropped for every arm" in sentence(
        found, "missing_seeds"
    )
    assert found.counts == {"planned": 32, "completed": 31, "diverged": 0, "failed": 1}


def test_more_than_a_fifth_of_failed_seeds_stops_every_verdict():
    table = changed(runs(BETTER), "x2", 3, values=math.nan, statuses="failed")
    table = changed(table, "x2", 4, values=math.nan, statuses="failed")
    assert [v.verdict for v in audit(table, RULE).verdicts] == ["inconclusive"]


def test_a_diverged_arm_is_an_outcome_and_never_recommended():
    table = changed(runs(BETTER), "x2", 3, values=math.nan)
    found = audit(table, RULE)
    assert found.verdicts[0].best_level != 4e-4
    assert "x2" in sentence(found, "diverged")
    assert found.counts["diverged"] == 1


def test_mixed_hardware_models_and_software_stop_every_verdict():
    for kind, column in (("hardware", "gpu"), ("software", "torch_version"), ("scenario", "model")):
        table = runs(BETTER)
        values = tuple("a" if arm == "baseline" else "b" for arm in table.arms or ())
        found = audit(dataclasses.replace(table, contexts={kind: {column: values}}), RULE)
        assert [v.verdict for v in found.verdicts] == ["inconclusive"]
        assert f"mixed_{kind}" in kinds(found)
        assert "under one model, data set, software and device class" in found.settle


def test_other_code_is_a_caution_only():
    table = runs(WORSE)
    commits = tuple(str(place % 2) for place in range(table.rows))
    found = audit(dataclasses.replace(table, contexts={"code": {"commit": commits}}), RULE)
    assert [v.verdict for v in found.verdicts] == ["confirm"]
    assert "mixed_code" in kinds(found)


def test_runs_that_could_not_have_failed_confirm_nothing():
    flat = audit(runs(dict.fromkeys(RATES, 0.0)), RULE)
    assert [v.verdict for v in flat.verdicts] == ["inconclusive"]
    assert "could not have told a bad default from a good one" in sentence(flat, "insensitive")
    known = audit(dataclasses.replace(runs(dict.fromkeys(RATES, 0.0)), untouched=2.4), RULE)
    assert [v.verdict for v in known.verdicts] == ["confirm"]


def test_arms_without_recorded_settings_are_levels_of_the_arm():
    found = audit(runs(WORSE, settings={}), RULE)
    assert [(v.factor, v.default) for v in found.verdicts] == [("arm", "baseline")]


def test_the_order_of_rows_changes_nothing():
    table = runs(BETTER)
    order = noise(1).permutation(table.rows)
    columns = ("arms", "seeds", "values", "statuses", "stages")
    mixed = dataclasses.replace(
        table,
        **{name: tuple(getattr(table, name)[place] for place in order) for name in columns},
        settings={n: tuple(own[place] for place in order) for n, own in table.settings.items()},
    )
    one, other = audit(table, RULE).verdicts[0], audit(mixed, RULE).verdicts[0]
    assert (one.verdict, one.best_level, one.seeds) == (other.verdict, other.best_level, other.seeds)
    assert one.effect_percent == pytest.approx(other.effect_percent)
    assert one.lower == pytest.approx(other.lower)


def test_a_seed_given_twice_is_refused():
    table = runs(WORSE)
    with pytest.raises(InputError, match="are both arm 'x4', seed 0; a repeated seed is not a replicate"):
        audit(changed(table, "x4", 1, seeds=0), RULE)


def test_the_table_of_a_sweep_gives_the_verdict_of_the_sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = ["run", "sweeps=learning_rate", "model=planted", "cluster=inline", "budget=demo", "tracking=none"]
    assert main(run) in (0, 3)
    (table,) = (tmp_path / "bios_runs").glob("sweeps/*/results.csv")
    capsys.readouterr()
    answers = []
    for words in (["report"], ["report", "--from-csv", str(table)]):
        assert main([*words, "--json"]) in (0, 3)
        answers.append(json.loads(capsys.readouterr().out)["verdicts"][0])
    same = ("factor", "role", "verdict", "default", "best_level", "effect_percent", "lower", "upper", "seeds")
    assert {key: answers[0][key] for key in same} == {key: answers[1][key] for key in same}
    assert answers[0]["hold"] == answers[1]["hold"]


def test_the_audit_is_readable_at_80_columns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "t.csv"
    table = runs(BETTER)
    rows = zip(
        table.arms or (), table.seeds or (), table.values, table.settings["learning_rate"], strict=True
    )
    path.write_text("arm,seed,eval_loss,lr\n" + "".join(f"{a},{s},{v},{r}\n" for a, s, v, r in rows))
    assert main(["report", "--from-csv", str(path)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    titles = (
        "What do these runs support?",
        "columns: metric",
        "sure?",
        "to be sure",
        "cost",
    )
    places = [out.index(title) for title in titles]
    assert places == sorted(places)
