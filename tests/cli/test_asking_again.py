"""Who asks the same question again looks again: planted sweeps, in turn, through the command line's entry.

In the world here the level x2 gains exactly the margin over the default, so that a confirmation is a mistake;
or it gains four times as much, so that the default has to go.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter

import pytest

import bios_sweep
from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.records.ledger import read_ledger
from bios_sweep.records.workspace import Workspace
from tests.damage import as_killed, without_ledger

CONFIRM, REFINE, INCONCLUSIVE = "confirm", "refine", "inconclusive"
FEW, MANY = 10, int(os.environ.get("BIOS_SWEEP_PLANTED", "100"))
WORLD = (
    "model=planted",
    "cluster=inline",
    "tracking=none",
    "budget.max_steps=1000",
    "baseline.learning_rate=5e-4",
    "budget.measurements=1",
    "decision.margin_percent=0.5",
    "decision.looks=[3]",
    "model.planted.noise_percent=0.2",
    "model.planted.truth.learning_rate.optimum=1e-3",
)
RATE = "sweeps=learning_rate"
AT_THE_MARGIN = "model.planted.truth.learning_rate.curvature=0.50252"  # x2 gains 0.50252 / 1.0050252 = 0.5 %
PLAINLY = "model.planted.truth.learning_rate.curvature=2"
RIGHT = (AT_THE_MARGIN, "model.planted.truth.learning_rate.optimum=5e-4", "model.planted.noise_percent=0.05")


def asked(folder, *words, noise=0, sweep=RATE, code=0):
    """The view of the study that a command ends with."""
    typed = (*WORLD, sweep, f"model.planted.noise_seed={noise}", f"workspace={folder}", *words)
    assert main(["run", *typed]) == code
    return bios_sweep.open(folder)


def told(view, factor="learning_rate"):
    """(word, served value) of a factor's first verdict."""
    verdict = next(one for one in view.verdicts if one.factor == factor)
    return str(verdict.verdict), verdict.served


def served(view, factor="learning_rate"):
    """What the tuned file serves, which is what another project reads."""
    tuned = view.tuned_defaults
    return None if tuned is None else tuned.values.get(factor)


def looks(folder):
    return [entry.look for entry in read_ledger(Workspace(folder).ledger_file)]


def seeds(*numbers):
    return f"seeds=[{','.join(map(str, numbers))}]"


def confirmed_after(folder, lists, noise, *words):
    """Whether one of the studies serves the default, asked with one list of seeds after the other."""
    return any(served(asked(folder, seeds(*one), *words, noise=noise)) == 5e-4 for one in lists)


NESTED = [range(3), range(5), range(10)]
DISJOINT = [range(3 * turn, 3 * turn + 3) for turn in range(5)]


@pytest.mark.slow
@pytest.mark.parametrize("lists", [NESTED, DISJOINT], ids=["3 then 5 then 10", "disjoint"])
def test_more_and_other_seeds_confirm_a_beaten_default_in_at_most_a_tenth_of_many(lists, tmp_path, capsys):
    found = Counter(
        confirmed_after(tmp_path / str(noise), lists, noise, AT_THE_MARGIN) for noise in range(MANY)
    )
    print(dict(found))
    assert found[True] <= 0.10 * MANY + 3 * (0.09 * MANY) ** 0.5


def test_a_later_study_is_judged_on_all_seeds_and_levels_together(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), AT_THE_MARGIN)
    view = asked(tmp_path, seeds(3, 4, 5), AT_THE_MARGIN, "sweeps.factors.learning_rate.multiply=[0.5,4]")
    study = view.plan.study
    assert study.seeds == (3, 4, 5, 0, 1, 2)
    assert study.factors[0].multiply == (0.5, 4, 0.25, 2)
    assert (study.decision.looks, study.decision.alpha) == ((6,), 0.025)
    assert view.verdicts[0].confidence == 0.975
    last = looks(tmp_path)[-1]
    assert (last.seeds, last.multiply) == ((0, 1, 2, 3, 4, 5), (0.5, 4, 0.25, 2))


def test_seeds_0_to_2_then_0_to_4_then_0_to_9_serve_what_all_of_them_say(tmp_path, capsys):
    views = [asked(tmp_path, seeds(*one), RIGHT[0], *RIGHT[1:]) for one in NESTED]
    assert [view.plan.study.decision.alpha for view in views] == [0.05, 0.025, 0.025]
    assert [look.counts for look in looks(tmp_path)] == [True, True, True]
    assert "third look at this question" in " ".join(views[-1].summary.caveats)


def test_the_same_command_again_is_the_same_study_and_no_further_look(tmp_path, capsys):
    first = asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    again = asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    assert again.sweep_id == first.sweep_id
    assert again.plan.study.history is None
    later = asked(tmp_path, seeds(0, 1, 2, 3), PLAINLY)
    assert asked(tmp_path, seeds(0, 1, 2, 3), PLAINLY).sweep_id == later.sweep_id
    assert len(looks(tmp_path)) == 2


def test_a_study_whose_trials_were_all_judged_prints_that_word_again(tmp_path, capsys):
    whole = asked(tmp_path, seeds(0, 1, 2, 3), PLAINLY)
    assert told(whole) == (REFINE, 1e-3)
    fewer = asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    without_the_winner = asked(
        tmp_path, seeds(0, 1, 2, 3), PLAINLY, "sweeps.factors.learning_rate.multiply=[0.5,4]"
    )
    assert fewer.sweep_id == without_the_winner.sweep_id == whole.sweep_id
    assert len(looks(tmp_path)) == 1


def test_dropping_the_winning_level_confirms_nothing(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    view = asked(tmp_path, seeds(3, 4, 5), PLAINLY, "sweeps.factors.learning_rate.multiply=[0.5,4]")
    assert told(view) == (REFINE, 1e-3)
    assert "compared with 0.25, 2 too" in " ".join(view.summary.caveats)


@pytest.mark.parametrize(
    "change",
    [
        "decision.margin_percent=5",
        "decision.alpha=0.2",
        "decision.purpose=publish decision.margin_percent=null",
    ],
)
def test_a_rule_that_was_changed_after_the_results_serves_nothing(change, tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    view = asked(tmp_path, seeds(0, 1, 2), PLAINLY, *change.split())
    assert served(view) is None
    assert told(view)[1] is None
    said = " ".join(view.summary.caveats)
    assert "changed after the results were seen" in said
    assert "by the rule of before, the same trials say" in said
    assert "refine" in said.partition("by the rule of before")[2]
    assert looks(tmp_path)[-1].changed


def test_a_changed_rule_is_served_once_fresh_seeds_agree_and_costs_alpha(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), RIGHT[0], *RIGHT[1:])
    coarse = (*RIGHT, "decision.margin_percent=2")
    assert served(asked(tmp_path, seeds(0, 1, 2), *coarse)) is None
    assert served(asked(tmp_path, seeds(2, 3, 4), *coarse)) is None
    view = asked(tmp_path, seeds(10, 11, 12), *coarse)
    assert (served(view), view.plan.study.seeds, view.plan.study.decision.alpha) == (
        5e-4,
        (10, 11, 12),
        0.025,
    )


def test_a_candidate_never_meets_the_default_on_the_same_fresh_seeds_again(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    view = asked(tmp_path, seeds(3, 4, 5), PLAINLY)
    assert view.verdicts[0].seeds == (1000005, 1000006, 1000007, 1000008, 1000009)


def test_another_name_for_the_sweep_is_the_same_question(tmp_path, capsys):
    own = tmp_path / "own" / "sweeps"
    own.mkdir(parents=True)
    (own / "rates.yaml").write_text(
        "question: q\nfactors:\n  learning_rate: {values: [1.25e-4, 2.5e-4, 1e-3, 2e-3]}\n"
    )
    asked(tmp_path / "ws", seeds(0, 1, 2), PLAINLY)
    view = asked(tmp_path / "ws", seeds(3, 4, 5), PLAINLY, f"--config-dir={own.parent}", sweep="sweeps=rates")
    assert len(view.plan.study.seeds) == 6
    assert len(view.plan.arms) == 5


def test_a_word_that_was_overtaken_is_served_no_more_wherever_it_is_read(tmp_path, capsys):
    first = asked(tmp_path, seeds(0, 1, 2), *RIGHT)
    assert served(first) == 5e-4
    copied = shutil.copy(first.folder / "bios_defaults.json", tmp_path / "before.json")
    last = asked(tmp_path, seeds(3, 4, 5), *RIGHT)
    alone = defaults.read_tuned(shutil.copy(first.folder / "bios_defaults.json", tmp_path / "after.json"))
    assert (alone.values, [*alone.evidence]) == ({}, ["learning_rate"])
    assert f"is withdrawn, for {last.sweep_id} judged it again" in alone.warnings[0]
    assert defaults.read_tuned(copied).values, "a copy of before is nobody's to change"
    before = bios_sweep.open(tmp_path, first.sweep_id)
    assert (served(before), before.verdicts[0].served, dict(before.summary.served)) == (None, None, {})
    assert f"{last.sweep_id} judged it again, with all trials together" in before.summary.caveats[0]
    for kind in ("md", "html", "json"):
        told = (first.folder / f"report.{kind}").read_text().replace("\\_", "_")
        assert f"learning_rate (optimum) by {last.sweep_id}" in told, kind
    assert "answered anew" in (first.folder / "report.md").read_text().splitlines()[0]
    assert not before.damaged
    capsys.readouterr()
    assert main(["defaults", "merge", str(tmp_path), "-o", str(tmp_path / "all.json"), "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["entries"]
    assert entry["sweep"] == last.sweep_id
    assert main(["report", "--all", "--json", f"workspace={tmp_path}"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [(one["sweep"], one["stands"]) for one in answer["studies"]] == [
        (first.sweep_id, False),
        (last.sweep_id, True),
    ]
    assert answer["roll_up"][0]["scenarios"] == 1


RANK = "+sweeps.factors.lora_rank={values: [8, 16, 64]}"


def merged(folder, capsys):
    """The values of the one entry that a workspace's studies make together."""
    capsys.readouterr()
    assert main(["defaults", "merge", str(folder), "-o", str(folder / "all.json"), "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)["entries"]
    return entry["values"]


def test_a_word_that_was_told_again_goes_with_the_word_that_was_overtaken(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    beside = asked(tmp_path, seeds(0, 1, 2), PLAINLY, RANK)
    assert served(beside) == 1e-3
    assert looks(tmp_path)[1].fresh == looks(tmp_path)[0].fresh, "an answer that stands costs no trial"
    assert {row["arm"] for row in beside.trials if row["status"] != "reused"} > {"lora_rank=8"}
    assert [(look.factor, look.counts, look.told_again) for look in looks(tmp_path)[1:]] == [
        ("learning_rate", False, True),
        ("lora_rank", True, False),
    ]
    assert merged(tmp_path, capsys) == {"learning_rate": 1e-3}
    last = asked(tmp_path, seeds(3, 4, 5), PLAINLY)
    assert served(bios_sweep.open(tmp_path, beside.sweep_id)) is None
    assert merged(tmp_path, capsys) == {"learning_rate": 1e-3}
    again = asked(tmp_path, seeds(0, 1, 2), PLAINLY, RANK)
    assert (again.sweep_id, len(looks(tmp_path))) == (beside.sweep_id, 4)
    assert served(last) == 1e-3


def test_a_cell_that_was_judged_again_takes_nothing_from_the_others(tmp_path, capsys):
    crossed = asked(tmp_path, seeds(0, 1, 2), PLAINLY, "+sweeps.cross={lora_rank: [8, 32]}")
    asked(tmp_path, seeds(0, 1, 2, 3), PLAINLY, "baseline.lora_rank=8")
    view = bios_sweep.open(tmp_path, crossed.sweep_id)
    assert [cell for _, _, cell in view.overtaken] == ["lora_rank=8"]
    assert (served(view), dict(view.summary.served)) == (1e-3, {"learning_rate": 1e-3})


def test_a_command_whose_word_was_overtaken_does_not_print_it_as_served(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), *RIGHT)
    asked(tmp_path, seeds(10, 11, 12), *RIGHT, "decision.margin_percent=2")
    capsys.readouterr()
    asked(tmp_path, seeds(0, 1, 2), *RIGHT, "--json")
    assert json.loads(capsys.readouterr().out)["served"] == {}


def test_a_study_that_serves_nothing_keeps_nobody_from_merging(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), *RIGHT)
    asked(tmp_path, seeds(0, 1, 2), *RIGHT, "decision.alpha=0.2")
    assert merged(tmp_path, capsys) == {"learning_rate": 5e-4}


@pytest.mark.parametrize("more", ["decision.refine=optuna", "+sweeps.factors.repeat={values: [1]}"])
def test_a_study_with_trials_beside_its_questions_is_not_answered_by_one_without(more, tmp_path, capsys):
    first = asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    later = asked(tmp_path, seeds(0, 1, 2), PLAINLY, more, "decision.refine_trials=3")
    assert later.sweep_id != first.sweep_id
    assert {trial["arm"] for trial in later.trials} > {trial["arm"] for trial in first.trials}
    assert (
        asked(tmp_path, seeds(0, 1, 2), PLAINLY, more, "decision.refine_trials=3").sweep_id == later.sweep_id
    )
    assert asked(tmp_path, seeds(0, 1, 2), PLAINLY).sweep_id in (first.sweep_id, later.sweep_id)


def test_other_looks_at_the_same_trials_are_no_new_question(tmp_path, capsys):
    first = asked(tmp_path, seeds(*range(5)), "decision.looks=[5]", AT_THE_MARGIN)
    assert asked(tmp_path, seeds(*range(5)), "decision.looks=[3,5]", AT_THE_MARGIN).sweep_id == first.sweep_id


@pytest.mark.slow
def test_the_seventh_look_needs_fresh_seeds(tmp_path, capsys):
    for last in range(3, 9):
        asked(tmp_path, seeds(*range(last)), AT_THE_MARGIN)
    typed = (*WORLD, RATE, AT_THE_MARGIN, f"workspace={tmp_path}", "model.planted.noise_seed=0")
    assert main(["run", *typed, seeds(*range(9))]) == 2
    assert "6 studies have looked at this question already" in capsys.readouterr().err
    view = asked(tmp_path, seeds(20, 21, 22), AT_THE_MARGIN)
    assert (view.plan.study.seeds, view.plan.study.decision.alpha) == ((20, 21, 22), 0.025)


def test_one_seed_and_an_edge_are_no_looks(tmp_path, capsys):
    asked(tmp_path, seeds(0), PLAINLY)
    asked(tmp_path, seeds(0, 1, 2), PLAINLY, "sweeps.factors.learning_rate.multiply=[0.5,2]")
    view = asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    assert [look.counts for look in looks(tmp_path)] == [False, False, True]
    assert (told(view), view.plan.study.decision.alpha) == ((REFINE, 1e-3), 0.05)


def test_a_study_that_the_ledger_does_not_name_is_found_by_its_journal(tmp_path, capsys):
    """Also one that was interrupted after its look: whoever stops a study for what it shows has seen it."""
    first = asked(tmp_path, seeds(0, 1, 2), AT_THE_MARGIN)
    without_ledger(Workspace(tmp_path))
    journal = first.folder / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    last = max(place for place, line in enumerate(lines) if '"kind":"ended"' in line)
    as_killed(journal, lines[: last + 1])
    view = asked(tmp_path, seeds(3, 4, 5), AT_THE_MARGIN)
    assert view.plan.study.seeds == (3, 4, 5, 0, 1, 2)


def interrupted(view, folder):
    """A study as a kill between its last trial and its verdict leaves it: no word, no file, no look."""
    journal = view.folder / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    end = next(place for place, line in enumerate(lines) if '"kind":"verdict"' in line)
    as_killed(journal, lines[:end])
    (view.folder / "bios_defaults.json").unlink()
    ledger = Workspace(folder).ledger_file
    kept = [line for line in ledger.read_text().splitlines(keepends=True) if view.sweep_id not in line]
    as_killed(ledger, kept)


def test_of_two_drivers_that_were_killed_in_turn_the_one_with_all_trials_serves(tmp_path, capsys):
    """One asks, is killed; another asks with more seeds, is killed; both commands are given again."""
    few, many = seeds(0, 1, 2), seeds(0, 1, 2, 3)
    first = asked(tmp_path, few, *RIGHT)
    interrupted(first, tmp_path)
    second = asked(tmp_path, many, *RIGHT)
    assert "second look" in " ".join(second.summary.caveats), "what the killed one saw counts"
    interrupted(second, tmp_path)
    for one, words in ((first, few), (second, many), (first, few)):
        assert asked(tmp_path, words, *RIGHT).sweep_id in (one.sweep_id, second.sweep_id)
    file = second.folder / "bios_defaults.json"
    assert defaults.read_tuned(file).values == {"learning_rate": 5e-4}
    stale = first.folder / "bios_defaults.json"
    assert not stale.exists() or not defaults.read_tuned(stale).values
    assert main(["defaults", "merge", str(tmp_path), "-o", str(tmp_path / "all.json")]) == 0


def test_a_deleted_sweep_is_still_in_the_ledger(tmp_path, capsys):
    first = asked(tmp_path, seeds(0, 1, 2), AT_THE_MARGIN)
    shutil.rmtree(first.folder)
    view = asked(tmp_path, seeds(3, 4, 5), AT_THE_MARGIN)
    assert view.plan.study.seeds == (3, 4, 5, 0, 1, 2)


def test_a_copied_workspace_brings_its_ledger(tmp_path, capsys):
    asked(tmp_path / "one", seeds(0, 1, 2), AT_THE_MARGIN)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert len(asked(tmp_path / "two", seeds(3, 4, 5), AT_THE_MARGIN).plan.study.seeds) == 6


@pytest.mark.parametrize("damage", ["changed", "swapped", "lost"])
def test_a_damaged_ledger_is_noticed(damage, tmp_path, capsys):
    for one in ([0, 1, 2], [0, 1, 2, 3]):
        asked(tmp_path, seeds(*one), AT_THE_MARGIN)
    file = Workspace(tmp_path).ledger_file
    first, second = file.read_bytes().splitlines(keepends=True)
    whole = {
        "changed": first.replace(b"true", b"false", 1) + second,
        "swapped": second + first,
        "lost": second,
    }
    file.write_bytes(whole[damage])
    assert (
        main(
            [
                "plan",
                *WORLD,
                RATE,
                f"workspace={tmp_path}",
                seeds(0, 1, 2, 3, 4),
                "model.planted.noise_seed=0",
                AT_THE_MARGIN,
            ]
        )
        != 0
    )
    assert f"{file}:1: " in capsys.readouterr().err


def test_a_plan_says_which_look_it_will_be(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), AT_THE_MARGIN)
    capsys.readouterr()
    words = [*WORLD, RATE, f"workspace={tmp_path}", "model.planted.noise_seed=0", AT_THE_MARGIN]
    assert main(["plan", *words, seeds(0, 1, 2, 3, 4), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    line = next(text for text in plan["caveats"] if "look at this question" in text)
    assert "second look at this question" in line
    assert "with its 5 seeds, at alpha 0.025" in line
    assert plan["to_run"] == 10


def test_a_question_of_several_is_not_answered_otherwise_by_the_same_trials(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    both = "+sweeps.factors.lora_rank={values: [8, 16, 64]}"
    view = asked(tmp_path, seeds(0, 1, 2), PLAINLY, "sweeps.factors.learning_rate.multiply=[0.5,4]", both)
    assert told(view) == (INCONCLUSIVE, None)
    assert [look.factor for look in looks(tmp_path) if not look.told_again] == ["learning_rate", "lora_rank"]
    assert "the word of before stands" in " ".join(view.summary.caveats)


def test_an_interrupted_study_is_not_said_to_have_judged(tmp_path, capsys):
    asked(tmp_path, seeds(0, 1, 2), PLAINLY)
    last = asked(tmp_path, seeds(0, 1, 2, 3), PLAINLY)
    met = [row["trial_key"] for row in last.trials if row["stage"] == "confirmation"]
    for key in met[-3:]:  # as where the power went while its candidate met the default
        shutil.rmtree(Workspace(tmp_path).trials / key)
    without_ledger(Workspace(tmp_path))
    typed = (*WORLD, RATE, PLAINLY, f"workspace={tmp_path}", "model.planted.noise_seed=0", "--json")
    capsys.readouterr()
    assert main(["plan", *typed, seeds(1, 2)]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["sweep_id"], plan["to_run"]) == (last.sweep_id, 3)
    assert f"{last.sweep_id} compares these trials, and goes on" in " ".join(plan["notes"])
