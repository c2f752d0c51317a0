"""JSON that is no line each: an array, an object with one list inside, objects written over several lines.

Read item by item through a window over the text, so that a file of any size takes the memory of its largest
item.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bios_sweep.containers.lines import not_utf8, once
from bios_sweep.containers.record import Record, record_of
from bios_sweep.containers.sniff import UTF8_BOM
from bios_sweep.errors import DataError

PIECE_BYTES = 1 << 16
WHOLE = (
    1 << 20
)  # characters; chosen: the first object is looked at whole before what it is, up to this length
LARGEST_ITEM = 1 << 26  # characters; chosen: an item without an end must not be read to the end of the file
# An error so close to the end of the window may be due to the window: `-Infinity`, `\\u12ab` twice.
EDGE = 16
BLANKS = " \t\n\r"
TURN_KEYS = frozenset({"role", "from"})  # of the items of a list that is one conversation
EXAMPLE_KEYS = frozenset(  # an object that has one of them is an example itself, whatever lists it has
    {"prompt", "completion", "text", "instruction", "output", "question", "chosen", "rejected", "messages"}
    | {
        "conversations",
        "conversation",
        "response",
        "answer",
        "answers",
        "input",
        "query",
        "solution",
        "target",
    }
    | {"context", "contexts", "documents", "tools", "functions"}
)
# what else is a column of examples; a text whose first line has only such names between marks is a table
KNOWN_NAMES = (
    EXAMPLE_KEYS
    | {"rejected", "system", "cluster", "id", "index", "source", "label", "category", "role", "content"}
    | {"problem", "history", "user", "assistant", "reply", "q", "a"}
)
# a name in quotation marks: JSON, or Python's way to show it, however it goes on
_MEANT_JSON = re.compile(r"\[?\s*\{\s*(?:\"[^\"\n]*\"|'[^'\n]*')\s*:")
OPENS = "{[,:"  # what a line of an object ends with that goes on on the next
ORIENT = "in pandas: df.to_json(FILE, orient='records', lines=True)"
_DECODER = json.JSONDecoder(object_pairs_hook=once)


def is_document(head: str, *, whole: bool) -> bool:
    """Whether text that begins with an object is one document and not a line each.

    head: what the text begins with. whole: it is all of the text.
    """
    first, newline, rest = head.partition("\n")
    if not newline and not whole:
        return _opens_list(first)
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return first.rstrip()[-1:] in OPENS and bool(newline)
    return whole and not rest.strip()


def begins_with_record(head: str) -> bool:
    """Whether text begins with an object or a list of objects, and no link, mark or placeholder.

    A broken one counts: it was meant as a record, and its error is told where it is read.
    """
    return _MEANT_JSON.match(head) is not None


def _opens_list(begin: str) -> bool:
    """Whether a very long first line holds a list of records, judged by its first kilobytes."""
    window = Window(io.BytesIO(b""), "", text=begin)
    try:
        window.take("{")
        while True:
            key = window.value()
            window.take(":")
            if _is_list_of_records(window, key):
                return True
            window.value()
            window.take(",")
    except DataError:
        return False


class Window:
    """The text of a stream, of which only what is being read is held. name: of the file."""

    def __init__(self, stream: io.BufferedIOBase, name: str, text: str = "") -> None:
        self._stream, self.name, self._text = stream, name, text
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._at = 0
        self._bytes = 0
        self._counted = 0
        self._lines = 1
        self._ended = False

    @property
    def line(self) -> int:
        """The number of the line that is being read, from 1."""
        self._lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._lines

    def peek(self, ahead: int = 0) -> str:
        """The next character that is no blank, empty at the end; with `ahead` the one after so many more."""
        self._at = self._skip(self._at)
        at = self._at
        for _ in range(ahead):
            at = self._skip(at + 1)
        return self._text[at : at + 1]

    def after(self, opening: int) -> str:
        """The text behind so many brackets, as far as it is there; for a look ahead."""
        self.peek(opening)
        at = self._at
        for _ in range(opening):
            at = self._skip(at + 1)
        return self._text[at : at + PIECE_BYTES]

    def take(self, character: str) -> None:
        """Pass over one character that must be there.

        Raises:
            DataError: another one is.
        """
        found = self.peek()
        if found != character:
            why = f"{character!r} is expected, {found!r} found" if found else "it ends early"
            raise DataError(self.broken(why, cut=not found))
        self._at += 1

    def whole(self) -> tuple[Any, str] | None:
        """The value that comes next and the character behind it; nothing is passed over.

        None where it is longer than `WHOLE` or no JSON.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at >= WHOLE or not self._grow():
                    return None
            except (ValueError, DataError, RecursionError):
                return None
            else:
                at = self._skip(end)
                return value, self._text[at : at + 1]

    def value(self) -> Any:
        """The next JSON value, and pass over it.

        Raises:
            DataError: there is none, or it is longer than `LARGEST_ITEM`.
        """
        if not self.peek():
            raise DataError(self.broken("it ends early", cut=True))
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
                if end < len(self._text) or not self._grow():  # a number may go on
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                open_ended = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - EDGE
                if not open_ended or not self._grow():
                    lines = self._text.count("\n", self._at, error.pos)
                    cut = error.msg.startswith("Unterminated") or not self._text[error.pos :].strip()
                    raise DataError(self.broken(error.msg, lines, cut=cut)) from error
            except DataError as error:
                raise DataError(f"{self.name}:{self.line}: {error}") from None
            except RecursionError as error:
                raise DataError(self.broken("nested too deeply")) from error

    def broken(self, why: str, lines: int = 0, *, cut: bool = False) -> str:
        """The sentence on text that is no JSON. lines: further down. cut: it is so at its very end."""
        way_out = "is the file cut off?" if cut else "mend the file"
        return f"{self.name}:{self.line + lines}: not valid JSON ({why}); {way_out}"

    def _skip(self, at: int) -> int:
        while True:
            while at < len(self._text) and self._text[at] in BLANKS:
                at += 1
            if at < len(self._text):
                return at
            before = self._at
            if not self._grow():
                return at
            at -= before - self._at

    def _grow(self) -> bool:
        """Read as much again as is held; False at the end of the stream."""
        if self._ended:
            return False
        _ = self.line
        self._text, self._at, self._counted = self._text[self._at :], 0, 0
        if len(self._text) > LARGEST_ITEM:
            raise DataError(
                f"{self.name}:{self.line}: an item is longer than {LARGEST_ITEM:,} characters; is a "
                "quotation mark or bracket missing?"
            )
        piece = self._stream.read(max(PIECE_BYTES, len(self._text)))
        first = self._bytes == 0
        self._bytes += len(piece)
        if first:
            piece = piece.removeprefix(UTF8_BOM)
        try:
            self._text += self._decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            lines = self._text.count("\n") + piece.count(b"\n", 0, error.start)
            raise DataError(f"{self.name}:{self.line + lines}: {not_utf8(error.object, error)}") from error
        self._ended = not piece
        return bool(piece)


def json_document(stream: io.BufferedIOBase, name: str) -> Iterator[Record]:
    """Every item of an array, of the one list inside the only object, or of objects in a row.

    Raises:
        DataError: it is not JSON from here on, or there are several lists.
    """
    window = Window(stream, name)
    if window.peek() == "[":
        yield from _items(window)
        if window.peek():
            raise DataError(
                f"{name}:{window.line}: there is more after the end of the array; write one array, or one "
                "object a line"
            )
        return
    if not _is_record(window.whole()):
        yield from _object(window, f"{name}:{window.line}")
    while window.peek():
        place = f"{name}:{window.line}"
        value = window.value()
        yield Record(place, _example(value, place)) if isinstance(value, dict) else record_of(value, place)


def _is_record(looked_at: tuple[Any, str] | None) -> bool:
    """Whether the first object is an example for sure: by its fields, or as another one follows."""
    if looked_at is None:
        return False
    value, behind = looked_at
    return not isinstance(value, dict) or bool(behind) or bool(_of_example(value))


def _of_example(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.lower() in EXAMPLE_KEYS]


def _items(window: Window, key: str = "") -> Iterator[Record]:
    """key: of the list inside an object, for the place: nobody may have meant that one."""
    window.take("[")
    number = 0
    while window.peek() != "]":
        if number:
            window.take(",")
        number += 1
        window.peek()
        place = f"{window.name}:{_shown(key)}item {number} (line {window.line})"
        yield record_of(window.value(), place)
    window.take("]")


def _shown(key: str) -> str:
    return f"{key if key.isidentifier() else repr(key)} " if key else ""


def _object(window: Window, place: str) -> Iterator[Record]:
    """An example, or the items of the one list inside.

    Which one is known when the list is met; what comes behind the list and says otherwise is refused.
    """
    seen: list[tuple[str, Any]] = []
    lists: list[str] = []
    window.take("{")
    while window.peek() != "}":
        if seen or lists:
            window.take(",")
        key = window.value()
        if not isinstance(key, str):
            raise DataError(window.broken("a name in quotation marks is expected"))
        window.take(":")
        is_example = bool(_of_example(name for name, _ in seen))
        if not is_example and _is_list_of_records(window, key):
            if lists:
                raise DataError(
                    f"{window.name}:{window.line}: two lists of examples ({lists[0]}, {key}) in one object; "
                    "write each into a file of its own"
                )
            lists.append(key)
            yield from _items(window, key)
        else:
            seen.append((key, window.value()))
    window.take("}")
    if lists:
        _refuse_both(window, place, lists[0], _of_example(name for name, _ in seen))
        return
    try:
        row = once(seen)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    yield Record(place, _example(row, place))


def _refuse_both(window: Window, place: str, listed: str, fields: list[str]) -> None:
    """An object whose list was read as the data set is no example, and no other one follows it."""
    if fields:
        raise DataError(
            f"{place}: the object has a list ({listed}) and the fields of an example ({', '.join(fields)}); "
            "write it behind them and give one record a line"
        )
    if window.peek():
        raise DataError(
            f"{place}: the object has a list ({listed}) and more follows it at line {window.line}; if each "
            "object is a record, put its shorter fields first, otherwise write one object with one list"
        )


def _example(row: dict[str, Any], place: str) -> dict[str, Any]:
    values = list(row.values())
    by_number = all(isinstance(value, dict) and "0" in value for value in values)
    by_column = len(values) > 1 and all(isinstance(value, list) and value for value in values)
    if values and (by_number or (by_column and not any(isinstance(v[0], dict) for v in values))):
        raise DataError(f"{place}: holds columns ({', '.join(list(row)[:3])}), not examples; {ORIENT}")
    if len(values) > 1 and all(isinstance(value, dict) for value in values):
        raise DataError(f"{place}: an object of objects, not a list of examples; write one object a line")
    return row


def _is_list_of_records(window: Window, key: object) -> bool:
    """Whether a list of objects comes next that are no turns of a conversation; nothing is passed over."""
    if (isinstance(key, str) and _of_example([key])) or window.peek() != "[" or window.peek(1) != "{":
        return False
    try:
        name, _ = _DECODER.raw_decode(window.after(2))
    except (ValueError, DataError, RecursionError):
        return True  # its own error is told where the item is read
    return name not in TURN_KEYS
