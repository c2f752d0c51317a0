"""What a new study must not ask: a factor whose levels change nothing. Old ones are read as they are."""

from __future__ import annotations

from bios_sweep.claims import REPEAT
from bios_sweep.errors import PlanError
from bios_sweep.settings import FULL, LORA, REFERENCE_RANK, TrainingSettings, alpha_at, key_of
from bios_sweep.study.factors import Factor
from bios_sweep.study.levels import METHOD, at_level
from bios_sweep.study.plan import Plan

ALPHA_RULE = "alpha_rule"


def require_asking(plan: Plan) -> None:
    """Refuse a factor whose levels are all the baseline's, in every cell, whatever is re-tuned inside them.

    Its re-tuned arms would hold the default against itself. Alpha rules are alike at the reference rank, so
    a study of them needs another: a factor of the rank moves none of their arms. What a script makes of an
    alpha rule is its own.

    Raises:
        PlanError: with the way out.
    """
    baselines = [cell.study.baseline for cell in plan.cells] or [plan.study.baseline]
    for factor in plan.study.factors:
        if factor.name == REPEAT:
            continue
        if not any(_other_values(factor, baseline) for baseline in baselines):
            raise PlanError(_nothing_differs(factor, plan.study.baseline))
        if factor.name != ALPHA_RULE or plan.study.scenario.method.scripted:
            continue
        if not any(_other_alphas(factor, baseline) for baseline in baselines):
            rank = plan.study.baseline.lora_rank
            raise PlanError(
                f"factor {ALPHA_RULE}: at rank {rank} every level has the baseline's "
                f"alpha; choose baseline.lora_rank other than {REFERENCE_RANK}, or cross it with lora_rank"
            )


def _at_levels(factor: Factor, baseline: TrainingSettings) -> list[TrainingSettings]:
    return [at_level(baseline, {factor.name: value}) for _, value in factor.levels(baseline)]


def _other_values(factor: Factor, baseline: TrainingSettings) -> bool:
    return any(settings != baseline for settings in _at_levels(factor, baseline))


def _other_alphas(factor: Factor, baseline: TrainingSettings) -> bool:
    return any(alpha_at(settings) != alpha_at(baseline) for settings in _at_levels(factor, baseline))


def _nothing_differs(factor: Factor, baseline: TrainingSettings) -> str:
    start = getattr(baseline, factor.name)
    way = f"give a level other than {start}"
    if factor.name == METHOD:
        other = FULL if start == LORA else LORA
        way = f"choose {key_of(METHOD)}={other} for the baseline, or sweeps.factors.method.values=[{other}]"
    return f"factor {factor.name}: no level differs from the baseline's {start}; {way}"
