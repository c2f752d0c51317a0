"""The checks that stand between a tuned-defaults file and whoever would believe it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from bios_sweep.checks import is_finite, is_whole
from bios_sweep.defaults.building import require_served, require_told, without_credentials
from bios_sweep.defaults.rules import family_of, setting_heuristic
from bios_sweep.defaults.tuned import (
    BETTER,
    PROFILES,
    REPEAT,
    SEARCH,
    VERDICTS,
    Evidence,
    Provenance,
    TunedDefaults,
    TunedKey,
    TunedMetric,
    factor_of,
)
from bios_sweep.errors import DefaultsError
from bios_sweep.method import Objective, Runner
from bios_sweep.settings import FULL, TrainingSettings, setting_names, without_adapter

Entry = TypeVar("Entry")
FAMILY_NAME = re.compile(r"[a-z][a-z0-9_.-]*")  # as config.json writes a model_type


def checked_tuned(content: Mapping[str, Any]) -> TunedDefaults:
    """Build `TunedDefaults` from a file's object, or say what is wrong with it.

    Raises:
        DefaultsError, ConfigError: a part, a number or a setting that is missing or not allowed.
    """
    for part in ("values", "evidence", "baseline"):
        _require_object(content[part], part)
    _require_object(content["baseline"].get("own", {}), "baseline: own")
    names = (*setting_names(), *content["baseline"].get("own", ()))
    evidence = {name: _read_evidence(name, item, names) for name, item in content["evidence"].items()}
    tuned = TunedDefaults(
        key=_record(TunedKey, content["key"], "key"),
        values=content["values"],
        evidence=evidence,
        provenance=_record(Provenance, content["provenance"], "provenance"),
        baseline=content["baseline"],
        profiles=_read_profiles(content.get("profiles", {})),
        told=_read_told(content.get("told")),
        metric=_read_metric(content.get("metric")),
    )
    _check_key(tuned.key)
    _check_provenance(tuned.provenance)
    if not evidence:
        raise DefaultsError("evidence: there is none, so nothing in the file can be believed")
    for name, value in tuned.values.items():
        require_served(name, value, evidence, tuned.names)
    for profile, differing in tuned.profiles.items():
        for name, value in differing.items():
            require_served(name, value, evidence, tuned.names, profile)
    require_told(tuned)
    for profile in PROFILES:
        _check_ranges(tuned, profile)
    return tuned


def _read_profiles(values: Any) -> dict[str, Any]:
    _require_object(values, "profiles")
    for name, differing in values.items():
        _require_object(differing, f"profiles: {name}")
    return dict(values)


def _read_told(names: Any) -> tuple[str, ...] | None:
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DefaultsError(f"told: is {names!r}; it must be a list of settings, or not there")
    return None if names is None else tuple(names)


def _read_metric(values: Any) -> TunedMetric | None:
    """What was judged; None in the file of an older version. The words must say what the direction does."""
    if values is None:
        return None
    metric = _record(TunedMetric, values, "metric")
    for label in ("name", "direction", "words"):
        if label not in values:
            raise DefaultsError(f"metric: {label!r} is missing")
        if not isinstance(values[label], str) or not values[label].strip():
            raise DefaultsError(f"metric: {label} is {values[label]!r}; it must be text")
    if not isinstance(metric.doubt, str):
        raise DefaultsError(f"metric: doubt is {metric.doubt!r}; it must be text")
    if metric.direction not in BETTER:
        raise DefaultsError(f"metric: direction {metric.direction!r} is none of {', '.join(BETTER)}")
    if BETTER[metric.direction] not in metric.words:
        raise DefaultsError(f"metric: words {metric.words!r} do not say that {BETTER[metric.direction]}")
    return metric


def _read_evidence(name: str, values: Any, names: Sequence[str]) -> Evidence:
    where = f"evidence of {name}"
    if factor_of(name) not in (*names, REPEAT, SEARCH):
        raise DefaultsError(f"{where}: {name!r} is no setting")
    item = _record(Evidence, values, where)
    if item.verdict not in VERDICTS:
        raise DefaultsError(f"{where}: verdict {item.verdict!r} is none of {', '.join(VERDICTS)}")
    for label in ("effect_percent", "lower", "upper", "margin"):
        value = getattr(item, label)
        if value is not None and not is_finite(value):
            raise DefaultsError(f"{where}: {label} is {value!r}; it must be a number or null")
    if item.lower is not None and item.upper is not None and item.lower > item.upper:
        raise DefaultsError(f"{where}: lower {item.lower:g} is above upper {item.upper:g}")
    for label in ("seeds", "levels", "reasons"):
        if not isinstance(getattr(item, label), tuple):
            raise DefaultsError(f"{where}: {label} is {getattr(item, label)!r}; it must be a list")
    if item.decided and (not item.seeds or not item.levels):
        raise DefaultsError(f"{where}: {item.verdict} without seeds and tested levels is no evidence")
    return item


def _check_key(key: TunedKey) -> None:
    if not isinstance(key.family, str) or not key.family:
        raise DefaultsError(f"key: family is {key.family!r}; it must name the architecture")
    if not FAMILY_NAME.fullmatch(key.family) or key.family == "unknown":
        raise DefaultsError(f"key: family {key.family!r} is unknown; it must be a model_type such as llama")
    if family_of(key.family) != key.family:
        raise DefaultsError(
            f"key: family {key.family!r} is unknown; such models are of family {family_of(key.family)!r}"
        )
    for name in ("hidden_size", "parameters"):
        value = getattr(key, name)
        if name == "parameters" and value is None:
            continue
        if not is_whole(value) or value < 1:
            raise DefaultsError(f"key: {name} is {value!r}; it must be a whole number of at least 1")
    for name, known in (("objective", tuple(Objective)), ("runner", (None, Runner.COMMAND, Runner.PYTHON))):
        if getattr(key, name) not in known:
            words = ", ".join(filter(None, known))
            raise DefaultsError(f"key: {name} is {getattr(key, name)!r}; it must be one of {words}")
    tokens = key.tokens_per_step
    if tokens is not None and not (is_finite(tokens) and tokens > 0):
        raise DefaultsError(f"key: tokens_per_step is {tokens!r}; it must be a number above 0, or null")


def _check_provenance(provenance: Provenance) -> None:
    _require_object(provenance.versions, "provenance: versions")
    for name in ("data_fingerprint", "tracking_url", "date"):
        if not isinstance(getattr(provenance, name), str):
            raise DefaultsError(f"provenance: {name} is {getattr(provenance, name)!r}; it must be text")
    if without_credentials(provenance.tracking_url) != provenance.tracking_url:
        raise DefaultsError("provenance: tracking_url holds credentials or a query; write the bare address")


def _check_ranges(tuned: TunedDefaults, profile: str) -> None:
    """Values and key must make settings that could train; the rest is filled with harmless ones."""
    key = tuned.key
    filled: dict[str, Any] = {
        "learning_rate": 1e-4,
        "lora_rank": 1,
        "lora_alpha": 1.0,
        "lora_dropout": 0.0,
        "batch_size": key.batch_size,
        "max_steps": key.max_steps,
    }
    filled |= {"method": key.method, "alpha_rule": key.alpha_rule}
    filled = without_adapter(filled) if key.method == FULL else filled
    served = {**tuned.values, **tuned.profiles.get(profile, {})}
    settings = TrainingSettings.from_dict(filled).changed(served)
    baseline = TrainingSettings.from_dict(tuned.baseline)
    baseline.own.changed({name: value for name, value in served.items() if name in baseline.own})
    low, high = setting_heuristic("learning_rate")["range"]
    if not low <= settings.learning_rate <= high:
        raise DefaultsError(
            f"learning_rate: {settings.learning_rate:g} is not allowed; it must lie in {low:g} to {high:g}"
        )


def _record(kind: type[Entry], values: Any, where: str) -> Entry:
    """A dataclass from a JSON object with exactly its fields; lists become tuples."""
    _require_object(values, where)
    needed = [field.name for field in fields(kind) if field.default is MISSING]  # type: ignore[arg-type]
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    require_names(values, known, needed, where)
    return kind(**{name: tuple(item) if isinstance(item, list) else item for name, item in values.items()})


def require_names(values: Mapping[str, Any], known: Sequence[str], needed: Sequence[str], where: str) -> None:
    """Refuse an object that lacks a needed name or has an unknown one.

    Raises:
        DefaultsError: naming the first.
    """
    missing = [name for name in needed if name not in values]
    if missing:
        raise DefaultsError(f"{where}: {missing[0]!r} is missing")
    unknown = [name for name in values if name not in known]
    if unknown:
        raise DefaultsError(f"{where}: {unknown[0]!r} is unknown; allowed are {', '.join(known)}")


def _require_object(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise DefaultsError(f"{where}: is {value!r}; it must be an object")
