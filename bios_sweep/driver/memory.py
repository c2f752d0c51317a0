"""Whether a study fits on a kind of GPU, and how: said by `plan`, by a run and by its preflight.

By the model of bytes alone; nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bios_sweep.defaults.rules import constant, lora_rank
from bios_sweep.driver.precision import precision_of
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.engines.training.data import ANSWERS
from bios_sweep.engines.training.decoder_shape import Shape, shape_of
from bios_sweep.engines.training.facts import read_config
from bios_sweep.engines.training.fitting import CONTEXT_BYTES, Fitting, fitting, room_on, sharers_on
from bios_sweep.engines.training.linear import linear_of
from bios_sweep.engines.training.load import FORMATS, Load
from bios_sweep.engines.training.memory import most_on_one, need_of
from bios_sweep.errors import ConfigError
from bios_sweep.execution.gpus import find_gpus, memory_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import AUTO, CUDA, Request, request_of
from bios_sweep.settings import ALL_LINEAR, DORA, FULL, LORA, QLORA, TrainingSettings
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.scenario import TRAIN

GIB = 1024**3
HEAVIER = (QLORA, LORA, DORA, FULL)  # each needs more than those before it


def load_of(plan: Plan) -> Load | None:
    """The most that an arm of the plan asks of a device; None where trials are not ours, or on CPUs."""
    scenario = plan.study.scenario
    if scenario.engine != LORA_ENGINE or scenario.engine_options["device"] != CUDA:
        return None
    settings = [arm.settings for arm in plan.arms]
    longest = [cut.longest for cut in scenario.data.cuts if cut.split == TRAIN]
    answers = 1 if scenario.data.preference is None else ANSWERS
    return Load(
        tokens=answers * max(longest or plan.max_lengths),
        sequences=answers,
        batch=max(one.batch_size for one in settings),
        rank=max(one.lora_rank or 1 for one in settings),
        dtype=plan.study.baseline.dtype,
        method=max((one.method for one in settings), key=HEAVIER.index),
        gpus=scenario.engine_options.get("gpus", 1),
        embeddings=any(one.embeddings for one in settings),
        targets=_widest(settings),
    )


def _widest(settings: Sequence[TrainingSettings]) -> str | None:
    """What all arms adapt; where they differ, all that an adapter may be put on."""
    asked = {one.targets for one in settings}
    return asked.pop() if len(asked) == 1 else ALL_LINEAR


def asked_load(plan: Plan) -> dict[str, Any]:
    """The engine's option that tells it the load, so that it cuts all trials on a kind of device alike."""
    load = load_of(plan)
    return {} if load is None else {"load": dict(vars(load))}


def shared_by_memory(plan: Plan, request: Request, cluster: Mapping[str, Any]) -> tuple[Plan, Request]:
    """With `cluster.gpus_per_trial=auto` as many trials on each GPU here as its memory holds.

    As it was where the GPUs or the model's sizes are not known, and where trials are not ours.
    """
    if cluster["gpus_per_trial"] != AUTO or request.joins:
        return plan, request
    load, sizes = load_of(plan), [memory_of(gpu.name) for gpu in find_gpus()]
    known = [size for size in sizes if size is not None]
    shape = None if load is None else shape_of_plan(plan)
    if load is None or shape is None or not known or None in sizes:
        return plan, request
    fit = min(sharers_on(shape, load, size, _asked(plan)) for size in known)
    # Ray fills a GPU before the next: where CPUs allow fewer trials than fit, all GPUs get some
    sharers = min(fit, -(-request.expected_workers // len(known)))
    scenario = plan.study.scenario
    options = {**scenario.engine_options, "sharers": sharers}
    shared = build_plan(replace(plan.study, scenario=replace(scenario, engine_options=options)))
    return shared, request_of(cluster, sharers)


def memory_notes(
    plan: Plan, request: Request, sizes: Mapping[str, int], *, begun: bool = False
) -> tuple[list[str], list[str]]:
    """(what fits, what does not) as sentences, per kind of GPU. sizes: name -> bytes of memory.

    begun: a run has opened the sweep before, so that what wastes GPUs is told and not refused.

    Raises:
        ConfigError: a new sweep gives a trial several GPUs, where one of any kind would hold it.
    """
    waste = _waste(plan, sizes)
    if waste and not begun:
        raise ConfigError(waste)
    fits, lacks = [], [waste] if waste else []
    for name, total in sizes.items():
        found = fitting_on(plan, request, total)
        if found is None:
            continue
        share = f", shared by {request.sharers}" if request.sharers > 1 else ""
        each = f"{request.gpus_per_trial:g} x " if request.gpus_per_trial > 1 else ""
        where, how = f"{each}{name} ({total / GIB:.0f} GiB{share})", _how(found)
        gib = f"{abs(found.spare) / GIB:.1f} GiB"
        if found.fits:
            fits.append(f"memory, reckoned: a trial fits on {where} {how}; {gib} are left")
            continue
        more = "take more of a GPU per trial (cluster.gpus_per_trial), or " if request.sharers > 1 else ""
        lacks.append(
            f"memory, reckoned: a trial does not fit on {where}, even {how}: {gib} are missing; {more}take a "
            "larger GPU, a smaller method.max_length or a smaller model"
        )
    return fits, lacks


def has_begun(plan: Plan, workspace: Workspace) -> bool:
    """Whether a run has opened the plan's sweep before."""
    return workspace.journal_file(plan.sweep_id).exists()


def _waste(plan: Plan, sizes: Mapping[str, int]) -> str:
    """What to say where trials take several GPUs and one of every kind would hold them; else nothing."""
    load = load_of(plan)
    shape = None if load is None or load.gpus == 1 or not sizes else shape_of_plan(plan)
    if load is None or shape is None:
        return ""
    name, total = min(sizes.items(), key=lambda kind: kind[1])  # what holds it there, the larger hold, too
    if not fitting(shape, replace(load, gpus=1), room_on(total, 1), **_asked(plan)).fits:
        return ""
    return (
        f"cluster.gpus_per_trial={load.gpus}: a trial fits on one {name} ({total / GIB:.0f} GiB); "
        "several would compute one after another for it; take cluster.gpus_per_trial=1, "
        f"so that {load.gpus} trials train where one would"
    )


def _how(found: Fitting) -> str:
    examples = f"{found.micro_batch_size} example{'' if found.micro_batch_size == 1 else 's'} at a time"
    return f"with activation checkpointing and {examples}" if found.checkpointing else f"with {examples}"


def fitting_on(plan: Plan, request: Request, total: int) -> Fitting | None:
    """How a trial is cut on a GPU of so many bytes; None where the model's sizes are not known."""
    load = load_of(plan)
    shape = None if load is None else shape_of_plan(plan)
    if load is None or shape is None:
        return None
    return fitting(shape, load, room_on(total, request.sharers), **_asked(plan))


def least_bytes(plan: Plan, request: Request) -> int:
    """What trials need of each GPU at the very least: one example each, with checkpointing."""
    load = load_of(plan)
    if load is None:
        return 0
    shape = shape_of_plan(plan)
    if shape is None:
        return weights_bytes(plan.study.scenario.model.parameters or 0, request)
    need = most_on_one(shape, load, need_of(shape, load, 1, checkpointing=True))
    return int(request.sharers * (CONTEXT_BYTES + need))


def least_of_a_trial(
    values: Mapping[str, Any], request: Request, config: Mapping[str, Any], parameters: int
) -> int:
    """What one trial needs of its device at the very least, before a plan is made: one example at a time.

    values: the configuration's. config, parameters: the model's. Levels of a sweep may need more; on CPUs
    layers are computed twice only where that is asked for, and full fine-tuning keeps the base a second time.
    """
    method, rank = values["method"], values["baseline"]["lora_rank"]
    trains = method.get("trains") or LORA
    length = method["max_length"]
    load = Load(
        tokens=constant("max_length").value if length == AUTO else length,
        batch=1,
        rank=lora_rank().value if rank in (AUTO, None) else rank,
        dtype=precision_of(values, request).dtype,
        method=trains,
        embeddings=bool(method.get("embeddings")),
        targets=method.get("targets"),
    )
    shape = shape_of(config, parameters)
    if shape is None:
        return parameters * FORMATS[load.dtype]
    beside = 0 if request.trial_device == CUDA or trains != FULL else parameters * FORMATS[load.dtype]
    twice = method.get("activation_checkpointing", AUTO)
    saving = request.trial_device == CUDA if twice == AUTO else bool(twice)
    return beside + need_of(shape, load, 1, checkpointing=saving).total


def weights_bytes(parameters: int, request: Request) -> int:
    """What is known of that where only the model is: the weights in two bytes each."""
    return int(request.sharers * (CONTEXT_BYTES + parameters * 2))


def shape_of_plan(plan: Plan) -> Shape | None:
    """The sizes of a model of files; None where its config.json lacks one that everything hangs on."""
    model, attention = plan.study.scenario.model, plan.study.scenario.engine_options.get("attention")
    config = read_config(Path(model.path))
    return shape_of(config, model.parameters, linear_of(Path(model.path), config), attention)


def _asked(plan: Plan) -> dict[str, Any]:
    """What the user gave of it."""
    options = plan.study.scenario.engine_options
    return {
        "micro_batch_size": options["micro_batch_size"],
        "checkpointing": options.get("activation_checkpointing"),
    }
