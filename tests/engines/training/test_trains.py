"""What is trained: every method against the reference for it, and the base as it was before."""

from __future__ import annotations

import json
import math
import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.adapters import adapter, save_adapter, trainable
from bios_sweep.engines.training.batches import batch_indices, micro_batches
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.initial import orthogonal
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.memory import need_of
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.targets import is_attention, is_mlp
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.settings import ALPHA_RULES, REFERENCE_RANK, TrainingSettings, alpha_at
from tests.engines.training.oracle import mean_loss, padded

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(learning_rate=1e-3, batch_size=6, lora_rank=8, max_steps=20, max_length=48)
FULL = SETTINGS.changed({"method": "full"})
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


@pytest.fixture(scope="module")
def base():
    return load_base(base_model_path(), "float32", CPU)


@pytest.fixture(scope="module")
def examples():
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    return tuple(tokenize_all(data.train[:18], tokenizer, 48, None))


@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"method": "dora"}, {"use_dora": True}),
        ({"alpha_rule": "sqrt_rank"}, {"use_rslora": True, "lora_alpha": 32 / math.sqrt(REFERENCE_RANK)}),
        ({"alpha_rule": "rank", "lora_alpha": 64.0}, {"lora_alpha": 2 * 8}),
        ({"targets": "attention"}, {"target_modules": ATTENTION}),
    ],
)
def test_losses_and_gradients_are_those_of_peft(base, examples, tmp_path, changes, theirs):
    with adapter(base, SETTINGS.changed(changes), 0) as adapted:
        noise = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in trainable(adapted).values():
                value.add_(0.02 * torch.randn(value.shape, generator=noise))
        start = {name: value.detach().clone() for name, value in trainable(adapted).items()}
        [batch] = micro_batches(examples, len(examples), CPU)
        loss = base.token_losses(batch).mean()
        loss.backward()
        ours = {name: value.grad for name, value in trainable(adapted).items()}
        save_adapter(adapted, tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(base_model_path(), dtype=torch.float32)
    config = {"r": 8, "lora_alpha": 32, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **theirs}
    model = get_peft_model(plain, LoraConfig(**config))
    model.load_state_dict(start, strict=False)
    expected = mean_loss(model, examples)
    expected.backward()
    grads = {name: value.grad for name, value in model.named_parameters() if value.requires_grad}
    assert grads.keys() == ours.keys()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    largest = max(value.abs().max() for value in grads.values())
    for name, value in grads.items():
        assert (value - ours[name]).abs().max() <= 1e-5 * max(1.0, largest)
    again = AutoModelForCausalLM.from_pretrained(base_model_path(), dtype=torch.float32)
    loaded = PeftModel.from_pretrained(again, str(tmp_path / "adapter"))
    assert mean_loss(loaded, examples).item() == pytest.approx(expected.item(), abs=1e-5)


def test_all_alpha_rules_are_one_at_the_default_rank_and_differ_elsewhere():
    def scalings(rank):
        arms = [SETTINGS.changed({"lora_rank": rank, "alpha_rule": rule}) for rule in ALPHA_RULES]
        return [alpha_at(arm) / rank for arm in arms]

    assert scalings(REFERENCE_RANK) == [1.0, 1.0, 1.0]
    assert scalings(8) == pytest.approx([4.0, 1.0, 2.0])


def test_an_orthogonal_adapter_begins_at_the_base_model_with_no_part_of_it_zero(base, examples):
    down, up = orthogonal((8, 96), (64, 8), 0, "a")
    assert abs(up @ down).max() < 1e-12 < min(abs(up).max(), abs(down).max())
    [batch] = micro_batches(examples, len(examples), CPU)
    with torch.no_grad():
        before = base.token_losses(batch)
        for law in ("orthogonal", "gaussian"):
            with adapter(base, replace(SETTINGS, init=law), 0):
                torch.testing.assert_close(base.token_losses(batch), before, rtol=1e-4, atol=1e-4)


def test_layers_are_told_apart_by_the_modules_that_they_lie_in():
    names = {
        "model.layers.0.self_attn.q_proj": "attention",
        "transformer.h.0.attn.c_attn": "attention",
        "transformer.h.0.mlp.c_fc": "mlp",
        "model.decoder.layers.0.fc1": "mlp",
        "model.layers.0.mlp.experts.gate_up_proj": "mlp",
        "model.layers.0.mamba.in_proj": "",
    }
    for name, kind in names.items():
        assert (is_attention(name), is_mlp(name)) == (kind == "attention", kind == "mlp")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_full_fine_tuning_leaves_the_base_to_the_bit_and_a_model_that_loads(examples, tmp_path, dtype):
    base = load_base(base_model_path(), dtype, CPU)
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    [batch] = micro_batches(examples, len(examples), CPU)
    with adapter(base, replace(FULL, dtype=dtype), 0) as trained:
        with pytest.raises(RuntimeError, match="one trial at a time"), adapter(base, SETTINGS, 0):
            pass
        training = Training(base, trained, replace(FULL, dtype=dtype), 0, examples, Fit(3))
        training.advance(3)
        kept = deepcopy(training.snapshot([]))
        assert {value.dtype for value in kept.weights.values()} == {torch.float32}
        save_adapter(trained, tmp_path / "model")
        with torch.no_grad():
            learned = base.token_losses(batch)
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())
    with torch.no_grad():
        assert not torch.equal(base.token_losses(batch), learned)
        assert torch.equal(load_base(tmp_path / "model", dtype, CPU).token_losses(batch), learned)
    assert (tmp_path / "model" / "tokenizer.json").is_file()
    with adapter(base, replace(FULL, dtype=dtype), 0) as trained:  # taken up where it was
        resumed = Training(base, trained, replace(FULL, dtype=dtype), 0, examples, Fit(3))
        resumed.restore(kept)
        with torch.no_grad():
            assert torch.equal(base.token_losses(batch), learned)


@pytest.mark.slow
def test_full_fine_tuning_is_that_of_the_hugging_face_trainer(base, examples, tmp_path):
    settings = replace(FULL, weight_decay=0.1)
    with adapter(base, settings, 0) as trained:
        training = Training(base, trained, settings, 0, examples, Fit(6))
        ours = [training.advance(step) for step in range(1, settings.max_steps + 1)]
    steps = [batch_indices(0, 6, step, len(examples)) for step in range(settings.max_steps)]
    rows = []
    for indices in steps:
        ids, mask, labels = padded([examples[index] for index in indices])
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        rows += [{name: value[row] for name, value in batch.items()} for row in range(6)]
    trainer = _InOrder(
        AutoModelForCausalLM.from_pretrained(base_model_path(), dtype=torch.float32),
        TrainingArguments(
            str(tmp_path), per_device_train_batch_size=6, max_steps=settings.max_steps,
            learning_rate=1e-3, adam_beta2=settings.adam_beta2, weight_decay=0.1, logging_steps=1,
            report_to="none", disable_tqdm=True, save_strategy="no", use_cpu=True,
        ),
        train_dataset=rows,
    )  # fmt: skip
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses == pytest.approx(ours, abs=1e-5)


class _InOrder(Trainer):
    """Takes the rows as they come."""

    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_model_of_bytes_is_what_full_fine_tuning_holds(examples, dtype):
    base = load_base(base_model_path(), dtype, CPU)
    config = json.loads((base_model_path() / "config.json").read_text())
    shape = shape_of(config, sum(value.numel() for value in base.model.parameters()))
    load = Load(tokens=48, batch=6, rank=1, dtype=dtype, method="full")
    need = need_of(shape, load, 6, checkpointing=False)
    with adapter(base, replace(FULL, dtype=dtype), 0) as trained:
        training = Training(base, trained, replace(FULL, dtype=dtype), 0, examples, Fit(6))
        training.advance(1)
        state = training.snapshot([])
        moments = [v for one in state.optimizer["state"].values() for v in one.values() if v.dim()]
        held = sum(v.numel() * v.element_size() for v in moments)
        held += sum(value.numel() * 4 for value in state.weights.values())  # their gradients
        if dtype == "bfloat16":  # master weights, and gradients before they are gathered
            held += sum(value.numel() * (4 + 2) for value in state.weights.values())
    assert need.adapter == pytest.approx(held, rel=0.01)


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def model_folder(request, tmp_path_factory):
    """The embedded model, and one like it with a head of its own."""
    if request.param:
        return base_model_path()
    folder = tmp_path_factory.mktemp("untied")
    shutil.copytree(base_model_path(), folder, dirs_exist_ok=True)
    config = AutoConfig.from_pretrained(base_model_path(), tie_word_embeddings=False)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.model.load_state_dict(AutoModelForCausalLM.from_pretrained(base_model_path()).model.state_dict())
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_embeddings_and_head_learn_beside_an_adapter_as_pefts_own_copies_do(
    model_folder, examples, tmp_path, method
):
    base = load_base(model_folder, "float32", CPU)
    tied = base.model.config.tie_word_embeddings
    before = {name: value.clone() for name, value in base.model.state_dict().items()}
    [batch] = micro_batches(examples, len(examples), CPU)
    settings = SETTINGS.changed({"method": method, "embeddings": True})
    with adapter(base, settings, 0) as adapted:
        noise = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in trainable(adapted).values():
                value.add_(0.02 * torch.randn(value.shape, generator=noise))
        loss = base.token_losses(batch).mean()
        loss.backward()
        ours = {name: value.grad.clone() for name, value in trainable(adapted).items()}
        save_adapter(adapted, tmp_path / "adapter")
    assert all(torch.equal(value, before[name]) for name, value in base.model.state_dict().items())
    told = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert told["modules_to_save"] == (["embed_tokens"] if tied else ["embed_tokens", "lm_head"])
    plain = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(plain, str(tmp_path / "adapter"), is_trainable=True)
    expected = mean_loss(loaded, examples)
    expected.backward()
    theirs = {
        name.replace(".modules_to_save.default", ""): value.grad
        for name, value in loaded.named_parameters()
        if value.requires_grad
    }
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    assert theirs.keys() == ours.keys()
    assert "base_model.model.model.embed_tokens.weight" in ours
    largest = max(value.abs().max() for value in theirs.values())
    for name, value in theirs.items():
        assert (value - ours[name]).abs().max() <= 1e-5 * max(1.0, largest), name
    merged = loaded.merge_and_unload()
    with torch.no_grad():
        assert mean_loss(merged, examples).item() == pytest.approx(expected.item(), abs=1e-4)
