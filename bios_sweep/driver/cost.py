"""What a plan takes: from earlier trials where some were timed on such a device, else by arithmetic."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

from bios_sweep.config.build import factors_of
from bios_sweep.config.compose import compose_config
from bios_sweep.driver.evaluation import operations_of, reference_operations
from bios_sweep.driver.memory import fitting_on, shape_of_plan
from bios_sweep.driver.precision import gpu_names
from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.driver.ways import tariff_of
from bios_sweep.execution.gpus import memory_of
from bios_sweep.execution.speed import DECODING, Speed, is_like, speed_of_cpu, speed_of_gpus
from bios_sweep.records.earlier import seconds_per_example
from bios_sweep.report.content.plan_cost import (
    NIGHT,
    Basis,
    CheaperDesign,
    PlanCost,
    Prices,
    Rate,
    cheaper_design,
)
from bios_sweep.request import CUDA, INLINE, Request
from bios_sweep.study.design import Study
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.vocabulary import Cheaper

FIRST_NIGHT, LEARNING_RATE = "first_night", "learning_rate"
LEAST_STEPS = 100  # below it the platform's default itself says that training is too short


def rate_of(prepared: Prepared) -> Rate | None:
    """Seconds per training example; None where nothing was timed and the arithmetic lacks a number."""
    plan, request = prepared.plan, prepared.request
    names = _names(request) if request.trial_device == CUDA else None
    found = seconds_per_example(prepared.workspace, plan.study.scenario, lambda name: is_like(name, names))
    return _reckoned(plan, request) if found is None else Rate(seconds_per_example=found[0], trials=found[1])


def prices_of(prepared: Prepared, rate: Rate, workers: int) -> Prices:
    """What turns the training examples of a plan into hours and money."""
    request = prepared.request
    alone = (
        1.0 if prepared.plan.study.scenario.engine == LORA_ENGINE and request.trial_device == CUDA else 0.0
    )
    gpus = request.gpus_per_trial or alone
    weights, once = _beside_the_baseline(prepared.plan, request)
    return Prices(
        rate=rate, workers=workers, gpus=gpus, tariff=tariff_of(request), weights=weights, once=once
    )


def _beside_the_baseline(plan: Plan, request: Request) -> tuple[dict[str, float], float]:
    """What a trial of each other method takes over the baseline's, and the reference in its examples.

    By operations, whatever the rate rests on; nothing where the model's sizes are not known.
    """
    shape = shape_of_plan(plan) if plan.study.scenario.engine == LORA_ENGINE else None
    speed = None if shape is None else _speed(plan, request)
    if shape is None or speed is None:
        return {}, 0.0
    twice = _computed_twice(plan, request, speed)
    base = operations_of(plan, shape, twice=twice)
    if base is None:
        return {}, 0.0
    one = base.total / plan.baseline.examples()
    weights = {}
    for arm in plan.arms:
        of_arm = operations_of(plan, shape, twice=twice, settings=arm.settings)
        if arm.settings.method != plan.study.baseline.method and of_arm is not None:
            weights[arm.settings.method] = of_arm.total / arm.examples() / one
    return weights, reference_operations(plan, shape) / one


def workers_of(request: Request) -> int:
    """Trials at a time; where GPUs train, by the GPUs. A cluster that is not joined yet is taken as one."""
    if not request.gpus_per_trial or request.executor == INLINE:
        return request.expected_workers
    if request.joins:
        return request.max_concurrent or 1
    fit = max(1, math.floor(len(gpu_names(request)) / request.gpus_per_trial + 1e-9))
    return min(fit, request.expected_workers)


def _reckoned(plan: Plan, request: Request) -> Rate | None:
    """By the model's shape and the device's rate; None of what is not ours to train."""
    scenario = plan.study.scenario
    shape = shape_of_plan(plan) if scenario.engine == LORA_ENGINE else None
    speed = _speed(plan, request) if shape is not None else None
    if shape is None or speed is None:
        return None
    needed = operations_of(plan, shape, twice=_computed_twice(plan, request, speed))
    if needed is None:
        return None
    seconds = (needed.training + needed.evaluation + needed.decoding / DECODING) / speed.per_second
    return Rate(
        seconds_per_example=seconds / plan.baseline.examples(),
        trials=0,
        basis=Basis(
            operations=needed.total,
            device=speed.name,
            dtype=plan.study.baseline.dtype,
            peak=speed.peak,
            utilisation=speed.utilisation,
            per_second=speed.per_second,
        ),
    )


def _speed(plan: Plan, request: Request) -> Speed | None:
    if plan.study.scenario.engine_options["device"] != CUDA:
        return speed_of_cpu(request.cpus_per_trial)
    return speed_of_gpus(_names(request), plan.study.baseline.dtype, request.sharers)


def _names(request: Request) -> list[str]:
    """The kinds of GPU that trials may run on; a machine without any goes by the request."""
    return gpu_names(request) or ([request.accelerator_type] if request.accelerator_type else [])


def _computed_twice(plan: Plan, request: Request, speed: Speed) -> bool:
    if speed.peak is None:
        return bool(plan.study.scenario.engine_options.get("activation_checkpointing"))
    total = memory_of(speed.name)
    found = None if total is None else fitting_on(plan, request, total)
    return found is not None and found.checkpointing


def with_cheaper(cost: PlanCost, prepared: Prepared, finished: Collection[str], prices: Prices) -> PlanCost:
    """A long plan's cost with the designs that take less, the cheapest first."""
    if cost.most_hours <= NIGHT or prepared.invocation.called:
        return cost
    found = [
        _priced(kind, study, changes, prepared, finished, prices)
        for kind, study, changes in _designs(prepared)
    ]
    less = [one for one in found if one.hours < cost.most_hours]
    return replace(cost, cheaper=tuple(sorted(less, key=lambda one: one.hours)))


def _priced(
    kind: Cheaper,
    study: Study,
    changes: tuple[str, ...],
    prepared: Prepared,
    finished: Collection[str],
    prices: Prices,
) -> CheaperDesign:
    invocation = prepared.invocation
    if kind == Cheaper.FIRST_NIGHT:  # it says its own factors and looks
        invocation = invocation.without(["sweeps", "seeds", "decision.looks", "decision.confirmation_seeds"])
    command = invocation.replaced(changes).command
    return cheaper_design(kind, build_plan(study), changes, command, finished, prices)


def _designs(prepared: Prepared) -> Iterator[tuple[Cheaper, Study, tuple[str, ...]]]:
    """(what it is, the study, what to type for it)."""
    study = replace(prepared.asked.study, history=None)
    looks = study.decision.looks
    if len(looks) > 1 and looks[0] > 1:
        fewer = replace(
            study, seeds=study.seeds[: looks[0]], decision=replace(study.decision, looks=looks[:1])
        )
        given = prepared.config.values["seeds"] is not None
        listed = fewer.seeds if given else fewer.decision.looks
        key = "seeds" if given else "decision.looks"
        yield Cheaper.FEWER_LOOKS, fewer, (f"{key}=[{','.join(map(str, listed))}]",)
    if len(study.factors) > 1:
        names = [factor.name for factor in study.factors]
        first = LEARNING_RATE if LEARNING_RATE in names else names[0]
        staged = replace(study, factors=tuple(one for one in study.factors if one.name == first))
        yield Cheaper.STAGED, staged, tuple(f"~sweeps.factors.{name}" for name in names if name != first)
    if study.name != FIRST_NIGHT and LEARNING_RATE in [one.name for one in study.factors]:
        values = compose_config([f"sweeps={FIRST_NIGHT}"]).values
        rule = values["decision"]
        night = replace(
            study,
            factors=factors_of(values["sweeps"], study.baseline),
            cross=(),
            seeds=tuple(range(rule["looks"][-1])),
            decision=replace(
                study.decision,
                looks=tuple(rule["looks"]),
                confirmation_seeds=rule["confirmation_seeds"],
            ),
        )
        yield Cheaper.FIRST_NIGHT, night, (f"sweeps={FIRST_NIGHT}",)
    steps = study.baseline.max_steps // 2
    if steps >= LEAST_STEPS:
        shorter = replace(study, baseline=replace(study.baseline, max_steps=steps))
        yield Cheaper.FEWER_STEPS, shorter, (f"budget.max_steps={steps}",)
