"""`data.eval_examples=auto`: how many, why, and that a study keeps what it began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bios_sweep
from bios_sweep.driver import evaluation
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.study.scenario import DataFacts

EXAMPLES = 6000
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon")


SHORT = ("baseline.batch_size=2", "budget.max_steps=4", "budget.measurements=1", "seeds=[0,1]")
FEW = (*SHORT, "decision.looks=[2]", "sweeps.factors.learning_rate.multiply=[4]")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "d.jsonl"
    rows = (
        {"prompt": f"Explain {n}\n", "completion": " ".join(WORDS[(n + i) % 5] for i in range(1 + n % 9))}
        for n in range(EXAMPLES)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def asked(data: Path, workspace: Path, *more: str) -> Prepared:
    words = ("sweeps=learning_rate", f"data.path={data}", f"workspace={workspace}", "cluster=inline")
    return prepare(Invocation(verb="plan", overrides=(*words, "data.eval_examples=auto", *more)))


def facts(prepared: Prepared) -> tuple[int, str]:
    data = prepared.plan.study.scenario.data
    return data.eval_examples, data.eval_why


def test_without_earlier_trials_auto_is_what_there_is_at_most_two_thousand(data, tmp_path):
    assert facts(asked(data, tmp_path)) == (EXAMPLES // 10, "no earlier trial tells the noise")


def test_the_cost_of_evaluating_is_kept_below_the_stated_share(data, tmp_path):
    short = ("baseline.batch_size=32", "budget.max_steps=250")
    fifth, tenth = (asked(data, tmp_path, *short, f"data.eval_share={share}") for share in (0.2, 0.1))
    assert facts(fifth)[0] > facts(tenth)[0] > 200
    assert facts(tenth)[1] == "evaluations take at most 10 % of training (data.eval_share)"
    assert fifth.plan.study.scenario.data.train_examples < tenth.plan.study.scenario.data.train_examples
    tiny = asked(data, tmp_path, "baseline.batch_size=2", "budget.max_steps=10")
    assert facts(tiny)[0] == 200, "no loss over a handful of examples says anything"


@pytest.mark.slow
def test_noise_that_is_known_says_how_many_and_a_study_keeps_what_it_began_with(data, tmp_path):
    def run(*more: str) -> None:
        words = [f"data.path={data}", "cluster=inline", "tracking.enabled=false", *FEW, *more]
        bios_sweep.run(sweeps="learning_rate", overrides=words, workspace=tmp_path)

    run("data.eval_examples=50")
    needed, why = facts(asked(data, tmp_path, *FEW, "data.eval_share=1000"))
    assert why == "what the margin needs at the noise of earlier trials"
    coarse = ("decision.margin_percent=50", "data.eval_share=1000")
    assert facts(asked(data, tmp_path, *FEW, *coarse))[0] == 200 <= needed
    before = asked(data, tmp_path, *FEW)
    run("data.eval_examples=auto")
    again = asked(data, tmp_path, *FEW, "data.eval_share=1000")
    assert facts(again) == (facts(before)[0], "as earlier studies here have, to share trials")
    assert again.plan.sweep_id == before.plan.sweep_id
    more = asked(data, tmp_path, *FEW[:-1])
    assert facts(more)[0] == facts(before)[0], "the same evaluation examples, so that its trials are shared"


@pytest.mark.parametrize(
    ("train", "held_out", "same"), [(90, 10, True), (80, 20, True), (90, 30, True), (95, 10, False)]
)
def test_files_of_one_name_are_the_same_where_they_hold_as_many_examples(train, held_out, same):
    now = DataFacts(
        name="d", file="", fingerprint="", evaluation_fingerprint="", train_examples=90, eval_examples=10,
        source="d.jsonl",
    )  # fmt: skip
    kept = {"source": "d.jsonl", "train_examples": train, "eval_examples": held_out}
    assert evaluation._same_files(kept, now) is same
    assert not evaluation._same_files({**kept, "source": "e.jsonl"}, now)
