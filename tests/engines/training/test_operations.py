"""Operations: the arithmetic against what torch counts, for everything that can be trained."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BambaConfig, BambaForCausalLM, LlamaConfig, LlamaForCausalLM

from bios_sweep.engines.training.adapters import adapter
from bios_sweep.engines.training.batches import MicroBatch
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.linear import linear_of
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.operations import forward, moved, moved_in_training, trained
from bios_sweep.settings import TrainingSettings

CPU = torch.device("cpu")
ROWS, LENGTH = 4, 64
SETTINGS = TrainingSettings(learning_rate=1e-3, batch_size=ROWS, lora_rank=16, max_steps=1, max_length=LENGTH)
TRAINED = {
    "lora": {},
    "attention alone": {"targets": "attention"},
    "some layers": {"targets": "q_proj,down_proj"},
    "embeddings": {"embeddings": True},
    "dora": {"method": "dora"},
    "full": {"method": "full"},
}
CONFIG = LlamaConfig(
    vocab_size=512, hidden_size=128, intermediate_size=352, num_hidden_layers=12,
    num_attention_heads=4, num_key_value_heads=2, attn_implementation="eager",
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(CONFIG).save_pretrained(folder)
    return load_base(folder, "float32", CPU, "eager")


@pytest.fixture(scope="module")
def shape(base):
    config = json.loads(base.model.config.to_json_string(use_diff=False))
    return shape_of(config, sum(value.numel() for value in base.model.parameters()))


def counted(base, *, backward):
    tokens = torch.zeros(ROWS * LENGTH, dtype=torch.long)
    batch = MicroBatch(
        input_ids=tokens.reshape(ROWS, LENGTH),
        sources=torch.arange(ROWS * LENGTH),
        targets=tokens,
        owners=np.zeros(1),
    )
    with FlopCounterMode(display=False) as count, torch.set_grad_enabled(backward):
        loss = base.token_losses(batch).sum()
        if backward:
            loss.backward()
    return count.get_total_flops() / (ROWS * LENGTH)


@pytest.mark.parametrize("name", TRAINED)
def test_products_are_those_that_torch_counts(base, shape, name):
    settings = SETTINGS.changed(TRAINED[name])
    with adapter(base, settings, 0):
        once, all_of_it = (counted(base, backward=backward) for backward in (False, True))
    at_once = ROWS * LENGTH
    masked = 2.0 * LENGTH * shape.query * shape.layers  # the half of attention that no kernel need compute
    assert forward(shape, settings, LENGTH, at_once) + masked == pytest.approx(once, rel=0.001)
    # but for the gradient of what goes into the first layer, which nobody needs
    assert trained(shape, settings, LENGTH, at_once, twice=False) + 3 * masked == pytest.approx(
        all_of_it, rel=0.02
    )


def test_state_spaces_are_counted_by_their_chunks(tmp_path):
    config = BambaConfig(
        vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=4,
        num_key_value_heads=2, mamba_n_heads=8, mamba_d_head=16, mamba_d_state=32, mamba_n_groups=1,
        mamba_chunk_size=32, attn_layer_indices=[1, 4],
    )  # fmt: skip
    BambaForCausalLM(config).save_pretrained(tmp_path)
    base = load_base(tmp_path, "float32", CPU, "eager")
    values = json.loads((tmp_path / "config.json").read_text())
    shape = shape_of(values, 1, linear_of(tmp_path, values))
    with adapter(base, SETTINGS, 0):
        once, all_of_it = (counted(base, backward=backward) for backward in (False, True))
    masked = 2.0 * LENGTH * shape.query * 2
    assert forward(shape, SETTINGS, LENGTH, ROWS * LENGTH) + masked == pytest.approx(once, rel=0.03)
    reckoned = trained(shape, SETTINGS, LENGTH, ROWS * LENGTH, twice=False) + 3 * masked
    assert reckoned == pytest.approx(all_of_it, rel=0.03)


def test_dora_costs_more_than_its_products(shape):
    lora, dora = SETTINGS, SETTINGS.changed({"method": "dora"})
    assert (moved(shape, lora, 256), moved_in_training(shape, lora, 256, twice=False)) == (0, 0)
    few, many = (moved_in_training(shape, dora, tokens, twice=False) for tokens in (64, 4096))
    assert few > many > 29 * shape.results, "a weight's lengths are found once a micro-batch"
    assert moved_in_training(shape, dora, 256, twice=True) > moved_in_training(shape, dora, 256, twice=False)
    dropped = SETTINGS.changed({"method": "dora", "lora_dropout": 0.1})
    more = trained(shape, dropped, 64, 256, twice=False) - trained(shape, dora, 64, 256, twice=False)
    assert more == 4 * shape.numbers_adapted, "PEFT multiplies what is left of the input once more"
