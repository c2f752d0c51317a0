"""The tracking group of a command: which tracker, what is new for it, where to look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

from bios_sweep.checks import at_least_zero, not_allowed, truth
from bios_sweep.config.composed import Config
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.mirror.mlflow.credentials import sign_in
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri, is_web
from bios_sweep.mirror.trackers import tracker_of
from bios_sweep.ports import Recorder, Tracker
from bios_sweep.records.journal import Journal
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.wording import shell_word
from bios_sweep.secrecy import masked
from bios_sweep.study.plan import Plan
from bios_sweep.trouble import TroubleError


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """The configured tracker; None where tracking is off.

    options: the overrides that say where it is, for the commands that are printed.
    """

    tracker: Tracker | None
    flush_seconds: float
    options: str = ""

    @property
    def uri(self) -> str | None:
        """The address, without credentials."""
        return None if self.tracker is None else self.tracker.uri

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return "" if self.uri is None else masked(self.uri)

    def check(self, plan: Plan) -> str:
        """Refuse a tracker that does not answer or cannot be used, before anything is started.

        Returns:
            What to warn of: a tracker that has a part of this sweep, and is away just now. It is brought up
            later; another address that does not answer may be a wrong one.
        """
        try:
            if self.tracker is not None:
                self.tracker.check(plan.study.scenario.name)
        except TroubleError as error:
            if self.tracker is None or not (error.trouble.passes and self.tracker.knows(plan.sweep_id)):
                raise
            found = error.trouble
            return f"{found.where} {found.what}; the run goes on, and brings it up to date when it can"
        return ""

    def later(self, plan: Plan, recorder: Recorder | None = None) -> str:
        """Why the tracker has not all of a sweep, and the command that brings it over."""
        trouble = recorder.trouble if recorder is not None else None
        if trouble is None and self.tracker is not None:
            trouble = self.tracker.trouble(plan.study.scenario.name)
        command = f"bios-sweep sync --sweep {plan.sweep_id}{self.options}"
        if trouble is None:
            return f"{self.shown} has not followed yet; nothing is lost, run `{command}`"
        return trouble.later(command)

    def lacking(self, plan: Plan, last_entry: int, *, driven: bool) -> str:
        """What is to be said of a tracker that was given a part of a sweep and lacks the rest.

        driven: a run is at the sweep, which brings it over as it goes; then only a trouble is told.
        """
        if self.tracker is None or not self.tracker.knows(plan.sweep_id):
            return ""
        if self.tracker.has(plan.sweep_id, last_entry):
            return ""
        return "" if driven and self.tracker.trouble(plan.study.scenario.name) is None else self.later(plan)

    def required(self, experiment: str = "") -> Tracker:
        """The tracker, checked, for a command that is about nothing else.

        Raises:
            InputError: tracking is off, or the tracker cannot be used.
        """
        if self.tracker is None:
            raise InputError("tracking is off in this configuration; give tracking.uri=...")
        self.tracker.check(experiment)
        return self.tracker

    @contextmanager
    def loaded_meanwhile(self) -> Iterator[None]:
        """Import what a recorder needs beside what is done in here, which waits for other processes."""
        loading = Thread(target=self._load, name="imports of the tracker")
        loading.start()
        try:
            yield
        finally:
            loading.join()

    def _load(self) -> None:
        if self.tracker is not None:
            self.tracker.load()

    def mirror(self, plan: Plan, last_entry: int) -> Recorder | None:
        """A recorder that follows; None where the tracker has all up to `last_entry` of the journal."""
        if self.tracker is None or self.tracker.has(plan.sweep_id, last_entry):
            return None
        recorder = self.tracker.recorder(plan.sweep_id, plan.study.scenario.name)
        recorder.start()
        return recorder

    def link(self, sweep_id: str) -> str:
        """One line: where to look at the sweep."""
        return "MLflow: off" if self.tracker is None else self.tracker.link(sweep_id, self.options)

    def followed(self, sweep_id: str, last_entry: int) -> str:
        """The same for whoever did not run it: empty where this tracker has not all of the sweep."""
        whole = self.tracker is not None and self.tracker.has(sweep_id, last_entry)
        return self.link(sweep_id) if whole else ""


class Following:
    """The mirror of a run: begun when it may; where it had nothing to do then, looked at again at the end."""

    def __init__(self, tracking: Tracking, plan: Plan, journal: Journal) -> None:
        self._tracking, self._plan, self._journal = tracking, plan, journal
        self._recorder: Recorder | None = None

    def begin(self) -> None:
        """Follow the journal from now on, if the tracker lacks anything of it."""
        self._recorder = self._recorder or self._tracking.mirror(self._plan, self._journal.state.seq)

    def finish(self, seconds: float) -> bool:
        """Catch up; whether the tracker has everything."""
        self.begin()
        return self._recorder is None or self._recorder.finish(seconds)

    def behind(self) -> str:
        """Of one that has not everything: why, and what to do."""
        return self._tracking.later(self._plan, self._recorder)


def require_tracking(values: Mapping[str, Any]) -> float:
    """Refuse what the tracking group cannot mean; how long the end of a run waits for the store."""
    seconds = float(at_least_zero("tracking.flush_seconds", values["flush_seconds"]))
    truth("tracking.enabled", values["enabled"])
    if values["uri"] is not None and not (isinstance(values["uri"], str) and values["uri"].strip()):
        allowed = "the address of a tracking store, or null for SQLite in the workspace"
        raise not_allowed("tracking.uri", values["uri"], allowed)
    if values["uri"] and not values["enabled"]:
        raise ConfigError("tracking.uri: is given but tracking is off; add tracking=sqlite, or leave it out")
    return seconds


def tracking_of(config: Config, workspace: Workspace) -> Tracking:
    """The tracking group's meaning.

    A user and password in a server's address move into MLflow's own variables here, before anything could
    print them, or hand the address to workers.
    """
    seconds = require_tracking(config.values["tracking"])
    values = config.values["tracking"]
    uri = str(values["uri"]) if values["uri"] else default_tracking_uri(workspace)
    if is_web(uri):
        uri = sign_in(uri)
    return Tracking(
        tracker=tracker_of(uri, workspace) if values["enabled"] else None,
        flush_seconds=float(seconds),
        options="".join(f" {shell_word(place)}" for place in _places(config, uri)),
    )


def _places(config: Config, uri: str) -> list[str]:
    """The overrides that say where things are, as they can be typed again; credentials come by variables."""
    named = [text for text in config.overrides if text.startswith(("workspace=", "tracking"))]
    return [f"tracking.uri={masked(uri)}" if text.startswith("tracking.uri=") else text for text in named]
