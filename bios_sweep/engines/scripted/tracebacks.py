"""The exceptions that a script's last lines tell of: Python's tracebacks, also of threads and ranks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from bios_sweep.engines.scripted.noise import says_something

# How much an exception says of why the process ended.
OWN = "own"  # it ended the process, or was written down by it
BESIDE = "beside"  # of a thread or a task; the process may have gone on
IGNORED = "ignored"  # Python itself went on: a destructor, a handler at exit, a line that could not be logged

HEAD = re.compile(r"Traceback \(most recent call last\)")
FRAME = re.compile(r'\s+File "[^"]+", line \d+(, in .+)?$')  # alone before a SyntaxError, in Ray's words
ENDED = re.compile(r"([A-Za-z_][\w.<>]*)(?:\([\w.]+\))?(?::(?:\s.*)?)?$")  # module.Kind: message
# No exceptions: the end of the call stack of Python's "Logging error", and what JAX links to the real one.
NO_KINDS = ("Message", "SimplifiedTraceback", "UnfilteredStackTrace")
LINK = re.compile(r"(The above exception was the direct cause|During handling of the above exception)")
MARKS = {  # line before a traceback -> what the traceback is worth
    re.compile(r"(Exception in (thread|callback) |Task exception was never|Future exception was)"): BESIDE,
    re.compile(r"(Exception ignored |Error in (atexit|sys\.excepthook)|--- Logging error ---)"): IGNORED,
    re.compile(r"Original exception was:"): OWN,
}
GROUP_HEAD = "Exception Group Traceback"
GROUPED = re.compile(r"\s+(?:\| ?|\+ (?=Exc)|\+[-+]+ ?)+")  # the rails of an exception group
OWN_WORDS = re.compile(r"(Original|Exception Group) $|[|+╭─\"\s]*$|.*(traceback\s*:|last\):)\s*$")


@dataclass(frozen=True, kw_only=True)
class Raised:
    """An exception as it was told. root: the first of its chain, or of its group; text itself if it is one.

    line: where it stands. stream: what every line of its traceback begins with, such as `[rank0]: `.
    """

    text: str
    root: str
    worth: str
    line: int
    stream: str


@dataclass(frozen=True, kw_only=True)
class Tracebacks:
    """All exceptions, in order, and the numbers of the lines that tracebacks are made of."""

    raised: Sequence[Raised]
    lines: frozenset[int]


def read_tracebacks(lines: Sequence[str]) -> Tracebacks:
    """Take lines apart that hold no colours and no progress bars; several ranks may have mixed theirs."""
    prefixes = _prefixes(lines)
    streams: dict[str, list[tuple[int, str]]] = {"": []}
    for number, line in enumerate(lines):
        own = next((prefix for prefix in prefixes if line.startswith(prefix)), "")
        streams.setdefault(own, []).append((number, line[len(own) :]))
    readers = [_Reader(stream=prefix, lines=numbered) for prefix, numbered in streams.items()]
    raised = [found for reader in readers for found in reader.read()]
    return Tracebacks(
        raised=sorted(raised, key=lambda found: found.line),
        lines=frozenset(number for reader in readers for number in reader.used),
    )


def _prefixes(lines: Sequence[str]) -> list[str]:
    """What launchers put before every line of a process; a logger's words stand before the first one only."""
    found = {line[: head.start()] for line in lines if (head := HEAD.search(line))}
    own = {prefix for prefix in found if prefix and not OWN_WORDS.match(prefix)}
    return sorted(
        (prefix for prefix in own if any(line.startswith(f'{prefix}  File "') for line in lines)),
        key=len,
        reverse=True,
    )


@dataclass
class _Reader:
    """Reads one stream, in order. Of a group the first exception is told: it cancelled the others."""

    stream: str
    lines: Sequence[tuple[int, str]]
    used: set[int] = field(default_factory=set)
    _open: int = 0  # tracebacks whose exception has not come yet; several where processes mix their lines
    _worth: str = OWN
    _next: str = OWN
    _linked: bool = False
    _last: Raised | None = None
    _group: Raised | None = None
    _grouped: bool = False

    def read(self) -> Iterator[Raised]:
        self._grouped = any(GROUP_HEAD in line for _, line in self.lines)
        for place, (number, line) in enumerate(self.lines):
            rails = GROUPED.match(line) if self._grouped else None
            if rails is None and line.strip():
                self._group = None
            body = line[rails.end() :] if rails else line
            if self._takes(number, body):
                continue
            kind = ENDED.match(body) if self._open else None
            if kind is None or not _names_a_kind(kind[1]):
                continue
            self._open -= 1
            if kind[1].rpartition(".")[2] in NO_KINDS:
                self._linked, self._last = False, None
                continue
            self.used.add(number)
            found = self._raised(number, kind[1], body.strip() + self._more(place))
            if found is not None:
                yield found

    def _takes(self, number: int, line: str) -> bool:
        """Whether the line is part of a traceback, or says what the next one is."""
        mark = next((worth for words, worth in MARKS.items() if words.match(line)), None)
        if mark is not None:
            self._next = mark
        elif HEAD.search(line):
            self._open += 1
            if not self._linked:
                self._worth = self._next
            self._next = OWN
        elif LINK.match(line):
            self._linked = True
        elif FRAME.match(line):
            self._open = max(self._open, 1)
        elif not (self._open and line[:1] in (" ", "\t", "│", "╰", "┃")):
            return False
        self.used.add(number)
        return True

    def _raised(self, number: int, kind: str, text: str) -> Raised | None:
        """None for what a group holds besides its first."""
        root = text
        if self._linked and self._last is not None:
            root = self._last.root
        if self._group is not None and not kind.endswith("ExceptionGroup"):
            if self._group.root != self._group.text:
                return None
            root, text = text, self._group.text
        elif self._group is not None:
            return None
        self._linked = False
        found = Raised(text=text, root=root, worth=self._worth, line=number, stream=self.stream)
        if kind.endswith("ExceptionGroup") or self._group is not None:
            self._group = found
        self._last = found
        return found

    def _more(self, place: int) -> str:
        """The rest of a message: up to its last indented line, or one line where it ends with a colon."""
        lines = list(takewhile(self._goes_on, (line for _, line in self.lines[place + 1 :])))
        length = max((n for n, line in enumerate(lines, 1) if line[0] in " \t"), default=0)
        if self.lines[place][1].rstrip().endswith(":"):
            length = max(length, min(1, len(lines)))
        self.used.update(number for number, _ in self.lines[place + 1 : place + 1 + length])
        return "".join(f" {line.strip()}" for line in lines[:length])

    def _goes_on(self, line: str) -> bool:
        if self._grouped and GROUPED.match(line):
            return False
        others = HEAD.search(line) or any(word.match(line) for word in (FRAME, LINK, *MARKS))
        return not others and says_something(line.strip())


def _names_a_kind(name: str) -> bool:
    last = name.rpartition(".")[2]
    return bool(last) and (last[0].isupper() or "." in name)
