"""`method.dtype=auto`: float32 on CPUs, bfloat16 on GPUs that have it; decided once per study, for all arms.

What trials run on decides, and nothing else: `run` asks the workers' places, `plan` asks nobody. It knows
where trials train on CPUs, and where this machine's own GPUs, by their names, tell. A study that has begun
keeps what it began with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bios_sweep.checks import one_of
from bios_sweep.config.composed import Config
from bios_sweep.config.method import method_of
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.execution.gpus import find_gpus, peak_of
from bios_sweep.records.workspace import Workspace
from bios_sweep.request import CUDA, Request
from bios_sweep.settings import AUTO, BFLOAT16, DTYPES, FLOAT32
from bios_sweep.study.plan import Plan, build_plan

KEY = "method.dtype"
LIKELIEST = BFLOAT16  # of GPUs that nobody has asked: all that came since 2020 have it


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The number format of all arms. known: false while only the workers can tell. given: by the user."""

    dtype: str
    known: bool = True
    given: bool = False

    @property
    def note(self) -> str:
        """What to say where it is not known yet."""
        if self.known:
            return ""
        return (
            f"{KEY}=auto is not yet known: run asks the workers' GPUs and takes bfloat16 where all of them "
            f"have it, else float32; this plan reckons with {self.dtype}"
        )


def precision_of(values: Mapping[str, Any], request: Request) -> Precision:
    """What the configuration says, or what can be known of `auto` without asking a worker."""
    asked = values["method"]["dtype"]
    if one_of(KEY, asked, (AUTO, *DTYPES)) != AUTO:
        return Precision(dtype=asked, given=True)
    ours = values["model"]["kind"] != "planted" and not method_of(values["method"]).scripted
    if not ours or request.trial_device != CUDA:
        return Precision(dtype=FLOAT32)
    peaks = [peak_of(name) for name in gpu_names(request)]
    if not peaks or None in peaks:
        return Precision(dtype=LIKELIEST, known=False)
    return Precision(dtype=common_dtype([peak is not None and peak.bfloat16 is not None for peak in peaks]))


def gpu_names(request: Request) -> list[str]:
    """The GPUs that trials may run on, as far as this machine and the request tell."""
    if request.joins:  # Ray starts no trial on another kind
        return [request.accelerator_type] if request.accelerator_type else []
    return [gpu.name for gpu in find_gpus()]


def common_dtype(bfloat16: Sequence[bool]) -> str:
    """The format that all devices compute in; each tells whether it has bfloat16."""
    return BFLOAT16 if bfloat16 and all(bfloat16) else FLOAT32


def as_begun(
    plan: Plan, precision: Precision, workspace: Workspace, config: Config
) -> tuple[Plan, Precision]:
    """The plan as its sweep began: under the rule, and in the number format, of then."""
    decision, metric = plan.study.decision, plan.study.metric.name
    stated = any(word.lstrip("+").startswith("decision.purpose=") for word in config.overrides)
    rules = (decision, *decision.of_before(metric, stated=stated))
    dtypes = [precision.dtype]
    if not precision.given:
        dtypes += [dtype for dtype in (BFLOAT16, FLOAT32) if dtype != precision.dtype and _open(plan)]
    for dtype in dtypes:
        for rule in rules:
            earlier = with_dtype(replace(plan, study=replace(plan.study, decision=rule)), dtype)
            if workspace.has_plan(earlier.sweep_id):
                return earlier, replace(precision, dtype=dtype, known=True)
    return plan, precision


def _open(plan: Plan) -> bool:
    """Whether `auto` may have had another outcome: only our own trainer on a GPU chooses."""
    scenario = plan.study.scenario
    return scenario.engine == LORA_ENGINE and scenario.engine_options["device"] == CUDA


def with_dtype(plan: Plan, dtype: str) -> Plan:
    """The same study with all arms in that number format."""
    return build_plan(replace(plan.study, baseline=replace(plan.study.baseline, dtype=dtype)))
