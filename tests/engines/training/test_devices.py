"""What the trainer promises of GPUs, each held on a CPU by the same body."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training import device as device_module
from bios_sweep.engines.training import engine as engine_module
from bios_sweep.engines.training import model as model_module
from bios_sweep.engines.training.adapters import adapter, trainable
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.data import write_dataset
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.memory import need_of
from bios_sweep.engines.training.model import BaseModel, load_base
from bios_sweep.engines.training.repeatable import Kernels
from bios_sweep.engines.training.scoring import ends_of_answers, generated
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import TokenizedExample, tokenize_all
from bios_sweep.settings import BFLOAT16, FLOAT32, TrainingSettings
from bios_sweep.study.trials import TrialSpec
from tests.engines.training.devices import on_each_device, peak_bytes
from tests.engines.training.test_memory import SHAPES

SETTINGS = TrainingSettings(learning_rate=2e-3, batch_size=16, lora_rank=8, max_steps=4, max_length=64)
# How far apart float32 may be that was added in another order: a GPU chooses its kernels by shape.
ROUNDING = {"cpu": 1e-5, "cuda": 1e-4}
# examples and tokens: enough that what a device needs for itself (cuBLAS, 2 MiB blocks) is small beside it
SIZES = {"cpu": (4, 128), "cuda": (16, 512)}
MEMORY = 0.15  # what the model of bytes may be off by, as docs/gpu.md says


@pytest.fixture(scope="module")
def examples():
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    return tuple(tokenize_all(data.train[:60], tokenizer, 64, None))


def long_examples(rows: int, length: int, vocabulary: int) -> list[TokenizedExample]:
    """All of one length and all under the loss: the most that examples of it can need."""
    blank = next(tokenize_all(embedded_examples(12).train[:1], load_tokenizer(base_model_path()), 64, None))
    ids = torch.randint(0, vocabulary, (rows, length + 1), generator=torch.Generator().manual_seed(0))
    return [replace(blank, input_ids=tuple(row), prompt_length=1) for row in ids.tolist()]


def warmed(device: torch.device) -> None:
    """What a process has on its GPU before anything of ours: cuBLAS's own workspace."""
    if device.type == "cuda":
        square = torch.ones(256, 256, device=device, requires_grad=True)
        (square @ square).sum().backward()
        (square.bfloat16() @ square.bfloat16()).sum().backward()
        del square
        gc.collect()


@on_each_device
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16])
def test_a_trial_needs_at_its_peak_what_the_model_of_bytes_says(
    device, name, dtype, tmp_path, record_property
):
    kind, config = SHAPES[name]
    kind(config).save_pretrained(tmp_path)
    place, (rows, length) = torch.device(device), SIZES[device]
    settings = replace(SETTINGS, batch_size=rows, dtype=dtype)
    data = long_examples(rows, length, config.vocab_size)
    warmed(place)

    def train() -> None:
        base = load_base(tmp_path, dtype, place)
        with adapter(base, settings, 0) as adapted:
            Training(base, adapted, settings, 0, data, Fit(rows)).advance(2)

    peak = peak_bytes(place, train)
    weights = load_file(tmp_path / "model.safetensors")
    shape = shape_of(
        json.loads((tmp_path / "config.json").read_text()), sum(value.numel() for value in weights.values())
    )
    load = Load(tokens=length, batch=rows, rank=settings.lora_rank, dtype=dtype)
    need = need_of(shape, load, rows, checkpointing=False).total
    record_property(f"peak memory / reckoned, {name}, {dtype}", round(peak / need, 4))
    assert peak == pytest.approx(need, rel=MEMORY)


def gradient(base: BaseModel, examples: tuple[TokenizedExample, ...], fit: Fit) -> tuple[float, torch.Tensor]:
    settings = replace(SETTINGS, batch_size=32, max_grad_norm=1e9)
    with adapter(base, settings, 0) as adapted:
        for name, value in trainable(adapted).items():
            if "lora_B" in name:
                drawn = torch.empty(value.shape).normal_(std=0.02, generator=torch.Generator().manual_seed(1))
                value.data.copy_(drawn)
        nats = Training(base, adapted, settings, 0, examples, fit).advance(1)
        return nats, torch.cat([value.grad.flatten().cpu() for value in trainable(adapted).values()])


@on_each_device
def test_gradients_are_the_same_however_a_batch_is_cut(device, examples, record_property):
    base = load_base(base_model_path(), FLOAT32, torch.device(device))
    nats, whole = gradient(base, examples, Fit(32))
    gaps = []
    for fit in (Fit(8), Fit(1), Fit(5), Fit(8, checkpointing=True)):
        again, same = gradient(base, examples, fit)
        assert again == pytest.approx(nats, rel=ROUNDING[device])
        gaps.append(float((same - whole).abs().max() / whole.abs().max()))
    record_property("gradient, largest gap between cuts", max(gaps))
    assert max(gaps) < ROUNDING[device]


@contextmanager
def little_memory(device: torch.device, room: int, monkeypatch: pytest.MonkeyPatch):
    """A device without room for all of a batch. A CPU has no limit: there more than 4 are too many."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, room / total))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    token_losses = BaseModel.token_losses

    def limited(self, batch):
        if len(batch.input_ids) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return token_losses(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(BaseModel, "token_losses", limited)
        yield


@on_each_device
def test_memory_that_runs_out_halves_the_micro_batch_and_the_curve_stays(
    device, tmp_path, monkeypatch, record_property
):
    place, (rows, length) = torch.device(device), {"cpu": (16, 32), "cuda": (16, 512)}[device]
    torch.manual_seed(0)
    sizes = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
    LlamaForCausalLM(LlamaConfig(vocab_size=1024, **sizes)).save_pretrained(tmp_path)
    base = load_base(tmp_path, FLOAT32, place)
    data = long_examples(rows, length, 1024)
    settings = replace(SETTINGS, batch_size=rows)

    def curve(fit: Fit) -> list[float]:
        with adapter(base, settings, 0) as adapted:
            training = Training(base, adapted, settings, 0, data, fit)
            return [training.advance(step) for step in (1, 2, 3, 4)]

    def reserved(fit: Fit) -> int:
        if device == "cpu":
            return 0
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        curve(fit)
        return torch.cuda.max_memory_reserved()

    plain, room = curve(Fit(16)), (reserved(Fit(16)) + reserved(Fit(4))) // 2
    fit = Fit(16)
    with little_memory(place, room, monkeypatch):
        cut = curve(fit)
    assert fit.shrunk[0] == "16 examples -> 8 examples"
    assert fit.micro_batch_size < 16
    assert not fit.checkpointing
    record_property("out of memory, cuts", "; ".join(fit.shrunk))
    record_property(
        "out of memory, largest gap of the curve",
        max(abs(a / b - 1) for a, b in zip(cut, plain, strict=True)),
    )
    assert cut == pytest.approx(plain, rel=ROUNDING[device])
    assert plain[-1] < plain[0]


STEPS = 6


class KilledError(BaseException):
    """What ends a process, as no engine may catch it."""


def outcome(engine: LoraEngine, folder: Path) -> tuple[list[float], dict[str, torch.Tensor], dict]:
    settings = replace(SETTINGS, max_steps=STEPS, max_length=48, lora_dropout=0.1)
    *_, result = engine.run(TrialSpec(key="k", arm="baseline", seed=3, settings=settings), folder)
    return (
        [point.eval_loss for point in result.curve],
        load_file(folder / "adapter" / "adapter_model.safetensors"),
        dict(result.provenance),
    )


def gap(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two adapters, as a share of the largest weight."""
    return max(float((one[name] - other[name]).abs().max() / one[name].abs().max()) for name in one)


@on_each_device
@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16])
def test_a_trial_gives_the_same_bits_again_and_after_it_was_killed(
    device, dtype, tmp_path, monkeypatch, record_property
):
    """By how much runs differ is measured: 0 for a model that deterministic kernels are enough for."""
    data = embedded_examples(8)
    data = replace(data, train=data.train[:40])
    write_dataset(data, tmp_path / "data.jsonl")
    engine = LoraEngine(
        {
            "model_path": "embedded:base_model", "data_file": str(tmp_path / "data.jsonl"),
            "data_fingerprint": data.fingerprint, "measurements": 2, "checkpoint_minutes": 1e-9,
            "device": device, "micro_batch_size": 8,
        }
    )  # fmt: skip
    monkeypatch.setattr("tests.engines.training.test_devices.SETTINGS", replace(SETTINGS, dtype=dtype))
    curve, weights, provenance = outcome(engine, tmp_path / "straight")
    curve_again, again, _ = outcome(engine, tmp_path / "again")
    descend = Training._descend

    def dying(self, batch):
        if self.step == STEPS - 2:
            raise KilledError
        return descend(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_descend", dying)
        with pytest.raises(KilledError):
            outcome(engine, tmp_path / "killed")
    curve_resumed, resumed, _ = outcome(engine, tmp_path / "killed")
    record_property(f"repeatable within, {dtype}", gap(weights, again))
    record_property(f"resumed within, {dtype}", gap(weights, resumed))
    assert "repeatable" not in provenance, "deterministic kernels are enough for a plain decoder"
    assert curve == curve_again == curve_resumed
    assert gap(weights, again) == gap(weights, resumed) == 0.0


@on_each_device
@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16])
def test_weights_come_to_the_device_as_they_are_in_the_file(device, dtype, tmp_path, record_property):
    """On a GPU without a copy in the memory of the node: anonymous pages grow by less than half of them."""
    sizes = {"cpu": (64, 128), "cuda": (1024, 4096)}[device]
    config = LlamaConfig(
        vocab_size=2048, hidden_size=sizes[0], intermediate_size=sizes[1], num_hidden_layers=4,
        num_attention_heads=4,
    )  # fmt: skip
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(tmp_path)
    gc.collect()
    warmed(torch.device(device))
    before = _anonymous_bytes()
    base = load_base(tmp_path, dtype, torch.device(device))
    grown = _anonymous_bytes() - before
    held = load_file(tmp_path / "model.safetensors")
    size = sum(value.nbytes for value in held.values())
    assert {value.device.type for value in base.model.parameters()} == {device}
    for name, value in base.model.state_dict().items():
        if name in held:
            assert value.dtype == getattr(torch, dtype)
            assert torch.equal(value.cpu(), held[name])
    if device == "cuda":
        record_property(f"host memory while weights load / weights, {dtype}", round(grown / size, 3))
        assert grown < size / 2


def _anonymous_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


@on_each_device
def test_answers_are_those_of_transformers_without_a_batch(device):
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    base = load_base(base_model_path(), FLOAT32, torch.device(device))
    ends, _ = ends_of_answers(data.evaluation, tokenizer, None)
    prompts = [
        [*tokenizer.start, *tokenizer.encoder.encode(one.prompt, add_special_tokens=False).ids]
        for one in data.evaluation[:10]
    ]
    assert len({len(ids) for ids in prompts}) > 2, "padding is needed"
    for ids, found in zip(prompts, generated(base, prompts, ends, 12), strict=True):
        told = torch.tensor([ids], device=base.device)
        alone = base.model.generate(
            told, attention_mask=torch.ones_like(told), do_sample=False, max_new_tokens=12,
            eos_token_id=list(ends), pad_token_id=ends[0],
        )[0, len(ids):].tolist()  # fmt: skip
        assert found == [token for token in alone if token not in ends]


@on_each_device
def test_the_number_format_is_bfloat16_where_every_gpu_has_it(device, record_property):
    pytest.importorskip("hydra", reason="hydra-core is not installed here; all else is tested without it")
    from bios_sweep.config.compose import compose_config
    from bios_sweep.driver.precision import common_dtype, precision_of
    from bios_sweep.engines.training.on_node import gpus
    from bios_sweep.request import Request

    words = ["sweeps=capacity", "cluster=inline", f"cluster.device={device}", "tracking=none"]
    values = compose_config(words).values
    chosen = precision_of(values, Request(**values["cluster"]))
    if device == "cpu":
        assert (chosen.dtype, chosen.known) == (FLOAT32, True)
        return
    here = common_dtype([bool(gpu["bfloat16"]) for gpu in gpus()])
    record_property("method.dtype=auto", here)
    assert here == (BFLOAT16 if torch.cuda.get_device_capability() >= (8, 0) else FLOAT32)
    assert chosen.dtype == here or not chosen.known


def test_processes_load_weights_onto_gpus_one_after_another(tmp_path, monkeypatch):
    """Seen from another process while an engine loads, and after a load that failed."""
    data = embedded_examples(8)
    write_dataset(data, tmp_path / "data.jsonl")
    options = {"data_file": str(tmp_path / "data.jsonl"), "data_fingerprint": data.fingerprint}
    engine = LoraEngine({"model_path": "embedded:base_model", **options})
    monkeypatch.setattr(device_module, "gettempdir", lambda: str(tmp_path))
    seen = []

    def loading(path, dtype, device, attention, *, routed, four_bit, gpus):
        [lock] = tmp_path.glob("*.lock")
        seen.append(_others_get(lock))
        raise KilledError

    monkeypatch.setattr(engine_module, "load_base", loading)
    engine._device = GPU
    with pytest.raises(KilledError):
        engine._base(FLOAT32)
    assert seen == [False]
    [lock] = tmp_path.glob("*.lock")
    assert _others_get(lock)


def _others_get(lock: Path) -> bool:
    program = "import sys, filelock; filelock.FileLock(sys.argv[1]).acquire(timeout=0)"
    found = subprocess.run([sys.executable, "-c", program, str(lock)], capture_output=True, check=False)
    assert found.returncode == 0 or b"could not be acquired" in found.stderr
    return found.returncode == 0


@pytest.mark.parametrize(
    "error", ["CUDA out of memory. Tried to allocate 2.00 GiB", "CUDA error: an illegal memory access"]
)
def test_what_a_device_lacks_while_weights_load_is_not_blamed_on_the_model(error, monkeypatch):
    class Failing:
        @staticmethod
        def from_pretrained(*_, **__):
            raise RuntimeError(error)

    monkeypatch.setattr(model_module, "class_of", lambda path: Failing)
    with pytest.raises(RuntimeError, match=error):
        load_base(base_model_path(), FLOAT32, torch.device("cpu"))


GPU = torch.device("cuda")  # a name alone: nothing below computes on it


def test_gradients_are_computed_with_deterministic_kernels_alone():
    kernels, seen = Kernels(), []

    def work() -> int:
        strict = torch.are_deterministic_algorithms_enabled()
        seen.append((strict, torch.is_deterministic_algorithms_warn_only_enabled()))
        return 5

    assert kernels.within(work, GPU) == 5
    assert seen == [(True, False)]
    assert not torch.are_deterministic_algorithms_enabled(), "nothing of it is left"
    assert kernels.within(work, torch.device("cpu")) == 5
    assert seen[1:] == [(False, False)]


def test_a_model_that_needs_another_kernel_is_trained_and_says_that_it_is_not_repeatable(caplog):
    """`put_` without accumulation has no deterministic kernel on any device (torch 2.13)."""
    kernels, tries = Kernels(), []

    def work() -> torch.Tensor:
        tries.append(1)
        return torch.zeros(3).put_(torch.tensor([1, 1]), torch.tensor([2.0, 3.0]))

    assert kernels.within(work, GPU)[0] == 0.0
    assert (len(tries), kernels.repeatable) == (2, False)
    assert "trials on this GPU are not repeatable to the bit: put_ does not have" in caplog.text
    kernels.within(work, GPU)
    assert len(tries) == 3, "once found out, not tried again"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
    ids=["memory", "device", "code"],
)
def test_another_error_is_no_lack_of_a_kernel(error):
    kernels = Kernels()

    def work() -> None:
        raise error

    with pytest.raises(RuntimeError) as told:
        kernels.within(work, GPU)
    assert told.value is error
    assert kernels.repeatable


def test_the_trial_says_that_it_is_not_repeatable(examples):
    from bios_sweep.engines.training.trial import _as_cut

    fit = Fit(4)
    assert _as_cut(fit, 0) == {"micro_batch_size": 4}
    fit.kernels.repeatable = False
    assert _as_cut(fit, 0) == {"micro_batch_size": 4, "repeatable": False}
