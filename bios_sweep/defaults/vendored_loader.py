"""Read tuned defaults without installing bios_sweep: copy this one file into your project.

Standard library only, Python 3.9 or newer. It reads `bios_defaults.json`, of one study or a collection,
from an explicit path or from the environment variable BIOS_DEFAULTS, checks it, and answers with values:

    from vendored_loader import tuned
    found = tuned("llama", 4096)             # raises LookupError where nothing fits
    found["values"]["learning_rate"], found["evidence"]["learning_rate"]["verdict"], found["source"]
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 2  # version 1 had no objective in the key: all was supervised fine-tuning
PARTS = {"key", "values", "evidence", "provenance", "baseline", "evidence_hash"}
DECIDED = ("confirm", "refine")  # the only verdicts that give a value to serve
STEPS = {"batch_size", "max_steps"}
PROFILES = ("quality", "balanced", "speed")
SILENT = "the tuned values do not say which metric they were judged on, nor which way it is better"


def tuned(
    family: str,
    hidden_size: int,
    method: str = "lora",
    profile: str = "balanced",
    alpha_rule: str = "alpha_over_rank",
    path: str | os.PathLike[str] | None = None,
    objective: str = "sft",
) -> dict[str, Any]:
    """The entry for a family (`llama`, `qwen`, else the config's model_type) and a hidden size.

    method: what is trained, `lora` or `full`; objective: by which loss, `sft` or `dpo`.
    Returns a dict: values (setting -> value, for what matters most), evidence, key, provenance, source,
    metric (None in a file of an older version) and warnings, which are given as Python's own too.
    Raises ValueError for a file that cannot be believed, LookupError where no entry is of this key.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile: {profile!r} is not allowed; choose from {', '.join(PROFILES)}")
    source = path if path is not None else os.environ.get("BIOS_DEFAULTS")
    if not source:
        raise LookupError("no tuned defaults: no path was given and BIOS_DEFAULTS is not set")
    wanted = (family, hidden_size, method, alpha_rule, objective)
    fitting = [entry for entry in load(source) if _identity(entry) == wanted]
    if not fitting:
        raise LookupError(f"{source}: no entry for {', '.join(map(str, wanted))}")
    entry = max(fitting, key=lambda entry: entry["provenance"]["date"])
    kept = {name: entry.get(name) for name in ("evidence", "key", "provenance", "metric")}
    values = _values(entry, entry.get("profiles", {}).get(profile, {}))
    gone = entry.get("withdrawn") or {}  # factor -> which study's word counts instead, and why
    said = [f"{name}: withdrawn, for {one['by']} {one['why']}" for name, one in gone.items()]
    said += [entry.get("damaged") or ""]
    said += [SILENT if kept["metric"] is None else kept["metric"].get("doubt", "")]
    for text in filter(None, said):
        warnings.warn(f"{source}: {text}", stacklevel=2)
    return dict(kept, values=values, source=os.fspath(source), warnings=[text for text in said if text])


def _values(entry: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Steps measured at another batch size become as many examples, unless held or refined with it."""
    values, start, both = dict(entry["values"], **own), dict(entry["key"], **entry["baseline"]), STEPS
    together = both <= set(entry["values"]) - set(own) and values["max_steps"] != start["max_steps"]
    held = "steps" in [item.get("hold") for name, item in entry["evidence"].items() if "batch_size" in name]
    if both <= set(values) and not together and not held:
        values["max_steps"] = math.ceil(values["max_steps"] * start["batch_size"] / values["batch_size"])
    return values


def load(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Every entry of a file, checked. Raises ValueError with one sentence that begins with the path."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        return _entries(json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:  # a list or a number where an object belongs
        raise ValueError(f"{path}: is not shaped as a tuned-defaults file ({error})") from error


def _entries(content: Any) -> list[dict[str, Any]]:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if isinstance(version, bool) or not isinstance(version, int):
        raise ValueError("is no tuned-defaults file: it has no schema_version")
    if not 1 <= version <= SCHEMA_VERSION:
        raise ValueError(f"schema_version {version} is not 1 to {SCHEMA_VERSION}, which this loader reads")
    listed = content.get("entries", [content])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise ValueError("entries: is no list of objects")
    entries = [_checked(dict(entry, schema_version=version)) for entry in listed]
    keys = [json.dumps(entry["key"], sort_keys=True) for entry in entries]
    for key in {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"two entries are for one key ({key})")
    return entries


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """Refuse an entry that is incomplete, was changed by hand, or serves what nothing stands for."""
    for name in sorted(PARTS - set(entry)):
        raise ValueError(f"{name!r} is missing")
    if entry["evidence_hash"] != _hash(entry):
        raise ValueError("evidence_hash does not match: the file was changed after it was written")
    told = entry.get("told")  # of a script: the settings that it heard of; absent: all of them
    for values in (entry["values"], *entry.get("profiles", {}).values()):
        for name, value in values.items():
            if told is not None and name not in told:
                raise ValueError(f"{name}: the trials were never told it")
            if name in (entry.get("withdrawn") or {}):
                raise ValueError(f"{name}: its value was withdrawn")
            _check_served(name, value, entry["evidence"])
    if "is better" not in (entry.get("metric") or {"words": "is better"})["words"]:
        raise ValueError("metric: does not say which way is better")
    _identity(entry)
    return entry


def _check_served(name: str, value: Any, evidence: dict[str, Any]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: {value!r} is no number that JSON can hold")
    if name == "learning_rate" and not (isinstance(value, (int, float)) and 1e-7 <= value <= 1.0):
        raise ValueError(f"learning_rate: {value!r} is not allowed; it must lie in 0.0000001 to 1")
    items = [item for key, item in evidence.items() if key.partition(" (")[0] == name]
    if not items:
        raise ValueError(f"{name}: a value without evidence cannot be served")
    for item in items:
        if None not in (item["lower"], item["upper"]) and item["lower"] > item["upper"]:
            raise ValueError(f"{name}: lower {item['lower']} is above upper {item['upper']}")
    items += [evidence["search"]] if "search" in evidence else []
    if not any(_stands_for(item, name, value) for item in items):
        raise ValueError(f"{name}: no confirmed or refined verdict stands for {value!r}")


def _stands_for(item: dict[str, Any], name: str, value: Any) -> bool:
    best = item["best_level"] if item["verdict"] == "refine" else item["default"]
    best = best.get(name) if isinstance(best, dict) else best  # of a joint search: whole settings
    return bool(item["verdict"] in DECIDED and value == best)


def _identity(entry: dict[str, Any]) -> tuple[Any, ...]:
    key = dict({"objective": "sft"}, **entry["key"])
    return tuple(key[name] for name in ("family", "hidden_size", "method", "alpha_rule", "objective"))


def _hash(entry: dict[str, Any]) -> str:
    covered = {name: value for name, value in entry.items() if name != "evidence_hash"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("a name is given twice in one object")
    return dict(pairs)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number that JSON can hold")
