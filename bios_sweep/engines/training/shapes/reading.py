"""Records as examples: which shape they have, what each says, and what becomes of one that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from bios_sweep.containers.record import Record
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.refusals import refuse_untrained_keys
from bios_sweep.engines.training.shapes.alpaca import ALPACA, ALPACA_TEXT
from bios_sweep.engines.training.shapes.asked import AS_EVER, SKIP, Asked
from bios_sweep.engines.training.shapes.preference import PREFERENCE, PREFERENCE_PAIRS
from bios_sweep.engines.training.shapes.recognise import SAMPLE, mixed, recognised, shapes_of, unknown
from bios_sweep.engines.training.shapes.registry import BY_NAME, CLUSTER, MIXED, TURN_KEYS
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.values import as_text, refuse_forbidden_keys
from bios_sweep.engines.training.split import own_cluster
from bios_sweep.errors import DataError

MOST_NAMES = 1000  # ways to name the columns that are remembered; chosen: most files have one
NAMED_BAD = 5  # places of skipped records that are told

Check = Callable[[Example], None]


@dataclass(kw_only=True)
class Found:
    """What reading a file found, filled while it is read.

    shape: its name, None before the first record. recognised: whether it was not stated. records: read so
    far, the skipped included. bad: what was wrong with the first of those that were skipped. passed_over:
    columns that nothing reads.
    """

    shape: str | None = None
    recognised: bool = True
    records: int = 0
    skipped: int = 0
    bad: list[str] = field(default_factory=list)
    passed_over: dict[str, bool] = field(default_factory=dict)


class Reader:
    """Reads the records of one file."""

    def __init__(self, asked: Asked = AS_EVER, check: Check | None = None) -> None:
        """check: refuses an example that can be read and not trained on, with a `DataError`."""
        self._asked, self._check, self._first = asked, check, ""
        self.found = Found(recognised=asked.shape is None)
        self._all_read: set[tuple[str, ...]] = set()  # names of shapes and of the columns of whole records

    def __call__(self, records: Iterable[Record]) -> Iterator[Example]:
        """Every record as an example, one by one, in their order.

        Raises:
            DataError: a record that cannot be read or used, and is not to be skipped; or too many of them.
        """
        stream = iter(records)
        sample = list(islice(stream, SAMPLE))
        shape = self._shape(sample)
        for record in chain(sample, stream):
            self.found.records += 1
            try:
                example = self._example(record, shape)
            except DataError as error:
                self._skip(error)
            else:
                yield example
        self._require_few_bad()

    def _shape(self, sample: list[Record]) -> Shape | None:
        """None where every record tells its own."""
        asked = self._asked
        rows = [(place, row) for place, row in map(self._renamed_or_not, sample) if row is not None]
        if asked.shape == MIXED or not rows:
            self.found.shape = asked.shape
            return None
        shape = (
            BY_NAME[asked.shape]
            if asked.shape
            else self._as_model_reads(recognised(rows, lenient=asked.on_bad == SKIP))
        )
        shape = self._as_trained(shape, rows[0][0])
        self.found.shape, self._first = shape.name, rows[0][0]
        return shape

    def _as_model_reads(self, shape: Shape) -> Shape:
        return ALPACA_TEXT if shape is ALPACA and not self._asked.templated else shape

    def _as_trained(self, shape: Shape, place: str) -> Shape:
        """The shape by which the objective reads it: preference training reads pairs alone."""
        if not self._asked.pairs or shape is PREFERENCE_PAIRS:
            return shape
        if shape is PREFERENCE:
            return PREFERENCE_PAIRS
        raise DataError(
            f"{place}: is written as {shape.name}, which has no answer to prefer another to; method=dpo "
            f"reads {PREFERENCE.help}, the prompt also within both answers"
        )

    def _renamed_or_not(self, record: Record) -> tuple[str, Row | None]:
        try:
            return record.place, self._row(record)
        except DataError:
            return record.place, None

    def _row(self, record: Record) -> Row:
        if isinstance(record.row, DataError):
            raise record.row
        refuse_forbidden_keys(record.row, record.place)
        return renamed(record.row, self._asked.columns, record.place)

    def _example(self, record: Record, shape: Shape | None) -> Example:
        row, place = self._row(record), record.place
        chosen = shape or self._own(row, place)
        if _names_of(record, chosen) not in self._all_read:
            self._check_names(row, record, chosen)
        elif self._asked.shape is None and not chosen.fits(row):
            self._refuse_other(row, place, chosen)
        example = chosen.read(row, place)
        if not example.completion.strip():
            raise DataError(f"{place}: the completion is empty; there is nothing to learn, remove the line")
        example = replace(example, cluster=self._cluster(row, place, example))
        if self._check is not None:
            self._check(example)
        return example

    def _check_names(self, row: Row, record: Record, shape: Shape) -> None:
        """Refuse a record of other names, or with one that must not be passed over.

        Where a shape reads all of a record's columns, there is nothing more to say of records that have the
        same ones.
        """
        place = record.place
        if self._asked.shape is None and not shape.recognises(row):
            self._refuse_other(row, place, shape)
        own = (*shape.keys, *shape.more, CLUSTER, self._asked.cluster)
        refuse_untrained_keys(row, own, place, stated=self._asked.stated)
        unread = [*(key for key in row if key not in own), *self._hidden(record.row)]
        self.found.passed_over.update(dict.fromkeys(unread, True))
        missing = [key for key in shape.keys if key not in row]
        if missing:
            raise self._lacks(missing[0], row, place, shape)
        if not unread and len(self._all_read) < MOST_NAMES:
            self._all_read.add(_names_of(record, shape))

    def _hidden(self, row: Any) -> list[str]:
        """Columns of the file in whose place `data.columns` puts others."""
        columns = self._asked.columns
        return [key for key in columns if key not in TURN_KEYS and key in row and key not in columns.values()]

    def _lacks(self, key: str, row: Row, place: str, shape: Shape) -> DataError:
        if self._asked.shape is None:
            return DataError(f"{place}: {key} is missing; a record is {shape.help}")
        names = ", ".join(sorted(row)) or "(none)"
        return DataError(
            f"{place}: {key} is missing, for data.shape={shape.name} reads {shape.help}, and the record has "
            f"{names}; leave data.shape out, or say which column is meant: 'data.columns={{{key}: COLUMN}}'"
        )

    def _own(self, row: Row, place: str) -> Shape:
        """The shape of one record by itself."""
        shapes = shapes_of(row) or [shape for shape in BY_NAME.values() if shape.keys[0] in row][:1]
        if len(shapes) != 1:
            raise unknown(place, row)
        return self._as_trained(self._as_model_reads(shapes[0]), place)

    def _refuse_other(self, row: Row, place: str, shape: Shape) -> None:
        others = shapes_of(row)
        if others:
            raise mixed(self._first, shape, place, others[0])
        if shape.keys[0] not in row:
            raise unknown(place, row)

    def _cluster(self, row: Row, place: str, example: Example) -> str:
        """Without one of its own, every distinct example is a cluster: nothing is known to depend on it."""
        name = self._asked.cluster
        if name is None:
            return as_text(row[CLUSTER], place, CLUSTER) if CLUSTER in row else own_cluster(example)
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            found = f"{value!r}" if name in row else "missing"
            raise DataError(
                f"{place}: data.cluster={name} is {found} there; it must be a text or a whole number"
            )
        return str(value)

    def _skip(self, error: DataError) -> None:
        if self._asked.on_bad != SKIP:
            raise error
        self.found.skipped += 1
        if len(self.found.bad) < NAMED_BAD:
            self.found.bad.append(str(error))

    def _require_few_bad(self) -> None:
        found, most = self.found, self._asked.most_bad
        if found.skipped > most * found.records:
            raise DataError(
                f"{found.bad[0]} (data.on_bad=skip: {found.skipped} of {found.records} records cannot be "
                f"used, more than data.max_bad={most:g} allows; mend them, or allow more)"
            )


def _names_of(record: Record, shape: Shape) -> tuple[str, ...]:
    return (shape.name, *(record.row if isinstance(record.row, dict) else ()))


def renamed(row: Mapping[str, Any], columns: Mapping[str, str], place: str) -> Row:
    """A record whose columns have the names that shapes know; those of turns are renamed within them.

    Raises:
        DataError: it lacks a column.
    """
    if not columns:
        return row
    outer = {key: column for key, column in columns.items() if key not in TURN_KEYS}
    missing = [column for column in outer.values() if column not in row]
    if missing:
        names = ", ".join(sorted(row)) or "(none)"
        raise DataError(f"{place}: data.columns names {missing[0]!r}, and the record has {names}")
    taken = set(outer.values())
    found = {key: value for key, value in row.items() if key not in taken}
    found |= {key: row[column] for key, column in outer.items()}
    inner = {columns[key]: key for key in TURN_KEYS if key in columns}
    return {key: _turns_renamed(value, inner) for key, value in found.items()} if inner else found


def _turns_renamed(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, list) or not all(isinstance(turn, dict) for turn in value):
        return value
    return [{names.get(key, key): said for key, said in turn.items()} for turn in value]
