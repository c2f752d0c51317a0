"""Forgetting: the loss on general text before and after training: a final metric, a guardrail, a sign."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.curves.signs import Limits, diagnose
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.general import LONGEST, general_examples
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Status
from tests.conformance.tiny_model import tiny_scenario

SETTINGS = TrainingSettings(learning_rate=1e-2, batch_size=4, lora_rank=4, max_steps=6)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return LoraEngine(tiny_scenario(tmp_path_factory.mktemp("tiny")))


def trial(**changes):
    settings = replace(SETTINGS, **changes)
    return TrialSpec(key=str(sorted(changes.items())), arm="baseline", seed=0, settings=settings)


def ended(engine, spec, folder):
    *curve, result = engine.run(spec, folder)
    assert isinstance(result, TrialResult)
    return curve, result


def test_a_trial_ends_with_the_general_loss_after_and_before_training(engine, tmp_path):
    curve, result = ended(engine, trial(), tmp_path / "a")
    before, after = result.final["general_loss_before"], result.final["general_loss"]
    assert math.isfinite(before)
    assert after != before
    assert all(isinstance(point, Measurement) and not point.metrics for point in curve), "only at the end"
    _, again = ended(engine, trial(), tmp_path / "b")
    assert again.final == result.final, "a warm engine gives the same to the bit"


def test_a_model_that_hardly_moves_keeps_its_general_loss_and_one_that_trains_does_not(engine, tmp_path):
    """A random model knows nothing that it could forget: only the movement can be seen here."""
    _, still = ended(engine, trial(learning_rate=1e-7), tmp_path / "still")
    assert still.final["general_loss"] == pytest.approx(still.final["general_loss_before"], rel=1e-5)
    assert "forgetting" not in diagnose([still], Limits(margin=1e9), Metric()).names
    _, moved = ended(engine, trial(learning_rate=0.5, max_steps=40), tmp_path / "moved")
    assert moved.final["general_loss"] != pytest.approx(moved.final["general_loss_before"], rel=0.005)


def test_a_resumed_trial_has_the_general_loss_of_an_unbroken_one(engine, tmp_path):
    _, whole = ended(engine, trial(), tmp_path / "whole")
    broken = engine.run(trial(), tmp_path / "broken")
    for _ in range(3):
        next(broken)
    broken.close()
    _, resumed = ended(engine, trial(), tmp_path / "broken")
    assert resumed.final == whole.final


def test_a_diverged_trial_has_no_general_loss(engine, tmp_path):
    _, result = ended(engine, trial(learning_rate=1e4, max_steps=20), tmp_path)
    assert result.status == Status.DIVERGED
    assert "general_loss" not in result.final


def test_the_text_is_short_varied_and_in_no_training_data():
    passages = [example.completion for example in general_examples()]
    assert len(passages) == len(set(passages)) >= 20
    assert all(passage.isascii() and passage == passage.strip() and passage for passage in passages)
    data = embedded_examples()
    known = {" ".join(e.completion.split()) for e in (*data.train, *data.evaluation)}
    assert not any(sentence in known for passage in passages for sentence in passage.split(". "))


def test_a_passage_fits_a_small_vocabulary_whole():
    """The embedded model has 1 024 tokens: few words are one."""
    tokenizer = load_tokenizer(base_model_path())
    lengths = [len(e.input_ids) for e in tokenize_all(general_examples(), tokenizer, 10_000)]
    assert max(lengths) <= LONGEST


def test_the_general_loss_may_be_a_guardrail_of_real_training(tmp_path, capsys):
    words = ["plan", "sweeps=demo", f"workspace={tmp_path}", "+decision.guardrails.general_loss=1"]
    assert main([*words[:3], "decision.guardrails={general_loss: 1}", "--json"]) == 0
    assert main([*words[:3], "decision.guardrails={generel_loss: 1}"]) == 2
    assert "choose from eval_loss, eval_bits_per_byte, train_loss, general_loss" in capsys.readouterr().err
