"""`run`: runs, resumes or extends a sweep; ends with its verdicts."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from importlib import util
from typing import Any

from rich.console import Console

from bios_sweep.cli.plan import plan_summary
from bios_sweep.cli.suggest import next_arguments
from bios_sweep.defaults import FILE_NAME
from bios_sweep.driver.environment import worker_environment
from bios_sweep.driver.loop import Sweep, conclude, open_journal, run_trials, take_in_finished, take_timing
from bios_sweep.driver.precision import Offer, gpu_warnings, gpus_of_nodes, gpus_of_this_machine
from bios_sweep.driver.preflight import look_at_nodes, require_ready
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.driver.resources import check_device, choose_executor
from bios_sweep.driver.stopping import Stop
from bios_sweep.driver.tracking import Tracking, tracking_of
from bios_sweep.engines.training.data import keep_dataset
from bios_sweep.errors import BiosSweepError, MissingExtraError
from bios_sweep.jsonable import to_json
from bios_sweep.ports import Executor, PreflightLine, Searcher
from bios_sweep.procedure import DONE, ProcedureSource, recall
from bios_sweep.records.earlier import journal_results, known_of, seal_timing
from bios_sweep.records.journal import Journal
from bios_sweep.records.lock import DriverLock, require_free
from bios_sweep.records.results import KeptResults
from bios_sweep.records.retention import check_policy
from bios_sweep.report.content.goals import tuned_line
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.text.progress import LiveView
from bios_sweep.report.text.terminal import print_verdicts
from bios_sweep.study.search import SearchSpace

TRACKING_FAILED = 4
LARGE_COST = 100.0  # times the default's: what a proposal of unknown cost is told
LAST_WORDS_SECONDS = 10.0  # chosen: an interrupted run tells MLflow so, and does not wait long for it


def run(args: Namespace) -> int:
    """Everything is checked before the first trial; what earlier runs finished is taken in, not run."""
    prepared = prepare(next_arguments(args) if args.next else args)
    _require_optuna(prepared)
    summary = plan_summary(prepared)
    check_policy(prepared.config.values["budget"]["keep_adapters"])
    tracking = tracking_of(prepared.config, prepared.workspace)
    console = Console(stderr=args.json)
    sweep = Sweep(
        plan=prepared.plan,
        workspace=prepared.workspace,
        command=prepared.command,
        keep=prepared.config.values["budget"]["keep_adapters"],
        tracking_url=tracking.shown,
    )
    require_free(prepared.workspace)
    executor, where = _checked_executor(prepared, tracking)
    warnings = list(summary.warnings)
    if executor is not None:
        warnings = [*warnings, *gpu_warnings(prepared, _gpus(prepared.config.values["cluster"]))]
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)
    with DriverLock(prepared.workspace, prepared.plan.sweep_id), Stop(prepared.workspace) as stop:
        lines: tuple[PreflightLine, ...] = ()
        if executor is not None:
            _write_data(prepared)
            lines = _preflight(args, prepared, executor, console)
            console.print(
                f"{summary.to_run} trials to run, {summary.reused} reused; stop with Ctrl-C, "
                "the same command goes on from there",
                markup=False,
            )
        result, caught_up = _drive(sweep, prepared, executor, where, tracking, console, stop)
    beside = {"warnings": warnings, **({"preflight": to_json(lines)} if lines else {})}
    return _finish(args, sweep, result, beside, tracking, console, stop, caught_up=caught_up)


def _gpus(cluster: Mapping[str, Any]) -> Offer | None:
    """The GPUs of the place where trials will run; the executor has joined it."""
    if cluster["executor"] != "ray" or cluster["address"] is None:
        return gpus_of_this_machine(cluster)
    from bios_sweep.execution.ray.cluster import nodes_alive  # loads Ray, which runs by now

    return gpus_of_nodes(nodes_alive())


def _preflight(
    args: Namespace, prepared: Prepared, executor: Executor, console: Console
) -> tuple[PreflightLine, ...]:
    """What the nodes have; a red line ends the command before anything of the sweep is written."""
    cluster, trials = prepared.config.values["cluster"], prepared.workspace.trials
    lines = look_at_nodes(executor, prepared.plan, cluster, str(trials), console)
    if args.json and any(line.red for line in lines):
        print(json.dumps({"preflight": to_json(lines)}, indent=1))
    require_ready(lines)
    return lines


def _require_optuna(prepared: Prepared) -> None:
    """Only a joint search needs it; missed at the search it would waste the screening."""
    if prepared.plan.study.decision.refine and util.find_spec("optuna") is None:
        raise MissingExtraError(
            "`decision.refine=optuna` needs optuna; install it with pip install 'bios-sweep[run]'"
        )


def _checked_executor(prepared: Prepared, tracking: Tracking) -> tuple[Executor | None, str]:
    """The executor, ready, and one line on where it runs; None where every result is there already."""
    known = known_of(prepared.plan, prepared.workspace)
    kept = KeptResults(prepared.workspace, journal_results(prepared.plan, prepared.workspace))
    state, _ = recall(prepared.plan, kept, known)
    tracking.check()
    cluster = prepared.config.values["cluster"]
    environment = worker_environment(cluster, sweep_id=prepared.plan.sweep_id, tracking_uri=tracking.uri)
    executor = choose_executor(cluster, prepared.workspace, environment)
    if state.stage == DONE and (known.timing is not None or not prepared.plan.timed_arms):
        return None, ""
    check_device(prepared.config.values["cluster"])
    return executor, executor.check()


def _drive(
    sweep: Sweep,
    prepared: Prepared,
    executor: Executor | None,
    where: str,
    tracking: Tracking,
    console: Console,
    stop: Stop,
) -> tuple[Summary, bool]:
    with open_journal(sweep) as journal:
        known = known_of(sweep.plan, sweep.workspace)
        source = ProcedureSource(sweep.plan, should_stop=stop.asked, known=known)
        if known.timing is not None:
            journal.timed(known.timing.to_dict())
            seal_timing(sweep.plan, sweep.workspace)
        take_in_finished(sweep, source, journal)
        mirror = tracking.mirror(sweep, journal.state.seq)
        if mirror is not None:
            mirror.start()
        try:
            if executor is not None:
                _time(sweep, source, journal, executor, console)
                _run(sweep, source, journal, executor, where, console, stop)
            result = conclude(sweep, source, journal)
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
        return result, mirror is None or mirror.finish(tracking.flush_seconds)


def _time(
    sweep: Sweep, source: ProcedureSource, journal: Journal, executor: Executor, console: Console
) -> None:
    """The timing probe comes first: nothing else of ours runs yet."""
    arms = sweep.plan.timed_arms
    if arms and source.known.timing is None:
        console.print(f"timing {len(arms)} arms, each alone on the device", markup=False)
        take_timing(sweep, source, journal, executor)
        take_in_finished(sweep, source, journal)


def _run(
    sweep: Sweep,
    source: ProcedureSource,
    journal: Journal,
    executor: Executor,
    where: str,
    console: Console,
    stop: Stop,
) -> None:
    with LiveView(
        console,
        planned=len(source.state.needed),
        workers=where,
        title=sweep.plan.sweep_id,
        judged_on=sweep.plan.study.metric.words,
        trials_dir=sweep.workspace.trials,
    ) as view:
        run_trials(sweep, source, journal, executor, view, open_search, shield=stop.held)
    _print_idle(executor, console)


def open_search(sweep: Sweep, space: SearchSpace) -> Searcher:
    """Optuna's search of a sweep; its file lies in the sweep's folder."""
    from bios_sweep.execution.optuna_search import OptunaSearch  # heavy, and seldom asked for

    study = sweep.plan.study
    two = study.decision.refine_goal != "quality"
    default = sweep.workspace.read_result(sweep.plan.trials[0].key)
    start = default.final.get(study.metric.name, 0.0) if default is not None else 0.0
    worthless = start - study.metric.sign * max(
        abs(start), 1.0
    )  # a loss twice the default's, an accuracy of 0
    return OptunaSearch(
        sweep.folder / "optuna.journal",
        name=sweep.plan.sweep_id,
        space=space,
        worst=(worthless, LARGE_COST) if two else (worthless,),
        directions=(study.metric.direction, "minimize") if two else (study.metric.direction,),
        seed=study.seeds[0],
    )


def _write_data(prepared: Prepared) -> None:
    path = prepared.workspace.data_file(prepared.plan.study.scenario.data.fingerprint)
    if prepared.dataset is not None:
        keep_dataset(prepared.dataset, path)


def _print_idle(executor: Executor, console: Console) -> None:
    if executor.idle_seconds:
        told = ", ".join(f"{seconds:.1f} s" for seconds in executor.idle_seconds.values())
        console.print(f"idle per worker: {told}", markup=False)


def _finish(
    args: Namespace,
    sweep: Sweep,
    result: Summary,
    beside: Mapping[str, Any],
    tracking: Tracking,
    console: Console,
    stop: Stop,
    *,
    caught_up: bool,
) -> int:
    paths = {"defaults": sweep.folder / FILE_NAME, "report": sweep.folder / "report.html"}
    files = {name: str(path) if path.is_file() else None for name, path in paths.items()}
    link = tracking.link(sweep.plan.sweep_id)
    if args.json:
        print(json.dumps({**to_json(result), **beside, "files": files, "link": link}, indent=1))
    else:
        print_verdicts(result, console, sweep.workspace.trials)
        if told := tuned_line(result, paths["defaults"]):
            console.print(told, markup=False, soft_wrap=True)
        if result.final:
            console.print(f"report: {files['report']}", markup=False, soft_wrap=True)
        console.print(link, markup=False, soft_wrap=True)
    if stop.signal is not None and not result.final:
        print("bios-sweep: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + stop.signal
    if result.broken is not None:
        print(f"bios-sweep: {result.broken}", file=sys.stderr)
    if not caught_up:
        print(
            f"bios-sweep: {tracking.shown} did not follow in {tracking.flush_seconds:g} s; nothing is lost, "
            f"run `bios-sweep sync --sweep {sweep.plan.sweep_id}{tracking.options}` when it answers",
            file=sys.stderr,
        )
        return TRACKING_FAILED
    return result.exit_code
