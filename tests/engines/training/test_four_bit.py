"""A base in four bits against PEFT on bitsandbytes' own forward pass; where bitsandbytes is installed."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.adapters import adapter, trainable
from bios_sweep.engines.training.batches import micro_batches
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.settings import TrainingSettings
from tests.engines.training.oracle import mean_loss

pytest.importorskip("bitsandbytes")
CPU = torch.device("cpu")
SETTINGS = TrainingSettings(
    learning_rate=1e-3, batch_size=6, lora_rank=8, max_steps=3, max_length=48, method="qlora"
)


def test_a_base_in_four_bits_gives_the_losses_and_gradients_of_peft_and_trains():
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    examples = tuple(tokenize_all(data.train[:18], tokenizer, 48, None))
    [batch] = micro_batches(examples, len(examples), CPU)
    base = load_base(base_model_path(), "float32", CPU, four_bit=True)
    with torch.no_grad():
        before = base.token_losses(batch)
    with adapter(base, SETTINGS, 0) as adapted:
        start = {name: value.detach().clone() for name, value in trainable(adapted).items()}
        loss = base.token_losses(batch).mean()
        loss.backward()
        ours = {name: value.grad.clone() for name, value in trainable(adapted).items()}
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    plain = AutoModelForCausalLM.from_pretrained(
        base_model_path(), dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}
    )
    lora = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(plain, lora).train()  # else bitsandbytes lays weights out anew, see `load_base`
    model.load_state_dict(start, strict=False)
    expected = mean_loss(model, examples)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for name, value in model.named_parameters():
        if value.requires_grad:
            assert (value.grad - ours[name]).abs().max() <= 1e-5
    with adapter(base, SETTINGS, 0) as adapted:
        training = Training(base, adapted, SETTINGS, 0, examples, Fit(3))
        losses = [training.advance(step) for step in (1, 2, 3)]
        with torch.no_grad():
            assert not torch.equal(base.token_losses(batch), before)
    assert losses[2] < losses[0]
    with torch.no_grad():
        assert torch.equal(base.token_losses(batch), before), "the base is as it was"
