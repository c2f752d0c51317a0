"""The user's own data: one JSON object per line, read strictly.

A line that cannot be used is an error with file and line, never skipped: a set that silently
shrinks changes every number measured on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bios_sweep.engines.training.data import DataSet, Example, Message
from bios_sweep.engines.training.refusals import refuse_untrained_keys, refuse_untrained_turn
from bios_sweep.engines.training.split import (
    DEFAULT_EVALUATION_FRACTION,
    auto_count,
    check_options,
    first_by_hash,
    identity,
    refuse_overlap,
    split_by_count,
    split_by_fraction,
)
from bios_sweep.engines.training.stored import stored_file
from bios_sweep.errors import DataError

BYTE_ORDER = b"\xef\xbb\xbf"  # what some editors begin a UTF-8 file with
SHAPES = ("prompt", "messages", "text")  # the key that tells a line's shape
SHAPES_HELP = '{"prompt", "completion"}, {"messages"} or {"text"}'
FORBIDDEN_KEY = "_target_"  # Hydra would call what it names; no data needs it


def jsonl_examples(
    path: Path | str,
    *,
    eval_path: Path | str | None = None,
    eval_fraction: float | None = None,
    eval_examples: int | str | None = None,
) -> DataSet:
    """Read a JSONL file and hold examples out of it, or read them from `eval_path`.

    Without `eval_path` a hash of the normalised example decides its side: equal examples are always
    on one side, and rows added later leave the old ones where they are (exactly so with
    `eval_fraction`; with `eval_examples` a new row may take an old one's place).

    Args:
        path: the training examples, or all of them.
        eval_path: a file of evaluation examples; then `path` is for training only.
        eval_fraction: share held out of `path`, 0.1 if neither this nor `eval_examples` is given.
        eval_examples: how many to hold out of `path`, or to take from `eval_path`; `auto`: see `auto_count`.

    Raises:
        DataError: a file or line cannot be used, the options contradict each other, a side is
            empty, or an example is in both files.
    """
    check_options(eval_path, eval_fraction, eval_examples)
    examples = _stored(Path(path))
    if eval_path is not None:
        train = examples
        pool = _stored(Path(eval_path))
        evaluation = first_by_hash(pool, _count(eval_examples, len(pool), apart=True), Path(eval_path))
        refuse_overlap(train, evaluation)
    elif eval_examples is not None:
        count = _count(eval_examples, len(examples), apart=False)
        train, evaluation = split_by_count(examples, count or 0, Path(path))
    else:
        share = DEFAULT_EVALUATION_FRACTION if eval_fraction is None else eval_fraction
        train, evaluation = split_by_fraction(examples, share, Path(path))
    source = str(path) if eval_path is None else f"{path}, evaluation {eval_path}"
    return DataSet(name=Path(path).stem, train=train, evaluation=evaluation, source=source)


def _count(asked: int | str | None, available: int, *, apart: bool) -> int | None:
    return auto_count(available, apart=apart) if isinstance(asked, str) else asked


def _stored(path: Path) -> Sequence[Example]:
    return stored_file(path, lambda: read_jsonl(path))


def read_jsonl(path: Path) -> Iterator[Example]:
    """Every line of a file as an example; blank lines are passed over.

    Raises:
        DataError: no such file, no example in it, or a line that cannot be used.
    """
    number = 0
    for number, line in _numbered_lines(path):
        yield parse_line(line, f"{path}:{number}")
    if not number:
        raise DataError(f"{path}: the file is empty; write one JSON object per line: {SHAPES_HELP}")


def parse_line(line: str, origin: str) -> Example:
    """One line as an example. `origin` is `file:line` and opens every message."""
    try:
        row = json.loads(line, object_pairs_hook=_once)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{origin}: not valid JSON ({error}); is the line cut off?") from error
    if not isinstance(row, dict):
        raise DataError(f"{origin}: a {type(row).__name__}, not an object; write {SHAPES_HELP}")
    _refuse_forbidden_keys(row, origin)
    shapes = [key for key in SHAPES if key in row]
    if len(shapes) != 1:
        names = ", ".join(sorted(row)) or "(none)"
        raise DataError(f"{origin}: has the keys {names}; a line is exactly one of {SHAPES_HELP}")
    refuse_untrained_keys(row, shapes[0], origin)
    prompt, messages, completion = _content(row, shapes[0], origin)
    if not completion.strip():
        raise DataError(f"{origin}: the completion is empty; there is nothing to learn, remove the line")
    example = Example(prompt=prompt, completion=completion, cluster="", messages=messages, origin=origin)
    # Without a cluster of its own, every distinct example is one: nothing is known to depend on it.
    cluster = _string(row, "cluster", origin) if "cluster" in row else identity(example).hex()[:16]
    return replace(example, cluster=cluster)


def _content(row: dict[str, Any], shape: str, origin: str) -> tuple[str, tuple[Message, ...], str]:
    """Prompt, messages and completion of a line of the given shape."""
    if shape == "messages":
        messages = _messages(row["messages"], origin)
        return "", messages, messages[-1].content
    if shape == "text":
        return "", (), _string(row, "text", origin)
    return _string(row, "prompt", origin), (), _string(row, "completion", origin)


def _messages(value: object, origin: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{origin}: messages must be a list of at least one {{role, content}} object")
    messages = []
    for index, turn in enumerate(value):
        if not isinstance(turn, dict):
            raise DataError(f"{origin}: messages[{index}] must be a {{role, content}} object")
        refuse_untrained_turn(turn, index, origin)
        role, content = (_string(turn, key, origin, f"messages[{index}].") for key in ("role", "content"))
        messages.append(Message(role=role, content=content))
    if messages[-1].role != "assistant":
        raise DataError(
            f"{origin}: the last message is of role {messages[-1].role!r}; it must be the assistant's, "
            "whose words are learned"
        )
    for index, message in enumerate(messages[:-1]):
        if message.role == "assistant" and not message.content.strip():
            raise DataError(
                f"{origin}: messages[{index}].content is empty; a turn of the assistant says something, "
                "remove the conversation or the turn"
            )
    return tuple(messages)


def _string(row: dict[str, Any], key: str, origin: str, where: str = "") -> str:
    if key not in row:
        raise DataError(f"{origin}: {where}{key} is missing; a line is one of {SHAPES_HELP}")
    value = row[key]
    if not isinstance(value, str):
        way_out = "; join its text parts into one" if isinstance(value, list) and where else ""
        raise DataError(f"{origin}: {where}{key} is a {type(value).__name__}; it must be a string{way_out}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{origin}: {where}{key} holds half a character (a lone surrogate)") from error
    return value


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                line = line.removeprefix(BYTE_ORDER) if number == 1 else line
                if line.strip():
                    yield number, _decoded(line, f"{path}:{number}")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; data.path must be a JSONL file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); data.path must be a file") from error


def _decoded(line: bytes, origin: str) -> str:
    try:
        return line.removesuffix(b"\n").decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{origin}: not UTF-8 text; convert the file to UTF-8") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two with one name the first would be lost."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the key {twice!r} is there twice in one object; keep one of them")
    return row


def _refuse_forbidden_keys(row: dict[str, Any], origin: str) -> None:
    """Look at every key at any depth; a list of what is left, because data may nest deeply."""
    left: list[Any] = [row]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            forbidden = [key for key in value if FORBIDDEN_KEY in key]
            if forbidden:
                raise DataError(f"{origin}: the key {forbidden[0]!r} is not allowed in data; remove it")
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
