"""Memory: the model of bytes against what is kept, batches cut in any way, and what happens when it runs out.

A GPU is not needed: autograd says what it keeps for the backward pass on a CPU too, and running out of memory
is an exception that is raised where the work is done.
"""

from __future__ import annotations

import json
import math
import weakref
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BambaConfig,
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Zamba2Config,
)

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training import engine as engine_module
from bios_sweep.engines.training import model as model_module
from bios_sweep.engines.training.activations import kept_of_a_layer
from bios_sweep.engines.training.adapters import adapter, trainable
from bios_sweep.engines.training.batches import MicroBatch, halves, micro_batches
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.data import write_dataset
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.facts import weight_files
from bios_sweep.engines.training.fit import Fit, recomputed
from bios_sweep.engines.training.fitting import fitting, room_on
from bios_sweep.engines.training.headers import count_parameters
from bios_sweep.engines.training.linear import linear_of
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.memory import Need, need_of
from bios_sweep.engines.training.model import BaseModel, load_base
from bios_sweep.engines.training.taken import load_of
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.execution.attempts import attempt_trial
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Failure, Status

CPU = torch.device("cpu")
GIB = 1024**3
SETTINGS = TrainingSettings(learning_rate=2e-3, batch_size=32, lora_rank=4, max_steps=3, max_length=64)
SHAPES = {
    "few keys": (
        LlamaForCausalLM,
        LlamaConfig(vocab_size=512, hidden_size=256, intermediate_size=688, num_hidden_layers=4,
                    num_attention_heads=8, num_key_value_heads=2),
    ),
    "tied, many layers": (
        Qwen2ForCausalLM,
        Qwen2Config(vocab_size=4096, hidden_size=128, intermediate_size=512, num_hidden_layers=6,
                    num_attention_heads=4, num_key_value_heads=4, tie_word_embeddings=True),
    ),
    "normed heads, wider than hidden": (
        Qwen3ForCausalLM,
        Qwen3Config(vocab_size=1024, hidden_size=192, intermediate_size=512, num_hidden_layers=3,
                    num_attention_heads=6, num_key_value_heads=2, head_dim=64),
    ),
    "one key": (
        GemmaForCausalLM,
        GemmaConfig(vocab_size=2048, hidden_size=256, intermediate_size=1024, num_hidden_layers=4,
                    num_attention_heads=4, num_key_value_heads=1, head_dim=64),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=SHAPES)
def shaped(request, tmp_path_factory):
    kind, config = SHAPES[request.param]
    folder = tmp_path_factory.mktemp("model")
    kind(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def examples():
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    return tuple(tokenize_all(data.train[:60], tokenizer, 64, None))


@pytest.fixture(scope="module")
def base():
    return load_base(base_model_path(), "float32", CPU)


METHODS = {
    "lora": {},
    "embeddings": {"embeddings": True},
    "dora": {"method": "dora"},
    "full": {"method": "full", "lora_rank": None},
    "qlora": {"method": "qlora"},
}
IN_FOUR_BITS = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is an extra")


def _cases():
    """LoRA in every way; of the other methods one way, and the rest where there is time."""
    for name, dtype, twice in product(METHODS, ["float32", "bfloat16"], [False, True]):
        seldom = name != "lora" and (dtype == "float32" or twice)
        marks = [*([IN_FOUR_BITS] if name == "qlora" else []), *([pytest.mark.slow] if seldom else [])]
        yield pytest.param(name, dtype, twice, marks=marks)


@pytest.mark.parametrize(("name", "dtype", "twice"), _cases())
def test_the_model_of_bytes_is_what_a_forward_pass_keeps(shaped, name, dtype, twice):
    rows, length = 4, 128
    settings = replace(SETTINGS, lora_rank=8).changed(METHODS[name])
    loaded = load_base(shaped, dtype, CPU, four_bit=name == "qlora")
    shape = shape_of(json.loads((shaped / "config.json").read_text()), count_parameters(weight_files(shaped)))
    shape = replace(shape, tied=loaded.model.config.tie_word_embeddings)
    load = Load(
        tokens=length, batch=rows, rank=8, dtype=dtype, method=settings.method,
        embeddings=bool(settings.embeddings),
    )  # fmt: skip
    need = need_of(shape, load, rows, checkpointing=twice)
    with adapter(loaded, settings, 0) as adapted:
        learn = _learning(adapted, loaded, dtype)
        kept = _kept(loaded, rows, length, twice)
    assert need.weights == pytest.approx(_held(loaded, need, dtype), rel=0.01)
    assert need.adapter == pytest.approx(learn, rel=0.01)
    logits = rows * length * shape.vocabulary * 4  # at the end of the forward pass: log-probabilities alone
    foreseen = need.activations + logits
    if twice:  # one layer's own activations are there only on the way back
        foreseen -= rows * length * kept_of_a_layer(shape, load)
    assert kept == pytest.approx(foreseen, rel=0.15)
    assert need.weights + learn + kept == pytest.approx(need.weights + need.adapter + foreseen, rel=0.1)


def counted(folder, dtype, **changes):
    """Of 4 examples of 128 tokens: what is reckoned, bytes of what learns, and those kept, without logits."""
    rows, length = 4, 128
    settings = replace(SETTINGS, lora_rank=8).changed(changes)
    config = json.loads((folder / "config.json").read_text())
    shape = shape_of(config, count_parameters(weight_files(folder)), linear_of(folder, config))
    load = replace(load_of(settings, length, 1, 1), dtype=dtype)
    loaded = load_base(folder, dtype, CPU)
    with adapter(loaded, settings, 0) as adapted:
        learn = _learning(adapted, loaded, dtype)
        kept = _kept(loaded, rows, length, twice=False) - rows * length * shape.vocabulary * 4
    return need_of(shape, load, rows, checkpointing=False), learn, kept


@pytest.mark.parametrize("targets", ["attention", "mlp", "q_proj,v_proj", "o_proj,down_proj"])
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
def test_an_adapter_on_some_layers_is_counted_by_what_it_is_put_on(shaped, dtype, targets):
    """What nobody reads is not kept: a norm's result, the MLP's product, the attention of the first layer."""
    need, learn, kept = counted(shaped, dtype, targets=targets)
    assert need.adapter == learn
    assert need.activations == pytest.approx(kept, rel=0.03)
    assert need.total < counted(shaped, dtype)[0].total


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scores_that_attention_keeps_are_counted(tmp_path, dtype):
    """Of Gemma 2 alone transformers bounds them, and has no attention that does without."""
    Gemma2ForCausalLM(
        Gemma2Config(vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=3,
                     num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    ).save_pretrained(tmp_path)  # fmt: skip
    need, _, kept = counted(tmp_path, dtype)
    assert need.activations == pytest.approx(kept, rel=0.15)


HYBRIDS = {
    "bamba": BambaConfig(
        vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, mamba_n_heads=8, mamba_d_head=16, mamba_d_state=16, mamba_n_groups=1,
        mamba_chunk_size=48, attn_layer_indices=[1],
    ),
    "zamba 2": Zamba2Config(
        vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, layers_block_type=["mamba", "hybrid", "mamba", "mamba"], attention_head_dim=32,
        mamba_d_state=16, n_mamba_heads=4, mamba_headdim=32, mamba_ngroups=1, num_mem_blocks=1, chunk_size=48,
    ),
    "mamba": MambaConfig(
        vocab_size=256, hidden_size=64, num_hidden_layers=3, state_size=8, time_step_rank=8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HYBRIDS)
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.slow), "bfloat16"])
def test_state_spaces_are_counted_as_they_are_computed(tmp_path, name, dtype):
    """By transformers' own torch code, with chunks that the examples do not fill."""
    AutoModelForCausalLM.from_config(HYBRIDS[name]).save_pretrained(tmp_path)
    need, learn, kept = counted(tmp_path, dtype)
    assert need.adapter == learn
    assert need.activations == pytest.approx(kept, rel=0.15)


def _held(loaded: BaseModel, need: Need, dtype: str) -> int:
    """Bytes of the base; of one in four bits with its scales, and a layer in numbers, as it is computed."""
    weights = list(loaded.model.parameters())
    held = sum(value.numel() * value.element_size() for value in weights)
    states = [value.quant_state for value in weights if hasattr(value, "quant_state")]
    for state in states:
        scales = (state.absmax, state.state2.absmax)
        held += sum(one.numel() * one.element_size() for one in scales)
    widest = max((math.prod(state.shape) for state in states), default=0)
    return held + widest * (4 if dtype == "float32" else 2)


def _learning(adapted, loaded: BaseModel, dtype: str) -> int:
    """Bytes of what learns: the adapter's four copies and its rounded one; what is beside the base's own."""
    own = {id(value) for value in loaded.model.parameters() if value.dtype == getattr(torch, dtype)}
    held = 0
    for name, value in trainable(adapted).items():
        of_the_base = "lora_" not in name
        assert not of_the_base or id(value) in own
        rounded = 0 if dtype == "float32" else 2 + (4 if of_the_base else 0)
        held += value.numel() * ((12 if of_the_base else 16) + rounded)
    return held


class _Saved:
    """A tensor as the graph holds it: gone when the graph lets go of it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


def _kept(loaded: BaseModel, rows: int, length: int, twice: bool) -> int:
    """Bytes of the distinct storages that the backward pass holds, parameters left out.

    What a pass made and let go of before its end, as the products of DoRA's lengths, is not held.
    """
    own = {value.untyped_storage().data_ptr() for value in loaded.model.parameters()}
    saved: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def pack(tensor):
        saved.add(kept := _Saved(tensor))
        return kept

    targets = torch.zeros(rows * length, dtype=torch.long)
    batch = MicroBatch(
        input_ids=targets.reshape(rows, length),
        sources=torch.arange(rows * length),
        targets=targets,
        owners=np.zeros(1),
    )
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor)
    with hooks, recomputed(loaded.decoder, active=lambda: twice):
        loss = loaded.token_losses(batch).sum()
    storages = {one.tensor.untyped_storage().data_ptr(): one.tensor.untyped_storage() for one in saved}
    assert loss.requires_grad, "and so its graph is there"
    return sum(storage.nbytes() for place, storage in storages.items() if place not in own)


def gradients(base, examples, fit):
    with adapter(base, SETTINGS, 0) as adapted:
        for name, value in trainable(adapted).items():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.02, generator=torch.Generator().manual_seed(1))
        training = Training(base, adapted, SETTINGS, 0, examples, fit)
        with recomputed(base.decoder, active=lambda: fit.checkpointing):
            nats = training._gradients(training._cut(examples[:32], 0, training.fit.micro_batch_size))
        return nats.item(), torch.cat([value.grad.flatten() for value in trainable(adapted).values()])


def test_gradients_are_those_of_the_whole_batch_however_it_is_cut(base, examples):
    assert len({len(one.input_ids) for one in examples[:32]}) > 5, "ragged"
    whole = gradients(base, examples, Fit(32))
    for size in (4, 8, 1, 5):
        nats, gradient = gradients(base, examples, Fit(size))
        assert nats == pytest.approx(whole[0], rel=1e-6)
        assert (gradient - whole[1]).abs().max() < 1e-6


def test_layers_that_are_computed_twice_give_the_same_bits(base, examples):
    nats, gradient = gradients(base, examples, Fit(8))
    again, same = gradients(base, examples, Fit(8, checkpointing=True))
    assert nats == again
    assert torch.equal(gradient, same)
    assert all("forward" not in vars(layer) for layer in base.decoder.modules()), "no trace is left"


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_no_more_logits_than_said_are_there_at_once(base, examples, monkeypatch, softcap):
    capped = replace(base, softcap=softcap)
    whole = gradients(capped, examples, Fit(16))
    limit, seen = 7 * base.vocabulary, []
    monkeypatch.setattr(model_module, "LOGITS_AT_ONCE", limit)
    handle = base.head.register_forward_hook(lambda module, read, logits: seen.append(logits.numel()))
    try:
        pieces = gradients(capped, examples, Fit(16))
        with torch.no_grad():
            batch = next(micro_batches(examples[:16], 16, CPU))
            losses = capped.token_losses(batch)
    finally:
        handle.remove()
    assert max(seen) <= limit
    assert pieces[0] == pytest.approx(whole[0], rel=1e-6)
    assert (pieces[1] - whole[1]).abs().max() < 1e-6
    monkeypatch.undo()
    assert torch.allclose(losses, capped.token_losses(batch).detach(), atol=1e-5)


def test_halves_of_a_micro_batch_are_all_of_it(base, examples):
    batch = next(micro_batches(examples[:7], 7, CPU))
    with torch.no_grad():
        both = torch.cat([base.token_losses(half) for half in halves(batch)])
    assert [len(half.input_ids) for half in halves(batch)] == [3, 4]
    assert torch.allclose(both, base.token_losses(batch).detach(), atol=1e-5)
    assert np.concatenate([half.owners for half in halves(batch)]).tolist() == batch.owners.tolist()


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    data = embedded_examples(12)
    data = replace(data, train=data.train[:60])
    file = tmp_path_factory.mktemp("data") / "data.jsonl"
    write_dataset(data, file)
    return {
        "model_path": "embedded:base_model", "data_file": str(file), "data_fingerprint": data.fingerprint,
        "measurements": 1,
    }  # fmt: skip


ROOM = 2_500_000  # bytes; one example of the embedded model keeps more, and less when its layers recompute
SPEC = TrialSpec(key="k", arm="baseline", seed=3, settings=SETTINGS)
GPU_ERROR = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CPU_ERROR = RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")


def run(options, folder):
    return list(attempt_trial(LoraEngine(options), SPEC, folder, attempt=1))[-1]


def limit(monkeypatch, error, most):
    """A device that cannot take more than so many examples."""
    token_losses = BaseModel.token_losses

    def limited(self, batch):
        if len(batch.input_ids) > most:
            raise error
        return token_losses(self, batch)

    monkeypatch.setattr(BaseModel, "token_losses", limited)


@pytest.fixture(scope="module")
def plain(options, tmp_path_factory):
    return run(options, tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("error", [GPU_ERROR, CPU_ERROR], ids=["a GPU", "a CPU"])
def test_memory_that_runs_out_halves_the_micro_batch_and_the_result_says_so(
    options, plain, tmp_path, monkeypatch, error
):
    limit(monkeypatch, error, most=4)
    result = run(options, tmp_path)
    assert result.status == Status.COMPLETED
    assert result.provenance["micro_batch_size"] == 4
    assert result.provenance["out_of_memory"] == "16 examples -> 8 examples; 8 examples -> 4 examples"
    assert "out_of_memory" not in plain.provenance
    assert plain.provenance["micro_batch_size"] == 16
    for point, other in zip(result.curve, plain.curve, strict=True):
        assert point.eval_loss == pytest.approx(other.eval_loss, rel=1e-5)
        assert point.tokens == other.tokens


def test_one_example_that_is_too_much_is_computed_twice(options, plain, tmp_path, monkeypatch):
    """A device that has room for one example only if its layers do not keep what they made."""
    token_losses, recomputing = BaseModel.token_losses, []

    def limited(self, batch):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.nbytes) or x, lambda x: x):
            losses = token_losses(self, batch)
        if losses.requires_grad and sum(kept) > ROOM:
            raise GPU_ERROR
        recomputing.append(losses.requires_grad)
        return losses

    monkeypatch.setattr(BaseModel, "token_losses", limited)
    result = run({**options, "micro_batch_size": 2}, tmp_path)
    assert result.provenance["activation_checkpointing"] is True
    assert result.provenance["out_of_memory"] == (
        "2 examples -> 1 example; 1 example -> 1 example with checkpointing"
    )
    assert any(recomputing)
    assert result.final["eval_loss"] == pytest.approx(plain.final["eval_loss"], rel=1e-5)


def test_a_trial_for_which_nothing_is_small_enough_fails_as_out_of_memory(options, tmp_path, monkeypatch):
    limit(monkeypatch, GPU_ERROR, most=0)
    result = run(options, tmp_path)
    assert (result.status, result.failure) == (Status.FAILED, Failure.OUT_OF_MEMORY)


def test_another_error_is_not_taken_for_a_lack_of_memory(options, tmp_path, monkeypatch):
    limit(monkeypatch, RuntimeError("shape mismatch"), most=4)
    result = run(options, tmp_path)
    assert (result.status, result.failure) == (Status.FAILED, Failure.CODE)


LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip


def test_a_device_decides_how_a_load_is_cut():
    shape = shape_of(LLAMA_8B, 8_030_261_248)
    load = Load(tokens=512, batch=128, rank=32, dtype="bfloat16")
    large, small, smallest = (fitting(shape, load, room_on(size * GIB, 1)) for size in (80, 24, 16))
    assert (large.micro_batch_size, large.checkpointing) == (16, False)
    assert small.fits
    assert small.checkpointing or small.micro_batch_size < large.micro_batch_size
    assert not smallest.fits
    assert (smallest.micro_batch_size, smallest.checkpointing) == (1, True)
    shared = fitting(shape, load, room_on(80 * GIB, 2))
    assert shared.fits
    assert shared.micro_batch_size < large.micro_batch_size
    chosen = fitting(shape, load, room_on(24 * GIB, 1), micro_batch_size=64, checkpointing=False)
    assert (chosen.micro_batch_size, chosen.checkpointing, chosen.fits) == (64, False, False)
    assert shape_of({"model_type": "rwkv"}, 10) is None


def test_the_trainer_of_a_gpu_cuts_by_its_memory(options, monkeypatch):
    monkeypatch.setattr(engine_module, "memory_of", lambda device: GIB)
    load = {"tokens": 64, "batch": 32, "rank": 4, "dtype": "float32"}
    engine = LoraEngine({**options, "load": load})
    assert engine._fit(SETTINGS).micro_batch_size == 16, "a CPU is not asked"
    engine._fits.clear()
    engine._device = SimpleNamespace(type="cuda")
    assert engine._fit(SETTINGS).micro_batch_size == 32
    engine._fits.clear()
    monkeypatch.setattr(engine_module, "memory_of", lambda device: 600 * 1024**2)
    assert engine._fit(SETTINGS).micro_batch_size < 32
