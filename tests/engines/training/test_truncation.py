"""Where examples are cut and what that costs: one evaluation for all arms, and every lost token counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.engines.training.counts import Counted, counted, cut_at, require_positions
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.errors import DataError
from bios_sweep.report.content.scope import truncation
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.scenario import EVALUATION, TRAIN, Cut, Scenario
from tests.scenarios import RECORDED as SCENARIO

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
CUT = Cut(
    split=TRAIN,
    max_length=8,
    examples=10,
    truncated=2,
    tokens=100,
    lost=7,
    supervised=40,
    lost_supervised=3,
    longest=8,
)


def example(number: int) -> Example:
    said = " ".join(WORDS[: 1 + number % 10])
    return Example(prompt=f"{number}: " + "word " * (number % 7), completion=said, cluster=str(number))


def lengths(*rows: tuple[int, int, int]) -> Counted:
    """Prompt, completion and text tokens of examples without asides, each called `long`."""
    prompt, completion, text = np.array(rows).T
    none = np.zeros(0, dtype=int)
    called = [replace(example(1), origin="long")] * len(rows)
    return Counted(
        examples=called, prompt=prompt, completion=completion, text=text, first=completion,
        owner=none, begin=none, end=none,
    )  # fmt: skip


@pytest.mark.parametrize("length", [4, 6, 12, 18, 60])
def test_counted_losses_are_those_of_the_examples_that_are_trained(length):
    tokenizer = load_tokenizer(base_model_path())
    examples = [example(number) for number in range(40)]
    whole = list(tokenize_all(examples, tokenizer, 10_000))
    kept = list(tokenize_all(examples, tokenizer, length))
    cut = cut_at(TRAIN, counted(examples, tokenizer, None), length)
    lost = [len(a.input_ids) - len(b.input_ids) for a, b in zip(whole, kept, strict=True)]
    assert (cut.examples, cut.truncated, cut.lost) == (40, sum(map(bool, lost)), sum(lost))
    assert cut.tokens == sum(len(one.input_ids) for one in whole)
    assert cut.supervised == sum(one.supervised_tokens for one in whole)
    assert cut.supervised - cut.lost_supervised == sum(one.supervised_tokens for one in kept)
    assert cut.longest == max(len(one.input_ids) for one in kept)


def test_a_prompt_that_fills_the_length_is_cut_for_its_answer_and_the_example_stays():
    cut = cut_at(EVALUATION, lengths((500, 3, 2), (2, 3, 2)), 16)
    assert (cut.examples, cut.truncated, cut.lost, cut.lost_supervised) == (2, 1, 487, 0)
    cut = cut_at(EVALUATION, lengths((500, 30, 29)), 16)
    assert (cut.lost, cut.lost_supervised) == (514, 15)
    with pytest.raises(DataError, match=r"^long: the completion has no token .* within max_length=1"):
        cut_at(EVALUATION, lengths((500, 3, 2)), 1)


def test_a_length_that_the_model_does_not_read_is_refused_by_the_key_that_sets_it():
    for cut, message in (
        (replace(CUT, max_length=64), "^method.max_length: .* use method.max_length=4 or less"),
        (CUT, "^max_length=8: an example has 8 tokens but model m has 4 positions; give levels of 4 or less"),
        (replace(CUT, split=EVALUATION), "^data.eval_max_length: .* use data.eval_max_length=4 or less"),
    ):
        with pytest.raises(DataError, match=message):
            require_positions([cut], "m", 4, baseline=64)
    require_positions([CUT], "m", 8, baseline=64)
    require_positions([CUT], "m", None, baseline=64)


# Through the command line


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("cuts")
    rows = [{"prompt": f"{n}: " + "word " * (n % 9), "completion": " ".join(WORDS)} for n in range(40)]
    (place / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "sweeps").mkdir()
    for name, factor in (
        ("two", "max_length: {values: [16, 64]}"),
        ("three", "max_length: {values: [16, 64, 128]}"),
        ("rates", "learning_rate: {multiply: [0.5]}"),
        ("crossed", "learning_rate: {multiply: [0.5]}\ncross: {max_length: [32, 64]}"),
    ):
        factors, _, cross = factor.partition("\n")
        text = f"question: how long?\nfactors:\n  {factors}\n{cross}\n"
        (place / "sweeps" / f"{name}.yaml").write_text(text)
    return place


def planned(folder: Path, capsys, sweep: str, *overrides: str) -> dict:
    words = [f"sweeps={sweep}", "data=jsonl", f"data.path={folder / 'data.jsonl'}", "data.eval_examples=10"]
    more = [f"workspace={folder / 'ws'}", "method.max_length=32", "budget.max_steps=2", *overrides]
    assert main(["plan", *words, *more, "--config-dir", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_evaluation_is_cut_once_at_the_largest_length_of_the_arms(folder, capsys):
    for sweep, cut in (("rates", 32), ("two", 64), ("three", 128), ("crossed", 64)):
        assert planned(folder, capsys, sweep)["truncation"]["eval_max_length"] == cut
    told = planned(folder, capsys, "two")
    levels = told["truncation"]["train"]
    assert [level["max_length"] for level in levels] == [32, 16, 64]
    assert [level["examples"] for level in levels] == [30, 30, 30]
    assert levels[1]["lost_tokens"] > levels[0]["lost_tokens"] > levels[2]["lost_tokens"]
    assert told["truncation"]["evaluation"]["max_length"] == 64
    tokens = {arm["arm"]: arm["tokens"] for arm in told["arms"]}
    assert tokens["max_length=16"] == 16 * told["arms"][0]["examples"] < tokens["baseline"]


def keys(folder: Path, sweep: str, *overrides: str) -> dict[str, list[str]]:
    """Arm -> trial keys, from the plan that a command line makes."""
    words = [f"sweeps={sweep}", "data=jsonl", f"data.path={folder / 'data.jsonl'}", "data.eval_examples=10"]
    more = [f"workspace={folder / 'ws'}", "method.max_length=32", "budget.max_steps=2", *overrides]
    plan = prepare(Invocation(overrides=(*words, *more), config_dir=folder)).plan
    return {arm.name: [trial.key for trial in plan.trials if trial.arm == arm.name] for arm in plan.arms}


def test_trials_judged_at_two_cuts_never_mix_and_a_stated_cut_reuses_them(folder):
    two, three = keys(folder, "two"), keys(folder, "three")
    assert not {key for own in two.values() for key in own} & {key for own in three.values() for key in own}
    same = keys(folder, "three", "data.eval_max_length=64")
    assert {arm: same[arm] for arm in two} == two
    rates = keys(folder, "rates")
    assert rates[BASELINE] != two[BASELINE]
    assert keys(folder, "rates", "data.eval_max_length=64")[BASELINE] == two[BASELINE]


def test_a_stated_cut_is_told_as_stated_and_one_that_is_none_is_refused(folder, capsys):
    caveats = planned(folder, capsys, "rates", "data.eval_max_length=20")["caveats"]
    assert any("cut at 20 (as data.eval_max_length says)" in line for line in caveats)
    assert main(["plan", "sweeps=rates", "data.eval_max_length=0", "--config-dir", str(folder)]) == 2
    assert "data.eval_max_length: 0 is not allowed" in capsys.readouterr().err


def test_a_plan_says_what_is_cut_per_split_or_that_nothing_is(folder, capsys):
    caveats = planned(folder, capsys, "two")["caveats"]
    assert any(line.startswith("every arm is judged on the same tokens: evaluation") for line in caveats)
    sides = [line.partition(":")[0] for line in caveats if " examples cut at " in line and "arm" not in line]
    assert sides == [
        *(f"training examples cut at {length} tokens" for length in (32, 16, 64)),
        "evaluation examples cut at 64 tokens",
    ]
    caveats = planned(folder, capsys, "rates", "method.max_length=200")["caveats"]
    assert "nothing is cut: no example is longer than max_length (200 tokens)" in caveats


def test_a_script_that_is_told_the_length_is_warned_that_it_cuts_its_own_evaluation(
    folder, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    command = "method.command=python -c 1 --length {max_length} --lr {learning_rate} --seed {seed}"
    words = ["sweeps=two", "method=command", command, "baseline.learning_rate=0.1", "--json"]
    assert main(["plan", *words, "--config-dir", str(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["truncation"] is None
    [warning] = [line for line in told["caveats"] if line.startswith("max_length varies")]
    assert "the script cuts its own evaluation: its arms may be judged on different tokens" in warning


def test_a_plan_of_before_has_its_trials_still():
    values = SCENARIO.to_dict()
    for name in ("eval_max_length", "cuts", "ends"):
        del values["data"][name]
    del values["model"]["ends"]
    read = Scenario.from_dict(values)
    assert read == SCENARIO
    assert read.identity() == SCENARIO.identity()
    assert "ends" not in read.identity()
    assert truncation(read.data) is None


def test_cuts_survive_the_plan_file():
    scenario = replace(SCENARIO, data=replace(SCENARIO.data, eval_max_length=8, cuts=(CUT,), ends=("one",)))
    assert Scenario.from_dict(json.loads(json.dumps(scenario.to_dict()))) == scenario


def test_what_ends_a_generation_is_part_of_a_trial():
    ended = replace(SCENARIO, model=replace(SCENARIO.model, ends=(7,)))
    assert ended.identity() != SCENARIO.identity()
    script = replace(ended, code="c")
    assert script.identity() == replace(SCENARIO, code="c").identity()
