"""Stands between a worker and a user's script: when either is gone, all that the script started ends.

Started as a file with `python -I -S guard.py FD WORD...`; FD is a pipe whose other end the worker holds and
never writes to, so that its end, clean or by SIGKILL, is seen at once. Imports what it needs and no more:
it starts with every trial.

What the script started is what descends from this process. On Linux it adopts whatever loses its parent
(`prctl(2)`, PR_SET_CHILD_SUBREAPER), so that workers in a session of their own and daemons still do.
Elsewhere only the script's process group is known.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Iterable

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANNOT_START = 127  # as a shell answers when there is no such program
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
SIGNAL_OF_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG
PATIENCE_SECONDS = 5.0  # chosen: for killed processes to end; one that waits for a dead disk never does
LOOK_SECONDS = 0.05  # chosen: between two looks for what is left


def main(pipe: int, words: list[str]) -> int:
    """Run the words in a session of their own; the exit status, negative where a signal ended it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # none may be lost between the fork and the handlers
    _ask_kernel(ADOPT_ORPHANS, 1)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become(words, guard)
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: _signal_all(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    watched = [pipe, woken]
    while True:
        ended = _reaped()
        if child in ended:
            _end_all(child)
            return os.waitstatus_to_exitcode(ended[child])
        ready, _, _ = select.select(watched, [], [])
        if pipe in ready:  # nobody writes there: the worker closed it, or is gone
            _signal_all(child, signal.SIGKILL)
            watched = [woken]
        if woken in ready:
            os.read(woken, 512)


def _ask_kernel(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # no such call on this system
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _become(words: list[str], guard: int) -> None:
    """The child: a new session, so that one signal reaches everything it starts; it dies with its guard."""
    try:
        os.setsid()
        _ask_kernel(SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(CANNOT_START)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, *PASSED_ON):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        os.execvp(words[0], words)
    except OSError as error:
        os.write(sys.stderr.fileno(), f"cannot start {words[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(CANNOT_START)


def _reaped() -> dict[int, int]:
    """Children of this process that have ended, adopted ones too -> wait status."""
    found: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):  # none is left
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found[pid] = status
    return found


def _end_all(child: int) -> None:
    """Kill what the script left running, and what that starts meanwhile, until nothing is left."""
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    latest = time.monotonic() + PATIENCE_SECONDS
    _signal_all(child, signal.SIGKILL)
    while (left := _descendants()) and time.monotonic() < latest:
        _signal_each(left, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)
        _reaped()


def _signal_all(child: int, number: int) -> None:
    """To the script's process group at once, then to every descendant that left it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)
    _signal_each([pid for pid, group in _descendants().items() if group != child], number)


def _signal_each(pids: Iterable[int], number: int) -> None:
    """To those that are descendants still when a descriptor holds them: a number may have a new owner."""
    held = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            held[pid] = os.pidfd_open(pid)
    still = _descendants() if held else {}
    for pid, handle in held.items():
        if pid in still:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(handle, number)
        os.close(handle)


def _descendants() -> dict[int, int]:
    """All that descends from this process, generation by generation -> its process group."""
    children: dict[int, list[tuple[int, int]]] = {}
    names: list[str] = []
    with contextlib.suppress(OSError):  # this system has no /proc
        names = os.listdir("/proc")  # noqa: PTH208 - pathlib starts slower
    for pid in filter(str.isdigit, names):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            _, parent, group = file.read().rpartition(b")")[2].split()[:3]  # proc(5)
            children.setdefault(int(parent), []).append((int(pid), int(group)))
    found: dict[int, int] = {}
    generation = [os.getpid()]
    while generation:
        born = [entry for pid in generation for entry in children.get(pid, ())]
        found.update(born)
        generation = [pid for pid, _ in born]
    return found


if __name__ == "__main__":
    status = main(int(sys.argv[1]), sys.argv[2:])
    if status < 0:  # end as it ended, so that the worker sees the same
        signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -status)
    sys.exit(status)
