"""The heuristics as rules: each turns facts into one value and says why. The numbers are in heuristics.json.

A rule never refuses to extrapolate, and never does it silently: what was not published or measured
comes out with confidence `extrapolated` and a warning.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from bios_sweep.checks import one_of
from bios_sweep.errors import DefaultsError
from bios_sweep.settings import ALPHA_OVER_RANK, ALPHA_RULES, COUNT, FULL, LORA, TrainingSettings, alpha_at
from bios_sweep.vocabulary import Goal

MEASURED = "measured"  # a verdict on this model
PUBLISHED = "published"  # stated by the source for facts like these
EXTRAPOLATED = "extrapolated"  # nobody measured it here

MANY_EPOCHS = 10  # chosen, not measured: beyond it small data are usually learned by heart
UNKNOWN_ADAPTER = "how many parameters a rank adds is known from the config of a dense model alone"
# What may follow a family's name in a config's model_type: qwen2, qwen3_moe, llama4, mllama_text_model.
FAMILY_ENDS = ("_", "-", *"0123456789")

Heuristics: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Why(Mapping[str, str]):
    """Where a value comes from. Reads as attributes and as a mapping, so that it travels as plain data.

    rule: the computation with its numbers. source: who states it. evidence: what is known about it.
    confidence: `measured`, `published` or `extrapolated`.
    """

    rule: str
    source: str
    evidence: str
    confidence: str

    def __getitem__(self, name: str) -> str:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return str(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A value, why it is this one, and what its reader should be warned of."""

    value: Any
    why: Why
    warnings: tuple[str, ...] = ()


def _choice(
    value: Any, *, rule: str, source: str, evidence: str, confidence: str = PUBLISHED, warning: str = ""
) -> Choice:
    why = Why(rule=rule, source=source, evidence=evidence, confidence=confidence)
    return Choice(value=value, why=why, warnings=(warning,) if warning else ())


@cache
def heuristics() -> Heuristics:
    """The shipped heuristics file, read once."""
    text = Path(__file__).with_name("heuristics.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def setting_heuristic(name: str) -> Heuristics:
    """What the heuristics file says of one setting.

    Raises:
        DefaultsError: the file does not know the setting.
    """
    known = heuristics()["settings"]
    if name not in known:
        raise DefaultsError(f"no heuristic for {name!r}; there are heuristics for {', '.join(known)}")
    return known[name]  # type: ignore[no-any-return]


def family_of(model_type: str) -> str:
    """The family whose published rule covers a config's `model_type`; the type itself where none does."""
    name = model_type.strip().casefold()
    for family, facts in setting_heuristic("learning_rate")["rule"]["families"].items():
        for prefix in facts["model_types"]:
            if name == prefix or name.startswith(tuple(prefix + end for end in FAMILY_ENDS)):
                return str(family)
    return name


def learning_rate(*, family: str, hidden_size: int, method: str = "lora") -> Choice:
    """Peak learning rate by size, method and architecture: base * multiplier * (2000 / hidden)^exponent.

    method: of `settings.METHODS`; those that no rule is published for take LoRA's rate. A family without
    a published exponent gets the fallback exponent; a hidden size outside the published ones keeps its
    family's exponent. All three are labelled as extrapolations and warned of.

    Raises:
        DefaultsError: an unknown method, an empty family, or a hidden size that is no whole number above 0.
    """
    entry = setting_heuristic("learning_rate")
    rule, known = entry["rule"], family_of(family)
    one_of("method", method, rule["multipliers"], DefaultsError)
    COUNT.require("hidden_size", hidden_size, DefaultsError)
    if not known:
        raise DefaultsError("family: an empty name is not allowed; give the architecture, such as llama")
    facts = rule["families"].get(known)
    exponent = facts["exponent"] if facts else rule["fallback"]["exponent"]
    level = facts.get("level", 1.0) if facts else 1.0  # a refitted family's factor on the shared level
    multiplier, reference = rule["multipliers"][method] * level, rule["reference_hidden_size"]
    value = rule["base"] * multiplier * (reference / hidden_size) ** exponent
    evidence, doubt = _learning_rate_evidence(known, hidden_size)
    if method in rule["as_lora"]:
        borrowed = f"the rule is published for lora and full; {method} takes the rate of lora"
        doubt = f"{borrowed}; {doubt}" if doubt else f"{borrowed}; check it with sweeps=learning_rate"
        evidence = f"{rule['as_lora'][method]}; {evidence}"
    return _choice(
        value,
        rule=f"{rule['base']:g} * {multiplier:g} * ({reference} / {hidden_size})^{exponent:g} = {value:.3e}",
        source=_source(entry["source"], facts or {}),
        evidence=evidence,
        confidence=EXTRAPOLATED if doubt else PUBLISHED,
        warning=f"learning_rate: {doubt}" if doubt else "",
    )


def batch_size(*, goal: str = Goal.BALANCED) -> Choice:
    """Examples per optimizer step, by what matters most: `quality`, `balanced` or `speed`.

    Raises:
        DefaultsError: another goal.
    """
    entry = setting_heuristic("batch_size")
    one_of("goal", goal, entry["by_goal"], DefaultsError)
    row = entry["by_goal"][goal]
    low, high = row["range"]
    span = f"{low}" if low == high else f"{low}-{high}"
    rule = f"goal {goal}: {row['value']} (range {span})"
    return _choice(row["value"], rule=rule, source=entry["source"], evidence=row["effect"])


def lora_rank(*, parameters_per_rank: int | None = None, tokens: int | None = None) -> Choice:
    """The default rank, or a larger one of the guide where its adapter has fewer parameters than tokens.

    parameters_per_rank: adapter parameters that one unit of rank adds, None where the config does not
    tell. tokens: completion tokens of the training data. The guide lowers the rank for small data
    without saying what is small, so nothing lowers it here; `sweeps=capacity` measures it.
    """
    entry = setting_heuristic("lora_rank")
    rank, rule, warning = entry["default"], f"default {entry['default']}", ""
    evidence = "enough when LoRA parameters reach the completion tokens; not checked here"
    if tokens is not None:
        COUNT.require("tokens", tokens, DefaultsError)
        warning = f"lora_rank: not checked against {tokens} completion tokens; {UNKNOWN_ADAPTER}"
    if tokens is not None and parameters_per_rank is not None:
        enough = math.ceil(tokens / parameters_per_rank)
        larger = [one for one in (rank, *entry["larger"]) if one >= enough]
        rank = larger[0] if larger else entry["larger"][-1]
        evidence = f"{rank * parameters_per_rank} LoRA parameters for {tokens} completion tokens"
        if rank != entry["default"]:
            rule = f"{rank}: the {rule} has too few parameters"
        short = f"lora_rank: {evidence}; rank {enough} would reach them, try sweeps=capacity"
        warning = short if rank < enough else ""
    return _choice(rank, rule=rule, source=entry["source"], evidence=evidence, warning=warning)


def max_steps(*, batch_size: int, examples: int | None = None) -> Choice:
    """Optimizer steps: the recommended number, or 3 epochs within [minimum, recommended] of known data.

    examples: training examples, None where unknown.

    Raises:
        DefaultsError: `examples` or `batch_size` is no whole number above 0.
    """
    entry = setting_heuristic("max_steps")
    recommended, minimum = entry["default"], entry["minimum"]
    COUNT.require("batch_size", batch_size, DefaultsError)
    if examples is None:
        rule = f"{recommended} recommended (the size of the data is not known), {minimum} at least"
        evidence = "the guide's recommendation"
        return _choice(recommended, rule=rule, source=entry["source"], evidence=evidence)
    COUNT.require("examples", examples, DefaultsError)
    wanted = math.ceil(entry["rule"]["epochs"] * examples / batch_size)
    steps = min(max(wanted, minimum), recommended)
    epochs = steps * batch_size / examples
    seen = f"max_steps: {steps} steps are {epochs:.3g} epochs of {examples} examples"
    warning = f"{seen}; watch for overfitting" if epochs > MANY_EPOCHS else ""
    if epochs < 1:
        warning = f"{seen}, so not all are seen; more steps may help, try sweeps=duration"
    return _choice(
        steps,
        rule=f"{entry['rule']['epochs']} epochs of {examples} examples = {wanted} steps, "
        f"within {minimum}-{recommended}: {steps}",
        source=entry["rule"]["source"],
        evidence=f"{epochs:.3g} epochs",
        confidence=EXTRAPOLATED,
        warning=warning,
    )


def constant(name: str) -> Choice:
    """A setting whose default depends on nothing."""
    entry = setting_heuristic(name)
    confidence = entry.get("confidence", PUBLISHED)
    return _choice(
        entry["default"],
        rule=entry.get("means", f"constant {entry['default']}"),
        source=entry["source"],
        evidence="stated by the source" if confidence == PUBLISHED else "none",
        confidence=confidence,
    )


def without_adapter(name: str) -> Choice:
    """A setting of the adapter, or of its scale, where there is no adapter."""
    rule, source = "does not apply to full fine-tuning", setting_heuristic(name)["source"]
    return _choice(None, rule=rule, source=source, evidence="there is no adapter")


def alpha_rule(chosen: str = ALPHA_OVER_RANK) -> Choice:
    """How alpha grows with the rank: the published rule's own way, or another, which is an extrapolation.

    Raises:
        DefaultsError: no such rule.
    """
    entry, default = setting_heuristic("alpha_rule"), constant("alpha_rule")
    one_of("alpha_rule", chosen, ALPHA_RULES, DefaultsError)
    if chosen == default.value:
        return default
    told = entry["others"][chosen]
    return _choice(
        chosen,
        rule=f"{chosen}, as asked",
        source=told.partition(";")[0],
        evidence=told.partition("; ")[2],
        confidence=EXTRAPOLATED,
    )


def at_alpha(rate: Choice, settings: TrainingSettings) -> Choice:
    """The learning rate's choice at an adapter's own alpha: another than the rule's is extrapolated to.

    The value stays, for nobody published how it moves.
    """
    own, ours = alpha_at(settings), setting_heuristic("learning_rate")["rule"]["alpha"]
    if own is None or math.isclose(own, ours):
        return rate
    where = f"here it is {own:g} at rank {settings.lora_rank}"
    doubt = f"the rule is published for alpha {ours:g} at every rank, {where}"
    why = replace(rate.why, evidence=f"none for this alpha: {doubt}", confidence=EXTRAPOLATED)
    warning = f"learning_rate: {doubt}; check it with sweeps=learning_rate"
    return replace(rate, why=why, warnings=(*rate.warnings, warning))


def chosen_method(method: str) -> Choice:
    """The method itself: LoRA is the guide's default, another is the caller's word."""
    default = constant("method")
    if method == default.value:
        return default
    rule = f"{method}, as asked"
    return _choice(method, rule=rule, source="the caller", evidence="not judged here", confidence="given")


def preference(name: str, method: str = LORA) -> Choice:
    """Learning rate, beta or rank of preference training (DPO): constants, lower than supervised ones.

    They are published for LoRA; full fine-tuning takes the learning rate lower by as much as supervised
    training does, other adapters take that of LoRA. Both are extrapolations and warned of.
    """
    entry = heuristics()["preference"][name]
    low, high = entry.get("range", (entry["default"], entry["default"]))
    rule = f"preference training: {entry['default']:g} (range {low:g}-{high:g})"
    evidence = "stated by the source, whatever the model's size"
    if name != "learning_rate" or method == LORA:
        return _choice(entry["default"], rule=rule, source=entry["source"], evidence=evidence)
    if method != FULL:
        doubt = (
            f"the rate of preference training is published for lora alone; {method} takes the rate of lora"
        )
        return _choice(
            entry["default"],
            rule=rule,
            source=entry["source"],
            evidence=f"none for {method}: {doubt}",
            confidence=EXTRAPOLATED,
            warning=f"learning_rate: {doubt}; check it",
        )
    times = setting_heuristic("learning_rate")["rule"]["multipliers"]
    value = float(f"{entry['default'] * times[FULL] / times[LORA]:.6g}")
    doubt = "the rate of preference training is published for LoRA alone; full takes a share as elsewhere"
    return _choice(
        value,
        rule=f"{rule}, times {times[FULL] / times[LORA]:g} for full: {value:g}",
        source=entry["source"],
        evidence=f"none for full: {doubt}",
        confidence=EXTRAPOLATED,
        warning=f"learning_rate: {doubt}; check it",
    )


def _source(published: str, facts: Mapping[str, Any]) -> str:
    """Who says the rule of a family: what was published, or the refit that replaced or kept its numbers."""
    if "refit" not in facts:
        return published
    refit = facts["refit"]
    told = f"refit of {refit['studies']} ladders of {refit['models']} models by {refit['by']}"
    return f"{told}; its form: {published}" if "level" in facts else f"{published}; kept by a {told}"


def _learning_rate_evidence(family: str, hidden_size: int) -> tuple[str, str]:
    """What is known of the rule at this size, and the doubt to warn of (empty where it is published)."""
    rule = setting_heuristic("learning_rate")["rule"]
    if family not in rule["families"]:
        published = " and ".join(rule["families"])
        doubt = (
            f"no exponent is published for family {family!r} (only {published}); "
            f"extrapolated with {rule['fallback']['exponent']:g}; check it with sweeps=learning_rate"
        )
        return f"none for this family: {rule['fallback']['reason']}", doubt
    facts = rule["families"][family]
    low, high = facts["hidden_sizes"]
    if low <= hidden_size <= high:
        known = facts["refit"]["reason"] if "refit" in facts else rule["evidence"]
        return f"{known}; hidden sizes {low}-{high}", ""
    outside = f"hidden size {hidden_size} is outside {low}-{high}, where the {family} rule is published"
    return f"none at this size: {outside}", f"{outside}; extrapolated, check it with sweeps=learning_rate"
