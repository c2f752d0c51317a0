"""The user's own data: records of any container, read strictly, as a training and an evaluation side.

A record that cannot be used is an error with its place, and is skipped where that is asked for, and told: a
set that silently shrinks changes every number measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bios_sweep.containers.source import Source, source_of
from bios_sweep.engines.training.contamination import contamination_of
from bios_sweep.engines.training.contamination import lines_of as contamination_lines
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.groups import CLUSTER, CONTENT, KEYS, split_groups
from bios_sweep.engines.training.shapes.asked import AS_EVER, Asked
from bios_sweep.engines.training.shapes.reading import Found, Reader
from bios_sweep.engines.training.shapes.registry import SHAPES_HELP
from bios_sweep.engines.training.shapes.told import lines_of
from bios_sweep.engines.training.split import (
    DEFAULT_EVALUATION_FRACTION,
    AtMost,
    EmptySide,
    auto_count,
    check_options,
    first_by_hash,
    own_cluster,
    refuse_overlap,
    split_by_count,
    split_by_fraction,
)
from bios_sweep.engines.training.stored import stored_files
from bios_sweep.errors import DataError

Pieces = Callable[[Iterator[Example]], Iterator[Example]]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How records become the examples of both sides.

    asked: their shape and what becomes of bad ones. check: refuses an example that cannot be trained on.
    pieces: cuts long texts. how: what of check and pieces decides the examples, in JSON. rule: what stays on
    one side, one of `groups.RULES`. adapts: a number of evaluation examples that a preset asks for follows
    the size of the data.
    """

    asked: Asked = AS_EVER
    check: Callable[[Example], None] | None = None
    pieces: Pieces | None = None
    how: Mapping[str, Any] = field(default_factory=dict)
    rule: str = CONTENT
    adapts: bool = False


PLAIN = Reading()


def jsonl_examples(
    path: Path | str | Sequence[str] | Source,
    *,
    weights: object = None,
    eval_path: Path | str | Sequence[str] | None = None,
    eval_fraction: float | None = None,
    eval_examples: int | AtMost | None = None,
    reading: Reading = PLAIN,
) -> DataSet:
    """Read files and hold examples out of them, or read these from `eval_path` or a validation split.

    Without either a hash of the normalised example decides its side: equal examples are always
    on one side, and rows added later leave the old ones where they are (exactly so with
    `eval_fraction`; with `eval_examples` a new row may take an old one's place).

    Args:
        path: the training examples, or all of them: a file, a folder, a pattern, or several; or a source.
        weights: shares of several paths, see `containers.mixture`.
        eval_path: evaluation examples; then `path` is for training only. None: the validation split of a
            folder, where it has one.
        eval_fraction: share held out of `path`, 0.1 if neither this nor `eval_examples` is given.
        eval_examples: how many to hold out of `path`, or to take from `eval_path`.
        reading: how records become examples, and what stays on one side.

    Raises:
        DataError: a file or record cannot be used, the options contradict each other, a side is
            empty, or an example is in both files.
    """
    check_options(eval_path, eval_fraction, eval_examples)
    source = path if isinstance(path, Source) else source_of(path, weights)
    given = None if eval_path is None else source_of(eval_path)
    return examples_of(
        source, given, eval_fraction=eval_fraction, eval_examples=eval_examples, reading=reading
    )


def examples_of(
    source: Source,
    given: Source | None,
    *,
    eval_fraction: float | None,
    eval_examples: int | AtMost | None,
    reading: Reading = PLAIN,
) -> DataSet:
    """Both sides of a source. given: of its own evaluation examples; the rest as of `jsonl_examples`."""
    held_out = given or source.held_out
    if held_out is not None and eval_fraction is not None:
        raise DataError(
            f"data.eval_fraction: {source.label} has a validation split of its own ({held_out.about}); leave "
            "it out, or give the training file itself as data.path"
        )
    examples, told = _read(source, reading)
    if held_out is not None:
        pool, more = _read(held_out, reading)
        count, adapted = _count(eval_examples, len(pool), reading, apart=True)
        evaluation = first_by_hash(pool, count, Path(held_out.label))
        train: Sequence[Example] = examples
        refuse_overlap(train, evaluation)
        told = (*told, *more, *adapted, *_shared_clusters(train, evaluation, reading))
    else:
        _require_clusters(examples, source, reading)
        count, adapted = _count(eval_examples, len(examples), reading, apart=False)
        train, evaluation, fewer = _sides(examples, count, eval_fraction, source.label, reading)
        told = (*told, *adapted, *fewer)
    about = source.about if given is None else f"{source.about}, evaluation {given.about}"
    dataset = DataSet(name=source.name, train=train, evaluation=evaluation, source=about)
    both = contamination_lines(contamination_of(dataset), one_file=held_out is None)
    return replace(dataset, told=(*told, *both))


def _sides(
    examples: Sequence[Example], count: int | None, fraction: float | None, label: str, reading: Reading
) -> tuple[Sequence[Example], Sequence[Example], tuple[str, ...]]:
    """Both sides, and what is said of them. fraction: as it is given; None: the default's.

    A share that nobody asked for is met on average, and may be nothing of a small file: then it is a number.
    """
    share = DEFAULT_EVALUATION_FRACTION if fraction is None else fraction
    path = Path(label)
    try:
        return *_split(examples, count, share, path, reading), ()
    except EmptySide:
        if fraction is not None or count is not None or len(examples) == 1:
            raise
    least = max(1, round(share * len(examples)))
    train, evaluation = _split(examples, least, share, path, reading)
    held_out = f"{len(evaluation)} of {len(examples)} examples are held out, the first by their hashes"
    return train, evaluation, (f"{held_out}, for a share of {share:g} by chance is none of so few",)


def _require_clusters(examples: Sequence[Example], source: Source, reading: Reading) -> None:
    """Refuse `data.split=cluster` of records that name none, which would be split by content."""
    if reading.rule != CLUSTER or reading.asked.cluster is not None or reading.pieces is not None:
        return
    if all(one.cluster == own_cluster(one) for one in examples):
        raise DataError(
            f"data.split=cluster: no record of {source.label} says its cluster; name the column that does, "
            "such as data.cluster=conversation_id"
        )


def _split(
    examples: Sequence[Example], count: int | None, share: float, label: Path, reading: Reading
) -> tuple[Sequence[Example], Sequence[Example]]:
    if reading.rule != CONTENT:
        fraction = share if count is None else None
        return split_groups(examples, KEYS[reading.rule], label, fraction=fraction, count=count)
    if count is not None:
        return split_by_count(examples, count, label)
    return split_by_fraction(examples, share, label)


def _count(
    asked: int | AtMost | None, available: int, reading: Reading, *, apart: bool
) -> tuple[int | None, tuple[str, ...]]:
    """How many to evaluate on, and what is said where that is not what was asked for."""
    if isinstance(asked, AtMost):
        return auto_count(available, apart=apart, wanted=asked.examples), ()
    if asked is None or not reading.adapts or asked < available + apart:
        return asked, ()
    count = auto_count(available, apart=apart)
    return count, (
        f"a preset asks for {asked:,} evaluation examples of {available:,}: {count:,} are held out, "
        "or as many as data.eval_examples says",
    )


def _shared_clusters(
    train: Sequence[Example], evaluation: Sequence[Example], reading: Reading
) -> tuple[str, ...]:
    if reading.rule != CLUSTER:
        return ()
    both = {example.cluster for example in train} & {example.cluster for example in evaluation}
    if not both:
        return ()
    return (f"{len(both):,} clusters are in training and in evaluation, such as {min(both)!r}",)


def _empty(source: Source) -> DataError:
    return DataError(f"{source.label}: the file is empty; write one JSON object per line: {SHAPES_HELP}")


def _read(source: Source, reading: Reading) -> tuple[Sequence[Example], tuple[str, ...]]:
    """The examples of a source, and what reading them found, in words."""
    readers: list[Reader] = []  # each reading has one of its own; the last has read to the end

    def read() -> Iterator[Example]:
        readers.append(Reader(reading.asked, reading.check))
        examples = readers[-1](source.read())
        yield from examples if reading.pieces is None else reading.pieces(examples)

    how = {**source.how, **reading.asked.identity(), **reading.how}
    examples, found = stored_files(source.files, read, lambda: asdict(readers[-1].found), how)
    if not examples:
        raise _empty(source)
    return examples, lines_of(Found(**found), source.name)
