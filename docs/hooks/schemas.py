"""The JSON schemas in `bios_sweep/schemas/` and their page, made from the classes whose values are written.

A key is a field, its type the field's annotation, its meaning the docstring of its class: nothing is written
twice. As a script it writes the files (`make schemas`); `make docs` makes page and files part of the site.
What no class stands for, the lines of a journal above all, is listed here as key -> annotation.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NotRequired, Union, get_args, get_origin, get_type_hints

from bios_sweep.audit.column_classes import ColumnClasses
from bios_sweep.audit.flaw import Flaw
from bios_sweep.audit.rollup import RollUpRow
from bios_sweep.decision.costs import Timing
from bios_sweep.decision.finding import Margin
from bios_sweep.decision.statement import Verdict
from bios_sweep.defaults.tuned import TunedDefaults, TunedKey
from bios_sweep.doctor.line import Diagnosis
from bios_sweep.driver.by_hand import ArmAnswer
from bios_sweep.launch.behind import Detached
from bios_sweep.ports import PreflightLine
from bios_sweep.procedure.looks import Look
from bios_sweep.reasons import Reason
from bios_sweep.records.workspace import Owner
from bios_sweep.reference.listed import Listing
from bios_sweep.reference.terms import Glossary
from bios_sweep.rehearsal.summary import RehearsalSummary
from bios_sweep.report.content.answers import (
    Cleaning,
    SuggestionSummary,
    SweepLogs,
    SweepStatus,
    TrialLogs,
    Verification,
)
from bios_sweep.report.content.beginning import Beginning
from bios_sweep.report.content.plan_summary import PlanSummary
from bios_sweep.report.content.studies import StudyRow
from bios_sweep.report.content.summary import MetricRow, Summary
from bios_sweep.study.design import Budget, DecisionRule
from bios_sweep.study.search import Proposal
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec

SCHEMAS = Path(__file__).resolve().parents[2] / "bios_sweep" / "schemas"
PER_LINE = 108
DRAFT = "https://json-schema.org/draft/2020-12/schema"
SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
SCALARS |= {Reason: "string"}  # told in words
Settings = Mapping[str, Any]  # setting -> value
Numbers = Mapping[str, float | None]  # metric -> value, null where it was no finite number

# how a class is written, where that is not as its fields are
AS_WRITTEN: dict[type, dict[str, Any]] = {
    # earlier versions wrote a rule without these
    DecisionRule: {
        "purpose": NotRequired[str],
        "margin_absolute": NotRequired[float | None],
        "margin_points": NotRequired[float | None],
    },
    Measurement: {
        "eval_loss": float | None,
        "metrics": NotRequired[Numbers],
        "fraction": NotRequired[float],
        "examples": NotRequired[int],
        "train_loss": NotRequired[float | None],
    },
    TrialResult: {
        "key": NotRequired[str],
        "curve": NotRequired[list[Measurement]],
        "final": Numbers,
        "attempts": NotRequired[int],
        "cause": NotRequired[str],
        "failure": NotRequired[str],
        "files": NotRequired[Mapping[str, str]],
    },
    TrialSpec: {"settings": Settings, "repeat": NotRequired[int], "stage": NotRequired[str]},
    TunedKey: {"objective": NotRequired[str], "runner": NotRequired[str]},
    TunedDefaults: {"evidence_hash": str},
}
RAN = {
    "warnings": list[str], "preflight": NotRequired[list[PreflightLine]],
    "files": {"defaults": str | None, "report": str | None}, "link": str,
}  # fmt: skip
ARM = {"factor": str | None, "level": Any}
FACTS = {
    "sweep_id": str, "name": str, "question": str, "metric": str, "direction": str, "baseline": Settings,
    "told": list[str], "seeds": list[int], "decision": DecisionRule, "budget": Budget, "scenario": str,
    "method": str | None, "objective": NotRequired[str], "arms": Mapping[str, ARM],
    "model": {"name": str, "fingerprint": str, "family": str, "hidden_size": int},
    "data": {
        "name": str, "source": str, "fingerprint": str, "evaluation_fingerprint": str,
        "train_examples": int, "eval_examples": int,
    },
}  # fmt: skip
ENTRIES = {
    "opened": {"facts": FACTS},
    "planned": {"settings": NotRequired[Settings], "trials": list[TrialSpec]},
    "reused": {"key": str, "result": TrialResult},
    "started": {"key": str, "worker": str},
    "measured": {"key": str, "measurement": Measurement},
    "retried": {"key": str, "cause": str, "failure": str},
    "left": {"key": str},
    "by_hand": {"arm": str, "stopped": bool, "why": NotRequired[str]},
    "ended": {"key": str, "result": TrialResult},
    "kept": {"key": str, "folder": str},
    "noted": {"text": str},
    "timed": {"timing": Timing},
    "decided": {"dtype": str, "devices": list[str]},
    "proposed": {"proposals": list[Proposal]},
    "searched": {"importance": Mapping[str, float]},
    "verdict": {
        "payload": {
            "headline": str,
            "markdown": str,
            "verdicts": list[Verdict],
            "looks": NotRequired[list[Look]],
        }
    },
    "reported": {"files": Mapping[str, str]},
    "closed": {"reason": str},
}
AUDIT = {
    "source": str, "metric": MetricRow, "judged_on": str, "columns": ColumnClasses, "margin": Margin | None,
    "contexts": list[str], "roll_up": list[RollUpRow],
    "baseline": {"arm": str, "settings": Settings}, "counts": Mapping[str, int], "compared": list[str],
    "seeds": list[int], "hold": str, "verdicts": list[Verdict], "served": Settings, "notes": list[str],
    "audit": {
        "findings": list[Flaw], "supports": list[str], "does_not_support": list[str], "settle": str,
    },
}  # fmt: skip


def _but_none(hint: Any) -> Any:
    (only,) = [own for own in get_args(hint) if own is not NoneType] or [hint]
    return only


def keys_of(cls: type) -> dict[str, Any]:
    """Key -> annotation of what is written of a dataclass; `jsonable.to_json` reads the same metadata."""
    hints, found = get_type_hints(cls), {}
    for field in fields(cls):
        form, hint = field.metadata.get("json"), hints[field.name]
        if form == "flat":
            found |= {key: NotRequired[own] for key, own in keys_of(_but_none(hint)).items()}
        elif form == "words":
            found[field.name] = str
        elif form != "left out":
            found[field.name] = NotRequired[_but_none(hint)] if form == "optional" else hint
    return found | AS_WRITTEN.get(cls, {})


ENTRY = keys_of(TunedDefaults)
WRITTEN: dict[str, tuple[str, Any]] = {  # file -> what it is of, and its annotation; a list: one of several
    "report": ("What `report --json` prints of a sweep, and its `report.json`.", Summary),
    "audit": ("What `report --from-csv FILE --json` and `report --from-mlflow NAME --json` print.", AUDIT),
    "roll_up": (
        "What `report --all --json` prints.",
        {"roll_up": list[RollUpRow], "studies": list[StudyRow], "judged_on": list[str]},
    ),
    "doctor": ("What `doctor --json` prints.", Diagnosis),
    "keys": ("What `keys WORD --json` prints.", Listing),
    "explain": ("What `explain TERM --json` prints.", Glossary),
    "init": ("What `init --json` prints.", Beginning),
    "plan": ("What `plan --json` prints.", PlanSummary),
    "run": (
        "What `run --json` prints: the report with what became of it, or the preflight that ended the run.",
        [{**keys_of(Summary), **RAN}, {"preflight": list[PreflightLine]}],
    ),
    "detached": ("What `run --detach --json` prints.", Detached),
    "status": ("What `status --json` prints.", SweepStatus),
    "by_hand": (
        "What `stop --json`, `pause --json` and `resume --json` print.",
        [ArmAnswer, {"stopping": Owner, "now": bool}, {"pausing": Owner}, {"resuming": Owner}],
    ),
    "logs": ("What `logs --json` and `logs TRIAL --json` print.", [SweepLogs, TrialLogs]),
    "clean": ("What `clean --json` prints.", Cleaning),
    "verify": ("What `verify --json` prints.", Verification),
    "suggest": ("What `suggest --json` prints.", SuggestionSummary),
    "rehearse": ("What `rehearse --json` prints.", RehearsalSummary),
    "journal": (
        "A line of `journal.jsonl`. seq: from 1 without gaps; time: UTC, ISO 8601 to the millisecond; chain: "
        "digest over this line and all before it, in lines of versions that have one.",
        [
            {"seq": int, "time": str, "kind": kind, **own, "chain": NotRequired[str]}
            for kind, own in ENTRIES.items()
        ],
    ),
    "ledger": (
        "A line of a workspace's `ledger.jsonl`. seq: from 1 without gaps; seal: over line and place.",
        {"seq": int, "time": str, "kind": "look", "look": Look, "seal": str},
    ),
    "bios_defaults": (
        "`bios_defaults.json`: the tuned defaults of one study, or a collection that `defaults merge` wrote.",
        [{"schema_version": int, **ENTRY}, {"schema_version": int, "entries": list[{**ENTRY}]}],
    ),
}


def schema(name: str) -> dict[str, Any]:
    """The schema of one file, with the classes that it needs under `$defs`."""
    about, written = WRITTEN[name]
    defs: dict[str, Any] = {}
    body = {"anyOf": [_of(one, defs) for one in written]} if isinstance(written, list) else _of(written, defs)
    return {
        "$schema": DRAFT,
        "title": name,
        "description": about,
        **body,
        "$defs": dict(sorted(defs.items())),
    }


def _of(hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
    """The schema of one annotation; a text stands for itself."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, dict):
        return _object(hint, defs)
    if is_dataclass(hint) and hint not in SCALARS:
        return _named(hint, defs)
    if isinstance(hint, str):
        return {"const": hint}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if origin in (Union, UnionType):
        return _one_of([_of(argument, defs) for argument in arguments])
    if origin is NotRequired:
        return _of(arguments[0], defs)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1], defs)}
    if origin is tuple and arguments[-1] is not ...:
        return {"type": "array", "prefixItems": [_of(own, defs) for own in arguments], "items": False}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return {"type": "array", "items": _of(arguments[0], defs)}
    return {} if hint is Any else {"type": SCALARS[hint]}


def _object(keys: Mapping[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    required = [key for key, hint in keys.items() if get_origin(hint) is not NotRequired]
    return {
        "type": "object",
        "properties": {key: _of(hint, defs) for key, hint in keys.items()},
        "required": required,
        "additionalProperties": False,
    }


def _named(cls: type, defs: dict[str, Any]) -> dict[str, Any]:
    if cls.__name__ not in defs:
        defs[cls.__name__] = {}  # a class may hold itself
        about = " ".join((inspect.getdoc(cls) or "").split())
        defs[cls.__name__] = {"description": about, **_object(keys_of(cls), defs)}
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _one_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """One type out of several; plain types are listed in one word."""
    if all([*one] == ["type"] for one in schemas):
        return {"type": [one["type"] for one in schemas]}
    return {"anyOf": schemas}


def text(name: str) -> str:
    """The file as it is written."""
    return _lines(schema(name)) + "\n"


def _lines(value: Any, indent: str = "") -> str:
    """JSON in which an object or list that fits a line has one."""
    flat, inner = json.dumps(value), f"{indent} "
    if len(indent + flat) <= PER_LINE or not isinstance(value, dict | list):
        return flat
    items = [_lines(item, inner) for item in value]
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_lines(item, inner)}" for key, item in value.items()]
    before, after = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([before, *(f"{inner}{item}," for item in items[:-1]), inner + items[-1], indent + after])


HEAD = """# JSON

What `--json` prints and what a sweep leaves on the disk is described by JSON schemas (draft 2020-12), which
lie in the package under `bios_sweep/schemas/`. A later version may add keys; one that is not called optional
is always there, and is `null` where its value is None.
"""


def page() -> str:
    """The whole page as Markdown: a section per schema, a table per class."""
    return "\n".join([HEAD, *(part for name in WRITTEN for part in _section(name))])


def _section(name: str) -> Iterator[str]:
    whole = schema(name)
    yield f"## {name}\n\n{whole['description']} [`{name}.json`](schemas/{name}.json)\n"
    for one in whole.get("anyOf", [whole]):
        if "properties" in one:
            yield _table(one)
    for title, own in whole["$defs"].items():
        yield f"### {title}\n\n{own['description']}\n\n{_table(own)}"


def _table(whole: Mapping[str, Any]) -> str:
    rows = ["| key | type |", "|---|---|"]
    for key, own in whole["properties"].items():
        optional = "" if key in whole["required"] else ", optional"
        rows.append(f"| `{key}` | {_words(own)}{optional} |")
    return "\n".join(rows) + "\n"


def _words(own: Mapping[str, Any]) -> str:
    """A type in words."""
    if "const" in own or "enum" in own:
        return " or ".join(f"`{value}`" for value in own.get("enum", [own.get("const")]))
    if "$ref" in own:
        return own["$ref"].rpartition("/")[2]
    if "anyOf" in own:
        return " or ".join(map(_words, own["anyOf"]))
    if own.get("type") == "array":
        return f"list of {_words(own.get('items') or {})}"
    if "properties" in own:
        return f"object of {', '.join(f'`{key}` ({_words(one)})' for key, one in own['properties'].items())}"
    if own.get("type") == "object":
        return f"object, each value {_words(own['additionalProperties'])}"
    kind = own.get("type", "anything")
    return kind if isinstance(kind, str) else " or ".join(kind)


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for name in WRITTEN:
        (SCHEMAS / f"{name}.json").write_text(text(name), encoding="utf-8")
