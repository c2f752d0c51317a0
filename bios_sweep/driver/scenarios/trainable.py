"""Whether our own training can train every arm of a plan, said before anything starts."""

from __future__ import annotations

from pathlib import Path

from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.engines.training.architectures import look_at
from bios_sweep.engines.training.facts import read_config
from bios_sweep.engines.training.four_bit import why_not
from bios_sweep.engines.training.linear import linear_of
from bios_sweep.engines.training.possible import not_on_experts
from bios_sweep.engines.training.targets import KEY, chosen
from bios_sweep.errors import ConfigError
from bios_sweep.settings import ALL_LINEAR, FULL, QLORA, TrainingSettings
from bios_sweep.study.plan import Plan

LEAST_GIB = 0.1  # that anybody should hear of; chosen


def require_trainable(plan: Plan) -> None:
    """Refuse targets that reach nothing, what fused experts cannot have, and four bits without bitsandbytes.

    Raises:
        ConfigError: of the first such arm of the plan.
        ModelError: the architecture cannot be trained here.
    """
    scenario = plan.study.scenario
    adapted = [arm for arm in plan.arms if arm.settings.method != FULL]
    if scenario.engine != LORA_ENGINE or not adapted:
        return
    if any(arm.settings.method == QLORA for arm in adapted) and (reason := why_not()):
        raise ConfigError(reason)
    folder = Path(scenario.model.path)
    found = look_at(folder, routed=bool(scenario.engine_options.get("routers")))
    some = any(arm.settings.targets != ALL_LINEAR for arm in adapted)
    experts = () if found is None else tuple(found.experts)
    names = (_names(folder) if some else ()) if found is None else (*found.linear, *experts)
    for arm in adapted:
        key = "sweeps.factors.targets" if arm.factor == "targets" else KEY
        reached = chosen(names, str(arm.settings.targets), key) if names else ()
        reason = not_on_experts(arm.settings) if set(experts) & set(reached) else ""
        if reason:
            raise ConfigError(reason)


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(one.name for one in linear_of(folder, read_config(folder)))


def disk_notes(plan: Plan) -> tuple[str, ...]:
    """What full fine-tuning leaves until the sweep ends: a model a trial."""
    scenario = plan.study.scenario
    whole = [trial for trial in plan.trials if trial.settings.method == FULL]
    if scenario.engine != LORA_ENGINE or not whole or not scenario.model.parameters:
        return ()
    gib = sum(_bytes(trial.settings, scenario.model.parameters) for trial in whole) / 1024**3
    if gib < LEAST_GIB:
        return ()
    return (
        f"full fine-tuning leaves a model per trial, {gib:.1f} GiB for {len(whole)} trials, until the sweep "
        "ends and keeps those of the recommended arm (budget.keep_adapters)",
    )


def _bytes(settings: TrainingSettings, parameters: int) -> int:
    return parameters * (4 if settings.dtype == "float32" else 2)
