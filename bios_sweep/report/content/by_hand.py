"""What is said of arms that somebody stopped by hand. Pure."""

from __future__ import annotations

import shlex

from bios_sweep.procedure.state import Results, State
from bios_sweep.report.content.wording import plural


def stopped_lines(state: State, results: Results) -> list[str]:
    """The arms that lack trials because they were stopped, and on how many they end."""
    ended = dict.fromkeys(sorted(state.halted), 0)
    for trial in state.needed:
        if trial.arm in ended and trial.key in results:
            ended[trial.arm] += 1
    return [
        f"{arm} was stopped by hand after {plural(count, 'trial')}; `bios-sweep resume {shlex.quote(arm)}` "
        "takes it up again"
        for arm, count in ended.items()
    ]


def resume_command(command: str, arm: str) -> str:
    """What takes an arm up again, in the workspace of the command that ran its sweep."""
    place = [word for word in shlex.split(command) if word.startswith("workspace=")]
    return " ".join(map(shlex.quote, ("bios-sweep", "resume", arm, *place)))
