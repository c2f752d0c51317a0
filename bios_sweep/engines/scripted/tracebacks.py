"""What a script's last lines are made of: exceptions, also of threads and ranks, and what is no cause. Pure.

Bars, hints, goodbyes and warnings are no cause of an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

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


LONGEST = 500  # characters of a line that are looked at; chosen: what matters in one stands at its beginning
COLOUR = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")
# tqdm's: `  3%|3   | 3/100 [00:00<00:00, 310.67it/s]`, `Map: 12it [00:01, 9.1it/s, loss=2]`
BAR = re.compile(
    r"[^|\[\]]*\d%\|[^|]*\|[^\[]*(\[[^\]]*\]?)?|[^\[\]]*\d\S*it \[\d+:\d\d[^\]]*\]?"
    r"|[^\[\]]*\[\d+:\d\d<[^\]]*\]?"
)
DRAWN = re.compile(r"[━╸╺]{3}|[█▏▎▍▌▋▊▉]{3}|^[\u2800-\u28ff]")  # rich's bars and spinners
BOX = re.compile(r"^[╭│┃╰─━┌└\s]+|[╮│┃╯─━┐┘\s]+$")
# Looked for where a line begins.
NOISE = re.compile(
    "|".join(
        (
            r"wandb: |wandb:$|.*\bView (run|project|experiment)\b",
            r".*HYDRA_FULL_ERROR=1 for a complete|Error executing job with overrides:",
            r"(full_key|object_type|reference_type)\s*[:=]",  # of omegaconf, behind its sentence
            r"(\[\w+\]:\s*)?\[?[WI]\d{4,8} \d\d:\d\d:\d\d|.*destroy_process_group\(\)",  # glog
            r".*Warning: |.*(\b|_)warnings\.warn\(|.*\bresource_tracker\b|.*leaked \w+ objects",
            r"[^A-Za-z]{0,60}([A-Z]+ )?[^A-Za-z]{0,60}(WARNING|WARN|INFO|DEBUG)\b",  # loggers
            r".*( - |\[|[|:]) ?(WARNING|INFO|DEBUG) ?( - |\]|[|:])",
            r"Exception ignored |Error in (atexit|sys\.excepthook)|--- Logging error",  # Python itself
            r"Call stack:|(Message|Arguments): |Current thread 0x|\[Previous line repeated",
            r"Traceback \(most recent|The above exception was|During handling of the above",
            r"(srun|make|ninja|mpirun|slurmstepd): .*(Exited with|Error \d+$|build stopped|CANCELLED AT)",
            r"srun: (Job step aborted|Terminating|forcing)|Primary job  terminated|a non-zero exit code\.",
            r"mp(irun|iexec) (detected|noticed)|the job to be terminated\.|(Process name|Exit code): ",
            r".*To avoid data inconsistency, we are taking the entire process down",  # NCCL
            r"ClearML (Task|results page|Monitor)\b",
            r"E\d{4,8} .*torch/distributed/elastic|\[\S+ \S+\] \[(ERROR|INFO)\] \[launch\.py",  # launchers
            r"(time|host|rank|exitcode|traceback) +: |error_file: |\[\d+\]:$|.* FAILED$|Failures:$",
            r"Root Cause \(|<NO_OTHER",
            r"[Uu]sage: |Try '.* --help'|Pass --helpshort|Execution halted|note: run with `RUST_BACKTRACE",
            r"huggingface/tokenizers: |To disable this warning|- (Avoid using|Explicitly set) .*(?i:tokeniz)",
        )
    )
)


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


def plain(line: str) -> str:
    """Without colours, and without a progress bar: what stands behind one is a line of its own."""
    bare = COLOUR.sub("", line[:LONGEST])
    while "[" in bare and (bar := BAR.match(bare)):  # several where bars are nested
        bare = bare[bar.end() :]
    return bare


def says_something(line: str) -> bool:
    """Whether a line without its box may be why a script ended."""
    return bool(line.strip("=-_* \t~^.#\"'")) and not NOISE.match(line) and not DRAWN.search(line)


def read_tracebacks(lines: Sequence[str]) -> tuple[list[Raised], set[int]]:
    """All exceptions, in order, and the numbers of the lines that tracebacks are made of.

    The lines hold no colours and no progress bars; several ranks may have mixed theirs.
    """
    prefixes = _prefixes(lines)
    streams: dict[str, list[tuple[int, str]]] = {"": []}
    for number, line in enumerate(lines):
        own = next((prefix for prefix in prefixes if line.startswith(prefix)), "")
        streams.setdefault(own, []).append((number, line[len(own) :]))
    readers = [_Reader(stream=prefix, lines=numbered) for prefix, numbered in streams.items()]
    raised = [found for reader in readers for found in reader.read()]
    used = {number for reader in readers for number in reader.used}
    return sorted(raised, key=lambda found: found.line), used


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
            module, _, name = kind[1].rpartition(".") if kind else ("", "", "")
            if kind is None or not name or not (module or name[0].isupper()):
                continue
            self._open -= 1
            if name in NO_KINDS:
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
