"""`recommend()`: a model, a method and a data set become settings that say why."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bios_sweep.checks import one_of
from bios_sweep.defaults import rules
from bios_sweep.defaults.model_config import ModelShape, model_shape
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import to_json
from bios_sweep.method import Objective
from bios_sweep.settings import (
    ALPHA_RULES,
    FULL,
    KNOWN,
    LORA_SETTINGS,
    METHODS,
    NO_ADAPTER,
    TrainingSettings,
    setting_names,
)
from bios_sweep.vocabulary import Goal

SUPERVISED = "supervised"
PREFERENCE = "preference"
TRAINING = {Objective.SFT: SUPERVISED, Objective.DPO: PREFERENCE}  # a method's objective -> the word here
OBJECTIVES = tuple(TRAINING.values())
SHIPPED_RULES = "shipped heuristics"
# What a user decides; the other settings are constants that are shown on request.
MAIN_SETTINGS = ("learning_rate", "batch_size", "lora_rank", "max_steps")
RULED = {*MAIN_SETTINGS, "method"}  # settings whose value follows from facts
OWN = {"does": "A script's own: only that script knows what it does.", "when_to_change": ""}
TOLD = ("goal", "heuristics", "objective", "preference_beta", "source", "searched", "distance", "judged_on")


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Recommended settings with the reason for each, and what they were derived from.

    why: setting -> `Why`, for every setting. warnings: extrapolations and doubts, one sentence each;
    show them, they are what keeps a guess from passing for a default. doubts: setting -> those that are
    about its value alone. heuristics: version of the rules.
    preference_beta: strength of the pull towards the reference model, in preference training alone.
    source: which source won (the shipped heuristics, or where tuned defaults were found); searched: the
    places that were looked through for tuned defaults; distance: how far the model of the tuned values is;
    judged_on: the metric behind tuned values, and which way it is better.
    """

    settings: TrainingSettings
    why: Mapping[str, rules.Why]
    warnings: tuple[str, ...]
    shape: ModelShape
    goal: str
    heuristics: str
    objective: str = SUPERVISED
    preference_beta: float | None = None
    source: str = SHIPPED_RULES
    searched: tuple[str, ...] = ()
    distance: str = ""
    judged_on: str = ""
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def learning_rate(self) -> float:
        """Peak of the schedule."""
        return self.settings.learning_rate

    @property
    def batch_size(self) -> int:
        """Examples per optimizer step."""
        return self.settings.batch_size

    @property
    def lora_rank(self) -> int | None:
        """Rank of the adapter; None for full fine-tuning, which has none."""
        return self.settings.lora_rank

    @property
    def max_steps(self) -> int:
        """Optimizer steps."""
        return self.settings.max_steps

    def to_dict(self) -> dict[str, Any]:
        """Plain values: every setting by its canonical name, `why` per setting, and the rest beside them."""
        why = {name: self.why[name] for name in self.settings.by_name() if name in self.why}
        shape = {name: getattr(self.shape, name) for name in ("family", "hidden_size", "origin")}
        rest = {name: getattr(self, name) for name in TOLD}
        told = {"why": why, "warnings": self.warnings, **shape, **rest}
        return {**self.settings.to_dict(), **to_json(told)}


def recommend(
    model: str | os.PathLike[str] | None = None,
    *,
    method: str = "lora",
    examples: int | None = None,
    tokens: int | None = None,
    goal: str = Goal.BALANCED,
    family: str | None = None,
    hidden_size: int | None = None,
    objective: str = SUPERVISED,
    alpha_rule: str = ALPHA_RULES[0],
) -> Recommendation:
    """Default settings for a model and a data set, each with its reason.

    model: a folder with config.json, an id in the local Hugging Face cache, or a well-known id.
    method: `lora`, `dora`, `qlora`, or `full`, whose settings of an adapter (rank, alpha, dropout) are None.
    family, hidden_size: given together they replace the model's config; one alone corrects it.
    examples, tokens: training examples and completion tokens, where known. goal: `quality`,
    `balanced` or `speed`. objective: `supervised` or `preference` (DPO), which takes a lower rate and rank.
    alpha_rule: how alpha grows with the rank; the rate is published for `alpha_over_rank`, which is constant.

    Raises:
        DefaultsError: facts are missing or not allowed, an unknown method, or an alpha rule of
            full fine-tuning.
        ModelError: the model cannot be found or its config cannot be used.
    """
    one_of("method", method, METHODS, DefaultsError)
    one_of("objective", objective, OBJECTIVES, DefaultsError)
    scale = rules.alpha_rule(KNOWN["alpha_rule"].meant(alpha_rule))
    if method == FULL and scale.value != ALPHA_RULES[0]:
        raise DefaultsError(f"alpha_rule: {alpha_rule!r} is not allowed; {NO_ADAPTER}")
    shape = _resolve_shape(model, family, hidden_size)
    batch = rules.batch_size(goal=goal)
    choices = {name: rules.constant(name) for name in setting_names() if name not in RULED} | {
        "method": rules.chosen_method(method),
        "learning_rate": rules.learning_rate(
            family=shape.family, hidden_size=shape.hidden_size, method=method
        ),
        "batch_size": batch,
        "lora_rank": rules.lora_rank(parameters_per_rank=shape.lora_parameters_per_rank, tokens=tokens),
        "max_steps": rules.max_steps(batch_size=batch.value, examples=examples),
        "alpha_rule": scale,
    }
    if objective == PREFERENCE:
        choices |= {name: rules.preference(name, method) for name in ("learning_rate", "lora_rank")}
        choices["dpo_beta"] = rules.preference("beta")
    if method == FULL:
        choices |= {name: rules.without_adapter(name) for name in LORA_SETTINGS}
        # still a word of the key under which tuned values are found
        choices["alpha_rule"] = replace(rules.without_adapter("alpha_rule"), value=ALPHA_RULES[0])
    settings = TrainingSettings.from_dict({name: choice.value for name, choice in choices.items()})
    choices["learning_rate"] = rules.at_alpha(choices["learning_rate"], settings)
    return Recommendation(
        settings=settings,
        why={name: choices[name].why for name in setting_names()},
        warnings=tuple(text for name in setting_names() for text in choices[name].warnings),
        doubts={name: choices[name].warnings for name in setting_names() if choices[name].warnings},
        shape=shape,
        goal=goal,
        heuristics=rules.heuristics()["version"],
        objective=objective,
        preference_beta=rules.preference("beta").value if objective == PREFERENCE else None,
    )


def at_alpha(found: Recommendation, settings: TrainingSettings) -> Recommendation:
    """The same, its learning rate being for settings of another alpha or rank: see `rules.at_alpha`."""
    rate = rules.Choice(value=found.learning_rate, why=found.why["learning_rate"])
    moved = rules.at_alpha(rate, settings)
    known = found.doubts.get("learning_rate", ())
    if moved == rate or any(text in known for text in moved.warnings):
        return found
    return replace(
        found,
        why={**found.why, "learning_rate": moved.why},
        warnings=(*found.warnings, *moved.warnings),
        doubts={**found.doubts, "learning_rate": (*known, *moved.warnings)},
    )


def _resolve_shape(
    model: str | os.PathLike[str] | None, family: str | None, hidden_size: int | None
) -> ModelShape:
    if family is not None and not isinstance(family, str):
        raise DefaultsError(f"family: {family!r} is not allowed; give the architecture, such as llama")
    if family is not None and hidden_size is not None:
        return ModelShape(family=rules.family_of(family), hidden_size=hidden_size, origin="given")
    if model is None:
        raise DefaultsError(
            "recommend needs a model (folder or id), or both family and hidden_size, "
            "such as family='llama', hidden_size=4096"
        )
    shape = model_shape(model)
    if family is not None:
        return replace(shape, family=rules.family_of(family))
    if hidden_size is not None:
        return replace(shape, hidden_size=hidden_size, lora_parameters_per_rank=None)
    return shape


def explain(recommendation: Recommendation, names: Sequence[str] = MAIN_SETTINGS) -> list[dict[str, Any]]:
    """The quick reference for `defaults show` and `plan`: rows with plain values, one per setting.

    Keys: setting, default, range, does, why, source, evidence, confidence, when_to_change.
    range: [low, high] as the guide has it, None where it gives none. `names=setting_names()` shows all.

    Raises:
        DefaultsError: a name that is no setting.
    """
    rows = []
    for name in names:
        entry = OWN if name in recommendation.settings.own else rules.setting_heuristic(name)
        why = recommendation.why[name]
        row = {
            "setting": name,
            "default": getattr(recommendation.settings, name),
            "range": entry.get("range"),
            "does": entry["does"],
            "why": why.rule,
            "source": why.source,
            "evidence": why.evidence,
            "confidence": why.confidence,
            "when_to_change": entry["when_to_change"],
        }
        rows.append(row)
    return rows
