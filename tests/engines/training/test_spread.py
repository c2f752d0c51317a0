"""A base over several devices: who holds what, activations that follow, and the numbers of one device."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
import transformers

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.fit import decoder_layers, recomputed
from bios_sweep.engines.training.fitting import fitting, room_on
from bios_sweep.engines.training.load import Load
from bios_sweep.engines.training.memory import most_on_one, need_of
from bios_sweep.engines.training.model import class_of, decoder_of, load_base
from bios_sweep.engines.training.placement import fullest, placed, shares
from bios_sweep.engines.training.spread import empty_model, follow, places_of
from bios_sweep.errors import ModelError

CPU, META = torch.device("cpu"), torch.device("meta")
MODEL = base_model_path()
GIB = 1024**3
LLAMA_70B = {
    "model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
    "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip


def worst(layers, rest, rooms, places):
    return max(s / room for s, room in zip(shares(layers, rest, places, len(rooms)), rooms, strict=True))


def test_layers_stay_in_order_and_no_other_cut_leaves_the_fullest_gpu_emptier():
    draw = random.Random(0)
    for _ in range(60):
        layers = [draw.randint(1, 20) for _ in range(draw.randint(1, 7))]
        rooms = [draw.randint(5, 30) for _ in range(draw.randint(1, 4))]
        rest = draw.randint(0, 30)
        found = placed(layers, rest, rooms)
        assert list(found) == sorted(found)
        ordered = (
            way
            for way in itertools.product(range(len(rooms)), repeat=len(layers))
            if list(way) == sorted(way)
        )
        best = min(worst(layers, rest, rooms, way) for way in ordered)
        assert worst(layers, rest, rooms, found) == pytest.approx(best)


def test_what_lies_beside_the_layers_makes_room_for_fewer_of_them_on_the_first_gpu():
    assert placed([1] * 8, 0, [1, 1]) == (0, 0, 0, 0, 1, 1, 1, 1)
    assert placed([1] * 8, 4, [1, 1]) == (0, 0, 1, 1, 1, 1, 1, 1)
    assert placed([1] * 8, 100, [1, 1, 1]).count(0) == 0
    assert fullest([1] * 8, 4, 2) == 6
    with pytest.raises(ValueError, match="no GPU"):
        placed([1], 0, [])


@pytest.fixture(scope="module")
def empty():
    model = empty_model(MODEL, class_of(MODEL), torch.float32)
    return model, decoder_of(model)


def test_a_map_covers_every_weight_once_and_reads_none(empty):
    model, decoder = empty
    assert {value.device for value in model.parameters()} == {META}
    found = places_of(model, decoder, [CPU, META], [1, 1])
    for name, _ in model.named_parameters():
        assert sum(name.startswith(f"{module}.") or name == module for module in found) == 1
    layers = [name for name in found if ".layers." in name]
    assert [found[name] for name in layers] == sorted((found[name] for name in layers), key=str)
    assert {found[name] for name in found if name not in layers} == {CPU}
    assert {found[name] for name in layers} == {CPU, META}


def loaded(places=None):
    mapped = {"device_map": dict(places)} if places else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, **mapped)
    if places:
        follow(model, places)
    return model.eval()


def test_a_spread_base_gives_the_logits_and_gradients_of_one_device(empty):
    """On CPUs all places are one; loading by a map, the hooks, and recomputed layers below them are not."""
    places = places_of(*empty, [CPU, CPU], [1, 1])
    alone, spread = loaded(), loaded(places)
    ids = torch.arange(24).reshape(2, 12)
    results = []
    for model in (alone, spread):
        with recomputed(decoder_of(model), active=lambda: True):
            logits = model(input_ids=ids, use_cache=False).logits
            logits.square().mean().backward()
        results.append((logits.detach(), [value.grad for value in model.parameters()]))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.equal(*pair) for pair in zip(results[0][1], results[1][1], strict=True))


def test_activations_follow_to_the_device_of_their_layer():
    """Nothing comes back from the meta device, so what is behind the layers lies there too."""

    def halved(*, follows):
        model = loaded()
        decoder = decoder_of(model)
        behind = [*decoder_layers(decoder)[1:], decoder.norm]
        for module in behind:
            module.to(META)
        names = {id(module): name for name, module in model.named_modules()}
        if follows:
            follow(model, {names[id(module)]: META for module in behind})
        return decoder

    ids = torch.zeros(1, 5, dtype=torch.long)
    hidden = halved(follows=True)(input_ids=ids, use_cache=False).last_hidden_state
    assert (hidden.device, hidden.shape[:2]) == (META, (1, 5))
    with pytest.raises(RuntimeError, match="device"):
        halved(follows=False)(input_ids=ids, use_cache=False)


def test_a_worker_that_sees_fewer_gpus_is_told():
    with pytest.raises(ModelError, match="this worker sees 0 GPUs"):
        load_base(MODEL, "float32", CPU, gpus=2)


def test_a_base_too_large_for_one_gpu_is_counted_by_the_share_of_each():
    shape = shape_of(LLAMA_70B, 70_553_706_496)
    one = Load(tokens=1024, batch=32, rank=32, dtype="bfloat16")
    room = room_on(80 * GIB, 1)
    assert not fitting(shape, one, room).fits
    two, four = (Load(**{**vars(one), "gpus": count}) for count in (2, 4))
    assert fitting(shape, two, room).checkpointing
    assert fitting(shape, two, room).fits
    assert fitting(shape, four, room).micro_batch_size > fitting(shape, two, room).micro_batch_size
    need = need_of(shape, four, 1, checkpointing=True)
    assert need.total / 4 <= most_on_one(shape, four, need) < need.total / 3
    assert most_on_one(shape, one, need) == need.total
