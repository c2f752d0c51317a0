"""The user's own data: records of any container, read strictly, as a training and an evaluation side.

A record that cannot be used is an error with its place, never skipped: a set that silently
shrinks changes every number measured on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bios_sweep.containers.source import Source, source_of
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.shapes.reading import read_examples
from bios_sweep.engines.training.shapes.registry import SHAPES_HELP
from bios_sweep.engines.training.split import (
    DEFAULT_EVALUATION_FRACTION,
    auto_count,
    check_options,
    first_by_hash,
    refuse_overlap,
    split_by_count,
    split_by_fraction,
)
from bios_sweep.engines.training.stored import stored_files
from bios_sweep.errors import DataError


def jsonl_examples(
    path: Path | str | Sequence[str],
    *,
    weights: object = None,
    eval_path: Path | str | Sequence[str] | None = None,
    eval_fraction: float | None = None,
    eval_examples: int | str | None = None,
) -> DataSet:
    """Read files and hold examples out of them, or read these from `eval_path` or a validation split.

    Without either a hash of the normalised example decides its side: equal examples are always
    on one side, and rows added later leave the old ones where they are (exactly so with
    `eval_fraction`; with `eval_examples` a new row may take an old one's place).

    Args:
        path: the training examples, or all of them: a file, a folder, a pattern, or several.
        weights: shares of several paths, see `containers.mixture`.
        eval_path: evaluation examples; then `path` is for training only. None: the validation split of a
            folder, where it has one.
        eval_fraction: share held out of `path`, 0.1 if neither this nor `eval_examples` is given.
        eval_examples: how many to hold out of `path`, or to take from `eval_path`; `auto`: see `auto_count`.

    Raises:
        DataError: a file or record cannot be used, the options contradict each other, a side is
            empty, or an example is in both files.
    """
    check_options(eval_path, eval_fraction, eval_examples)
    source = source_of(path, weights)
    given = None if eval_path is None else source_of(eval_path)
    return examples_of(source, given, eval_fraction=eval_fraction, eval_examples=eval_examples)


def examples_of(
    source: Source, given: Source | None, *, eval_fraction: float | None, eval_examples: int | str | None
) -> DataSet:
    """Both sides of a source. given: of its own evaluation examples; the rest as of `jsonl_examples`."""
    held_out = given or source.held_out
    if held_out is not None and eval_fraction is not None:
        raise DataError(
            f"data.eval_fraction: {source.label} has a validation split of its own ({held_out.about}); leave "
            "it out, or give the training file itself as data.path"
        )
    examples, label = _stored(source), Path(source.label)
    if held_out is not None:
        train, pool = examples, _stored(held_out)
        evaluation = first_by_hash(pool, _count(eval_examples, len(pool), apart=True), Path(held_out.label))
        refuse_overlap(train, evaluation)
    elif eval_examples is not None:
        count = _count(eval_examples, len(examples), apart=False)
        train, evaluation = split_by_count(examples, count or 0, label)
    else:
        share = DEFAULT_EVALUATION_FRACTION if eval_fraction is None else eval_fraction
        train, evaluation = split_by_fraction(examples, share, label)
    about = source.about if given is None else f"{source.about}, evaluation {given.about}"
    return DataSet(name=source.name, train=train, evaluation=evaluation, source=about)


def _count(asked: int | str | None, available: int, *, apart: bool) -> int | None:
    return auto_count(available, apart=apart) if isinstance(asked, str) else asked


def _stored(source: Source) -> Sequence[Example]:
    return stored_files(source.files, lambda: _every(source), source.how)


def read_jsonl(path: Path) -> Iterator[Example]:
    """Every record of a path as an example.

    Raises:
        DataError: no such file, no example in it, or a record that cannot be used.
    """
    return _every(source_of(path))


def _every(source: Source) -> Iterator[Example]:
    number = 0
    for number, example in enumerate(read_examples(source.read()), start=1):  # noqa: B007 - counted
        yield example
    if not number:
        raise DataError(f"{source.label}: the file is empty; write one JSON object per line: {SHAPES_HELP}")
