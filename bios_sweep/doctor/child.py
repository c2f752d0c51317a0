"""A look in a process of its own: what hangs there, or dies there, is an answer and not our end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

from bios_sweep.interpreter import python, with_package

CALL = "import sys; from bios_sweep.doctor.child import answer; answer(*sys.argv[1:])"
MARK = "bios-sweep doctor: "  # before the answer, for libraries print on standard output too
END_SECONDS = 5.0  # chosen
LIMIT_SECONDS = 180.0  # chosen: loading torch took 46 s here on a cold, busy disk


class NoAnswerError(Exception):
    """Why there is none: a text that ends a sentence on what was asked for."""


def ask(function: str, *arguments: Any, seconds: float = LIMIT_SECONDS) -> Any:
    """What `module:function` returns for these plain values.

    Raises:
        NoAnswerError: it raised, its process died, or it did not come back in time (it is killed then,
            with what it started).
    """
    process = subprocess.Popen(
        python("-c", CALL, function, json.dumps(arguments)),
        env=with_package(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"did not come back within {seconds:g} s") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # what waits for a dead disk outlives its kill
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    told = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    if process.returncode == 0 and told:
        return json.loads(told[-1])
    raise NoAnswerError(_end(process.returncode, errors))


def answer(function: str, arguments: str) -> None:
    """In the child: call it and print what it returns."""
    found = resolve_name(function)(*json.loads(arguments))
    sys.stdout.write(f"\n{MARK}{json.dumps(found)}\n")
    sys.stdout.flush()


def load(*modules: str) -> bool:
    """In the child: import these."""
    for module in modules:
        import_module(module)
    return True


def _end(code: int, errors: str) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"crashed ({signal.Signals(-code).name})"
    last = (errors.strip().splitlines() or ["no message"])[-1]
    return f"failed ({last})"
