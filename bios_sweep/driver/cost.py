"""What a plan takes: from earlier trials where some were timed on such a device, else by arithmetic."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from bios_sweep.config.build import factors_of
from bios_sweep.driver.composing import composed
from bios_sweep.driver.evaluation import Pieces, operations_of, reference_operations
from bios_sweep.driver.memory import fitting_on, shape_of_plan
from bios_sweep.driver.precision import gpu_names
from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.driver.ways import tariff_of
from bios_sweep.engines.training.decoder_shape import Shape
from bios_sweep.engines.training.fitting import DEFAULT_MICRO_BATCH
from bios_sweep.engines.training.operations import Operations
from bios_sweep.execution.gpus import memory_of
from bios_sweep.execution.speed import DECODING, Speed, is_like, speed_of_cpu, speed_of_gpus
from bios_sweep.records.earlier import one_each, seconds_per_example
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
from bios_sweep.settings import TrainingSettings, what_learns
from bios_sweep.study.design import Study
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.vocabulary import Cheaper

FIRST_NIGHT, LEARNING_RATE = "first_night", "learning_rate"
LEAST_STEPS = 100  # below it the platform's default itself says that training is too short


def rate_of(prepared: Prepared) -> Rate | None:
    """A training example of the baseline; None where nothing was timed and the arithmetic lacks a number."""
    plan, request = prepared.plan, prepared.request
    names = _names(request) if request.trial_device == CUDA else None
    needs = _needs_of(plan, request)
    found = seconds_per_example(
        prepared.workspace,
        plan.study.scenario,
        lambda name: is_like(name, names),
        weight=one_each if needs is None else needs.weight,
    )
    if found is not None:
        return Rate(seconds_per_example=found[0], trials=found[1])
    return None if needs is None else _reckoned(needs)


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


def _beside_the_baseline(plan: Plan, request: Request) -> tuple[dict[tuple[str, bool], float], float]:
    """What a trial of each other method takes over the baseline's, and the reference in its examples.

    By operations, whatever the rate rests on; nothing where the model's sizes are not known.
    """
    needs = _needs_of(plan, request)
    if needs is None:
        return {}, 0.0
    alike = {what_learns(arm.settings): arm.settings for arm in plan.arms}
    alike.pop(what_learns(plan.study.baseline), None)
    return {key: needs.weight(settings) for key, settings in alike.items()}, needs.once


@dataclass(frozen=True, kw_only=True)
class _Needs:
    """What a plan's trials compute, by the model's shape."""

    plan: Plan
    shape: Shape
    speed: Speed
    pieces: Pieces
    baseline: Operations

    @property
    def one(self) -> float:
        """What one training example of the baseline takes, all of its trial included."""
        return self.as_training(self.baseline) / self.plan.baseline.examples()

    @property
    def once(self) -> float:
        """What the reference of pairs takes, in examples of the baseline."""
        return reference_operations(self.plan, self.shape) / self.one

    def weight(self, settings: TrainingSettings) -> float:
        """What an example takes where something else learns, in examples of the baseline.

        At the baseline's budget, so that it says only what the method changes.
        """
        base = self.plan.study.baseline
        if what_learns(settings) == what_learns(base):
            return 1.0
        budget = {name: getattr(base, name) for name in ("max_steps", "batch_size", "max_length")}
        asked = replace(settings, **budget)
        needed = operations_of(self.plan, self.shape, self.pieces, asked)
        return 1.0 if needed is None else self.as_training(needed) / self.as_training(self.baseline)

    def as_training(self, needed: Operations) -> float:
        """A trial's operations as time: decoding ones, and numbers moved, as training that takes as long."""
        once = needed.training + needed.evaluation
        return once + needed.decoding / DECODING + needed.moved * self.speed.moving


def _needs_of(plan: Plan, request: Request) -> _Needs | None:
    """None of what is not ours to train, and where a size, a speed or the tokens are not known."""
    shape = shape_of_plan(plan) if plan.study.scenario.engine == LORA_ENGINE else None
    speed = None if shape is None else _speed(plan, request)
    if shape is None or speed is None:
        return None
    pieces = _pieces(plan, request, speed)
    baseline = operations_of(plan, shape, pieces)
    if baseline is None:
        return None
    return _Needs(plan=plan, shape=shape, speed=speed, pieces=pieces, baseline=baseline)


def workers_of(request: Request) -> int:
    """Trials at a time; where GPUs train, by the GPUs. A cluster that is not joined yet is taken as one."""
    if not request.gpus_per_trial or request.executor == INLINE:
        return request.expected_workers
    if request.joins:
        return request.max_concurrent or 1
    fit = max(1, math.floor(len(gpu_names(request)) / request.gpus_per_trial + 1e-9))
    return min(fit, request.expected_workers)


def _reckoned(needs: _Needs) -> Rate:
    """By the model's shape and the device's rate."""
    speed = needs.speed
    return Rate(
        seconds_per_example=needs.one / speed.per_second,
        trials=0,
        basis=Basis(
            operations=needs.baseline.total + needs.baseline.moved * speed.moving,
            device=speed.name,
            dtype=needs.plan.study.baseline.dtype,
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


def _pieces(plan: Plan, request: Request, speed: Speed) -> Pieces:
    """How batches are cut: as the memory of a GPU has it, else as the user or the trainer does."""
    total = None if speed.peak is None else memory_of(speed.name)
    found = None if total is None else fitting_on(plan, request, total)
    if found is not None:
        return Pieces(size=found.micro_batch_size, twice=found.checkpointing)
    options = plan.study.scenario.engine_options
    return Pieces(
        size=options.get("micro_batch_size") or DEFAULT_MICRO_BATCH,
        twice=speed.peak is None and bool(options.get("activation_checkpointing")),
    )


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
        values = composed([f"sweeps={FIRST_NIGHT}"]).values
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
