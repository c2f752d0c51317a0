"""A run from the first check to the last word: check, take the workspace, preflight, time, run, conclude.

The one entry of the command line and of Python. It prints nothing: a `Listener` hears what happens, and the
`Outcome` says how it ended.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import util

from bios_sweep.driver.environment import worker_environment
from bios_sweep.driver.joint_search import open_search
from bios_sweep.driver.listener import Listener
from bios_sweep.driver.loop import run_trials
from bios_sweep.driver.planned import planned
from bios_sweep.driver.precision import Offer, gpu_warnings, gpus_of_nodes, gpus_of_this_machine
from bios_sweep.driver.preflight import look_at_nodes, require_ready
from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.publish import conclude
from bios_sweep.driver.resources import check_device, choose_executor
from bios_sweep.driver.reuse import take_in_finished
from bios_sweep.driver.stopping import Stop
from bios_sweep.driver.sweep import Sweep, open_journal
from bios_sweep.driver.timing import take_timing
from bios_sweep.driver.tracking import Tracking, tracking_of
from bios_sweep.engines.training.data import keep_dataset
from bios_sweep.errors import BiosSweepError, MissingExtraError
from bios_sweep.ports import Executor, PreflightLine
from bios_sweep.procedure import ProcedureSource, recall
from bios_sweep.records.earlier import journal_results, known_of, seal_timing
from bios_sweep.records.journal import Journal
from bios_sweep.records.lock import DriverLock, require_free
from bios_sweep.records.results import StoredResults
from bios_sweep.records.retention import check_policy
from bios_sweep.report.content.summary import Summary
from bios_sweep.request import Request
from bios_sweep.vocabulary import Stage

LAST_WORDS_SECONDS = 10.0  # chosen: an interrupted run tells MLflow so, and does not wait long for it


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    caught_up: whether the tracking store has everything. signal: what stopped the run, if anything did.
    """

    sweep: Sweep
    tracking: Tracking
    summary: Summary
    warnings: tuple[str, ...]
    preflight: tuple[PreflightLine, ...]
    caught_up: bool
    signal: int | None

    @property
    def behind(self) -> str:
        """What to say, and to do, where the tracking store has not everything."""
        tracking = self.tracking
        return (
            f"{tracking.shown} did not follow in {tracking.flush_seconds:g} s; nothing is lost, run "
            f"`bios-sweep sync --sweep {self.sweep.plan.sweep_id}{tracking.options}` when it answers"
        )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where trials run. executor: None where every result is there already; words: a line on it."""

    executor: Executor | None
    words: str = ""


def run_sweep(prepared: Prepared, listener: Listener) -> Outcome:
    """Run, resume or extend. Everything is checked before the first trial; what is finished is taken in.

    Raises:
        BiosSweepError: what was asked for cannot be run, or the run ended early; its sentence says why.
        KeyboardInterrupt: stopped at once. A graceful stop is an `Outcome` with its signal.
    """
    _require_optuna(prepared)
    plan = planned(prepared)
    budget = prepared.config.values["budget"]
    check_policy(budget["keep_adapters"])
    tracking = tracking_of(prepared.config, prepared.workspace)
    sweep = Sweep(
        plan=prepared.plan,
        workspace=prepared.workspace,
        invocation=prepared.invocation,
        keep=budget["keep_adapters"],
        tracking_url=tracking.shown,
        shipped={} if prepared.function is None else {"function": prepared.function.packed()},
    )
    require_free(prepared.workspace)
    place = _checked_place(prepared, tracking)
    warnings = (*plan.warnings, *_on_gpus(prepared, place))
    for warning in warnings:
        listener.warn(warning)
    with DriverLock(prepared.workspace, prepared.plan.sweep_id), Stop(prepared.workspace) as stop:
        lines: tuple[PreflightLine, ...] = ()
        if place.executor is not None:
            _write_data(prepared)
            lines = _preflight(prepared, place.executor, listener)
            listener.say(
                f"{plan.to_run} trials to run, {plan.reused} reused; stop with Ctrl-C, "
                "the same command goes on from there"
            )
        summary, caught_up = _drive(sweep, place, tracking, listener, stop)
    return Outcome(
        sweep=sweep,
        tracking=tracking,
        summary=summary,
        warnings=warnings,
        preflight=lines,
        caught_up=caught_up,
        signal=stop.signal,
    )


def _require_optuna(prepared: Prepared) -> None:
    """Only a joint search needs it; missed at the search it would waste the screening."""
    if prepared.plan.study.decision.refine and util.find_spec("optuna") is None:
        raise MissingExtraError(
            "`decision.refine=optuna` needs optuna; install it with pip install 'bios-sweep[run]'"
        )


def _checked_place(prepared: Prepared, tracking: Tracking) -> _Place:
    """The executor, ready; the tracking store was asked before."""
    known = known_of(prepared.plan, prepared.workspace)
    kept = StoredResults(prepared.workspace, journal_results(prepared.plan, prepared.workspace))
    state, _ = recall(prepared.plan, kept, known)
    tracking.check()
    request = prepared.request
    environment = worker_environment(request, sweep_id=prepared.plan.sweep_id, tracking_uri=tracking.uri)
    executor = choose_executor(request, prepared.workspace, environment)
    if state.stage == Stage.DONE and (known.timing is not None or not prepared.plan.timed_arms):
        return _Place(executor=None)
    check_device(request)
    return _Place(executor=executor, words=executor.check())


def _on_gpus(prepared: Prepared, place: _Place) -> list[str]:
    """Warnings on the GPUs of the place; none where nothing will run."""
    if place.executor is None:
        return []
    return gpu_warnings(prepared, _gpus(prepared.request))


def _gpus(request: Request) -> Offer | None:
    """The GPUs of the place where trials will run; the executor has joined it."""
    if not request.joins:
        return gpus_of_this_machine(request)
    from bios_sweep.execution.ray.cluster import nodes_alive  # loads Ray, which runs by now

    return gpus_of_nodes(nodes_alive())


def _preflight(prepared: Prepared, executor: Executor, listener: Listener) -> tuple[PreflightLine, ...]:
    """What the nodes have; a red line ends the run before anything of the sweep is written."""
    trials = str(prepared.workspace.trials)
    lines = look_at_nodes(executor, prepared.plan, prepared.request, trials)
    if lines:
        listener.preflight(lines)
    require_ready(lines)
    return lines


def _write_data(prepared: Prepared) -> None:
    path = prepared.workspace.data_file(prepared.plan.study.scenario.data.fingerprint)
    if prepared.dataset is not None:
        keep_dataset(prepared.dataset, path)


def _drive(
    sweep: Sweep, place: _Place, tracking: Tracking, listener: Listener, stop: Stop
) -> tuple[Summary, bool]:
    """The summary, and whether the tracking store has everything. An interrupt is the journal's last line."""
    with open_journal(sweep) as journal:
        source = _source(sweep, journal, stop)
        mirror = tracking.mirror(sweep, journal.state.seq)
        if mirror is not None:
            mirror.start()
        try:
            if place.executor is not None:
                _time(sweep, source, journal, place.executor, listener)
                _run(sweep, source, journal, place, listener, stop)
            summary = conclude(sweep, source, journal)
        except BaseException as error:
            with suppress(BiosSweepError):  # a full disk may be the very error
                journal.closed(f"interrupted: {type(error).__name__}")
            if mirror is not None:
                mirror.finish(min(tracking.flush_seconds, LAST_WORDS_SECONDS))
            raise
        if mirror is None:
            mirror = tracking.mirror(sweep, journal.state.seq)
            if mirror is not None:
                mirror.start()
        return summary, mirror is None or mirror.finish(tracking.flush_seconds)


def _source(sweep: Sweep, journal: Journal, stop: Stop) -> ProcedureSource:
    """Knows all that earlier runs found."""
    known = known_of(sweep.plan, sweep.workspace)
    source = ProcedureSource(sweep.plan, should_stop=stop.asked, known=known)
    if known.timing is not None:
        journal.timed(known.timing.to_dict())
        seal_timing(sweep.plan, sweep.workspace)
    take_in_finished(sweep, source, journal)
    return source


def _time(
    sweep: Sweep, source: ProcedureSource, journal: Journal, executor: Executor, listener: Listener
) -> None:
    """The timing probe comes first: nothing else of ours runs yet."""
    arms = sweep.plan.timed_arms
    if arms and source.known.timing is None:
        listener.say(f"timing {len(arms)} arms, each alone on the device")
        take_timing(sweep, source, journal, executor)
        take_in_finished(sweep, source, journal)


def _run(
    sweep: Sweep, source: ProcedureSource, journal: Journal, place: _Place, listener: Listener, stop: Stop
) -> None:
    assert place.executor is not None  # `_drive` looks
    with listener.watch(
        planned=len(source.state.needed),
        workers=place.words,
        title=sweep.plan.sweep_id,
        judged_on=sweep.plan.study.metric.words,
        trials_dir=sweep.workspace.trials,
    ) as view:
        run_trials(sweep, source, journal, place.executor, view, open_search, shield=stop.deferred)
    idle = place.executor.idle_seconds
    if idle:
        listener.say(f"idle per worker: {', '.join(f'{seconds:.1f} s' for seconds in idle.values())}")
