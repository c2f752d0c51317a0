"""Preference training: loss, gradients and figures beside bare torch and TRL, and what a trial leaves."""

from __future__ import annotations

import importlib.util
import itertools
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from bios_sweep.containers.record import Record
from bios_sweep.engines.training.adapters import adapter, save_adapter, trainable
from bios_sweep.engines.training.corpus import embedded_pairs
from bios_sweep.engines.training.data import DataSet, Example, write_dataset
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training, evaluate, evaluation_set
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.objectives import reference
from bios_sweep.engines.training.objectives.dpo import dpo_of
from bios_sweep.engines.training.objectives.pair_figures import PairSet
from bios_sweep.engines.training.objectives.pairs import Pair
from bios_sweep.engines.training.objectives.sequences import tokenize_pairs
from bios_sweep.engines.training.shapes.asked import Asked
from bios_sweep.engines.training.shapes.reading import Reader
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.errors import DataError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.preference import (
    ACCURACY,
    FIGURES,
    REWARD_CHOSEN,
    REWARD_MARGIN,
    PairJudge,
)
from bios_sweep.study.trials import PREFERENCE_FILE
from tests.engines.training import oracle, peers
from tests.engines.training.test_training import outcome, run, save_model, sentences, spec

SETTINGS = TrainingSettings(
    learning_rate=3e-3, batch_size=6, lora_rank=4, max_steps=4, dpo_beta=0.3, dpo_length_normalised=None
)
SEED, CPU, WITHIN = 3, torch.device("cpu"), 1e-5
needs_trl = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install trl==1.16.0"
)


def preferring(count: int, start: int) -> tuple[Example, ...]:
    """Answers are preferred to those of the example after."""
    made = sentences(count + 1, start)
    # a blank begins an answer, so that no token reaches over the border, which TRL and we treat otherwise
    made = tuple(replace(one, prompt=one.prompt.strip(), completion=f" {one.completion}") for one in made)
    return tuple(replace(one, rejected=other.completion) for one, other in itertools.pairwise(made))


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def base(model_path):
    return load_base(model_path, "float32", CPU)


def pairs_of(base, model_path, examples, max_length=128) -> list[Pair]:
    """As the engine makes them, the reference found by the base itself."""
    both = list(tokenize_pairs(examples, load_tokenizer(model_path), max_length))
    nats = evaluate(base, evaluation_set(both, 4, CPU)).nats
    return [
        Pair(chosen=both[at], rejected=both[at + 1], reference=(-nats[at], -nats[at + 1]))
        for at in range(0, len(both), 2)
    ]


def summed(model, examples) -> torch.Tensor:
    """Log-probability of each completion, from the logits of every position."""
    ids, mask, labels = oracle.padded(examples)
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
    nats = functional.cross_entropy(
        logits.transpose(1, 2), labels[:, 1:], ignore_index=oracle.IGNORED, reduction="none"
    )
    return -nats.sum(dim=1)


def moved(adapted) -> dict[str, torch.nn.Parameter]:
    """The adapter's weights, away from zero, so that the model is not its reference."""
    torch.manual_seed(5)
    weights = trainable(adapted)
    with torch.no_grad():
        for value in weights.values():
            value.add_(0.2 * torch.randn_like(value))
    return weights


@pytest.mark.parametrize("normalised", [None, True])
def test_loss_gradients_and_figures_are_those_of_bare_torch_however_a_batch_is_cut(
    base, model_path, normalised
):
    pairs = pairs_of(base, model_path, preferring(7, 0))
    chosen, rejected = [one.chosen for one in pairs], [one.rejected for one in pairs]
    with torch.no_grad():
        before = [summed(base.model, side) for side in (chosen, rejected)]
    settings = replace(SETTINGS, dpo_length_normalised=normalised)
    with adapter(base, settings, SEED) as adapted:
        weights = moved(adapted)
        gains = [summed(base.model, side) - old for side, old in zip((chosen, rejected), before, strict=True)]
        per = [torch.tensor([one.supervised_tokens for one in side]) for side in (chosen, rejected)]
        by = [gain / tokens if normalised else gain for gain, tokens in zip(gains, per, strict=True)]
        losses = -functional.logsigmoid(0.3 * (by[0] - by[1]))
        expected = torch.autograd.grad(losses.mean(), list(weights.values()))
        for size in (1, 3, 7):
            objective = dpo_of(settings)
            total = torch.zeros(())
            for piece in objective.pieces(pairs, size):
                total = total + objective.loss(base, piece)
            got = torch.autograd.grad(total / len(pairs), list(weights.values()))
            assert total.item() / len(pairs) == pytest.approx(losses.mean().item(), rel=WITHIN)
            for mine, theirs in zip(got, expected, strict=True):
                assert (mine - theirs).norm() <= WITHIN * theirs.norm()
        both = [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]
        found = PairSet(
            sequences=evaluation_set(both, 4, CPU),
            reference=-np.array([pair.reference for pair in pairs]),
            judge=PairJudge(beta=0.3, length_normalised=bool(normalised)),
        ).measure(base)
    rewards = [0.3 * one.detach().double() for one in by]
    assert found.loss == pytest.approx(losses.mean().item(), rel=WITHIN)
    assert found.metrics[REWARD_CHOSEN] == pytest.approx(rewards[0].mean().item(), rel=1e-4)
    assert found.metrics[REWARD_MARGIN] == pytest.approx((rewards[0] - rewards[1]).mean().item(), rel=1e-4)
    assert found.metrics[ACCURACY] == (rewards[0] > rewards[1]).double().mean().item()
    assert 0.0 < found.metrics[ACCURACY] < 1.0


@pytest.fixture(scope="module")
def options(model_path, tmp_path_factory) -> dict:
    data = DataSet(name="tiny", train=preferring(30, 0), evaluation=preferring(12, 200), source="test")
    file = tmp_path_factory.mktemp("data") / "data.jsonl"
    write_dataset(data, file)
    return {
        "model_path": str(model_path),
        "data_file": str(file),
        "data_fingerprint": data.fingerprint,
        "measurements": 2,
        "micro_batch_size": 5,
        "objective": PairJudge(beta=0.1).to_dict(),
    }


def pair_spec(**changes):
    return spec(SEED, max_steps=4, dpo_beta=0.3, **changes)


def test_a_trial_of_pairs_begins_as_its_reference_and_resumes_to_the_bit(options, tmp_path, monkeypatch):
    result = run(LoraEngine(options), pair_spec(), tmp_path / "a")
    first, last = result.curve[0], result.curve[-1]
    assert (first.eval_loss, first.metrics[ACCURACY]) == (pytest.approx(np.log(2), abs=1e-15), 0.5)
    assert last.train_loss < first.eval_loss
    assert last.eval_bits_per_byte is None
    assert (last.examples, last.metrics.keys()) == (48, dict.fromkeys(FIGURES).keys())
    assert result.final[ACCURACY] == last.metrics[ACCURACY]
    assert PREFERENCE_FILE in result.files
    with np.load(tmp_path / "a" / PREFERENCE_FILE) as left:
        assert left["score"].mean() == last.metrics[ACCURACY]
    # the reference is this node's by now, and nobody finds it again
    monkeypatch.setattr(reference, "evaluate", None)
    half = LoraEngine(options).run(pair_spec(), tmp_path / "b")
    next(half), next(half)
    half.close()
    resumed = run(LoraEngine(options), pair_spec(), tmp_path / "b")
    assert outcome(resumed, tmp_path / "b") == outcome(result, tmp_path / "a")


def test_both_answers_lose_the_same_of_their_prompt(model_path):
    tokenizer = load_tokenizer(model_path)
    long = Example(
        prompt="What of the model, case 7? " * 9, completion="The model reads.", cluster="a",
        rejected="The model reads, and writes, and keeps, and drops, and counts.",
    )  # fmt: skip
    chosen, rejected = tokenize_pairs([long], tokenizer, 60)
    prompts = [list(one.input_ids[: one.prompt_length]) for one in (chosen, rejected)]
    assert prompts[0] == prompts[1]
    assert len(rejected.input_ids) == 60
    assert chosen.supervised_tokens < rejected.supervised_tokens
    alone = next(tokenize_all([long], tokenizer, 60))
    assert alone.prompt_length > chosen.prompt_length  # it makes room for its own answer alone


def test_pairs_that_prefer_nothing_or_have_no_other_answer_are_refused():
    def read(row):
        return list(Reader(Asked(pairs=True))([Record(place="f:1", row=row)]))

    for row, words in (
        ({"prompt": "Q", "chosen": "a", "rejected": "a"}, "chosen and rejected are the same"),
        ({"prompt": "Q", "chosen": "a", "rejected": " "}, "rejected is empty"),
        (
            {"prompt": "Q", "completion": "a"},
            "is written as prompt_completion, which has no answer to prefer",
        ),
    ):
        with pytest.raises(DataError, match=f"^f:1: .*{words}"):
            read(row)
    [pair] = read({"chosen": "Q: the cat", "rejected": "Q: the dog"})
    assert (pair.prompt, pair.completion, pair.rejected) == ("Q: the", " cat", " dog")


def test_embedded_pairs_differ_in_the_order_of_two_words():
    pairs = embedded_pairs(5)
    for one in (*pairs.train[:50], *pairs.evaluation):
        assert sorted(one.completion.split()) == sorted(one.rejected.split())
        assert one.completion != one.rejected
    assert len(pairs.evaluation) == 5


@needs_trl
@pytest.mark.slow
@pytest.mark.parametrize(("loss", "normalised"), [("sigmoid", None), ("sigmoid_norm", True)])
def test_losses_figures_and_adapters_are_those_of_trl(model_path, tmp_path, loss, normalised):
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    settings = replace(SETTINGS, dpo_length_normalised=normalised)
    train, held_out = (
        [{"prompt": one.prompt, "chosen": one.completion, "rejected": one.rejected} for one in side]
        for side in (preferring(14, 0), preferring(6, 200))
    )
    read = [
        list(Reader(Asked(pairs=True))(Record(place="f", row=row) for row in rows))
        for rows in (train, held_out)
    ]
    base = load_base(model_path, "float32", CPU)
    mine, theirs = (pairs_of(base, model_path, examples) for examples in read)
    with adapter(base, settings, SEED) as adapted:
        save_adapter(adapted, tmp_path / "first")
        training = Training(base, adapted, settings, SEED, mine, Fit(3), objective=dpo_of(settings))
        losses = [training.advance(step) for step in range(1, settings.max_steps + 1)]
        both = [answer for pair in theirs for answer in (pair.chosen, pair.rejected)]
        figures = PairSet(
            sequences=evaluation_set(both, 4, CPU),
            reference=-np.array([pair.reference for pair in theirs]),
            judge=PairJudge(beta=0.3, length_normalised=bool(normalised)),
        ).measure(base)
        ours = {name: value.detach().clone() for name, value in trainable(adapted).items()}
    trainer = DPOTrainer(
        model=peers.adapted_model(model_path, settings, tmp_path / "first"),
        args=DPOConfig(
            **peers.arguments(settings, tmp_path / "trl"), beta=0.3, loss_type=[loss], max_length=128,
            per_device_eval_batch_size=3,
        ),
        train_dataset=Dataset.from_list(peers.in_order(train, settings, SEED)),
        eval_dataset=Dataset.from_list(held_out),
        processing_class=AutoTokenizer.from_pretrained(model_path),
    )  # fmt: skip
    ended = peers.ended(trainer)
    told = trainer.evaluate()
    assert losses == pytest.approx(ended.losses, rel=WITHIN)
    assert figures.loss == pytest.approx(told["eval_loss"], rel=WITHIN)
    assert figures.metrics[ACCURACY] == pytest.approx(told["eval_rewards/accuracies"], rel=WITHIN)
    if not normalised:  # TRL tells sums whatever the loss divides
        assert figures.metrics[REWARD_CHOSEN] == pytest.approx(told["eval_rewards/chosen"], rel=1e-4)
        assert figures.metrics[REWARD_MARGIN] == pytest.approx(told["eval_rewards/margins"], rel=1e-4)
    for name, value in ours.items():
        assert (value - ended.adapter[name]).norm() <= 10 * WITHIN * value.norm()


class Named(list):
    """Tokenised answers with the name of their table."""

    name = "pairs"


def test_two_workers_that_need_the_same_reference_at_once_compute_it_once(
    base, model_path, tmp_path, monkeypatch
):
    """The second waits for the first one's folder, and reads its numbers."""
    monkeypatch.setattr("bios_sweep.engines.training.kept.kept_root", lambda kind: tmp_path)
    table = Named(tokenize_pairs(preferring(4, 0), load_tokenizer(model_path), 64))
    together, second, passes, found = threading.Barrier(2), threading.Event(), [], []

    def watched(*args):
        passes.append(args)
        second.wait(0.2)  # long enough for the other to come, were it let in
        return evaluate(*args)

    monkeypatch.setattr(reference, "evaluate", watched)

    def work():
        together.wait()
        found.append(np.array(reference.reference_nats(base, table, 4, {"model": "m"})))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(passes) == 1
    assert np.array_equal(*found)
    assert np.array_equal(found[0], evaluate(base, evaluation_set(list(table), 4, CPU)).nats)
    assert [path.suffix for path in tmp_path.iterdir()].count("") == 1
