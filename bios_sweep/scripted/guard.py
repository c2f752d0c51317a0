"""Stands between a worker and a user's script: when the worker is gone, the script and all it started end.

Started as a file with `python -I -S guard.py FD WORD...`; FD is a pipe whose other end the worker holds and
never writes to, so that its end, clean or by SIGKILL, is seen at once. Imports what it needs and no more:
it starts with every trial.
"""

import contextlib
import os
import select
import signal
import sys

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CANNOT_START = 127  # as a shell answers when there is no such program


def main(pipe: int, words: list[str]) -> int:
    """Run the words in a session of their own; the exit status, negative where a signal ended it."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # none may be lost between the fork and the handlers
    child = os.fork()
    if child == 0:
        _become(words)
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: _signal(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _signal(child, signal.SIGKILL)  # what the script left running
            return os.waitstatus_to_exitcode(status)
        ready, _, _ = select.select([pipe, woken], [], [])
        if pipe in ready:  # nobody writes there: the worker closed it, or is gone
            _signal(child, signal.SIGKILL)
        if woken in ready:
            os.read(woken, 512)


def _become(words: list[str]) -> None:
    """The child: a new session, so that one signal reaches everything it starts."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, *PASSED_ON):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        os.execvp(words[0], words)
    except OSError as error:
        os.write(sys.stderr.fileno(), f"cannot start {words[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(CANNOT_START)


def _signal(child: int, number: int) -> None:
    """To the child and all of its session that stayed in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)


if __name__ == "__main__":
    status = main(int(sys.argv[1]), sys.argv[2:])
    if status < 0:  # end as it ended, so that the worker sees the same
        signal.signal(-status, signal.SIG_DFL) if -status not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), -status)
    sys.exit(status)
