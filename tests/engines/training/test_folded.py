"""Adapters folded into their layers: the losses and gradients of PEFT's own modules, nothing left behind."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training import folded, operations
from bios_sweep.engines.training.adapters import adapter, trainable
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.fitting import fitting
from bios_sweep.engines.training.folded import BESIDE, FOLDED, PEFTS_OWN, fold, unfold, ways
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.loop import Training, evaluate, evaluation_set
from bios_sweep.engines.training.memory import need_of
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.settings import TrainingSettings

CPU = torch.device("cpu")
LAYERS = 14  # linear layers of the embedded model
SETTINGS = TrainingSettings(learning_rate=2e-3, batch_size=8, lora_rank=8, max_steps=50, max_length=64)
CONFIG = json.loads((base_model_path() / "config.json").read_text())


@pytest.fixture(scope="module")
def base():
    return load_base(base_model_path(), "float32", CPU)


@pytest.fixture(scope="module")
def examples():
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    return tuple(tokenize_all(data.train[:80], tokenizer, 64, None))


class Curve:
    """Losses per step and what is left of a training."""

    def __init__(self, base, examples, settings, *, as_peft, fit=None):
        with adapter(base, settings, 0) as adapted:
            training = Training(base, adapted, settings, 0, examples, fit or Fit(8))
            if as_peft:
                unfold(adapted)
            self.ways = ways(adapted)
            self.losses = [training.advance(step) for step in range(1, settings.max_steps + 1)]
            self.evaluated = training.evaluated(evaluation_set(examples[:20], 8, CPU)).loss
            self.weights = [value.detach().clone() for value in trainable(adapted).values()]


@pytest.mark.parametrize(
    "change",
    [
        {"lora_rank": 32},
        *(pytest.param({"lora_rank": rank}, marks=pytest.mark.slow) for rank in (1, 8, 128)),
        pytest.param({"lora_dropout": 0.1}, marks=pytest.mark.slow),
    ],
)
def test_losses_are_those_of_pefts_own_modules(base, examples, change):
    settings = replace(SETTINGS, lora_alpha=2.0 * change.get("lora_rank", 8), **change)
    ours, peft = (Curve(base, examples, settings, as_peft=way) for way in (False, True))
    assert (ours.ways, peft.ways) == ({FOLDED: LAYERS}, {PEFTS_OWN: LAYERS})
    assert ours.losses[-1] < ours.losses[0]
    assert max(abs(one - other) for one, other in zip(ours.losses, peft.losses, strict=True)) < 1e-5
    assert ours.evaluated == pytest.approx(peft.evaluated, abs=1e-5)


def test_the_same_again_is_the_same_to_the_bit_and_base_weights_stay(base, examples):
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    settings = replace(SETTINGS, max_steps=6)
    one, other = (Curve(base, examples, settings, as_peft=False) for _ in range(2))
    assert (one.losses, one.evaluated) == (other.losses, other.evaluated)
    assert all(torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
    after = base.model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any("forward" in vars(module) for module in base.model.modules())


class One(nn.Module):
    """A layer that PEFT puts an adapter on; into, out: its widths."""

    def __init__(self, into, out, dtype=torch.float32):
        super().__init__()
        self.layer = nn.Linear(into, out, dtype=dtype)

    def forward(self, x):
        return self.layer(x)


def one_layer(into=24, out=40, rank=3, dtype=torch.float32, **config):
    torch.manual_seed(0)
    adapted = get_peft_model(
        One(into, out, dtype), LoraConfig(r=rank, lora_alpha=5, target_modules=["layer"], **config)
    )
    for value in trainable(adapted).values():
        nn.init.normal_(value, std=0.3)
    return adapted.eval()


@pytest.mark.parametrize(
    ("tokens", "rank", "into_grad"), [(64, 3, True), (64, 40, True), (7, 3, False), (2, 3, True)]
)
def test_gradients_are_autograds(tokens, rank, into_grad):
    """Of few tokens beside the layer, of many folded, of a large rank over the gradient of the weight."""
    adapted, x = one_layer(rank=rank), torch.randn(2, tokens // 2, 24)
    weights, found = list(trainable(adapted).values()), []
    for way in (None, fold):
        read = x.clone().requires_grad_(into_grad)
        if way:
            fold(adapted, x[..., 0].numel())
        value = adapted(read)
        value.square().sum().backward()
        found.append([value.detach(), *[one.grad for one in weights], *([read.grad] if into_grad else [])])
        adapted.zero_grad()
    assert ways(adapted) == {FOLDED if tokens > 15 else BESIDE: 1}
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


def test_what_is_folded_is_made_once_until_a_factor_is_written(monkeypatch):
    adapted, made, x = one_layer(), [], torch.randn(64, 24)
    fold(adapted, 64)
    addmm = torch.addmm
    monkeypatch.setattr(
        folded.torch, "addmm", lambda *given, **named: made.append(1) or addmm(*given, **named)
    )
    optimizer = torch.optim.SGD(trainable(adapted).values(), lr=1e-4)
    for _ in range(3):
        adapted(x).sum().backward()
        adapted(x).sum().backward()
        optimizer.step()
    assert len(made) == 3
    with torch.no_grad():
        after = adapted(x)
    unfold(adapted)
    torch.testing.assert_close(after, adapted(x))


def test_an_evaluation_folds_what_the_last_step_left(base, examples):
    """AdamW's fused step writes without telling autograd; a curve that never changed would show it."""
    settings = replace(SETTINGS, max_steps=2)
    data = evaluation_set(examples[:20], 8, CPU)
    with adapter(base, settings, 0) as adapted:
        training = Training(base, adapted, settings, 0, examples, Fit(8))
        seen = []
        for step in (1, 2):
            training.advance(step)
            seen.append(training.evaluated(data).loss)
        unfold(adapted)
        assert evaluate(base, data).loss == pytest.approx(seen[-1], abs=1e-6)
    assert seen[0] != seen[1]


def test_never_in_bfloat16(examples):
    half = load_base(base_model_path(), "bfloat16", CPU)
    settings = replace(SETTINGS, dtype="bfloat16", max_steps=4)
    ours, peft = (Curve(half, examples, settings, as_peft=way) for way in (False, True))
    assert ours.ways == {BESIDE: LAYERS}
    assert ours.losses == pytest.approx(peft.losses, rel=2e-3)
    assert all(value.dtype == torch.float32 for value in ours.weights)


def test_gradients_of_a_layer_in_bfloat16_are_those_in_float32_within_its_rounding():
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        adapted = one_layer(dtype=dtype)
        for value in trainable(adapted).values():
            value.data = value.data.float()
        fold(adapted, 1.0)  # beside in float32, too
        x = torch.randn(64, 24, generator=torch.Generator().manual_seed(1)).to(dtype)
        adapted(x).float().sum().backward()
        found.append(torch.cat([value.grad.flatten() for value in trainable(adapted).values()]))
    assert (found[0] - found[1]).abs().max() < 0.02 * found[0].abs().max()


@pytest.mark.parametrize("config", [{"use_dora": True}, {"lora_bias": True}])
def test_what_is_more_than_a_and_b_is_left_to_peft(config):
    adapted = one_layer(**config)
    fold(adapted, 64)
    assert ways(adapted) == {PEFTS_OWN: 1}


def test_a_disabled_adapter_is_none():
    adapted, x = one_layer(), torch.randn(64, 24)
    fold(adapted, 64)
    with adapted.disable_adapter():
        untouched = adapted(x)
    torch.testing.assert_close(untouched, adapted.get_base_model().layer.base_layer(x))
    assert not torch.allclose(adapted(x), untouched)


@pytest.mark.parametrize("into", [96, 576, 4096])
def test_operations_alone_decide(into):
    """Folded from about half the width in tokens on, whatever the rank; over the weight at large ranks."""
    assert not operations.folds(into // 2 - 1, into, into)
    assert operations.folds(into // 2 + 1, into, into)
    many = 100 * into
    assert not operations.by_weight(many, into, into, into // 8)
    assert operations.by_weight(many, into, into, into // 2)


def test_folded_weights_are_reckoned_with_and_left_out_where_they_do_not_fit(base, examples):
    shape = shape_of(CONFIG, sum(value.numel() for value in base.model.parameters()))
    load = Load(tokens=64, batch=8, rank=8, dtype="float32")
    plain, more = (need_of(shape, load, 8, checkpointing=False, folded=way) for way in (False, True))
    assert more.folded == 4 * sum(base.model.get_submodule(name).weight.numel() for name in base.reach.linear)
    room = more.total
    assert fitting(shape, load, room, micro_batch_size=8, checkpointing=False).folded
    assert not fitting(shape, load, room - 1, micro_batch_size=8, checkpointing=False).folded
    assert not fitting(shape, replace(load, dtype="bfloat16"), 10 * room).folded
    assert plain.total < more.total
    settings = replace(SETTINGS, max_steps=3)
    with_room, without = (
        Curve(base, examples, settings, as_peft=False, fit=Fit(8, folding=way)) for way in (True, False)
    )
    assert without.ways == {BESIDE: LAYERS}
    assert without.losses == pytest.approx(with_room.losses, abs=1e-5)


def test_with_no_room_left_memory_that_runs_out_takes_folded_weights_first(base, examples):
    fit = Fit(1)
    fit._tighten()
    assert (fit.checkpointing, fit.folding) == (True, False)
