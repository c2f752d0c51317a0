"""What makes a number of an answer: exact match, a regular expression, or a user's own function.

Standard library only. As a script it tries a scorer on one example, in a process of its own: a plan loads
nobody's modules into itself. `python -m bios_sweep.engines.training.scorers` reads a JSON object with
`options` and `example` (prompt, completion, reference) on standard input and prints `value` or `error`.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import sys
import types
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from bios_sweep.errors import ConfigError
from bios_sweep.study.score import EXACT, PATTERN

Scorer = Callable[[str, str, str], float]  # of prompt, completion and reference
CALLED = "score(prompt, completion, reference) -> float"


def scorer_of(options: Mapping[str, Any]) -> Scorer:
    """The scorer that an engine's plain values describe.

    options: `kind`; with a pattern `pattern`; of a function `asked` (as people gave it), `name`, `path`
    (folders to import from) and either `source` with its `file`, or `module`.

    Raises:
        ConfigError: the function cannot be had.
    """
    if options["kind"] == EXACT:
        return exact_match
    if options["kind"] == PATTERN:
        return pattern_match(options["pattern"])
    return own_scorer(options)


def exact_match(prompt: str, completion: str, reference: str) -> float:
    """1 where the answer is the reference, but for blanks around it; else 0."""
    return float(completion.strip() == reference.strip())


def pattern_match(pattern: str) -> Scorer:
    """1 where the pattern finds in the answer what it finds in the reference, else 0.

    Compared is the group, or the whole match where there is none, of the first match. A reference without a
    match stands for itself.
    """
    expression = re.compile(pattern)

    def found(text: str) -> str | None:
        match = expression.search(text)
        return None if match is None else (match[expression.groups] or "").strip()

    def score(prompt: str, completion: str, reference: str) -> float:
        wanted, said = found(reference), found(completion)
        return float(said is not None and said == (reference.strip() if wanted is None else wanted))

    return score


def own_scorer(options: Mapping[str, Any]) -> Scorer:
    """A user's function, whose values are checked one by one."""
    function, asked = _function(options), options["asked"]

    def score(prompt: str, completion: str, reference: str) -> float:
        try:
            value = function(prompt, completion, reference)
        except Exception as error:  # any function decides for itself what it raises
            raise ConfigError(f"data.score: {asked} raised {type(error).__name__}: {error}") from error
        return _number(value, asked)

    return score


def _number(value: Any, asked: str) -> float:
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"data.score: {asked} returned {value!r}, not a finite number; it is {CALLED}")
    return number


def _function(options: Mapping[str, Any]) -> Callable[..., Any]:
    asked, name = options["asked"], options["name"]
    sys.path[:0] = [folder for folder in options["path"] if folder not in sys.path]
    try:
        module = _executed(options) if "source" in options else import_module(options["module"])
    except Exception as error:  # an import runs anything
        raise ConfigError(
            f"data.score: {asked} cannot be imported ({type(error).__name__}: {error})"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"data.score: {asked}: there is no function {name!r}; a scorer is {CALLED}")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some that are written in C have none
        return function  # type: ignore[no-any-return]
    try:
        signature.bind("prompt", "completion", "reference")
    except TypeError:
        raise ConfigError(f"data.score: {asked} takes {signature}; a scorer is {CALLED}") from None
    return function  # type: ignore[no-any-return]


def _executed(options: Mapping[str, Any]) -> types.ModuleType:
    """The source as it was planned with: no node needs the file, and a changed file changes nothing."""
    module = types.ModuleType("own_scorer")
    module.__file__ = options["file"]
    sys.modules[module.__name__] = module  # dataclasses look their module up
    exec(compile(options["source"], options["file"], "exec"), module.__dict__)  # what the user asked for
    return module


def tried(job: Mapping[str, Any]) -> dict[str, Any]:
    """The value of one example, or a sentence on why there is none."""
    try:
        return {"value": scorer_of(job["options"])(*job["example"])}
    except ConfigError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(tried(json.load(sys.stdin))))  # noqa: T201 - the plan reads it
