"""What of the settings a model's experts cannot have: said by a plan and by a trial alike. Light."""

from __future__ import annotations

from bios_sweep.settings import DORA, ORTHOGONAL, QLORA, TrainingSettings


def not_on_experts(settings: TrainingSettings) -> str:
    """Why settings cannot be trained where experts are fused, with the way out; empty where they can.

    PEFT reaches fused experts by the names of their parameters, and has less for these.
    """
    if settings.lora_dropout:
        return "method.lora_dropout: fused experts, which this model has, have no dropout; use 0"
    if settings.method == DORA:
        return "method.trains=dora: fused experts, which this model has, have no DoRA; use lora or full"
    if settings.method == QLORA:
        return "method.trains=qlora: fused experts, which this model has, stay as they are; use lora"
    if settings.init == ORTHOGONAL:
        return "method.init=orthogonal: fused experts, which this model has, have none; use kaiming"
    return ""
