"""Whether an answer depends on another setting: the interval; crossed and clustered sweeps whole."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
from scipy import stats

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.decision.moderators import interaction
from bios_sweep.decision.table import Outcome, ResultTable
from bios_sweep.jsonable import to_json
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status

FEW, MANY = 400, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))


def cell(gain, random, seeds=5, sigma=0.2, names=("baseline", "x2"), diverged=False):
    shared = random.normal(0, 1.0, seeds)
    values = 2.0 * (1 + (shared + random.normal(0, sigma, (2, seeds)) - np.array([[0.0], [gain]])) / 100)
    outcomes = {
        (arm, seed): Outcome(
            status=Status.DIVERGED if diverged and row else Status.COMPLETED, value=float(values[row, seed])
        )
        for row, arm in enumerate(names)
        for seed in range(seeds)
    }
    return ResultTable(arms=names, seeds=tuple(range(seeds)), outcomes=outcomes, metric=Metric())


def test_the_interval_is_a_paired_t_of_the_gains():
    random = np.random.default_rng(0)
    first, second = cell(0.0, random), cell(1.0, random)
    found = interaction(first, second, ("x2", "x2"), 0.05)
    gains = []
    for table in (first, second):
        base, arm = (
            np.array([table.outcome(name, s).value for s in table.seeds]) for name in ("baseline", "x2")
        )
        gains.append(100 * (base - arm) / base.mean())
    interval = stats.ttest_rel(gains[1], gains[0]).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))
    assert found.gains == pytest.approx((gains[0].mean(), gains[1].mean()))
    more = interaction(first, second, ("x2", "x2"), 0.05, tried=4)
    assert more.upper - more.difference == pytest.approx(
        (found.upper - found.difference) * stats.t.ppf(1 - 0.05 / 8, 4) / stats.t.ppf(0.975, 4)
    )


def test_swapping_the_cells_turns_the_sign_and_a_cell_against_itself_is_exactly_0():
    random = np.random.default_rng(1)
    first, second = cell(0.0, random), cell(1.0, random, names=("baseline @ b", "x2 @ b"))
    there = interaction(first, second, ("x2", "x2 @ b"), 0.05)
    back = interaction(second, first, ("x2 @ b", "x2"), 0.05)
    assert (back.difference, back.lower, back.upper) == pytest.approx(
        (-there.difference, -there.upper, -there.lower)
    )
    itself = interaction(first, first, ("x2", "x2"), 0.05)
    assert (itself.difference, itself.lower, itself.upper) == (0.0, 0.0, 0.0)


def test_only_shared_seeds_count_and_fewer_than_two_or_a_diverged_arm_tell_nothing():
    random = np.random.default_rng(2)
    five, three, one = (cell(0.0, random, seeds=seeds) for seeds in (5, 3, 1))
    assert interaction(five, three, ("x2", "x2"), 0.05).seeds == 3
    assert interaction(five, one, ("x2", "x2"), 0.05) is None
    assert interaction(five, cell(0.0, random, diverged=True), ("x2", "x2"), 0.05) is None


def covered(sweeps):
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(sweeps):
        found = interaction(cell(0.3, random), cell(1.0, random), ("x2", "x2"), 0.05)
        inside += found.lower <= 0.7 <= found.upper
    return inside / sweeps


@pytest.mark.parametrize("sweeps", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_the_interval_covers_the_true_difference(sweeps):
    share = covered(sweeps)
    print(f"covered {share:.4f}, n {sweeps}")
    assert share == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / sweeps))


class Sweep:
    """One finished planted sweep, as `report --json` and `bios_sweep.open` tell it."""

    def __init__(self, root, capsys, *words):
        place = f"workspace={root}"
        assert main(["run", *words, "model=planted", "cluster=inline", place]) == 0
        capsys.readouterr()
        assert main(["report", "--json", place]) == 0
        self.root = root
        self.report = json.loads(capsys.readouterr().out)
        self.verdicts = self.report["verdicts"]
        self.view = bios_sweep.open(root)
        self.files = list(root.glob("sweeps/*/bios_defaults.json"))


@pytest.fixture
def ran(tmp_path, capsys):
    def run(*words, name="runs"):
        sweep = Sweep(tmp_path / name, capsys, *words)
        assert to_json(sweep.view.verdicts) == sweep.verdicts
        return sweep

    return run


THREE = ("seeds=[0,1,2]", "decision.looks=[3]")
FIVE = ("seeds=[0,1,2,3,4]", "decision.looks=[5]")


def test_a_crossed_sweep_judges_every_cell_and_serves_no_default_that_was_not_asked_about(ran):
    sweep = ran("sweeps=capacity_by_data", *THREE)
    assert {one["cell"] for one in sweep.verdicts} == {"train_examples=500", "train_examples=2000"}
    assert len(sweep.report["moderators"]) == 2
    for told in sweep.report["moderators"]:
        assert "depend" in told["sentence"]
        assert "train_examples" in told["sentence"]
        assert told["lower"] < told["difference"] < told["upper"]
    assert sweep.files == []


def test_a_crossed_ladder_says_whether_its_best_level_moves(ran, capsys):
    sweep = ran("sweeps=learning_rate", "+sweeps.cross={lora_rank:[32,64]}", *THREE)
    (found,) = sweep.report["movements"]
    assert (found["factor"], found["moderator"], found["seeds"]) == ("learning_rate", "lora_rank", 3)
    assert [row["at"] for row in found["cells"]] == [32, 64]
    assert found["verdict"] in ("confirm", "inconclusive")  # the planted best rate is the same at every rank
    assert found["sentence"].startswith(found["verdict"])
    assert main(["report", "--full", f"workspace={sweep.root}"]) == 0
    assert "Does the best learning_rate move with lora_rank?" in capsys.readouterr().out


def test_a_crossed_sweep_serves_what_the_cell_of_its_own_value_found(ran):
    sweep = ran("sweeps=capacity_by_data", "sweeps.cross={data.train_examples:[500,null]}", *FIVE)
    assert [one["cell"] for one in sweep.verdicts] == ["train_examples=None", "train_examples=500"]
    assert sweep.report["moderators"][0]["sentence"]
    (file,) = sweep.files
    text = file.read_text()
    assert "lora_rank" in text
    assert "train_examples=500" not in text
    evidence = sweep.view.tuned_defaults
    assert evidence is not None
    assert set(evidence.values) == {"lora_rank"}


def test_a_retuned_sweep_tells_every_level_at_its_best_rate(ran):
    sweep = ran("sweeps=batch_size_retuned", *THREE)
    (batch,) = [one for one in sweep.verdicts if one["factor"] == "batch_size"]
    assert [row["level"] for row in batch["by_rate"]] == [64, 256]
    assert all(row["best_rate"] > 0 and row["gain_best_rate"] is not None for row in batch["by_rate"])
    assert not batch["verdict"].startswith("refine")  # the planted rate is off by two, the batch size is not


CLUSTERS = ("model.planted.clusters=60", "model.planted.cluster_noise_percent=1")
DEMO = ("sweeps=learning_rate", "budget=demo", *THREE)


def test_clusters_make_a_statement_about_the_distribution_with_wider_bounds(ran):
    (wide,) = ran(*DEMO, *CLUSTERS, name="auto").verdicts
    (narrow,) = ran(*DEMO, *CLUSTERS, "decision.scope=evaluation", name="evaluation").verdicts
    assert "60 clusters" in wide["scope"]
    assert narrow["scope"].startswith("this evaluation set")
    assert wide["effect_percent"] == narrow["effect_percent"]
    assert wide["lower"] < narrow["lower"] < narrow["upper"] < wide["upper"]


def test_a_statement_about_the_distribution_without_clusters_is_inconclusive(ran):
    sweep = ran(*DEMO, "decision.scope=distribution")
    (verdict,) = sweep.verdicts
    assert verdict["verdict"] == "inconclusive"
    assert "clusters are not known" in " ".join(verdict["reasons"])
    assert sweep.report["served"] == {}
