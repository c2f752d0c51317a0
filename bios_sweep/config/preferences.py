"""What decides a study whose preference training itself varies, and what no study can compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.config.method import method_of
from bios_sweep.errors import ConfigError
from bios_sweep.method import Objective
from bios_sweep.study.preference import ACCURACY
from bios_sweep.study.scenario import Metric

OF_THE_LOSS = ("dpo_beta", "dpo_length_normalised")  # settings on which the scale of a loss depends
NO_FACTOR = ("objective", "method.objective")


def with_preferences(values: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The values with the metric that decides where a study asks about preference training; why, in words.

    A held-out loss has one beta, and prefers arms that trained near it; who is preferred depends on no beta.

    Raises:
        ConfigError: such a setting varies in supervised training, or by a loss; or the objective itself.
    """
    method, varied = method_of(values["method"]), _varied(values.get("sweeps") or {})
    for name in NO_FACTOR:
        if name in varied and not method.scripted:
            raise ConfigError(
                f"sweeps.factors.{name}: losses of two objectives are not of one kind; make a study of each, "
                "and compare by a score of answers, data.score"
            )
    _refuse_objectives(values.get("sweeps") or {})
    asked = [name for name in OF_THE_LOSS if name in varied]
    if not asked or method.scripted:
        return values, ()
    if method.objective is not Objective.DPO:
        raise ConfigError(
            f"sweeps.factors.{asked[0]}: is of preference training; add method=dpo, or leave it out"
        )
    metric, loss = values["method"].get("metric"), Metric().name
    if loss in _judged(values):
        raise ConfigError(
            f"decision.metrics: {loss} has one beta, and a level of {asked[0]} may lose by it alone; "
            f"leave {loss} out"
        )
    if metric == loss:
        raise ConfigError(
            f"method.metric: {loss} has one beta and prefers arms that trained near it, so it cannot decide "
            f"{asked[0]}; {ACCURACY} can, or a score of answers"
        )
    if metric is not None:
        return values, ()
    why = (
        f"{asked[0]} varies, so {ACCURACY} decides: a held-out loss has one beta and prefers arms that "
        "trained near it"
    )
    return {**values, "method": {**values["method"], "metric": ACCURACY}}, (why,)


def _judged(values: Mapping[str, Any]) -> set[str]:
    """Metrics that decide, or must not lose."""
    decision = values.get("decision") or {}
    guarded, several = decision.get("guardrails"), decision.get("metrics")
    named = (
        [one.get("name") for one in several if isinstance(one, Mapping)] if isinstance(several, list) else []
    )
    return {*map(str, guarded if isinstance(guarded, Mapping) else ()), *map(str, named)}


def _mapping(given: Any) -> Mapping[str, Any]:
    """What is no mapping is refused where it is read."""
    return given if isinstance(given, Mapping) else {}


def _varied(sweep: Mapping[str, Any]) -> set[str]:
    """Names of factors, of what is re-tuned inside them, and of moderators, the latter also with a group."""
    factors, cross = (_mapping(sweep.get(name)) for name in ("factors", "cross"))
    inside = [name for item in cross.values() if isinstance(item, Mapping) for name in item]
    factor_items = [one for one in factors.values() if isinstance(one, Mapping)]
    tuned = [
        name for one in factor_items if isinstance(one.get("nuisance"), Mapping) for name in one["nuisance"]
    ]
    moderators = (str(key).rpartition(".")[2] for key in cross)
    return {*map(str, factors), *map(str, tuned), *map(str, inside), *moderators}


def _refuse_objectives(sweep: Mapping[str, Any]) -> None:
    """Refuse `dpo` among the levels of `method`, which are of what is trained."""
    factors = sweep.get("factors")
    factor = factors.get("method") if isinstance(factors, Mapping) else None
    levels = factor.get("values") if isinstance(factor, Mapping) else None
    for level in levels if isinstance(levels, list) else ():
        if level in tuple(Objective):
            raise ConfigError(
                f"sweeps.factors.method: {level} is an objective, and losses of two objectives are not of "
                "one kind; make a study of each, and compare by a score of answers, data.score"
            )
