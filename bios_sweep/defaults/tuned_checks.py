"""The checks that stand between a tuned-defaults file and whoever would believe it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from bios_sweep.checks import is_finite, is_positive, one_of
from bios_sweep.claims import claim_named
from bios_sweep.defaults.rules import family_of, setting_heuristic
from bios_sweep.defaults.tuned import (
    BETTER,
    BOUNDS,
    PROFILES,
    REPEAT,
    SEARCH,
    VERDICTS,
    Evidence,
    Provenance,
    TunedDefaults,
    TunedKey,
    TunedMetric,
    Withdrawn,
)
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import LEFT_OUT
from bios_sweep.method import Objective, Runner
from bios_sweep.settings import COUNT, FULL, IN_KEY, TrainingSettings, setting_names, without_adapter
from bios_sweep.units import OWN, POINTS
from bios_sweep.vocabulary import Goal, Word

Entry = TypeVar("Entry")
FAMILY_NAME = re.compile(r"[a-z][a-z0-9_.-]*")  # as config.json writes a model_type
ALLOWED = {"objective": tuple(Objective), "runner": (None, Runner.COMMAND, Runner.PYTHON)}  # in a key


def checked_tuned(content: Mapping[str, Any]) -> TunedDefaults:
    """Build `TunedDefaults` from a file's object, or say what is wrong with it.

    Raises:
        DefaultsError, ConfigError: a part, a number or a setting that is missing or not allowed.
    """
    profiles = content.get("profiles", {})
    for part in ("values", "evidence", "baseline"):
        _require_object(content[part], part)
    _require_object(content["baseline"].get("own", {}), "baseline: own")
    _require_object(profiles, "profiles")
    for name, differing in profiles.items():
        _require_object(differing, f"profiles: {name}")
    factors = (*setting_names(), *content["baseline"].get("own", ()), REPEAT, SEARCH)
    tuned = TunedDefaults(
        key=_record(TunedKey, content["key"], "key"),
        values=content["values"],
        evidence={name: _evidence(name, item, factors) for name, item in content["evidence"].items()},
        provenance=_record(Provenance, content["provenance"], "provenance"),
        baseline=content["baseline"],
        profiles=profiles,
        told=_told(content.get("told")),
        metric=_metric(content.get("metric")),
        withdrawn=_withdrawn(content.get("withdrawn")),
        damaged=_sentence(content.get("damaged"), "damaged"),
    )
    _check_key(tuned.key)
    _check_provenance(tuned.provenance)
    if not tuned.evidence:
        raise DefaultsError("evidence: there is none, so nothing in the file can be believed")
    require_supported(tuned)
    for profile in PROFILES:
        _check_ranges(tuned, profile)
    return tuned


def require_supported(tuned: TunedDefaults) -> None:
    """Refuse values that their evidence does not stand for, and all about what the trials never heard of.

    Raises:
        DefaultsError: no setting, no evidence, an open verdict, or a value that verdict or key do not have.
    """
    for profile, values in ((Goal.BALANCED, tuned.values), *tuned.profiles.items()):
        for name, value in values.items():
            _require_served(tuned, name, value, profile)
    for name in tuned.told or ():
        if name not in tuned.names:
            raise DefaultsError(f"told: {name!r} is no setting")
    for name in tuned.withdrawn or ():
        if not tuned.about(name):
            raise DefaultsError(f"withdrawn: {name!r} has no evidence, so nothing of it was served")
    claimed = [item.factor for item in tuned.evidence.values()]
    for name in (*claimed, *tuned.values, *(name for values in tuned.profiles.values() for name in values)):
        if name in tuned.untold:
            raise DefaultsError(f"{name}: the trials were never told it, so that nothing is known of it")


def _require_served(tuned: TunedDefaults, name: str, value: Any, profile: str) -> None:
    if name not in tuned.names:
        raise DefaultsError(f"{name!r} is no setting and cannot be served")
    one_of("profiles", profile, PROFILES, DefaultsError)
    if name in (tuned.withdrawn or ()):
        raise DefaultsError(f"{name}: its value was withdrawn and cannot be served")
    if name in IN_KEY and value != getattr(tuned.key, name):
        own = getattr(tuned.key, name)
        raise DefaultsError(
            f"{name}: {value!r} is not what the values hold for ({own!r}, their key's); "
            "serve it by a study whose baseline has it"
        )
    items, won = tuned.about(name), tuned.won
    if not items:
        raise DefaultsError(f"{name}: a value without evidence cannot be served")
    if name in won and won[name] == value:
        return
    meant = [item for item in items if item.for_everyone or claim_named(item.claim).goal == profile] or items
    decided = [item.value for item in meant if item.decided]
    if not decided:
        raise DefaultsError(
            f"{name}: the verdict is {meant[0].verdict!r}; only {Word.CONFIRM} and {Word.REFINE} "
            "give a value to serve"
        )
    if value not in decided:
        raise DefaultsError(f"{name}: {value!r} is not what its verdict stands for ({decided[0]!r})")


def _told(names: Any) -> tuple[str, ...] | None:
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DefaultsError(f"told: is {names!r}; it must be a list of settings, or not there")
    return None if names is None else tuple(names)


def _sentence(value: Any, name: str) -> str | None:
    """A text where there is one."""
    if value is None:
        return None
    _require(isinstance(value, str) and value.strip(), name, value, "text")
    return str(value)


def _withdrawn(values: Any) -> dict[str, Withdrawn] | None:
    if values is None:
        return None
    _require_object(values, "withdrawn")
    found = {name: _record(Withdrawn, one, f"withdrawn: {name}") for name, one in values.items()}
    for name, one in found.items():
        for label, text in (("by", one.by), ("why", one.why)):
            _require(isinstance(text, str) and text.strip(), f"withdrawn: {name}: {label}", text, "text")
    return found


def _metric(values: Any) -> TunedMetric | None:
    """What was judged; None in the file of an older version. The words must say what the direction does."""
    if values is None:
        return None
    metric = _record(TunedMetric, values, "metric")
    for label in ("name", "direction", "words"):
        if label not in values:
            raise DefaultsError(f"metric: {label!r} is missing")
        text = isinstance(values[label], str) and values[label].strip()
        _require(text, f"metric: {label}", values[label], "text")
    _require(isinstance(metric.doubt, str), "metric: doubt", metric.doubt, "text")
    _require(_is_rows(metric.beside), "metric: beside", metric.beside, "a list of objects, or not there")
    if metric.direction not in BETTER:
        raise DefaultsError(f"metric: direction {metric.direction!r} is none of {', '.join(BETTER)}")
    if BETTER[metric.direction] not in metric.words:
        raise DefaultsError(f"metric: words {metric.words!r} do not say that {BETTER[metric.direction]}")
    return metric


def _is_rows(value: Any) -> bool:
    return value is None or (isinstance(value, tuple) and all(isinstance(row, Mapping) for row in value))


def _evidence(key: str, values: Any, factors: Sequence[str]) -> Evidence:
    """Of `factor`, or of a further claim: `factor (claim)`."""
    where = f"evidence of {key}"
    _require_object(values, where)
    factor = key.removesuffix(f" ({values.get('claim')})")
    if factor not in factors:
        raise DefaultsError(f"{where}: {key!r} is no setting")
    item = _record(Evidence, values, where, factor=factor)
    if item.verdict not in VERDICTS:
        raise DefaultsError(f"{where}: verdict {item.verdict!r} is none of {', '.join(VERDICTS)}")
    for label in BOUNDS:
        value = getattr(item, label)
        _require(value is None or is_finite(value), f"{where}: {label}", value, "a number or null")
    told = (item.unit, item.per_percent)
    both = told == (None, None) or (item.unit in (POINTS, OWN) and is_positive(item.per_percent))
    _require(both, f"{where}: unit, per_percent", told, "a unit with a number above 0, or not there")
    if item.lower is not None and item.upper is not None and item.lower > item.upper:
        raise DefaultsError(f"{where}: lower {item.lower:g} is above upper {item.upper:g}")
    for label in ("seeds", "levels", "reasons"):
        value = getattr(item, label)
        _require(isinstance(value, tuple), f"{where}: {label}", value, "a list")
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
        right = COUNT.holds(value) or (name == "parameters" and value is None)
        _require(right, f"key: {name}", value, COUNT.words)
    for name, allowed in ALLOWED.items():
        words = ", ".join(filter(None, allowed))
        _require(getattr(key, name) in allowed, f"key: {name}", getattr(key, name), f"one of {words}")
    tokens = key.tokens_per_step
    positive = tokens is None or is_positive(tokens)
    _require(positive, "key: tokens_per_step", tokens, "a number above 0, or null")


def _check_provenance(provenance: Provenance) -> None:
    _require_object(provenance.versions, "provenance: versions")
    for name in ("data_fingerprint", "tracking_url", "date"):
        value = getattr(provenance, name)
        _require(isinstance(value, str), f"provenance: {name}", value, "text")
    if without_credentials(provenance.tracking_url) != provenance.tracking_url:
        raise DefaultsError("provenance: tracking_url holds credentials or a query; write the bare address")


def without_credentials(url: str) -> str:
    """A tracking URL that may be written down: no user, no password, no query (tokens travel there).

    A `#/...` link keeps its fragment. Where an unescaped character hides where a secret ends, only the
    scheme is left.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    if rest.startswith("/"):  # sqlite:////folder/file.db and file:///folder: a path, no host
        return url.partition("?")[0]
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses text, which is a password cut short by `/`, `?` or `#`
    except ValueError:
        return f"{scheme}://"
    if "@" in parts.path + parts.query + parts.fragment:
        return f"{scheme}://"
    return urlunsplit((scheme, parts.netloc.rpartition("@")[2], parts.path, "", parts.fragment))


def _check_ranges(tuned: TunedDefaults, profile: str) -> None:
    """Values and key must make settings that could train; the rest is filled with harmless ones."""
    filled: dict[str, Any] = {"learning_rate": 1e-4, "lora_rank": 1, "lora_alpha": 1.0, "lora_dropout": 0.0}
    filled |= {name: getattr(tuned.key, name) for name in ("batch_size", "max_steps", "method", "alpha_rule")}
    filled = without_adapter(filled) if tuned.key.method == FULL else filled
    served = tuned.served(profile)
    settings = TrainingSettings.from_dict(filled).changed(served)
    baseline = TrainingSettings.from_dict(tuned.baseline)
    baseline.own.changed({name: value for name, value in served.items() if name in baseline.own})
    low, high = setting_heuristic("learning_rate")["range"]
    if not low <= settings.learning_rate <= high:
        raise DefaultsError(
            f"learning_rate: {settings.learning_rate:g} is not allowed; it must lie in {low:g} to {high:g}"
        )


def _record(kind: type[Entry], values: Any, where: str, **more: Any) -> Entry:
    """A dataclass from a JSON object with exactly its fields; lists become tuples. more: fields left out."""
    _require_object(values, where)
    known = [one for one in fields(kind) if one.metadata != LEFT_OUT]  # type: ignore[arg-type]
    needed = [one.name for one in known if one.default is MISSING]
    require_names(values, [one.name for one in known], needed, where)
    plain = {name: tuple(item) if isinstance(item, list) else item for name, item in values.items()}
    return kind(**plain, **more)


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


def _require(right: Any, where: str, value: Any, what: str) -> None:
    if not right:
        raise DefaultsError(f"{where} is {value!r}; it must be {what}")
