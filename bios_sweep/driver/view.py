"""A read-only view of a finished or running sweep: plan and journal, judged again. Loads nothing heavy."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bios_sweep.checks import one_of
from bios_sweep.config.build import seconds
from bios_sweep.config.composed import Config
from bios_sweep.decision.statement import Verdict
from bios_sweep.defaults import FILE_NAME, TunedDefaults, read_tuned
from bios_sweep.driver.invocation import Invocation, workspace_of
from bios_sweep.driver.ways import ways_of
from bios_sweep.errors import InputError, MissingExtraError, StorageError
from bios_sweep.procedure.broken import broken_by
from bios_sweep.procedure.looks import Asked, Overtaken, factors_served, overtaken
from bios_sweep.procedure.machine import state_of
from bios_sweep.procedure.state import Known, State
from bios_sweep.records.earlier import told_by
from bios_sweep.records.ledger import read_ledger
from bios_sweep.records.reading import read_state
from bios_sweep.records.requests import pause_requested
from bios_sweep.records.results import without_damage
from bios_sweep.records.sweep_state import BROKEN, SweepState
from bios_sweep.records.workspace import PLAN_FILE, Owner, Workspace
from bios_sweep.report.content.answers import SweepStatus
from bios_sweep.report.content.arm_rows import results_rows
from bios_sweep.report.content.expense import Tariff
from bios_sweep.report.content.first import first_screen
from bios_sweep.report.content.overtaken import withdrawn
from bios_sweep.report.content.recorded import recorded
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.text.failed import broken_line
from bios_sweep.report.text.first import first_text
from bios_sweep.sealed import PREFIX, file_digest
from bios_sweep.study.design import WISHES, Study
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.vocabulary import Status

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]  # its stubs are a package of their own

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, repr=False)
class SweepView:
    """What a sweep found so far.

    trials: one mapping per trial with a result, in the columns of the results table. curves: one per
    measurement (arm, seed, stage, step, fraction, examples, tokens, eval_loss, ...), ready for a data
    frame. verdicts: values with the fields that `report --json` prints. tuned_defaults: None until the sweep
    is done, and where nothing that it asks about is served. The view is of the moment `open_sweep` read the
    files. overtaken: (factor, claim, cell) of questions that a later study judged again -> that
    study, whose word is served. damaged: sentences on results and evidence that are not as they were written;
    their trials count as not run, as they will for the next `run`, which trains them again.
    """

    folder: Path
    plan: Plan
    invocation: Invocation
    journal: SweepState
    known: Known
    damaged: tuple[str, ...] = ()
    overtaken: Mapping[Asked, Overtaken] = field(default_factory=dict)
    tariff: Tariff = field(default_factory=Tariff)

    def __repr__(self) -> str:
        return first_text(first_screen(self.summary), recorded(self.summary, self.folder))

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"

    @property
    def sweep_id(self) -> str:
        """`name-hash`."""
        return self.plan.sweep_id

    @property
    def command(self) -> str:
        """What ran it, as it can be typed again."""
        return self.invocation.command

    @cached_property
    def state(self) -> State:
        """Where the sweep stands by its results; the decision is made again from them, not read."""
        return state_of(self.plan, self.journal.results, self.known)

    @cached_property
    def summary(self) -> Summary:
        """Everything `report --json` prints."""
        summary = summarise(
            self.plan, self.state, self.journal.results, ways_of(self.invocation, self.plan, self.tariff)
        )
        return withdrawn(replace(summary, damaged=self.damaged), self.plan, self.overtaken)

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The results table."""
        return results_rows(self.plan, self.state, self.journal.results)

    @property
    def curves(self) -> list[dict[str, Any]]:
        """Every measurement of every trial, running ones included."""
        return [
            {
                "arm": trial.spec.arm,
                "seed": trial.spec.seed,
                "stage": trial.spec.stage,
                "trial_key": trial.spec.key,
                **{name: value for name, value in point.to_dict().items() if name != "metrics"},
                **point.metrics,
            }
            for trial in self.journal.trials.values()
            for point in trial.curve
        ]

    def to_pandas(self, what: str = "trials") -> DataFrame:
        """`trials` or `curves` as a data frame.

        Raises:
            InputError: another word.
            MissingExtraError: pandas is not installed.
        """
        one_of("to_pandas", what, ("trials", "curves"), InputError)
        if util.find_spec("pandas") is None:
            raise MissingExtraError("to_pandas needs pandas; install it with pip install pandas")
        from pandas import DataFrame  # takes half a second, and few ask for it

        return DataFrame(self.trials if what == "trials" else self.curves)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One per question that has been judged so far."""
        return self.summary.verdicts

    @property
    def tuned_defaults(self) -> TunedDefaults | None:
        """The tuned-defaults file with its evidence, checked; one that was changed since is named.

        Its warnings are given as Python's own too.
        """
        path = self.folder / FILE_NAME
        if not path.exists():
            return None
        written = self.journal.report.get(FILE_NAME)
        if written is not None and file_digest(path) != PREFIX + written:
            _log.warning("%s: is not as the sweep wrote it; `bios-sweep run` writes it again", path)
        tuned = read_tuned(path).without(factors_served(self.plan, self.overtaken))
        for text in tuned.warnings if tuned.values else ():
            warnings.warn(f"{path}: {text}", stacklevel=2)
        return tuned


def open_sweep(workspace: Path | str | Workspace, name: str | None = None) -> SweepView:
    """The latest sweep of that name or id; of the workspace at all when no name is given.

    Raises:
        InputError: there is no such sweep; the message lists what is there.
        StorageError: its plan or journal cannot be read.
    """
    place = workspace if isinstance(workspace, Workspace) else Workspace(Path(workspace))
    sweep_id = place.find_sweep(name)
    stored, plan, invocation = _stored_plan(place, sweep_id)
    journal, damaged = without_damage(read_state(place.journal_file(sweep_id)), place)
    for sentence in damaged:
        _log.warning("%s", sentence)
    return SweepView(
        folder=place.sweep_dir(sweep_id),
        plan=plan,
        invocation=invocation,
        journal=journal,
        known=told_by(journal, place),
        damaged=damaged,
        overtaken=overtaken_in(place).get(sweep_id, {}),
        tariff=Tariff(**stored.get("tariff", {})),
    )


def plan_of(workspace: Workspace, sweep_id: str) -> Plan:
    """A sweep's plan alone, of which its journal need not be read.

    Raises:
        StorageError: it cannot be read.
    """
    return _stored_plan(workspace, sweep_id)[1]


def invocation_of(workspace: Workspace, sweep_id: str) -> Invocation:
    """What ran a sweep.

    Raises:
        StorageError: it cannot be read.
    """
    return _stored_plan(workspace, sweep_id)[2]


def _stored_plan(place: Workspace, sweep_id: str) -> tuple[dict[str, Any], Plan, Invocation]:
    stored = place.read_plan(sweep_id)
    try:
        return stored, build_plan(Study.from_dict(stored["study"])), Invocation.from_dict(stored)
    except (InputError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{place.sweep_dir(sweep_id) / PLAN_FILE}: is not a plan of this version "
            f"({type(error).__name__}: {error}); run the sweep again to write it"
        ) from error


def overtaken_in(workspace: Workspace) -> dict[str, dict[Asked, Overtaken]]:
    """Sweep -> what later studies judged again; a damaged ledger keeps nobody from reading a sweep."""
    try:
        return overtaken(entry.look for entry in read_ledger(workspace.ledger_file))
    except StorageError as error:
        _log.warning("%s", error)
        return {}


def choose(invocation: Invocation, name: str | None = None) -> tuple[Config, Workspace, SweepView]:
    """The sweep of that name or id, else sweeps=NAME, else the latest of the workspace.

    A target or deadline that is given now counts instead of the plan's own: no verdict depends on it.
    """
    config = invocation.composed()
    workspace = workspace_of(config)
    view = open_sweep(workspace, name or config.sweep)
    given = {wish: config.values["decision"].get(wish) for wish in WISHES}
    given["deadline"] = seconds("decision.deadline", given["deadline"])
    study = view.plan.study
    decision = replace(study.decision, **{wish: value for wish, value in given.items() if value is not None})
    view = replace(view, plan=replace(view.plan, study=replace(study, decision=decision)))
    return config, workspace, view


def status_of(workspace: Workspace, view: SweepView, owner: Owner | None) -> SweepStatus:
    """How far a sweep is, and who is at work. owner: of the workspace now; without one nothing runs."""
    driven = owner is not None and owner.sweep_id == view.sweep_id
    counts = view.summary.counts
    failed = [row for row in view.summary.failures if row.status == Status.FAILED]
    return SweepStatus(
        sweep=view.plan.study.name,
        sweep_id=view.sweep_id,
        judged_on=view.plan.study.metric.words,
        stage=view.state.stage,
        planned=counts.planned,
        completed=counts.completed,
        diverged=counts.diverged,
        failed=counts.failed,
        failures=dict(Counter(row.failure or "unknown" for row in failed)),
        retried=sum(max(trial.attempts - 1, 0) for trial in view.journal.trials.values()),
        running=view.journal.counts["running"] if driven else 0,
        driver=owner if driven else None,
        broken=None if driven else _broken(workspace, view),
        damaged=view.damaged,
        paused=(pause_requested(workspace) or None) if driven else None,
        stopped=tuple(sorted(view.journal.stopped)) or None,
        command=view.command,
    )


def _broken(workspace: Workspace, view: SweepView) -> str | None:
    """Why the last run ended early, in a sentence; None where it did not."""
    failure = broken_by(view.plan, view.journal.results) if view.journal.closed == BROKEN else None
    return None if failure is None else broken_line(failure, view.summary.counts, workspace.trials)
