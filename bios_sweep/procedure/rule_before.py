"""A rule that was changed once results were seen: the same trials under the rule of before. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bios_sweep.procedure.looks import BY_PURPOSE, KEPT
from bios_sweep.study.companions import Companion
from bios_sweep.study.margins import STANDARD, margins_of
from bios_sweep.study.plan import Plan, build_plan


def under_the_rule_before(plan: Plan) -> Plan | None:
    """The same trials under the rule that was changed after they were seen; None where none was."""
    study, history = plan.study, plan.study.history
    known = [factor for factor in history.factors if factor.changed] if history else []
    if history is None or not known:
        return None
    before = {key: value for factor in reversed(known) for key, value in factor.rule.items()}
    direction, alpha, margin = (before.pop(key) for key in ("direction", "alpha", "margin"))
    margins: dict[str, Any] = margins_of(STANDARD, study.metric.name, {} if margin == BY_PURPOSE else margin)
    kept = tuple(map(Companion.from_dict, before.pop(KEPT, ()))) or None
    before = {key: value for key, value in before.items() if hasattr(study.decision, key)}
    alpha = study.decision.alpha * alpha / history.alpha
    rule = replace(study.decision, **before, **margins, alpha=alpha, guardrails={}, companions=kept)
    told = replace(history, factors=tuple(replace(factor, changed=()) for factor in history.factors))
    metric = replace(study.metric, direction=direction)
    return build_plan(replace(study, decision=rule, metric=metric, history=told))
