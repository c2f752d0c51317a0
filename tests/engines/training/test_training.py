"""The LoRA engine on a tiny random model: exactness, resuming, divergence, refusals."""

from __future__ import annotations

import hashlib
import io
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.integrations.neftune import neftune_post_forward_hook

from bios_sweep.engines.training import timing
from bios_sweep.engines.training.adapters import adapter, trainable
from bios_sweep.engines.training.batches import batch_indices, epoch_order, micro_batches
from bios_sweep.engines.training.checkpoint import BEFORE, load_checkpoint
from bios_sweep.engines.training.checkpoint import FILE as CHECKPOINT
from bios_sweep.engines.training.data import DataSet, Example, Message, write_dataset
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.loop import learning_rate_at, noised
from bios_sweep.engines.training.model import load_base, verify_split
from bios_sweep.engines.training.timing import LEAST_STEPS, WARM_STEPS, time_steps
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.engines.training.trial import measured_steps
from bios_sweep.errors import ConfigError, DataError, ModelError
from bios_sweep.execution.attempts import attempt_trial
from bios_sweep.sealed import unlike
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Status
from tests.damage import flipped
from tests.engines.training import oracle

CPU = torch.device("cpu")
MEASUREMENTS = 3
SETTINGS = TrainingSettings(learning_rate=3e-3, batch_size=12, lora_rank=4, max_steps=9)
SUBJECTS = ("model", "seed", "batch", "rank", "loss", "trial", "arm", "curve", "budget", "verdict")
VERBS = ("reads", "writes", "keeps", "drops", "counts", "splits", "merges")


def sentences(count: int, start: int) -> tuple[Example, ...]:
    """Prompts and completions of uneven lengths, all different, in clusters of four."""
    made = []
    for number in range(start, start + count):
        subject, verb = SUBJECTS[number % 10], VERBS[number % 7]
        prompt = f"What of the {subject}, case {number}? " * (1 + number % 3)
        made.append(
            Example(
                prompt=prompt,
                completion=f"The {subject} {verb} {number} " + "times " * (number % 5),
                cluster=f"c{number // 4}",
            )
        )
    return tuple(made)


def save_tokenizer(folder: Path, chat_template: str | None = None) -> None:
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    text = [example.prompt + example.completion for example in sentences(100, 0)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        text, trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>")
    fast.chat_template = chat_template
    fast.save_pretrained(folder)


def tiny_config(**changes) -> dict:
    return {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,
        **changes,
    }


def save_model(folder: Path, config=None, kind=LlamaForCausalLM) -> Path:
    torch.manual_seed(1)
    kind(config or LlamaConfig(**tiny_config())).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def options(model_path, tmp_path_factory) -> dict:
    dataset = DataSet(name="tiny", train=sentences(50, 0), evaluation=sentences(21, 200), source="test")
    file = tmp_path_factory.mktemp("data") / "data.jsonl"
    write_dataset(dataset, file)
    return {
        "model_path": str(model_path),
        "data_file": str(file),
        "data_fingerprint": dataset.fingerprint,
        "measurements": MEASUREMENTS,
        "micro_batch_size": 5,
    }


@pytest.fixture(scope="module")
def engine(options) -> LoraEngine:
    return LoraEngine(options)


def spec(seed: int = 3, **changes) -> TrialSpec:
    settings = replace(SETTINGS, **changes)
    key = f"{seed}-" + "-".join(f"{name}={value}" for name, value in sorted(changes.items()))
    return TrialSpec(key=key, arm="an arm", seed=seed, settings=settings)


def run(engine: LoraEngine, trial: TrialSpec, directory: Path) -> TrialResult:
    *points, result = engine.run(trial, directory)
    assert result.curve == tuple(points)
    return result


def numbers(result: TrialResult) -> list:
    """All that must repeat to the bit: everything but the time it took."""
    return [replace(point, wall_seconds=0.0).to_dict() for point in result.curve]


def outcome(result: TrialResult, directory: Path) -> list:
    """Numbers, losses per example and adapter, as text that two processes can compare."""
    weights = (directory / "adapter" / "adapter_model.safetensors").read_bytes()
    with np.load(directory / "eval.npz") as saved:
        losses = [value.hex() for value in saved["nats"].tolist()]
    return [numbers(result), losses, hash_of(weights)]


def hash_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@pytest.fixture(scope="module")
def straight(engine, tmp_path_factory):
    """One undisturbed trial and all it left."""
    directory = tmp_path_factory.mktemp("straight")
    result = run(engine, spec(), directory)
    return result, outcome(result, directory), directory


def test_a_trial_measures_at_equal_fractions_and_learns(straight):
    result, _, directory = straight
    assert result.status == Status.COMPLETED
    assert [point.step for point in result.curve] == [0, 3, 6, 9]
    assert [point.examples for point in result.curve] == [0, 36, 72, 108]
    assert result.curve[0].train_loss is None
    assert result.final["eval_loss"] == result.curve[-1].eval_loss < result.curve[0].eval_loss
    assert result.tokens == result.curve[-1].tokens > 108
    cut, timed = {"micro_batch_size"}, {"seconds_per_evaluation", "memory_reckoned_bytes"}
    assert set(result.provenance) == {"host", "device", "threads", "torch"} | cut | timed
    assert (
        0 < result.evaluation_share == result.provenance["seconds_per_evaluation"] * 3 / result.wall_seconds
    )
    assert sorted(path.name for path in directory.iterdir()) == ["adapter", "eval.npz", "training.log"]


def test_tokens_are_those_of_the_stream(engine, straight):
    train = engine._material("float32", 512).train
    seen = [index for step in range(9) for index in batch_indices(3, 12, step, len(train))]
    assert straight[0].tokens == sum(len(train[index].input_ids) for index in seen)


IN_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from tests.engines.training.test_training import LoraEngine, outcome, run, spec
engine = LoraEngine(json.loads(sys.argv[1]))
for directory in map(Path, sys.argv[2:]):
    print("OUTCOME", json.dumps(outcome(run(engine, spec(), directory), directory)))
"""


def test_warm_equals_fresh_equals_resumed_elsewhere_to_the_bit(engine, options, straight, tmp_path):
    run(engine, spec(seed=9, lora_rank=7, learning_rate=0.1), tmp_path / "other")
    warm = outcome(run(engine, spec(), tmp_path / "warm"), tmp_path / "warm")
    trial = engine.run(spec(), tmp_path / "half")
    for _ in range(2):
        next(trial)
    trial.close()
    fresh, resumed = _in_another_process(options, tmp_path / "fresh", tmp_path / "half")
    assert warm == straight[1]
    assert fresh == json.loads(json.dumps(straight[1]))
    assert resumed == fresh


def _in_another_process(options, *directories):
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, json.dumps(options), *map(str, directories)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line[8:]) for line in done.stdout.splitlines() if line.startswith("OUTCOME ")]


@pytest.mark.parametrize("items", range(1, MEASUREMENTS + 2))
def test_resumed_after_each_measurement_equals_straight_through(engine, straight, tmp_path, items):
    trial = engine.run(spec(), tmp_path)
    seen = [next(trial) for _ in range(items)]
    trial.close()
    assert (tmp_path / CHECKPOINT).is_file()
    result = run(engine, spec(), tmp_path)
    assert result.curve[:items] == tuple(seen), "replayed measurements keep even their times"
    assert outcome(result, tmp_path) == straight[1]
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize("noise", [{"lora_dropout": 0.3}, {"neftune_alpha": 5.0}])
def test_noise_resumes_to_the_bit_and_is_off_in_evaluation(engine, straight, tmp_path, noise):
    trial = spec(**noise)
    through = run(engine, trial, tmp_path / "through")
    started = engine.run(trial, tmp_path / "resumed")
    for _ in range(3):
        next(started)
    started.close()
    torch.manual_seed(12345)
    assert numbers(run(engine, trial, tmp_path / "resumed")) == numbers(through)
    assert through.curve[0].eval_loss == straight[0].curve[0].eval_loss
    assert through.curve[1].train_loss != straight[0].curve[1].train_loss


def test_noise_on_embeddings_is_that_of_transformers():
    embedded = torch.randn(3, 7, 16, generator=torch.Generator().manual_seed(1))
    layer = SimpleNamespace(training=True, neftune_noise_alpha=5.0)
    torch.manual_seed(2)
    ours = noised(embedded, 5.0)
    torch.manual_seed(2)
    torch.testing.assert_close(ours, neftune_post_forward_hook(layer, None, embedded))
    assert (ours - embedded).abs().max() <= 5.0 / math.sqrt(7 * 16)


def test_closing_early_leaves_the_base_model_clean(engine, straight, tmp_path):
    base = engine._material("float32", 512).base
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    trial = engine.run(spec(seed=8, learning_rate=0.5), tmp_path / "closed")
    next(trial)
    next(trial)
    trial.close()
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(value.requires_grad for value in base.model.parameters())
    assert numbers(run(engine, spec(), tmp_path / "next")) == straight[1][0]


def test_two_trials_at_once_are_refused(engine, straight, tmp_path):
    first = engine.run(spec(), tmp_path / "first")
    next(first)
    with pytest.raises(RuntimeError, match="one trial at a time"):
        next(engine.run(spec(seed=4), tmp_path / "second"))
    *_, result = first
    assert numbers(result) == straight[1][0]


def test_another_trials_checkpoint_is_not_used(engine, straight, tmp_path):
    other = engine.run(spec(seed=4), tmp_path)
    next(other)
    next(other)
    other.close()
    assert outcome(run(engine, spec(), tmp_path), tmp_path) == straight[1]


def test_damaged_checkpoint_costs_progress_not_correctness(engine, straight, tmp_path, caplog):
    for raw in (b"", b"not a checkpoint", None):
        trial = engine.run(spec(), tmp_path)
        next(trial)
        next(trial)
        trial.close()
        path = tmp_path / CHECKPOINT
        path.write_bytes(path.read_bytes()[:-100] if raw is None else raw)
        caplog.clear()
        assert outcome(run(engine, spec(), tmp_path), tmp_path) == straight[1]
        assert "not used, the trial goes on from the one before" in caplog.text
        for name in (CHECKPOINT, BEFORE):
            (tmp_path / name).write_bytes(b"damaged")
        caplog.clear()
        assert outcome(run(engine, spec(), tmp_path), tmp_path) == straight[1]
        assert f"{tmp_path / BEFORE}: not used, the trial starts afresh" in caplog.text
        assert not (tmp_path / BEFORE).exists()


def test_arms_of_any_length_are_judged_on_the_same_tokens(options, tmp_path):
    engine = LoraEngine({**options, "eval_max_length": 24})
    judged, trained = [], []
    for length in (12, 24, 512):
        result = run(engine, spec(max_length=length, max_steps=2), tmp_path / str(length))
        with np.load(tmp_path / str(length) / "eval.npz") as saved:
            judged.append((saved["tokens"].tolist(), saved["bytes"].tolist(), result.curve[0].eval_loss))
        trained.append(result.tokens)
    assert judged[0] == judged[1] == judged[2]
    assert trained[0] < trained[1] < trained[2]
    assert len(engine._judges) == 1


@pytest.fixture(scope="module")
def half_way(engine, tmp_path_factory) -> Path:
    """A folder with the checkpoint of a trial that was left after its second measurement."""
    directory = tmp_path_factory.mktemp("half")
    left_after(2, engine, directory)
    return directory / CHECKPOINT


def left_after(items: int, engine: LoraEngine, directory: Path) -> None:
    trial = engine.run(spec(), directory)
    for _ in range(items):
        next(trial)
    trial.close()


def test_no_flipped_bit_of_a_checkpoint_is_taken_silently(engine, half_way, tmp_path, caplog):
    owner, device = f"{spec().key} of engine {engine.version}", torch.device("cpu")
    assert load_checkpoint(half_way.parent, owner, device) is not None
    for damaged in flipped(half_way.read_bytes(), seed=4):
        caplog.clear()
        (tmp_path / CHECKPOINT).write_bytes(damaged)
        assert load_checkpoint(tmp_path, owner, device) is None
        assert f"{tmp_path / CHECKPOINT}: not used, the trial starts afresh" in caplog.text


def test_a_flipped_bit_costs_progress_not_correctness(engine, half_way, straight, tmp_path, caplog):
    raw = bytearray(half_way.read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(raw)
    assert outcome(run(engine, spec(), tmp_path), tmp_path) == straight[1]
    assert "does not match its checksum" in caplog.text


def test_a_checkpoint_of_an_earlier_version_is_gone_on_from_with_a_note(
    engine, half_way, straight, tmp_path, caplog
):
    unsealed = half_way.read_bytes().partition(b"\n")[2]
    values = torch.load(io.BytesIO(unsealed), weights_only=True)
    del values["evaluation"]
    torch.save(values, tmp_path / CHECKPOINT)
    trial = engine.run(spec(), tmp_path)
    assert [next(trial), next(trial)] == load_curve(values)
    *_, result = trial
    assert outcome(result, tmp_path) == straight[1]
    assert "an earlier version wrote it, without a checksum" in caplog.text


def load_curve(values: dict) -> list[Measurement]:
    return [Measurement.from_dict(point) for point in values["curve"]]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_an_evaluation_lost_before_the_end_makes_the_trial_start_afresh(
    damage, engine, straight, tmp_path, caplog
):
    left_after(MEASUREMENTS + 1, engine, tmp_path)
    damage(tmp_path / "eval.npz")
    assert outcome(run(engine, spec(), tmp_path), tmp_path) == straight[1]
    assert f"{tmp_path / 'eval.npz'}: " in caplog.text
    assert "the trial starts afresh" in caplog.text


def test_an_attempt_tells_the_digests_of_what_it_left(engine, tmp_path):
    *_, result = attempt_trial(engine, spec(), tmp_path, attempt=1)
    assert list(result.files) == [
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "eval.npz",
    ]
    assert unlike(tmp_path, result.files) is None


def test_same_curve_as_plain_peft_and_torch(engine, model_path, straight):
    material = engine._material("float32", 512)
    with adapter(material.base, SETTINGS, 3) as adapted:
        initial = {name: value.detach().clone() for name, value in trainable(adapted).items()}
    batches = [
        [material.train[index] for index in batch_indices(3, 12, step, len(material.train))]
        for step in range(9)
    ]
    evaluation = tuple(
        tokenize_all(
            engine._verified.examples(held_out=True), load_tokenizer(model_path), SETTINGS.max_length
        )
    )
    evaluated, trained = oracle.train(model_path, SETTINGS, batches, evaluation, {3, 6, 9}, initial)
    curve = straight[0].curve
    assert [point.eval_loss for point in curve] == pytest.approx(evaluated, abs=1e-5)
    supervised = [sum(example.supervised_tokens for example in batch) for batch in batches]
    for place, point in enumerate(curve[1:]):
        part = slice(3 * place, 3 * place + 3)
        expected = np.average(trained[part], weights=supervised[part])
        assert point.train_loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [1, 12, 64])
def test_micro_batches_change_results_only_by_rounding(options, straight, tmp_path, size):
    other = run(LoraEngine({**options, "micro_batch_size": size}), spec(), tmp_path)
    expected = [point.eval_loss for point in straight[0].curve]
    assert [point.eval_loss for point in other.curve] == pytest.approx(expected, abs=1e-5)
    assert other.tokens == straight[0].tokens


def test_smaller_rank_starts_as_the_first_rows_of_a_larger_one(engine):
    base = engine._material("float32", 512).base
    weights = {}
    for rank in (8, 32):
        with adapter(base, replace(SETTINGS, lora_rank=rank), 5) as adapted:
            weights[rank] = {name: value.detach().clone() for name, value in trainable(adapted).items()}
    assert len(weights[8]) == 2 * 7 * 2
    for name, small in weights[8].items():
        large = weights[32][name]
        if "lora_A" in name:
            assert torch.equal(small, large[:8])
            assert large.abs().max() <= 1 / math.sqrt(large.shape[1])
            assert large.std().item() == pytest.approx(1 / math.sqrt(3 * large.shape[1]), rel=0.1)
        else:
            assert not small.any()
            assert not large.any()


def test_initialisation_differs_between_seeds_and_modules(engine):
    base = engine._material("float32", 512).base
    drawn = []
    for seed in (0, 1):
        with adapter(base, SETTINGS, seed) as adapted:
            drawn += [
                value.detach().flatten()[0].item()
                for name, value in trainable(adapted).items()
                if "lora_A" in name
            ]
    assert len(set(drawn)) == len(drawn) == 28


def test_batch_sizes_cut_one_stream():
    small = np.concatenate([batch_indices(1, 4, step, 50) for step in range(30)])
    large = np.concatenate([batch_indices(1, 24, step, 50) for step in range(5)])
    assert small.tolist() == large.tolist()
    assert sorted(small[:50]) == list(range(50)), "every example once per pass"
    assert sorted(small[50:100]) == list(range(50))
    assert small[:50].tolist() != small[50:100].tolist()


def test_a_batch_may_be_larger_than_the_data():
    batch = batch_indices(0, 7, 1, 3)
    stream = np.concatenate([epoch_order(0, epoch, 3) for epoch in range(5)])
    assert batch.tolist() == stream[7:14].tolist()


def test_seeds_have_their_own_order():
    assert batch_indices(0, 20, 0, 50).tolist() != batch_indices(1, 20, 0, 50).tolist()


def test_example_order_is_the_same_for_ever():
    assert epoch_order(7, 2, 8).tolist() == [5, 2, 1, 7, 3, 6, 4, 0]


def test_losses_per_example_add_up_to_the_loss(straight):
    result, _, directory = straight
    with np.load(directory / "eval.npz") as saved:
        nats, tokens, size, cluster = (saved[name] for name in ("nats", "tokens", "bytes", "cluster"))
    assert len(nats) == len(tokens) == len(size) == len(cluster) == 21
    assert nats.sum() / tokens.sum() == result.final["eval_loss"]
    assert nats.sum() / math.log(2) / size.sum() == result.final["eval_bits_per_byte"]
    assert cluster.tolist() == [index // 4 for index in range(21)]


def test_the_saved_adapter_is_the_trained_model(engine, model_path, straight):
    result, _, directory = straight
    base = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, directory / "adapter").eval()
    evaluation = tuple(
        tokenize_all(
            engine._verified.examples(held_out=True), load_tokenizer(model_path), SETTINGS.max_length
        )
    )
    with torch.no_grad():
        assert oracle.mean_loss(adapted, evaluation).item() == pytest.approx(
            result.final["eval_loss"], abs=1e-5
        )


def test_divergence_is_a_result(engine, straight, tmp_path):
    result = run(engine, spec(learning_rate=1e4), tmp_path)
    assert result.status == Status.DIVERGED
    assert "was not finite at step" in result.cause
    assert [point.step for point in result.curve] == [0]
    assert result.final["eval_loss"] == result.curve[0].eval_loss
    assert "train_loss" not in result.final
    assert result.tokens > 0, "what it cost is counted up to the step that broke"
    assert not (tmp_path / "adapter").exists()
    assert not (tmp_path / CHECKPOINT).exists()
    assert numbers(run(engine, spec(), tmp_path / "next")) == straight[1][0]


@pytest.fixture(scope="module")
def fragile_engine(options, tmp_path_factory):
    """A base model that guesses evenly, because its head hears only a channel in which it is silent.

    Whatever the adapter writes into that channel comes out fifty times louder.
    """
    folder = save_model(tmp_path_factory.mktemp("even"))
    model = LlamaForCausalLM(LlamaConfig(**tiny_config(tie_word_embeddings=False)))
    model.model.embed_tokens.weight.data[:, 0] = 0
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.data[0] = 0
        layer.mlp.down_proj.weight.data[0] = 0
    model.lm_head.weight.data[:, 1:] = 0
    model.lm_head.weight.data[:, 0] = torch.linspace(-50, 50, 400)
    model.save_pretrained(folder)
    return LoraEngine({**options, "model_path": str(folder)})


def test_worse_than_guessing_is_divergence(fragile_engine, tmp_path):
    result = run(fragile_engine, spec(learning_rate=0.3), tmp_path)
    assert result.status == Status.DIVERGED
    assert "worse than the untouched model and than guessing every token with equal chance" in result.cause
    assert [point.step for point in result.curve] == [0, 3]
    assert result.final["eval_loss"] == result.curve[-1].eval_loss > math.log(400) + 1


def test_divergence_survives_a_kill_after_the_measurement_that_shows_it(fragile_engine, tmp_path):
    trial = spec(learning_rate=0.3)
    started = fragile_engine.run(trial, tmp_path)
    seen = [next(started), next(started)]
    started.close()
    result = run(fragile_engine, trial, tmp_path)
    assert (result.status, result.curve) == (Status.DIVERGED, tuple(seen))


def test_bfloat16_trains_and_leaves_float32_exact(engine, straight, tmp_path):
    half = run(engine, spec(dtype="bfloat16"), tmp_path / "half")
    assert half.final["eval_loss"] == pytest.approx(straight[0].final["eval_loss"], abs=0.1)
    assert half.final != straight[0].final
    assert numbers(run(engine, spec(), tmp_path / "full")) == straight[1][0]


def test_learning_rate_follows_its_schedule():
    steps = replace(SETTINGS, learning_rate=1.0, max_steps=10)
    assert [learning_rate_at(steps, step) for step in (0, 5, 9)] == pytest.approx([1.0, 0.5, 0.1])
    cosine = replace(steps, schedule="cosine")
    assert [learning_rate_at(cosine, step) for step in (0, 5)] == pytest.approx([1.0, 0.5])
    assert learning_rate_at(replace(steps, schedule="constant"), 9) == 1.0
    warm = replace(steps, warmup_fraction=0.2)
    assert [learning_rate_at(warm, step) for step in (0, 1, 2, 6)] == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_measured_steps_are_distinct_and_end_at_the_end():
    assert measured_steps(100, 5) == (0, 20, 40, 60, 80, 100)
    assert measured_steps(3, 5) == (0, 1, 2, 3)
    assert measured_steps(1, 5) == (0, 1)


def test_micro_batches_hold_every_target_once(engine):
    examples = engine._material("float32", 512).train[:17]
    targets = {index: [] for index in range(17)}
    for batch in micro_batches(examples, 4, CPU):
        assert batch.input_ids.shape[0] <= 4
        for owner, target in zip(batch.owners, batch.targets.tolist(), strict=True):
            targets[owner].append(target)
    expected = {i: list(e.input_ids[e.prompt_length :]) for i, e in enumerate(examples)}
    assert targets == expected


CHAT = (
    "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


def conversation(number: int) -> Example:
    turns = (
        Message(role="user", content=f"What of case {number}?"),
        Message(role="assistant", content=f"Nothing in {number}."),
    )
    return Example(prompt="", completion=turns[-1].content, cluster=str(number), messages=turns)


def chat_options(model_path: Path, folder: Path, options: dict, template: str | None) -> dict:
    for file in model_path.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    save_tokenizer(folder, template)
    train, evaluation = map(conversation, range(20)), map(conversation, range(100, 106))
    dataset = DataSet(name="chat", train=tuple(train), evaluation=tuple(evaluation), source="test")
    write_dataset(dataset, folder / "data.jsonl")
    return {
        **options,
        "model_path": str(folder),
        "data_file": str(folder / "data.jsonl"),
        "data_fingerprint": dataset.fingerprint,
    }


def test_conversations_are_written_by_the_models_template(model_path, options, tmp_path):
    engine = LoraEngine(chat_options(model_path, tmp_path, options, CHAT))
    example = engine._material("float32", 512).train[0]
    tokenizer = load_tokenizer(tmp_path)
    read = tokenizer.encoder.decode(
        list(example.input_ids[: example.prompt_length]), skip_special_tokens=False
    )
    said = tokenizer.encoder.decode(
        list(example.input_ids[example.prompt_length :]), skip_special_tokens=False
    )
    assert read == "<s>user: What of case 0?</s><s>assistant: "
    assert said == "Nothing in 0.</s>"
    assert run(engine, spec(), tmp_path / "trial").status == Status.COMPLETED


def test_conversations_without_a_template_are_refused(model_path, options, tmp_path):
    engine = LoraEngine(chat_options(model_path, tmp_path, options, None))
    with pytest.raises(DataError, match="messages need a chat template and this model has none"):
        next(engine.run(spec(), tmp_path / "trial"))


def test_a_template_that_refuses_a_conversation_is_named(model_path, options, tmp_path):
    engine = LoraEngine(chat_options(model_path, tmp_path, options, "{{ raise_exception('no users') }}"))
    with pytest.raises(DataError, match="refuses them"):
        next(engine.run(spec(), tmp_path / "trial"))


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"device": "tpu"}, "device: 'tpu' is not allowed; choose from cpu, cuda, auto"),
        ({"threads": 0}, "threads: 0 is not allowed"),
        ({"eval_max_length": 0}, "eval_max_length: 0 is not allowed"),
        ({"micro_batch_size": True}, "micro_batch_size: True is not allowed"),
        ({"learning_rate": 1}, "unknown engine option 'learning_rate'; the options are model_path"),
    ],
)
def test_bad_options_are_refused(options, changes, message):
    with pytest.raises(ConfigError, match=message):
        LoraEngine({**options, **changes})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_missing_gpu_is_refused(options):
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        LoraEngine({**options, "device": "cuda"})


def test_data_other_than_planned_are_refused(options):
    with pytest.raises(DataError, match="not the examples of the plan"):
        LoraEngine({**options, "data_fingerprint": "0" * 64})


def test_examples_longer_than_the_model_reads_are_refused(options, tmp_path):
    folder = save_model(tmp_path / "short", LlamaConfig(**tiny_config(max_position_embeddings=16)))
    engine = LoraEngine({**options, "model_path": str(folder)})
    with pytest.raises(DataError, match="16 positions; use max_length=16 or less"):
        next(engine.run(spec(), tmp_path / "trial"))


def test_tokenizer_of_another_model_is_refused(options, tmp_path):
    folder = save_model(tmp_path / "small", LlamaConfig(**tiny_config(vocab_size=64)))
    engine = LoraEngine({**options, "model_path": str(folder)})
    with pytest.raises(ModelError, match="64 embeddings; the tokenizer belongs to another model"):
        next(engine.run(spec(), tmp_path / "trial"))


def test_model_with_weights_left_out_is_refused(model_path, tmp_path):
    for file in model_path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for model\.layers\.1\.mlp\.up_proj\.weight"):
        load_base(tmp_path, "float32", CPU)


def test_model_that_cannot_be_loaded_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no such architecture"}))
    with pytest.raises(ModelError, match="transformers cannot load it"):
        load_base(tmp_path, "float32", CPU)


def test_model_broken_before_training_is_refused(options, tmp_path):
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(**tiny_config()))
    model.model.norm.weight.data[0] = float("inf")
    model.save_pretrained(tmp_path / "broken")
    save_tokenizer(tmp_path / "broken")
    engine = LoraEngine({**options, "model_path": str(tmp_path / "broken")})
    with pytest.raises(ModelError, match=r"before training|computes its logits"):
        next(engine.run(spec(), tmp_path / "trial"))


def check_split(folder: Path, engine: LoraEngine) -> None:
    examples = sorted(engine._material("float32", 512).train, key=lambda e: len(e.input_ids))
    batch = next(micro_batches([examples[0], examples[-1]], 2, CPU))
    verify_split(load_base(folder, "float32", CPU), batch, "float32")


def test_capped_logits_are_honoured(engine, tmp_path):
    config = transformers.Gemma2Config(
        **tiny_config(final_logit_softcapping=2.0, head_dim=8, sliding_window=8)
    )
    check_split(save_model(tmp_path, config, transformers.Gemma2ForCausalLM), engine)


def test_logits_scaled_in_an_unknown_way_are_refused(engine, tmp_path):
    config = transformers.GraniteConfig(**tiny_config(logits_scaling=8.0))
    folder = save_model(tmp_path, config, transformers.GraniteForCausalLM)
    check_split(folder, engine)  # its own factor is known
    unaware = replace(load_base(folder, "float32", CPU), scale=1.0)
    examples = engine._material("float32", 512).train[:2]
    with pytest.raises(ModelError, match="GraniteForCausalLM computes its logits in a way"):
        verify_split(unaware, next(micro_batches(examples, 2, CPU)), "float32")


@pytest.mark.parametrize("family", ["Qwen3", "GPT2", "Mistral", "Phi3"])
def test_other_architectures_keep_their_logits(engine, tmp_path, family):
    config = tiny_config(sliding_window=8, head_dim=8, n_embd=32, n_layer=2, n_head=4, n_positions=128)
    config["pad_token_id"] = 0
    kind = "GPT2LMHeadModel" if family == "GPT2" else f"{family}ForCausalLM"
    made = getattr(transformers, f"{family}Config")(**config)
    check_split(save_model(tmp_path, made, getattr(transformers, kind)), engine)


@pytest.fixture
def brief(monkeypatch):
    """A probe whose repeats last their least number of steps: for what it does, not for what it finds."""
    monkeypatch.setattr(timing, "LEAST_SECONDS", 0.0)


ARMS = [SETTINGS, replace(SETTINGS, batch_size=48), replace(SETTINGS, lora_rank=9, lora_dropout=0.1)]


@pytest.mark.usefixtures("brief")
def test_a_probe_changes_no_number_of_the_trials_after_it(options, straight, tmp_path):
    probed = LoraEngine(options)
    probed.time_steps(ARMS, repeats=2)
    assert outcome(run(probed, spec(), tmp_path / "a"), tmp_path / "a") == straight[1]
    probed.time_steps(ARMS, repeats=2)
    assert outcome(run(probed, spec(), tmp_path / "b"), tmp_path / "b") == straight[1]


@pytest.mark.usefixtures("brief")
def test_a_probe_has_a_row_per_repeat_and_a_column_per_arm_in_the_order_given(engine):
    seconds = np.array(engine.time_steps(ARMS[:2], repeats=3))
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()
    # 48 examples go through the model in ten pieces, 12 in three.
    assert seconds[:, 1].min() > 1.5 * seconds[:, 0].min()  # the least disturbed of each


@pytest.mark.usefixtures("brief")
def test_a_probe_interleaves_its_arms_each_round_in_another_order_and_any_probe_in_the_same(engine):
    def order() -> list[int]:
        asked = []

        def material_of(settings):
            asked.append(settings.lora_rank)
            return engine._material(settings.dtype, settings.max_length)

        arms = [replace(SETTINGS, batch_size=1, lora_rank=rank) for rank in (1, 2, 3)]
        time_steps(arms, material_of, repeats=5, fit_of=engine._fit)
        return asked

    first = order()
    rounds = [tuple(first[start : start + 3]) for start in range(0, 15, 3)]
    assert all(sorted(one) == [1, 2, 3] for one in rounds)
    assert len(set(rounds)) > 2
    assert order() == first


@pytest.mark.parametrize("least, steps", [(0.0, LEAST_STEPS), (4.5, 5)])
def test_a_repeat_takes_warm_steps_that_do_not_count_and_then_lasts(engine, monkeypatch, least, steps):
    clock = [0.0]
    stops = []

    class Watched(timing.Training):
        """Takes 100 s of a clock of our own until it is warm, then one second a step."""

        def advance(self, stop):
            clock[0] += 1.0 if stops else 100.0
            stops.append(stop)
            return super().advance(stop)

    monkeypatch.setattr(timing, "Training", Watched)
    monkeypatch.setattr(timing, "LEAST_SECONDS", least)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert engine.time_steps([SETTINGS], repeats=1) == [[1.0]]
    assert WARM_STEPS >= 2
    assert stops == [WARM_STEPS, *range(WARM_STEPS + 1, WARM_STEPS + steps + 1)]


def test_timed_repeats_see_other_examples_of_the_data(engine, monkeypatch):
    monkeypatch.setattr(timing, "LEAST_SECONDS", 0.0)
    seeds = []

    class Watched(timing.Training):
        def __init__(self, base, adapted, settings, seed, examples, fit, **more):
            seeds.append((seed, len(examples), fit.micro_batch_size))
            super().__init__(base, adapted, settings, seed, examples, fit, **more)

    monkeypatch.setattr(timing, "Training", Watched)
    engine.time_steps([replace(SETTINGS, train_examples=20)], repeats=3)
    assert seeds == [(0, 20, 5), (1, 20, 5), (2, 20, 5)]


def test_a_probe_names_the_hardware_with_its_threads(engine, straight):
    device = straight[0].provenance["device"]
    assert engine.hardware == f"{device}, 1 thread"
