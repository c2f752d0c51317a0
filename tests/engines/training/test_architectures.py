"""Architectures of every kind: the split gives the model's own numbers, the adapter is where it should be.

Tiny random models; the reference is the model's own forward pass with its attention mask, in float32.
"""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch.nn import functional

from bios_sweep.engines.training import architectures
from bios_sweep.engines.training.adapters import adapter, save_adapter, trainable
from bios_sweep.engines.training.architectures import TRAINED, engine_version, look_at
from bios_sweep.engines.training.batches import MicroBatch
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.facts import weight_files
from bios_sweep.engines.training.headers import count_parameters
from bios_sweep.engines.training.linear import linear_of
from bios_sweep.engines.training.model import class_of, load_base, verify_split
from bios_sweep.engines.training.probe import probe
from bios_sweep.errors import ModelError
from bios_sweep.settings import TrainingSettings

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(learning_rate=1e-3, batch_size=4, lora_rank=4, max_steps=3)
SIZES = {
    "vocab_size": 256, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 0,
    "eos_token_id": 1, "pad_token_id": 2, "initializer_range": 0.1,
}  # fmt: skip
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LATENT = {
    "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8,
}  # fmt: skip
VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14,
}  # fmt: skip


def config(name, **more):
    return getattr(transformers, name)(**{**SIZES, **more})


KINDS = {
    "llama": partial(config, "LlamaConfig"),
    "granite": partial(config, "GraniteConfig", logits_scaling=8.0, embedding_multiplier=12.0),
    "cohere": partial(config, "CohereConfig", logit_scale=0.0625),
    "minicpm3": partial(config, "MiniCPM3Config", dim_model_base=16, scale_emb=12, **LATENT),
    "gemma2": partial(config, "Gemma2Config", head_dim=8, sliding_window=32, query_pre_attn_scalar=8),
    "recurrent_gemma": partial(
        config, "RecurrentGemmaConfig", num_hidden_layers=3, lru_width=32, attention_window_size=32,
        head_dim=8,
    ),
    "falcon_h1": partial(
        config, "FalconH1Config", mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_d_state=8,
        mamba_n_groups=1, head_dim=8, lm_head_multiplier=0.5, embedding_multiplier=2.0,
    ),
    "mamba": lambda: transformers.MambaConfig(
        vocab_size=256, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.1
    ),
    "mixtral": partial(config, "MixtralConfig", **EXPERTS),
    "gpt_oss": partial(
        config, "GptOssConfig", head_dim=8, sliding_window=32,
        layer_types=["sliding_attention", "full_attention"], **EXPERTS,
    ),
    "phimoe": partial(config, "PhimoeConfig", **EXPERTS),
    "llama4_text": partial(
        config, "Llama4TextConfig", head_dim=8, intermediate_size_mlp=64, num_local_experts=4,
        num_experts_per_tok=1, interleave_moe_layer_step=2, attention_chunk_size=32,
    ),
    "deepseek_v3": partial(
        config, "DeepseekV3Config", n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
        moe_intermediate_size=16, first_k_dense_replace=1, n_shared_experts=1, **LATENT,
    ),
    "bamba": partial(
        config, "BambaConfig", mamba_n_heads=8, mamba_d_head=8, mamba_d_state=8, mamba_n_groups=1,
        mamba_chunk_size=8, attn_layer_indices=[1],
    ),
    "zamba2": partial(
        config, "Zamba2Config", num_hidden_layers=3, layers_block_type=["mamba", "hybrid", "mamba"],
        num_key_value_heads=4, attention_head_dim=16, mamba_d_state=8, n_mamba_heads=4, mamba_headdim=16,
        mamba_ngroups=1, num_mem_blocks=1, chunk_size=8,
    ),
    "jamba": partial(
        config, "JambaConfig", num_experts=4, num_experts_per_tok=2, mamba_d_state=8, mamba_dt_rank=4,
        attn_layer_period=2, attn_layer_offset=1,
    ),
    "nemotron_h": partial(
        config, "NemotronHConfig", num_hidden_layers=3, ssm_state_size=8, mamba_num_heads=4, mamba_head_dim=8,
        n_groups=1, chunk_size=8, head_dim=8, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1,
        moe_intermediate_size=16, moe_shared_expert_intermediate_size=16, n_group=1, topk_group=1,
        layers_block_type=["linear_attention", "moe", "full_attention"],
    ),
    "llava": lambda: transformers.LlavaConfig(
        text_config=config("LlamaConfig").to_dict(),
        vision_config=dict(VISION, model_type="clip_vision_model", projection_dim=16),
        image_token_index=5,
    ),
}  # fmt: skip
MIXTURES = ("mixtral", "gpt_oss", "phimoe", "llama4_text", "deepseek_v3", "jamba", "nemotron_h")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    return saved(KINDS[kind](), tmp_path_factory.mktemp(kind))


def saved(made, path):
    images = hasattr(made, "vision_config")
    auto = transformers.AutoModelForImageTextToText if images else transformers.AutoModelForCausalLM
    torch.manual_seed(0)
    auto.from_config(made).save_pretrained(path)
    (path / "tokenizer.json").write_text("{}")
    return path


def ragged() -> tuple[MicroBatch, torch.Tensor]:
    """Three examples of 12, 7 and 4 tokens whose last 3 count, and their attention mask."""
    lengths, columns = (12, 7, 4), 12
    tokens = torch.arange(3 * columns).reshape(3, columns) * 7 % 240 + 10
    mask = torch.stack([(torch.arange(columns) < length).long() for length in lengths])
    sources = torch.cat(
        [torch.arange(length - 3, length) + row * columns for row, length in enumerate(lengths)]
    )
    targets = torch.arange(9) * 11 % 240 + 10
    owners = np.repeat(np.arange(3), 3)
    return MicroBatch(input_ids=tokens * mask, sources=sources, targets=targets, owners=owners), mask


def test_losses_and_gradients_are_those_of_the_models_own_forward_pass(kind, folder):
    base = load_base(folder, "float32", CPU)
    batch, mask = ragged()
    verify_split(base, batch, "float32")
    with adapter(base, SETTINGS, 0) as adapted:
        weights = trainable(adapted)
        for name, value in weights.items():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.05, generator=torch.Generator().manual_seed(1))
        ours = base.token_losses(batch).mean()
        mine = torch.autograd.grad(ours, list(weights.values()))
        logits = base.model(input_ids=batch.input_ids, attention_mask=mask, use_cache=False).logits
        rows = logits.flatten(0, 1).index_select(0, batch.sources)
        theirs = functional.cross_entropy(rows.float(), batch.targets)
        own = torch.autograd.grad(theirs, list(weights.values()))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    size = torch.cat([one.flatten() for one in own]).norm()
    gap = torch.cat([(one - other).flatten() for one, other in zip(mine, own, strict=True)]).norm()
    assert gap < 1e-4 * size


def test_bfloat16_computes_what_float32_does(kind, folder):
    """Mamba and its kin keep their states in float32 whatever the format of their weights."""
    losses = {}
    for dtype in ("float32", "bfloat16"):
        base, (batch, _) = load_base(folder, dtype, CPU), ragged()
        with adapter(base, SETTINGS, 0) as adapted:
            losses[dtype] = base.token_losses(batch).mean()
            gradients = torch.autograd.grad(losses[dtype], list(trainable(adapted).values()))
        assert all(bool(value.isfinite().all()) for value in gradients)
    assert losses["bfloat16"].item() == pytest.approx(losses["float32"].item(), rel=0.02)


def test_the_numbers_of_an_adapter_are_known_before_it_is_made(kind, folder):
    """By the headers of the weights: experts all counted, and what a kernel reads past left out."""
    values = json.loads((folder / "config.json").read_text())
    shape = shape_of(values, count_parameters(weight_files(folder)), linear_of(folder, values))
    with adapter(load_base(folder, "float32", CPU), SETTINGS, 0) as adapted:
        learn = sum(value.numel() for value in trainable(adapted).values())
    assert shape.adapter(SETTINGS.lora_rank) == learn


@pytest.mark.parametrize("name", MIXTURES)
def test_routers_learn_where_that_is_asked_for(name, tmp_path):
    """Gradients are those of the model's own forward pass, and plain PEFT has the same losses."""
    folder = saved(KINDS[name](), tmp_path / "model")
    base, batch, mask = load_base(folder, "float32", CPU, routed=True), *ragged()
    with adapter(base, SETTINGS, 0) as adapted:
        weights = trainable(adapted)
        with torch.no_grad():
            for value in (value for key, value in weights.items() if "lora_B" in key):
                torch.nn.init.normal_(value, std=0.05, generator=torch.Generator().manual_seed(1))
        of_routers = [key for key in weights if any(f"{router}." in key for router in base.reach.routers)]
        assert len(of_routers) == 2 * len(base.reach.routers) > 0
        ours = base.token_losses(batch)
        gradients = torch.autograd.grad(ours.sum(), [weights[key] for key in of_routers])
        assert sum(float(value.abs().sum()) > 0 for value in gradients) >= len(of_routers) / 2
        save_adapter(adapted, tmp_path / "adapter")
    again = losses_of(PeftModel.from_pretrained(plain(folder), tmp_path / "adapter").eval(), batch, mask)
    torch.testing.assert_close(again, ours.detach(), rtol=1e-5, atol=1e-5)


def plain(folder):
    return class_of(folder).from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def losses_of(model, batch, mask):
    logits = model(input_ids=batch.input_ids, attention_mask=mask, use_cache=False).logits
    rows = logits.flatten(0, 1).index_select(0, batch.sources).float()
    return functional.cross_entropy(rows, batch.targets, reduction="none")


def test_a_saved_adapter_has_the_same_losses_in_plain_peft(kind, folder, tmp_path):
    base = load_base(folder, "float32", CPU)
    batch, mask = ragged()
    with adapter(base, SETTINGS, 0) as adapted, torch.no_grad():
        for name, value in trainable(adapted).items():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.05, generator=torch.Generator().manual_seed(1))
        ours = base.token_losses(batch)
        save_adapter(adapted, tmp_path / "adapter")
    loaded = plain(folder)
    untouched = losses_of(loaded, batch, mask)
    again = losses_of(PeftModel.from_pretrained(loaded, tmp_path / "adapter").eval(), batch, mask)
    torch.testing.assert_close(again, ours, rtol=1e-5, atol=1e-5)
    assert (again - untouched).abs().max() > 1e-3, "the adapter does something"


def test_the_adapter_reaches_text_and_experts_and_leaves_routers_and_images_alone(kind, folder):
    base = load_base(folder, "float32", CPU)
    with adapter(base, SETTINGS, 0) as adapted:
        layers = {
            name: module
            for name, module in adapted.get_base_model().named_modules()
            if isinstance(module, LoraLayer)
        }
        inside = {id(module) for module in base.decoder.modules()}
    names = " ".join(layers)
    assert all(id(module) in inside for module in layers.values())
    assert not [name for name in layers if name.endswith((".gate", ".router"))]
    assert ("experts" in names) == (kind in MIXTURES)
    if kind in MIXTURES:
        adapted_weights = {module.parameter_name for name, module in layers.items() if ".experts" in name
                           if hasattr(module, "parameter_name")}  # fmt: skip
        into = "up_proj" if kind == "nemotron_h" else "gate_up_proj"  # whose experts have no gate
        assert adapted_weights == {into, "down_proj"}
        assert {module.r["default"] for module in layers.values()} == {4}, "experts have the rank of all"


def test_a_smaller_rank_is_the_first_rows_of_a_larger_one_in_experts_too(tmp_path):
    base = load_base(saved(KINDS["mixtral"](), tmp_path), "float32", CPU)
    drawn = {}
    for rank in (2, 4):
        with adapter(base, TrainingSettings(**{**SETTINGS.to_dict(), "lora_rank": rank}), 3) as adapted:
            name, weight = next(
                (name, value) for name, value in trainable(adapted).items() if "experts.lora_A" in name
            )
            drawn[rank] = weight.detach().clone().reshape(4, rank, -1)
    assert torch.equal(drawn[4][:, :2], drawn[2]), name


def test_experts_and_dropout_are_refused_together(tmp_path):
    base = load_base(saved(KINDS["gpt_oss"](), tmp_path), "float32", CPU)
    with_dropout = TrainingSettings(**{**SETTINGS.to_dict(), "lora_dropout": 0.1})
    refused = pytest.raises(ModelError, match=r"method.lora_dropout: fused experts.*use 0")
    with refused, adapter(base, with_dropout, 0):
        pass


def test_a_look_sees_what_training_adapts(kind, folder):
    seen = probe(folder)
    reach = load_base(folder, "float32", CPU).reach
    assert (seen.linear, seen.experts, seen.routers) == (reach.linear, reach.experts, reach.routers)
    assert kind in TRAINED


def test_dense_and_shared_layers_beside_experts_are_adapted(tmp_path):
    """PEFT takes their names for those that experts had in transformers 4."""
    reach = load_base(saved(KINDS["deepseek_v3"](), tmp_path), "float32", CPU).reach
    dense, shared = "model.layers.0.mlp.gate_proj", "model.layers.1.mlp.shared_experts.gate_proj"
    assert {dense, shared} <= set(reach.by_weight) <= set(reach.linear)
    assert reach.left == ()
    assert not {dense, shared} & set(reach.targets["target_modules"])


def test_what_is_plain_needs_no_look_and_keeps_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr(architectures, "_probed", None)
    plain = saved(KINDS["llama"](), tmp_path / "plain")
    assert look_at(plain) is None
    assert engine_version(plain) == "4"
    mixture, shared = (saved(KINDS[name](), tmp_path / name) for name in ("mixtral", "deepseek_v3"))
    assert engine_version(mixture) == "4, experts 2"
    assert engine_version(mixture, routed=True) == "4, experts 2, routers"
    assert engine_version(shared) == "4, experts 3"


def test_a_mixture_is_looked_at_once_and_told(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    mixture = saved(KINDS["deepseek_v3"](), tmp_path / "mixture")
    calls = []
    monkeypatch.setattr(architectures, "_probed", lambda path: calls.append(path) or probe(path))
    found = look_at(mixture)
    assert look_at(mixture) == found
    assert len(calls) == 1
    assert found.words.startswith("an adapter reaches q_a_proj (2 times), q_b_proj (2 times), ")
    assert "gate_up_proj (1 time: fused experts)" in found.words
    assert "gate_proj (2 times)" in found.words, "the dense layer's and the shared one's"
    assert found.words.endswith("; it leaves alone gate (1 time: routers)")
    asked = look_at(mixture, routed=True)
    assert len(calls) == 1
    assert asked.words.endswith("gate_up_proj (1 time: fused experts), down_proj (1 time: fused experts), "
                                "gate (1 time: routers)")  # fmt: skip


def test_an_unknown_architecture_is_refused_by_name_with_the_cause(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    strange = {"architectures": ["StrangeForCausalLM"], "model_type": "strange", "hidden_size": 8}
    (tmp_path / "config.json").write_text(json.dumps(strange))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"strange cannot be trained here \(transformers 5\S+ has no"):
        look_at(tmp_path)


@pytest.mark.parametrize(
    "name, architecture",
    [("ModernBertDecoderConfig", "ModernBertDecoderForCausalLM"), ("RobertaConfig", "RobertaForCausalLM")],
    ids=["layers behind the decoder", "an encoder"],
)
def test_what_computes_its_logits_by_more_than_a_matrix_is_refused_before_a_trial(
    name, architecture, tmp_path
):
    config(name, num_attention_heads=2, architectures=[architecture]).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"more than a matrix between its decoder and its logits"):
        probe(tmp_path)
