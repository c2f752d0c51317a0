"""What a number of items can decide: by the procedure's own bounds, and what plan and run make of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bios_sweep.cli.main import main
from bios_sweep.decision.clusters import ClusterSums, cluster_table
from bios_sweep.decision.fresh import contrast
from bios_sweep.decision.table import Outcome, ResultTable, complete_blocks
from bios_sweep.procedure.decidable import DIFFERING, LASTING, smallest_margin
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status

ACCURACY = Metric(name="exact_match", direction="maximize", unit="")
WORLD = "+model.planted.metrics.eval_acc={value: 0.5, noise_percent: 0.2, truth: {}}"
DECIDES = "decision.metrics=[{{name: eval_acc, role: decides, margin_points: {}, items: {}}}]"


def half_width(items, seeds, scope, random):
    """Of one study's bound in points: a default and an arm that differ in a fifth of the items."""
    lasting = random.normal(0, np.sqrt(DIFFERING * LASTING), items)
    drawn = random.normal(0, np.sqrt(DIFFERING * (1 - LASTING)), (seeds, items))
    differences = lasting + drawn
    values = {("baseline", seed): 0.5 for seed in range(seeds)}
    values |= {("new", seed): 0.5 + differences[seed].mean() for seed in range(seeds)}
    table = ResultTable(
        arms=("baseline", "new"),
        seeds=tuple(range(seeds)),
        outcomes={key: Outcome(status=Status.COMPLETED, value=value) for key, value in values.items()},
        metric=ACCURACY,
    )
    ones = np.ones(items)
    sums = {("baseline", seed): ClusterSums(nats=ones * 0.5, tokens=ones) for seed in range(seeds)}
    sums |= {("new", seed): ClusterSums(nats=0.5 + differences[seed], tokens=ones) for seed in range(seeds)}
    blocks = complete_blocks(table)
    clusters = None if scope == "evaluation" else cluster_table(blocks, sums)
    bound = contrast(blocks, "new", "baseline", 0.05, clusters)
    return (bound.gain - bound.lower) * 0.5  # percent of a level of a half, in points


@pytest.mark.parametrize(
    ("items", "seeds", "scope"), [(500, 5, "auto"), (2000, 3, "auto"), (500, 5, "evaluation")]
)
def test_the_smallest_margin_is_the_width_that_the_procedure_s_bounds_have(items, seeds, scope):
    random = np.random.default_rng([11, items, seeds])
    widths = [half_width(items, seeds, scope, random) for _ in range(200)]
    rule = DecisionRule(scope=scope, confirmation_seeds=seeds)
    expected = smallest_margin(rule, items, items, seeds, decides=False)
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(expected, rel=0.1)


def test_more_items_more_seeds_and_fewer_looks_decide_less_and_few_clusters_more():
    rule = DecisionRule(looks=(3, 5, 8))

    def at(items=500, clusters=500, seeds=8, rule=rule):
        return smallest_margin(rule, items, clusters, seeds, decides=True)

    assert at(items=2000, clusters=2000) == pytest.approx(at() / 2, rel=0.01)
    assert at(seeds=5) > at() > at(seeds=80) > at() / 2  # seeds do not make up for items
    assert at(rule=DecisionRule(looks=(8,))) < at() < at(clusters=5)


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(verb, *words, code=0):
        common = ["sweeps=learning_rate", "model=planted", "cluster=inline", "workspace=ws", WORLD]
        found = main([verb, *common, *words])
        out, err = capsys.readouterr()
        assert found == code, err
        return json.loads(out) if "--json" in words and not code else out if not code else err

    return call


def test_five_hundred_items_cannot_decide_a_point_and_the_plan_says_loudly_what_could(shell):
    plan = shell("plan", DECIDES.format(1, 500), "--json")
    (row,) = plan["decidable"]
    assert (row["decided"], row["margin"], row["items"], row["seeds"]) == (False, 1, 500, 8)
    assert row["smallest"] == pytest.approx(3.38, abs=0.01)
    first = plan["warnings"][0]
    assert first.startswith("CANNOT BE DECIDED: eval_acc (decides) by a margin of 1 point on 500 items: ")
    assert "about 5,704 items could decide it, or a margin of 3.4 points on these" in first
    assert first in " ".join(shell("plan", DECIDES.format(1, 500)).split())


def test_what_the_plan_says_could_decide_it_can(shell):
    for margin, items in ((1, 5800), (3.4, 500)):
        plan = shell("plan", DECIDES.format(margin, items), "--json")
        assert plan["decidable"][0]["decided"]
        assert not [warning for warning in plan["warnings"] if "DECIDED" in warning]
        assert any("items can decide a margin of about" in line for line in plan["caveats"])


def test_who_knows_how_many_items_differ_says_so(shell):
    known = DECIDES.format(1, 500).replace("items: 500", "items: 500, differing: 0.01")
    plan = shell("plan", known, "--json")
    (row,) = plan["decidable"]
    assert (row["decided"], row["differing"]) == (True, 0.01)
    assert row["smallest"] == pytest.approx(3.38 / 20**0.5, abs=0.01)
    assert plan["sweep_id"] == shell("plan", DECIDES.format(1, 500), "--json")["sweep_id"]


def test_a_run_starts_nothing_that_cannot_be_decided_unless_it_is_told_to(shell, tmp_path):
    err = shell("run", DECIDES.format(1, 500), code=2)
    assert "CANNOT BE DECIDED" in err
    assert "decision.undecidable=run runs it all the same" in err
    assert not (tmp_path / "ws").exists()
    told = ("decision.undecidable=run", "tracking=none")
    answer = shell("run", DECIDES.format(1, 500), *told, "--json")
    assert answer["verdicts"]
    assert answer["caveats"][0].startswith("CANNOT BE DECIDED")
    assert answer["warnings"][0].startswith("CANNOT BE DECIDED")
    again = shell("run", DECIDES.format(1, 500), "tracking=none", "--json")  # what has begun goes on
    assert again["sweep_id"] == answer["sweep_id"]


def test_what_must_not_lose_is_held_against_the_fresh_seeds(shell):
    kept = (
        "decision.metrics=[{name: eval_loss, role: decides}, "
        "{name: eval_acc, role: must not lose, margin_points: 1, items: 500}]"
    )
    (row,) = shell("plan", kept, "--json")["decidable"]
    assert (row["decides"], row["decided"], row["seeds"]) == (False, False, 5)
    assert "eval_acc (must not lose) by a margin of 1 point" in shell("run", kept, code=2)


def test_an_answer_that_is_not_asked_for_and_a_word_that_is_none(shell):
    plan = shell("plan", "decision.undecidable=run", "--json")
    assert "decidable" not in plan
    assert plan["warnings"] == [
        "decision.undecidable=run has no effect: no margin is asked for that a known number of items cannot "
        "decide"
    ]
    assert "decision.undecidable: 'go' is not allowed; choose from refuse, run" in shell(
        "plan", "decision.undecidable=go", code=2
    )
