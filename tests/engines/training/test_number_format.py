"""bfloat16 products with a float32 adapter and optimizer, held against all-float32; and other attentions.

Measured with 30 steps of 16 examples, rank 8, on CPU: the losses before and after training differ by 2.8e-5
to 6.4e-5 of themselves on the embedded model and on a random Llama. The tolerance is ten times that.
"""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.adapters import adapter, trainable
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training, evaluate, evaluation_set
from bios_sweep.engines.training.model import load_base
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.errors import ModelError
from bios_sweep.settings import TrainingSettings
from tests.engines.training.devices import on_each_device

TOLERANCE = 5e-4  # of the loss
SETTINGS = TrainingSettings(learning_rate=2e-3, batch_size=8, lora_rank=4, max_steps=8, max_length=64)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def examples():
    data, tokenizer = embedded_examples(12), load_tokenizer(base_model_path())
    return tuple(tokenize_all((*data.train[:40], *data.evaluation), tokenizer, 64, None))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=2048, num_key_value_heads=2, initializer_range=0.1, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def trained(path, dtype, examples, attention=None, device=CPU):
    """Losses before and after, and the adapter's training as it stands."""
    base = load_base(path, dtype, device, attention)
    held_out = evaluation_set(examples[40:], 8, device)
    before = evaluate(base, held_out).loss
    with adapter(base, SETTINGS, 0) as adapted:
        training = Training(base, adapted, SETTINGS, 0, examples[:40], Fit(8))
        training.advance(SETTINGS.max_steps)
        formats = {value.dtype for value in trainable(adapted).values()}
        for state in training._optimizer.state.values():
            formats |= {value.dtype for value in state.values()}
        kept: set[torch.dtype] = set()
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.add(x.dtype) or x, lambda x: x):
            layer = next(m for n, m in adapted.named_modules() if n.endswith("layers.0.mlp.up_proj"))
            layer(torch.randn(3, layer.in_features, dtype=base.model.dtype, device=device))
        return (before, evaluate(base, held_out).loss), formats, kept


@on_each_device
@pytest.mark.parametrize("model", ["embedded", "llama"])
def test_bfloat16_gives_the_losses_of_float32(device, model, llama, examples, record_property):
    path, place = llama if model == "llama" else base_model_path(), torch.device(device)
    exact, _, _ = trained(path, "float32", examples, device=place)
    rounded, formats, kept = trained(path, "bfloat16", examples, device=place)
    gaps = [abs(one / other - 1) for one, other in zip(rounded, exact, strict=True)]
    record_property(f"bfloat16 / float32 loss, largest gap, {model}", max(gaps))
    assert rounded == pytest.approx(exact, rel=TOLERANCE)
    assert rounded != exact
    assert exact[0] - exact[1] > 10 * TOLERANCE * exact[0], "it learns far more than that"
    assert formats == {torch.float32}, "adapter and optimizer"
    assert kept == {torch.bfloat16}, "no product of the adapter is in float32, and no input is kept so"


@on_each_device
def test_every_attention_gives_the_same_losses(device, llama, examples):
    """On a GPU float32 is added in the order of each kernel."""
    place = torch.device(device)
    eager, sdpa = (trained(llama, "float32", examples, name, place)[0] for name in ("eager", "sdpa"))
    assert eager == pytest.approx(sdpa, rel=1e-5 if device == "cpu" else 1e-4)


def test_an_attention_that_cannot_be_had_says_what_it_lacks(llama):
    with pytest.raises(ModelError, match=r"transformers cannot load it .*; leave method.attention auto"):
        load_base(llama, "bfloat16", CPU, "flash_attention_2")
