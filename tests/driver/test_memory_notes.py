"""`plan` says for each kind of GPU whether a trial fits, fits with checkpointing, or not, by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bios_sweep.config.compose import compose_config
from bios_sweep.driver import memory as memory_module
from bios_sweep.driver import precision as precision_module
from bios_sweep.driver.gpus import Offer, sizes_of
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.memory import asked_load, fitting_on, has_begun, least_bytes, load_of, memory_notes
from bios_sweep.driver.prepare import Prepared, prepare_config
from bios_sweep.driver.sweep import Sweep, open_journal
from bios_sweep.engines.training.decoder_shape import shape_of
from bios_sweep.engines.training.fitting import fitting, room_on, sharers_on
from bios_sweep.engines.training.load import Load
from bios_sweep.errors import ConfigError
from bios_sweep.execution.gpus import Gpu, memory_of

GIB = 1024**3
LLAMA_1B = {
    "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
WORDS = ("sweeps=capacity", "seeds=[0]", "tracking=none", "method.dtype=bfloat16")


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A plan for the embedded model's shapes, as if it had two billion parameters."""
    monkeypatch.chdir(tmp_path)

    def plan(*words: str) -> Prepared:
        made = prepare_config(compose_config([*WORDS, *words]), Invocation(verb="plan"))
        study = made.plan.study
        model = replace(study.scenario.model, parameters=2_000_000_000)
        scenario = replace(study.scenario, model=model)
        return replace(made, plan=replace(made.plan, study=replace(study, scenario=scenario)))

    return plan


def test_each_kind_of_gpu_is_told_with_how_and_by_how_much(prepared):
    shared = prepared("cluster=local_gpu")
    sizes = {"H100": 76 * GIB, "L4": 8 * GIB}
    [fit], [lack] = memory_notes(shared.plan, shared.request, sizes)
    assert fit == (
        "memory, reckoned: a trial fits on H100 (76 GiB, shared by 2) with 64 examples at a time; "
        "29.8 GiB are left"
    )
    assert lack.startswith(
        "memory, reckoned: a trial does not fit on L4 (8 GiB, shared by 2), even with activation "
        "checkpointing and 1 example at a time: 0."
    )
    assert "GiB are missing; take more of a GPU per trial (cluster.gpus_per_trial), or take a larger" in lack
    alone = prepared("cluster=local_gpu", "cluster.gpus_per_trial=1")
    assert memory_notes(alone.plan, alone.request, {"L4": 8 * GIB})[1] == []


def test_several_gpus_are_refused_where_one_holds_a_trial_and_counted_by_share_where_not(prepared):
    one, two = (prepared("cluster=local_gpu", f"cluster.gpus_per_trial={count}") for count in (1, 2))
    assert two.plan.study.scenario.engine_options["gpus"] == 2
    assert "gpus" not in one.plan.study.scenario.engine_options
    with pytest.raises(
        ConfigError, match=r"fits on one H100 \(76 GiB\).*take cluster.gpus_per_trial=1, so that 2"
    ):
        memory_notes(two.plan, two.request, {"H100": 76 * GIB})
    assert memory_notes(one.plan, one.request, {"H100": 76 * GIB})[1] == []
    mixed = {"H100": 76 * GIB, "L4": int(4.6 * GIB)}
    assert len(memory_notes(two.plan, two.request, mixed)[0]) == 2, "the smaller kind needs both"
    assert memory_notes(two.plan, two.request, {}) == ([], [])
    small = {"L4": int(4.6 * GIB)}
    assert "does not fit on L4" in memory_notes(one.plan, one.request, small)[1][0]
    assert (
        "a trial fits on 2 x L4 (5 GiB) with 64 examples" in memory_notes(two.plan, two.request, small)[0][0]
    )
    assert "does not fit on 2 x L4" in memory_notes(two.plan, two.request, {"L4": 2 * GIB})[1][0]
    assert least_bytes(two.plan, two.request) < 0.6 * least_bytes(one.plan, one.request)


def test_a_sweep_that_has_begun_with_several_gpus_goes_on_and_is_told(prepared):
    two = prepared("cluster=local_gpu", "cluster.gpus_per_trial=2")
    assert not has_begun(two.plan, two.workspace)
    with open_journal(Sweep(plan=two.plan, workspace=two.workspace, invocation=two.invocation)):
        pass
    begun = has_begun(two.plan, two.workspace)
    fits, [told] = memory_notes(two.plan, two.request, {"H100": 76 * GIB}, begun=begun)
    assert len(fits) == 1
    assert told.startswith("cluster.gpus_per_trial=2: a trial fits on one H100 (76 GiB)")


def test_less_room_takes_smaller_pieces(prepared):
    made = prepared("cluster=local_gpu", "cluster.gpus_per_trial=1")
    rooms = [int(gib * GIB) for gib in (4.9, 5.0, 5.1, 5.3, 6.0)]
    found = [fitting_on(made.plan, made.request, room) for room in rooms]
    sizes = [one.micro_batch_size for one in found if one is not None]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == 64
    chosen = prepared("method.micro_batch_size=32", "cluster=local_gpu", "cluster.gpus_per_trial=1")
    assert fitting_on(chosen.plan, chosen.request, 76 * GIB).micro_batch_size == 32


def test_trials_on_cpus_hear_nothing_and_are_cut_as_ever(prepared):
    made = prepared("cluster=inline")
    assert (load_of(made.plan), asked_load(made.plan)) == (None, {})
    assert memory_notes(made.plan, made.request, {"H100": 76 * GIB}) == ([], [])
    options = made.plan.study.scenario.engine_options
    assert options["micro_batch_size"] == 16
    assert "activation_checkpointing" not in options


def test_the_trainer_is_told_the_most_that_any_arm_asks(prepared):
    made = prepared("cluster=local_gpu")
    ranks = [arm.settings.lora_rank for arm in made.plan.arms]
    load = asked_load(made.plan)["load"]
    assert load["rank"] == max(ranks) > made.plan.study.baseline.lora_rank
    assert made.plan.study.scenario.engine_options["micro_batch_size"] is None
    least = least_bytes(made.plan, made.request)
    assert 2 * 2 * 2e9 < least < 2 * 2 * 2e9 + 2 * GIB, "two trials, each with its weights in bfloat16"


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("NVIDIA H100 80GB HBM3", 76), ("NVIDIA A100-SXM4-40GB", 38), ("NVIDIA A100-PCIE-80GB", 76),
        ("NVIDIA L4", 22.8), ("Tesla V100-SXM2-32GB", 30.4), ("Tesla T4", 15.2),
    ],
)  # fmt: skip
def test_a_name_tells_how_much_memory_there_is(prepared, name, gib):
    size = memory_of(name)
    assert size is not None
    assert size / GIB == pytest.approx(gib)
    offer = Offer(names=(name, "NVIDIA Z999"), nodes=())
    assert sizes_of(offer, prepared("cluster=local_gpu").request) == {name: size}


@pytest.mark.parametrize(("name", "sharers"), [("NVIDIA H100 80GB HBM3", 8), ("NVIDIA Z999", 2), (None, 2)])
def test_local_gpu_has_as_many_trials_share_a_gpu_as_its_memory_holds(prepared, monkeypatch, name, sharers):
    found = () if name is None else (Gpu(name=name), Gpu(name=name))
    for module in (memory_module, precision_module):
        monkeypatch.setattr(module, "find_gpus", lambda *_: found)
    many = ("cluster=local_gpu", "cluster.num_cpus=64")
    made = prepared(*many)
    assert made.request.sharers == sharers
    assert made.plan.study.scenario.engine_options["sharers"] == sharers
    if sharers > 2:
        fewer = prepared("cluster=local_gpu", "cluster.num_cpus=12")
        assert fewer.request.sharers == 3, "six trials by their CPUs, on two GPUs"
    own = prepared(*many, "cluster.gpus_per_trial=0.25")
    assert own.request.sharers == 4
    assert made.plan.sweep_id == own.plan.sweep_id, "how trials are placed is no part of what they are"


def test_trials_share_a_gpu_as_long_as_none_is_cut_finer():
    shape = shape_of(LLAMA_1B, 1_235_814_400)
    load = Load(tokens=512, batch=16, rank=16, dtype="bfloat16")
    shares = [sharers_on(shape, load, gib * GIB, {}) for gib in (4, 16, 40, 80, 180)]
    assert shares == sorted(shares)
    assert shares[0] == 1 < shares[3] <= 8
    for gib, count in zip((40, 80), shares[2:4], strict=True):
        alone, shared, more = (fitting(shape, load, room_on(gib * GIB, n)) for n in (1, count, count + 1))
        assert replace(shared, spare=0) == replace(alone, spare=0)
        assert not more.fits or more.micro_batch_size < alone.micro_batch_size
