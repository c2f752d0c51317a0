"""What the journal says of its study, so that its readers need no plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bios_sweep.study.plan import Plan


def sweep_facts(plan: Plan) -> dict[str, Any]:
    """What a reader of the journal must know of the study, as plain values; no paths, no options."""
    study = plan.study
    data = study.scenario.data
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
        "model": {
            "name": study.scenario.model.name,
            "fingerprint": study.scenario.model.fingerprint,
            "family": study.scenario.model.family,
            "hidden_size": study.scenario.model.hidden_size,
        },
        "data": {
            "name": data.name,
            "source": data.source,
            "fingerprint": data.fingerprint,
            "evaluation_fingerprint": data.evaluation_fingerprint,
            "train_examples": data.train_examples,
            "eval_examples": data.eval_examples,
        },
        "arms": {arm.name: {"factor": arm.factor, "level": arm.level} for arm in plan.arms},
    }
