"""JSON of ours against the schemas in the package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

PRINTED = re.compile(r"\$ bios-sweep (\S+) (.*--json.*)\nexit code [03]\n((?:.+\n)+)--- on standard error")


@cache
def validator(name: str) -> Draft202012Validator:
    """Of one of the files."""
    return Draft202012Validator(json.loads((files("bios_sweep") / "schemas" / f"{name}.json").read_text()))


def wrong(name: str, value: Any) -> str:
    """What is not as the schema says; empty where all is."""
    error = best_match(validator(name).iter_errors(value))
    return "" if error is None else f"{error.json_path} is not as {name}.json says: {error.message:.500}"


def described(output: str, text: str) -> Iterator[tuple[str, Any]]:
    """(schema, value) of every piece of JSON that has a schema, in an output of the golden set."""
    if printed := PRINTED.match(text):
        verb, words, content = printed.groups()
        if verb in ("report", "plan", "run", "status", "suggest", "rehearse"):
            other = {"--all": "roll_up", "--from-csv": "audit"}
            yield next((other[word] for word in words.split() if word in other), verb), json.loads(content)
    elif output.endswith("/report.json"):
        yield "report", json.loads(text)
    elif output.endswith(".jsonl") and (name := Path(output).stem) in ("journal", "ledger"):
        yield from ((name, json.loads(line)) for line in text.splitlines())
    elif output.endswith(".json") and '"evidence_hash"' in text:
        yield "bios_defaults", json.loads(text)
