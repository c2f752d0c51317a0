"""Why a script crashed, by the last lines that it wrote; what others wrote behind them is no cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile

from bios_sweep.engines.scripted.tracebacks import (
    BESIDE,
    BOX,
    OWN,
    Raised,
    plain,
    read_tracebacks,
    says_something,
)

MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|MemoryError|bad_alloc|can(no|')t allocate memory|_ALLOC_FAILED"
    r"|cudaErrorMemoryAllocation|oom[-_ ]kill|RESOURCE_EXHAUSTED|killed by signal: Killed",
    re.IGNORECASE,
)
# What launchers say of a process that was killed; they exit with 1 themselves.
KILLED_BELOW = re.compile(r"Signal 9 \(SIGKILL\)|<Signals\.SIGKILL: 9>|return code = -9\b")
# Slurm's word over a job or a step; where nothing else ended it, it did.
CANCELLED = re.compile(r"(slurmstepd|srun): error: \*\*\* .*CANCELLED AT")
ROOT_CAUSE = "Root Cause (first observed failure)"  # torchrun; above it stand those that failed because of it
# A launcher (torchrun, accelerate, deepspeed) ends with its own words, behind those of the script.
LAUNCHER = re.compile(r"\b(ChildFailedError|CalledProcessError|SignalException|ProcessExitedException)\b")
# What the other ranks and helpers of a process say once it is gone.
AFTERMATH = re.compile(
    r"(\w+\.)*(DistBackendError|DistNetworkError|KeyboardInterrupt|BrokenPipeError|ConnectionResetError)\b"
    r"|(\w+\.)*(EOFError|BrokenProcessPool|SystemExit)\b"
    r"|.*(Connection (reset|closed) by peer|DataLoader worker .* exited unexpectedly|[Ss]ee root cause above)"
)
RECORDED = re.compile(r"\s+traceback : Traceback \(most recent")  # of a script under torchrun's @record
LONGEST_ROOT = 180  # characters, so that something of what it led to is seen; chosen
BARE = re.compile(r"(\[rank\d+\]:\s*)?[A-Za-z_][\w.]*(Error|Exception)\b")  # without its traceback

FATAL = re.compile(
    r"terminate called |Fatal Python error: |Uncaught exception|thread '.*' panicked at |panic: "
)
ERROR = re.compile(
    "|".join(
        (
            r"(.*[\s\[(|:])?(error|ERROR|FATAL|fatal|CRITICAL|Error)(\]|\)|:|\s*\||\s+-\s)",
            r"Error in .*:|(ERROR|FATAL) |\[[EF]\d{4} |[EF]\d{4,8} \d\d:",
            r".*(CUDA|HIP|NCCL|cuDNN) error\b|.*[Oo]ut of memory|.*oom[-_ ]kill|.*Assertion .* failed",
            r".*[Cc]ommand not found|.*: not found$|.*: (No such file or directory|Permission denied)$",
            r".*\b(Segmentation fault|Bus error|Illegal instruction)\b|(.*[\s\d])?Killed\b",
            r"Could not override",  # Hydra
            r'\{.*"(level|levelname|severity)": ?"(?i:error|critical|fatal)"',  # loggers that write JSON
        )
    )
)


@dataclass(frozen=True, kw_only=True)
class Why:
    """The cause in one line, empty where nothing was said. memory: it speaks of memory that ran out."""

    text: str
    memory: bool


def why(errors: Sequence[str], output: Sequence[str], *, killed: bool = False) -> Why:
    """Of the last lines on standard error and on standard output, for some log their traceback there.

    First the innermost exception, then a line that calls itself an error, then the last words. Of several
    ranks' exceptions the first counts that is no answer to another's end. killed: from outside, so that no
    exception was the end, and only last words are told.
    """
    said, printed = _Said(errors), _Said(output)
    below = said.killed_below()
    if below:
        return Why(text=below, memory=True)
    tellers: tuple[Callable[[], str], ...] = (
        lambda: said.exception(OWN),
        lambda: printed.exception(OWN),
        lambda: said.exception(BESIDE),
        lambda: said.told(FATAL),
        said.aftermath,
        said.bare_behind_launcher,
        lambda: said.told(ERROR),
        lambda: printed.told(FATAL),
        lambda: printed.told(ERROR),
        said.recorded,
        said.out_of_time,
        said.last,
    )
    if killed:
        tellers = (said.cancelled, said.last)
    text = next(filter(None, (tell() for tell in tellers)), "") or said.anything()
    memory = bool(MEMORY.search(text)) or (killed and any(map(MEMORY.search, said.lines)))
    return Why(text=text, memory=memory)


class _Said:
    """One stream's last lines, without colours and progress bars, and what tracebacks are in it."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = [plain(line) for line in lines]
        self._raised, used = read_tracebacks(self.lines)
        loose = [
            line.strip()
            for number, line in enumerate(self.lines)
            if number not in used and not LAUNCHER.search(line)
        ]
        self._words = [bare for line in loose if says_something(bare := BOX.sub("", line))]

    def exception(self, worth: str) -> str:
        raised = (found for found in self._raised if found.worth == worth)
        return _chosen(r for r in raised if not LAUNCHER.search(r.text) and not AFTERMATH.match(r.text))

    def aftermath(self) -> str:
        return _chosen(r for r in self._raised if r.worth == OWN and not LAUNCHER.search(r.text))

    def bare_behind_launcher(self) -> str:
        """It said what, but not where: the launcher's traceback is the only one."""
        launched = any(LAUNCHER.search(line) for line in self.lines)
        return next((w for w in reversed(self._words) if launched and BARE.match(w)), "")

    def recorded(self) -> str:
        """The exception in torchrun's summary, where the rank's own output went elsewhere."""
        below = dropwhile(lambda line: not RECORDED.match(line), self.lines)
        indented = takewhile(lambda line: line[:1] == " ", below)
        kinds = [bare for line in indented if (bare := line.strip()) and BARE.match(bare)]
        return kinds[-1] if kinds else ""

    def cancelled(self) -> str:
        return next((line.strip() for line in reversed(self.lines) if CANCELLED.match(line)), "")

    def out_of_time(self) -> str:
        """Cancelled for a reason of Slurm's own, not because another task of the step had failed."""
        line = self.cancelled()
        return line if " DUE TO " in line else ""

    def last(self) -> str:
        return self._words[-1] if self._words else ""

    def anything(self) -> str:
        """Better a launcher's words, or a warning, than none."""
        lines = [line.strip() for line in self.lines if line.strip("=-_* \t~^")]
        return self._raised[-1].text if self._raised else (lines or [""])[-1]

    def killed_below(self) -> str:
        """A launcher's word that the system killed what it had started."""
        roots = [n for n, line in enumerate(self.lines) if ROOT_CAUSE in line]
        lines = self.lines[roots[-1] :] if roots else self.lines
        return next((line.strip() for line in reversed(lines) if KILLED_BELOW.search(line)), "")

    def told(self, kind: re.Pattern[str]) -> str:
        """The last such line; the words behind a colon may stand on the next one."""
        place = max((n for n, word in enumerate(self._words) if kind.match(word)), default=None)
        if place is None:
            return ""
        text, *rest = self._words[place : place + 2]
        unfinished = text.endswith(":") or (rest and rest[0].startswith("what():"))
        return f"{text} {rest[0]}" if unfinished and rest else text


def _chosen(raised: Iterable[Raised]) -> str:
    """The last, for it ended the process; of several ranks the one whose last came first."""
    last = {found.stream: found for found in raised}
    if not last:
        return ""
    found = last.get("") or min(last.values(), key=lambda found: found.line)
    prefix = found.stream if found.stream.startswith("[") else ""
    if found.root == found.text:
        return prefix + found.text
    return f"{prefix}{found.root[:LONGEST_ROOT]}; it led to {found.text}"
