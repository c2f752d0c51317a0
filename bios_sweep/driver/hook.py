"""`on_verdict`: a command of the user's own that hears how a sweep ended."""

from __future__ import annotations

import os
import shlex
import subprocess

from bios_sweep.checks import not_allowed
from bios_sweep.driver.sweep import Sweep
from bios_sweep.errors import ConfigError
from bios_sweep.report.content.summary import Summary
from bios_sweep.secrecy import masked

PATIENCE_SECONDS = 600.0  # chosen: a message is sent in seconds, and a sweep is over when its hook is


def hook_words(command: object) -> list[str]:
    """The command as a shell would split it; nothing runs through a shell. [] where there is none.

    Raises:
        ConfigError: it is no text, or a quote in it is never closed.
    """
    if command is None or command == "":
        return []
    if not isinstance(command, str):
        raise not_allowed("on_verdict", command, "a command line", ConfigError)
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"on_verdict: is no command line ({str(error).lower()})") from error


def tell_hook(words: list[str], sweep: Sweep, summary: Summary) -> str:
    """Run the hook of a sweep that has its verdicts; what went wrong with it in a sentence, else ''.

    It has the answer of `report --json` in the file that BIOS_SWEEP_ANSWER names; see docs/watching.md.
    """
    if not words or not summary.final:
        return ""
    told = {
        "BIOS_SWEEP_ANSWER": str(sweep.folder / "report.json"),
        "BIOS_SWEEP_REPORT": str(sweep.folder / "report.html"),
        "BIOS_SWEEP_ID": sweep.plan.sweep_id,
        "BIOS_SWEEP_HEADLINE": summary.headline,
    }
    try:
        ended = subprocess.run(
            words,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"on_verdict: did not end within {PATIENCE_SECONDS:g} s and was ended; the verdicts stand"
    except OSError as error:
        return f"on_verdict: {words[0]} cannot be run ({error.strerror}); the verdicts stand"
    if ended.returncode == 0:
        return ""
    said = (ended.stdout.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"])[-1]
    return masked(f"on_verdict: ended with status {ended.returncode} ({said}); the verdicts stand")
