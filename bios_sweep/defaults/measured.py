"""Tuned values as reasons: what a verdict says of a value, in the same four words as a heuristic's reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bios_sweep.checks import is_number
from bios_sweep.defaults.rules import EXTRAPOLATED, MEASURED, Why
from bios_sweep.defaults.tuned import SEARCH, Evidence, TunedDefaults
from bios_sweep.settings import TrainingSettings
from bios_sweep.units import with_unit
from bios_sweep.vocabulary import Word

STUDY_BASELINE = "baseline"  # confidence of a value that a study held fixed and did not judge


def reasons(tuned: TunedDefaults, settings: TrainingSettings, profile: str, source: str) -> dict[str, Why]:
    """Setting -> reason, for every setting that the tuned defaults decide in `settings`.

    settings: those that `tuned.settings(...)` gave for `profile`. source: where the tuned defaults lie.
    Steps that changed with the batch size have the batch size's reason.
    """
    served = tuned.served(profile)
    why = {
        name: Why(
            rule=_rule(item, value), source=source, evidence=_evidence(item, tuned), confidence=MEASURED
        )
        for name, value in served.items()
        if (item := evidence_of(tuned, name, value, profile)) is not None
    }
    if "max_steps" in why and settings.max_steps != served["max_steps"]:
        why["max_steps"] = _rescaled(why["max_steps"], settings, judged="batch_size" in why)
    if "batch_size" in why and "max_steps" not in why:
        why["max_steps"] = _kept(tuned, settings, why["batch_size"])
    return why


def _rescaled(why: Why, settings: TrainingSettings, *, judged: bool) -> Why:
    """Tuned steps at another batch size; judged: whether the study compared that batch size."""
    return replace(
        why,
        rule=f"{why.rule}; {settings.max_steps}: as many examples, at batch size {settings.batch_size}",
        confidence=why.confidence if judged else EXTRAPOLATED,
    )


def _kept(tuned: TunedDefaults, settings: TrainingSettings, batch: Why) -> Why:
    """Steps that nobody tuned, beside a tuned batch size: what its levels were compared at stays."""
    before = f"as many examples as before, at batch size {settings.batch_size}"
    return replace(
        batch,
        rule=f"{settings.max_steps}: {'as many steps as before' if tuned.holds_steps else before}",
        evidence=f"batch sizes were compared at equal {'steps' if tuned.holds_steps else 'examples'}",
    )


def baseline_reasons(tuned: TunedDefaults, source: str) -> dict[str, Why]:
    """Setting -> reason of a study's own baseline: held fixed, or judged and left as it is."""
    return {
        name: Why(
            rule=f"the baseline of {tuned.provenance.sweep or 'the study'}",
            source=source,
            evidence=_left(tuned, name),
            confidence=STUDY_BASELINE,
        )
        for name in tuned.names
        if name not in tuned.untold
    }


def _left(tuned: TunedDefaults, name: str) -> str:
    """Why a study's own baseline stands: nobody judged the setting, or what was found is not served."""
    found = tuned.about(name)
    if not found:
        return "held fixed, not judged"
    words = [f"{item.verdict}{f' ({item.claim})' if len(found) > 1 else ''}" for item in found]
    gone = ", withdrawn" if name in (tuned.withdrawn or ()) else ""
    return f"judged, and no value is served: {', '.join(words)}{gone}"


def evidence_of(tuned: TunedDefaults, name: str, value: Any, profile: str) -> Evidence | None:
    """The evidence that stands for a value: the profile's own claim first, then the factor, then a search."""
    fitting = [item for item in tuned.about(name) if item.decided and item.value == value]
    own = [item for item in fitting if item.claim == profile]
    if own or fitting:
        return (own or fitting)[0]
    search = tuned.evidence.get(SEARCH)
    found = search is not None and isinstance(search.best_level, Mapping) and name in search.best_level
    return search if found else None


def plain_number(value: Any) -> str:
    """A value in a sentence: a decimal of at most four significant digits, never an exponent."""
    if not is_number(value):
        return str(value)
    if isinstance(value, int):
        return str(value)
    text = format(Decimal(f"{value:.4g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rule(item: Evidence, value: Any) -> str:
    if item.verdict == Word.REFINE and not isinstance(item.default, Mapping):
        return f"{item.verdict}: {plain_number(value)} instead of {plain_number(item.default)}"
    return f"{item.verdict}: {plain_number(value)}"


def _evidence(item: Evidence, tuned: TunedDefaults) -> str:
    """The verdict's numbers: gain, bounds and margin in its unit, seeds, levels tested, and its scope."""
    parts, told = [], item.scale.told
    if item.effect_percent is not None:
        parts.append(f"gain {told(item.effect_percent):+.2f}")
    if item.lower is not None or item.upper is not None:
        parts.append(f"bounds {_bounds(item)}")
    if item.margin is not None:
        parts.append(f"margin {told(item.margin):.4g}")
    parts.append(f"{len(item.seeds)} seed{'s' if len(item.seeds) > 1 else ''}")
    if not any(isinstance(level, Mapping) for level in item.levels):
        parts.append("tested " + ", ".join(plain_number(level) for level in item.levels))
    data = f"data {tuned.provenance.data}" if tuned.provenance.data else ""
    return "; ".join([", ".join(parts), *(text for text in (data, item.scope) if text)])


def _bounds(item: Evidence) -> str:
    """`-0.20 to +0.31 %`; a side that nothing bounds is named."""
    lower, upper = (
        "unbounded" if value is None else f"{item.scale.number(value):+.2f}"
        for value in (item.lower, item.upper)
    )
    return with_unit(f"{lower} to {upper}", item.scale.unit)
