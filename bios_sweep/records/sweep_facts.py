"""What the journal says of its study, so that its readers need no plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bios_sweep.study.plan import Plan

OF_THE_MODEL = ("name", "fingerprint", "family", "hidden_size")
OF_THE_DATA = ("name", "source", "fingerprint", "evaluation_fingerprint", "train_examples", "eval_examples")


def sweep_facts(plan: Plan) -> dict[str, Any]:
    """What a reader of the journal must know of the study, as plain values; no paths, no options."""
    study = plan.study
    model, data = study.scenario.model, study.scenario.data
    return {
        "sweep_id": plan.sweep_id,
        "name": study.name,
        "question": study.question,
        "metric": study.metric.name,
        "direction": study.metric.direction,
        "baseline": study.scenario.told(study.baseline.by_name()),
        "told": sorted({name for arm in plan.arms for name in study.scenario.told(arm.settings.by_name())}),
        "seeds": list(study.seeds),
        "decision": {**asdict(study.decision), "looks": list(study.decision.looks)},
        "budget": asdict(study.budget),
        "scenario": study.scenario.name,
        "method": study.scenario.method.trains if study.scenario.known else None,
        **study.scenario.method.identity(),
        "model": {name: getattr(model, name) for name in OF_THE_MODEL},
        "data": {name: getattr(data, name) for name in OF_THE_DATA},
        "arms": {arm.name: {"factor": arm.factor, "level": arm.level} for arm in plan.arms},
    }
