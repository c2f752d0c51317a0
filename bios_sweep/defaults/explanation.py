"""The quick reference: one row per setting, for `defaults show` and `plan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bios_sweep.defaults.recommendation import Recommendation
from bios_sweep.defaults.rules import setting_heuristic

# What a user decides; the other settings are constants that are shown on request.
MAIN_SETTINGS = ("learning_rate", "batch_size", "lora_rank", "max_steps")

OWN = {"does": "A script's own: only that script knows what it does.", "when_to_change": ""}


def explain(recommendation: Recommendation, names: Sequence[str] = MAIN_SETTINGS) -> list[dict[str, Any]]:
    """Rows with plain values, one per setting.

    Keys: setting, default, range, does, why, source, evidence, confidence, when_to_change.
    range: [low, high] as the guide has it, None where it gives none. `names=setting_names()` shows all.

    Raises:
        DefaultsError: a name that is no setting.
    """
    return [_row(recommendation, name) for name in names]


def _row(recommendation: Recommendation, name: str) -> dict[str, Any]:
    why = recommendation.why[name]
    entry = OWN if name in recommendation.settings.own else setting_heuristic(name)
    return {
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
