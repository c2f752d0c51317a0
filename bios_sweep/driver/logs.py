"""Which trial a person means, and what it wrote down: of a sweep that runs, or of any that did."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bios_sweep.errors import InputError, StorageError
from bios_sweep.records.lock import live_owner
from bios_sweep.records.reading import JournalTail, read_state
from bios_sweep.records.replay import advance
from bios_sweep.records.sweep_state import PLANNED, RUNNING, SweepState, TrialState
from bios_sweep.records.trial_logs import LogFile, LogTail, last_lines, logs_in
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.answers import LogText, SweepLogs, TrialLogs
from bios_sweep.vocabulary import Stage

LOOK_SECONDS = 0.5  # chosen: between two looks at a log that grows
SHOWN = 12  # trials that a message lists; chosen
SHORTEST_KEY = 3  # letters of a key; chosen: fewer are a seed, or a slip
INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A trial of a sweep."""

    sweep_id: str
    trial: TrialState

    @property
    def key(self) -> str:
        """The trial's key, and the name of its folder."""
        return self.trial.spec.key

    def __str__(self) -> str:
        """`1a2b3c (baseline seed 0, failed)`."""
        spec = self.trial.spec
        stage = f", {spec.stage}" if spec.stage == Stage.CONTROL else ""
        return f"{spec.key} ({spec.arm} seed {spec.seed}{stage}, {self.trial.status})"


def trials_of(workspace: Workspace, name: str | None = None) -> tuple[str, list[Found]]:
    """The trials of a sweep, the latest unless named, in the order of its plan.

    Raises:
        InputError: there is no such sweep.
    """
    sweep_id = workspace.find_sweep(name)
    state = read_state(workspace.journal_file(sweep_id))
    driven = _driven(workspace, sweep_id)
    return sweep_id, [Found(sweep_id=sweep_id, trial=_as_it_is(one, driven)) for one in state.trials.values()]


def find_trial(workspace: Workspace, words: str, name: str | None = None) -> Found:
    """The one trial that a key, the beginning of one, or an arm and a seed mean.

    Names are those of the latest sweep, or of the one that is named; a key may be of any.

    Raises:
        InputError: none, or several; the message lists them.
    """
    sweep_id, trials = trials_of(workspace, name)
    wanted = _plain(words)
    found = [one for one in trials if wanted in _names(one)] or [
        one for one in trials if wanted == _plain(one.trial.spec.arm)
    ]
    if len(found) > 1:
        found = [one for one in found if one.trial.spec.stage != Stage.CONTROL] or found
    if not found and len(wanted) >= SHORTEST_KEY:
        others = [other for other in workspace.sweeps() if other != sweep_id] if name is None else []
        everywhere = {one.key: one for other in others for one in _readable(workspace, other)}
        everywhere |= {one.key: one for one in trials}
        found = [one for key, one in everywhere.items() if key.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{words!r} is one of {len(found)} trials, name it by its key: {_listed(found)}")
    spoken = [f"{one.trial.spec.arm} seed {one.trial.spec.seed}" for one in trials]
    near = difflib.get_close_matches(words, [*spoken, *(one.key for one in trials)], n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise InputError(f"sweep {sweep_id}: no trial {words!r}{hint}; there are {_listed(trials)}")


def logs_told(workspace: Workspace, found: Found, *, texts: bool) -> TrialLogs:
    """A trial and its logs as values. texts: with what is in them."""
    folder, spec, result = workspace.trial_dir(found.key), found.trial.spec, found.trial.result
    inside: dict[Path, str] = {}
    for log, text in LogTail(folder).news(last=True) if texts else ():
        inside[log.path] = inside.get(log.path, "") + text
    return TrialLogs(
        sweep_id=found.sweep_id,
        key=found.key,
        arm=spec.arm,
        seed=spec.seed,
        stage=spec.stage,
        status=found.trial.status,
        cause="" if result is None else result.cause,
        logs=tuple(
            LogText(
                attempt=log.attempt,
                name=log.name,
                path=str(log.path),
                size=log.size,
                text=inside.get(log.path, "") if texts else None,
            )
            for log in logs_in(folder)
        ),
    )


def all_logs(workspace: Workspace, name: str | None = None) -> SweepLogs:
    """The trials of a sweep and the sizes of their logs."""
    sweep_id, trials = trials_of(workspace, name)
    told = tuple(logs_told(workspace, one, texts=False) for one in trials)
    return SweepLogs(sweep_id=sweep_id, trials=told)


def followed(
    workspace: Workspace, found: Found, *, lines: int | None = None
) -> Iterator[tuple[LogFile, str]]:
    """What is in a trial's logs and what comes, until it has ended or nobody drives its sweep any more.

    lines: of what is there at first, the last so many of each file alone; None for all.
    """
    tail = LogTail(workspace.trial_dir(found.key))
    journal, state = JournalTail(workspace.journal_file(found.sweep_id)), SweepState()
    while True:
        driven = _driven(workspace, found.sweep_id)  # asked first: what was written before is then there
        for entry in journal.read():
            state = advance(state, entry)
        trial = state.trials[found.key]
        over = not driven or trial.status not in (PLANNED, RUNNING)
        news = tail.news(last=over)
        yield from news if lines is None else _last_of_each(news, lines)
        lines = None
        if over:
            return
        time.sleep(LOOK_SECONDS)


def _last_of_each(news: Iterator[tuple[LogFile, str]], lines: int) -> Iterator[tuple[LogFile, str]]:
    ends: dict[tuple[int, str], tuple[LogFile, str]] = {}
    for log, text in news:
        _, before = ends.get((log.attempt, log.name), (log, ""))
        ends[log.attempt, log.name] = log, last_lines(before + text, lines)
    yield from ends.values()


def _readable(workspace: Workspace, sweep_id: str) -> list[Found]:
    """A sweep's trials; a damaged one hides no other's."""
    with suppress(StorageError):
        return trials_of(workspace, sweep_id)[1]
    return []


def _driven(workspace: Workspace, sweep_id: str) -> bool:
    owner = live_owner(workspace)
    return owner is not None and owner.sweep_id == sweep_id


def _as_it_is(trial: TrialState, driven: bool) -> TrialState:
    """Nothing runs where nobody drives."""
    return trial if driven or trial.status != RUNNING else replace(trial, status=INTERRUPTED)


def _names(found: Found) -> set[str]:
    """How people call a trial: arm and seed, as reports, tables and trackers write them."""
    spec = found.trial.spec
    named = {f"{spec.arm}{between}{spec.seed}" for between in (" seed ", ", seed ", " ", "/", ":", " seed=")}
    stage = {f"{name} {spec.stage}" for name in named}
    return {found.key, *map(_plain, named | stage)}


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _listed(trials: Sequence[Found]) -> str:
    more = f" and {len(trials) - SHOWN} more (`bios-sweep logs` lists them)" if len(trials) > SHOWN else ""
    return "; ".join(map(str, trials[:SHOWN])) + more
