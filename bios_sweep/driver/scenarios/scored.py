"""`data.score`: how answers are scored, read and tried on one example before anything is started."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.checks import not_allowed, whole
from bios_sweep.engines.scripted.imports import imported_by, module_spec, own_files, versions_of
from bios_sweep.engines.training.data import Example
from bios_sweep.errors import ConfigError, DataError
from bios_sweep.interpreter import python, with_package
from bios_sweep.paths import expanded, resolved
from bios_sweep.secrecy import secret_in
from bios_sweep.study.score import EXACT, FUNCTION, PATTERN, Score
from bios_sweep.study.trials import GENERAL_BEFORE, short_hash

KEY = "data.score"
GIVEN = f"{EXACT}, {PATTERN}, FILE.py:function or package.module:function"
OTHERS = (
    "wall_seconds",
    "tokens",
    "step",
    GENERAL_BEFORE,
)  # numbers of a trial that have their names already
NEW_TOKENS = 64  # chosen: an answer in a sentence or two
TRIAL_SECONDS = 120  # for the import of a scorer and one value; chosen
CODE_LENGTH = 64  # hex digits: all of sha256, as other fingerprints have


def scored(
    values: Mapping[str, Any], evaluation: Sequence[Example], measured: Sequence[str], positions: int | None
) -> tuple[Score, dict[str, Any]] | None:
    """The score that a configuration asks for, and what the engine is told; None where it asks for none.

    values: of the group `data`. measured: names of what a trial measures anyway. positions: tokens that the
    model reads at most.

    Raises:
        InputError: a value is not allowed, the function cannot be used, or an example has nothing to answer.
    """
    asked = values.get("score")
    if asked is None:
        return None
    if not isinstance(asked, str) or not asked.strip():
        raise not_allowed(KEY, asked, GIVEN)
    count = values.get("score_items")
    items = evaluation if count is None else evaluation[: whole("data.score_items", count)]
    if count is not None and count > len(evaluation):
        raise ConfigError(f"data.score_items: {count}, but there are {len(evaluation)} evaluation examples")
    given = values.get("score_tokens")
    new_tokens = NEW_TOKENS if given is None else whole("data.score_tokens", given)
    if positions is not None and new_tokens >= positions:
        raise ConfigError(
            f"data.score_tokens: {new_tokens} leave no room for a prompt in the model's {positions} positions"
        )
    _require_prompts(items)
    by, code = _by(asked, values.get("score_pattern"))
    _try(by, items[0])
    metric = by["name"] if by["kind"] == FUNCTION else EXACT if by["kind"] == EXACT else "pattern_match"
    if metric in (*measured, *OTHERS):
        raise ConfigError(f"{KEY}: a trial has a number called {metric!r} already; rename the function")
    score = Score(
        metric=metric,
        kind=by["kind"],
        asked=asked,
        items=len(items),
        clusters=len({example.cluster for example in items}),
        new_tokens=new_tokens,
        pattern=by.get("pattern", ""),
        stop=_stop(values.get("score_stop")),
        code=code,
    )
    told = {
        "metric": metric,
        "items": score.items,
        "new_tokens": new_tokens,
        "stop": list(score.stop),
        "by": by,
    }
    return score, told


def _stop(given: Any) -> tuple[str, ...]:
    listed = [given] if isinstance(given, str) else given or []
    if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
        raise not_allowed("data.score_stop", given, 'a text, or a list of texts such as ["\\n\\n", "Q:"]')
    return tuple(listed)


def _require_prompts(items: Sequence[Example]) -> None:
    for example in items:
        if not example.messages and not example.prompt:
            raise DataError(
                f"{KEY}: {example.origin} has no prompt, so there is nothing to answer; score examples "
                "that are written as prompt and completion, or as messages"
            )


def _by(asked: str, pattern: Any) -> tuple[dict[str, Any], str]:
    """What the engine makes its scorer of, and the digest of a function's code."""
    if asked == EXACT:
        return {"kind": EXACT}, ""
    if asked == PATTERN:
        return {"kind": PATTERN, "pattern": _pattern(pattern)}, ""
    where, _, name = asked.rpartition(":")
    if not where or not name.isidentifier():
        raise not_allowed(KEY, asked, GIVEN)
    file, folder = _file(asked, where)
    source, tree = _source(asked, file)
    path = [str(folder), str(Path.cwd())]
    own, others = own_files(imported_by(tree), [*path, *sys.path])
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in sorted(own.items())}
    content = hashlib.sha256(source.encode()).hexdigest()
    code = short_hash({"source": content, "own": digests, "packages": versions_of(others)}, CODE_LENGTH)
    module = {"source": source, "file": str(file)} if where.endswith(".py") else {"module": where}
    return {"kind": FUNCTION, "asked": asked, "name": name, "path": path, **module}, code


def _pattern(given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise not_allowed("data.score_pattern", given, "a regular expression such as 'answer is (\\d+)'")
    try:
        groups = re.compile(given).groups
    except re.error as error:
        raise ConfigError(f"data.score_pattern: {given!r} is no regular expression ({error})") from error
    if groups > 1:
        raise ConfigError(f"data.score_pattern: {given!r} has {groups} groups; one says what is compared")
    return given


def _file(asked: str, where: str) -> tuple[Path, Path]:
    """The file of the function, and the folder that its own imports are looked for in."""
    if where.endswith(".py"):
        file = resolved(expanded(where))
        if not file.is_file():
            raise ConfigError(f"{KEY}: there is no file {where!r} in {Path.cwd()}")
        return file, file.parent
    if not all(part.isidentifier() for part in where.split(".")):
        raise not_allowed(KEY, asked, GIVEN)
    spec = module_spec(where, [str(Path.cwd()), *sys.path])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(f"{KEY}: there is no module {where!r}, neither in {Path.cwd()} nor installed")
    return Path(spec.origin), Path.cwd()


def _source(asked: str, file: Path) -> tuple[str, ast.Module]:
    """The text of the function's file, and as Python; its texts must hold no secret, for it is kept."""
    try:
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source, str(file))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{KEY}: {asked} cannot be read as Python ({error})") from error
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    for found in filter(None, (secret_in(text) for text in literals if isinstance(text, str))):
        raise ConfigError(
            f"{KEY}: {file} holds {found}, which would be kept with the plan; read it from the environment"
        )
    return source, tree


def _try(by: Mapping[str, Any], example: Example) -> None:
    """Score one example's own reference, in another process: a plan loads nobody's modules into itself."""
    if by["kind"] != FUNCTION:
        return
    prompt = example.prompt or "\n".join(message.content for message in example.messages[:-1])
    job = json.dumps({"options": by, "example": [prompt, example.completion, example.completion]})
    words = python("-m", "bios_sweep.engines.training.scorers")
    try:
        ran = subprocess.run(
            words,
            input=job,
            capture_output=True,
            text=True,
            timeout=TRIAL_SECONDS,
            check=False,
            env=with_package(),
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{KEY}: {by['asked']} took more than {TRIAL_SECONDS} s for one example") from None
    told = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 and ran.stdout.strip() else {}
    if "value" not in told:
        last = (ran.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ConfigError(told.get("error", f"{KEY}: {by['asked']} cannot be tried ({last})"))
