"""A run from the first check to the last word: check, take the workspace, preflight, time, run, conclude.

The one entry of the command line and of Python. It prints nothing: a `Listener` hears what happens, and the
`Outcome` says how it ended.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import util
from typing import Any

from bios_sweep.driver.asked_before import after_earlier, require_unasked
from bios_sweep.driver.by_hand import Hands
from bios_sweep.driver.cleaning import remove_dead
from bios_sweep.driver.cost import workers_of
from bios_sweep.driver.gpus import gpu_warnings, gpus_of_nodes, gpus_of_this_machine
from bios_sweep.driver.hook import hook_words, tell_hook
from bios_sweep.driver.loop import run_trials
from bios_sweep.driver.memory import has_begun, memory_notes
from bios_sweep.driver.place import (
    GPU_LOOKER,
    choose_executor,
    require_ready,
    trains_on_gpu,
    wanted_on_nodes,
    worker_environment,
)
from bios_sweep.driver.planned import PlannedSweep, planned
from bios_sweep.driver.precision import as_begun, common_dtype, with_dtype
from bios_sweep.driver.prepare import Prepared
from bios_sweep.driver.publish import conclude
from bios_sweep.driver.room_left import room_left
from bios_sweep.driver.scenarios.base_model import bring_model, download_notes, downloads
from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.driver.stopping import Stop
from bios_sweep.driver.sweep import Sweep, open_journal, take_in_finished
from bios_sweep.driver.tracking import Following, Tracking, tracking_of
from bios_sweep.driver.ways import tariff_of
from bios_sweep.driver.withdrawing import withdraw_overtaken
from bios_sweep.engines.training.data import keep_dataset
from bios_sweep.errors import BiosSweepError, MissingExtraError
from bios_sweep.execution.open_door import open_door
from bios_sweep.hub.cache import DATASET, MODEL
from bios_sweep.hub.pins import keep_pins
from bios_sweep.ports import Executor, Listener, PreflightLine
from bios_sweep.procedure.line import Order, as_needed, longest_first
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.records.earlier import known_of, seal_timing
from bios_sweep.records.journal import Journal
from bios_sweep.records.lock import DriverLock, require_free
from bios_sweep.report.content.live import standing_of
from bios_sweep.report.content.summary import Summary
from bios_sweep.request import Request

LAST_WORDS_SECONDS = 10.0  # chosen: an interrupted run tells MLflow so, and does not wait long for it


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    behind: why the tracking store has not everything, and what to do; empty where it has. signal: what
    stopped the run, if anything did.
    """

    sweep: Sweep
    tracking: Tracking
    summary: Summary
    warnings: tuple[str, ...]
    preflight: tuple[PreflightLine, ...]
    behind: str
    signal: int | None


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where trials run, ready to take them. words: a line on it. devices: its GPUs, where they were asked.

    side_by_side: whether several may run at a time.
    """

    executor: Executor
    side_by_side: bool
    words: str
    devices: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What is listened to while a sweep runs: that it should end, and what else people ask of it."""

    stop: Stop
    hands: Hands


def run_sweep(prepared: Prepared, listener: Listener) -> Outcome:
    """Run, resume or extend. Everything is checked before the first trial; what is finished is taken in.

    Raises:
        BiosSweepError: what was asked for cannot be run, or the run ended early; its sentence says why.
        KeyboardInterrupt: stopped at once. A graceful stop is an `Outcome` with its signal.
    """
    _require_optuna(prepared)
    hook = hook_words(prepared.config.values.get("on_verdict"))
    prepared, devices = _decided(prepared)
    plan = planned(prepared)
    tracking = tracking_of(prepared.config, prepared.workspace)
    room = room_left(prepared.workspace.root, prepared.config.values["budget"]["least_free_gb"])
    sweep = Sweep(
        plan=prepared.plan,
        workspace=prepared.workspace,
        invocation=prepared.invocation,
        keep=prepared.config.values["budget"]["keep_adapters"],
        tariff=tariff_of(prepared.request),
        room=room,
        tracking_url=tracking.shown,
        shipped={} if prepared.function is None else {"function": prepared.function.packed()},
    )
    require_free(prepared.workspace)
    if not plan.done:
        room.require()
    scenario = prepared.plan.study.scenario
    for note in () if plan.done else download_notes(scenario):
        listener.say(note)
        bring_model(scenario)
    unheard = tracking.check(prepared.plan)
    place = _checked_place(prepared, plan, tracking, devices)
    fits, lacks = _in_memory(prepared, () if place is None else place.devices)
    warnings = (*plan.warnings, *(() if place is None else _of_the_place(prepared)), *lacks)
    for warning in (*warnings, *([unheard] if unheard else [])):
        listener.warn(warning)
    with (
        room.told(),
        DriverLock(prepared.workspace, prepared.plan.sweep_id) as lock,
        Stop(prepared.workspace) as stop,
    ):
        remove_dead(prepared.workspace, killed=lock.took_over)
        lock.tidied()
        require_unasked(prepared.asked, prepared.plan, prepared.workspace)
        keep_pins(prepared.workspace.root, {MODEL: scenario.model.hub, DATASET: scenario.data.hub})
        if answer := prepared.answer(plan.to_run):
            listener.say(answer)
        lines: tuple[PreflightLine, ...] = ()
        if place is not None:
            lines = _ready_nodes(prepared, place.executor, listener)
            for line in fits:
                listener.say(line)
            listener.say(
                f"{plan.to_run} trials to run, {plan.reused} reused; stop with Ctrl-C, "
                "the same command goes on from there"
            )
        heard = _Heard(stop=stop, hands=Hands(prepared.workspace, prepared.plan.sweep_id))
        summary, behind = _drive(sweep, place, tracking, listener, heard, prepared.stopped)
    if trouble := tell_hook(hook, sweep, summary):
        listener.warn(trouble)
    return Outcome(
        sweep=sweep,
        tracking=tracking,
        summary=summary,
        warnings=warnings,
        preflight=lines,
        behind=behind,
        signal=stop.signal,
    )


def _decided(prepared: Prepared) -> tuple[Prepared, tuple[Mapping[str, Any], ...]]:
    """With what `method.dtype=auto` means on the workers' GPUs, and these GPUs where they had to be asked.

    Raises:
        ClusterError: a place where trials may run has no GPU that torch can use.
    """
    if prepared.precision.known:
        return prepared, ()
    found = choose_executor(prepared.request, prepared.workspace).gpus(GPU_LOOKER)
    dtype = common_dtype([bool(gpu["bfloat16"]) for gpu in found])
    told = replace(prepared.precision, dtype=dtype, known=True)
    asked, told = as_begun(with_dtype(prepared.asked, dtype), told, prepared.workspace, prepared.config)
    after = after_earlier(asked, prepared.workspace)
    prepared = replace(prepared, plan=after.plan, asked=asked, precision=told)
    return replace(prepared, answered=after.answered, stopped=after.stopped), found


def _gpus_here(prepared: Prepared, executor: Executor) -> tuple[Mapping[str, Any], ...]:
    """The GPUs that our own trainer finds on this machine, where it trains here on GPUs.

    On a cluster the preflight looks, node by node.
    """
    request, scenario = prepared.request, prepared.plan.study.scenario
    if request.joins or scenario.engine != LORA_ENGINE or not trains_on_gpu(scenario, request):
        return ()
    return executor.gpus(GPU_LOOKER)


def _require_optuna(prepared: Prepared) -> None:
    """Only a joint search needs it; missed at the search it would waste the screening."""
    if prepared.plan.study.decision.refine and util.find_spec("optuna") is None:
        raise MissingExtraError(
            "`decision.refine=optuna` needs optuna; install it with pip install 'bios-sweep[run]'"
        )


def _checked_place(
    prepared: Prepared, plan: PlannedSweep, tracking: Tracking, devices: tuple[Mapping[str, Any], ...]
) -> _Place | None:
    """None where every result is there already."""
    request = prepared.request
    environment = worker_environment(
        request,
        sweep_id=plan.plan.sweep_id,
        tracking_uri=tracking.uri,
        downloads=downloads(plan.plan.study.scenario),
    )
    executor = choose_executor(request, prepared.workspace, environment)
    if plan.done:
        return None
    devices = devices or _gpus_here(prepared, executor)
    with tracking.loaded_meanwhile():
        words = executor.check()  # starts Ray, which is waiting for other processes
    return _Place(
        executor=executor,
        side_by_side=takes_several(request),
        words=words,
        devices=devices,
    )


def takes_several(request: Request) -> bool:
    """Whether more than one trial may run at a time; of a cluster that is joined only its limit is known."""
    return request.max_concurrent != 1 and (request.joins or workers_of(request) > 1)


def _in_memory(prepared: Prepared, devices: tuple[Mapping[str, Any], ...]) -> tuple[list[str], list[str]]:
    """What fits and what does not, per kind of GPU that was asked."""
    sizes: dict[str, int] = {}
    for gpu in devices:
        sizes[str(gpu["name"])] = min(int(gpu["total"]), sizes.get(str(gpu["name"]), int(gpu["total"])))
    begun = has_begun(prepared.plan, prepared.workspace)
    return memory_notes(prepared.plan, prepared.request, sizes, begun=begun)


def _of_the_place(prepared: Prepared) -> list[str]:
    door = open_door(prepared.request, os.environ)
    return [*([door] if door else []), *_on_gpus(prepared)]


def _on_gpus(prepared: Prepared) -> list[str]:
    """Warnings on the GPUs of the place where trials will run; the executor has joined it."""
    if not prepared.request.joins:
        return gpu_warnings(prepared, gpus_of_this_machine(prepared.request))
    from bios_sweep.execution.ray.cluster import nodes_alive  # loads Ray, which runs by now

    return gpu_warnings(prepared, gpus_of_nodes(nodes_alive()))


def _ready_nodes(prepared: Prepared, executor: Executor, listener: Listener) -> tuple[PreflightLine, ...]:
    """What nodes beside this one have; a red line ends the run before anything but the data is written."""
    plan, workspace = prepared.plan, prepared.workspace
    if prepared.dataset is not None:
        keep_dataset(prepared.dataset, workspace.data_file(plan.study.scenario.data.fingerprint))
    if not prepared.request.joins:
        return ()
    lines = executor.preflight(wanted_on_nodes(plan, prepared.request, str(workspace.trials)))
    if lines:
        listener.preflight(lines)
    require_ready(lines)
    return lines


def _drive(
    sweep: Sweep,
    place: _Place | None,
    tracking: Tracking,
    listener: Listener,
    heard: _Heard,
    stopped: Mapping[str, str],
) -> tuple[Summary, str]:
    """The summary, and why the tracker has not everything, if so. An interrupt is the journal's last line.

    stopped: arm -> the earlier study in which somebody stopped it by hand; so it stays until it is taken up.
    """
    with open_journal(sweep) as journal:
        if place is not None and place.devices:
            journal.decided(sweep.plan.study.baseline.dtype, [str(gpu["name"]) for gpu in place.devices])
        for arm, earlier in stopped.items():
            if arm not in journal.state.by_hand:
                journal.by_hand(arm, stopped=True, why=f"in {earlier}")
        source = _source(sweep, journal, heard, longest_first if place and place.side_by_side else as_needed)
        mirror = Following(tracking, sweep.plan, journal)
        try:
            if place is not None:
                _run(sweep, source, journal, place, listener, heard, mirror)
            summary = conclude(sweep, source, journal)
        except BaseException as error:
            with suppress(BiosSweepError):  # a full disk may be the very error
                journal.closed(f"interrupted: {type(error).__name__}")
            with suppress(Exception):  # whatever the tracker says, the error is the one above
                mirror.finish(min(tracking.flush_seconds, LAST_WORDS_SECONDS))
            raise
        behind = "" if mirror.finish(tracking.flush_seconds) else mirror.behind()
        overtaken = _follow_overtaken(sweep, tracking)
        return summary, behind or overtaken


def _follow_overtaken(sweep: Sweep, tracking: Tracking) -> str:
    """Why the tracker has not the files of earlier sweeps whose values this one took away, if so."""
    mirrors = [(plan, tracking.mirror(plan, last)) for plan, last in withdraw_overtaken(sweep.workspace)]
    left = [
        tracking.later(plan, mirror)
        for plan, mirror in mirrors
        if mirror is not None and not mirror.finish(tracking.flush_seconds)
    ]
    return left[0] if left else ""


def _source(sweep: Sweep, journal: Journal, heard: _Heard, order: Order) -> ProcedureSource:
    """Knows all that earlier runs found."""
    earlier = known_of(sweep.plan, sweep.workspace, journal.state)
    source = ProcedureSource(
        sweep.plan,
        should_stop=heard.stop.asked,
        should_pause=heard.hands.paused,
        known=earlier,
        order=order,
    )
    if earlier.timing is not None:
        journal.timed(earlier.timing.to_dict())
        seal_timing(sweep.plan, sweep.workspace)
    take_in_finished(sweep, source, journal)
    return source


def _run(
    sweep: Sweep,
    source: ProcedureSource,
    journal: Journal,
    place: _Place,
    listener: Listener,
    heard: _Heard,
    mirror: Following,
) -> None:
    """The mirror begins when nothing is timed any more: it is at work no more than a trial before."""
    executor, arms = place.executor, sweep.plan.timed_arms
    if arms and source.known.timing is None:
        listener.say(f"timing {len(arms)} arms, each alone on the device")
    with listener.watch(
        planned=len(source.state.needed),
        workers=place.words,
        title=sweep.plan.sweep_id,
        metric=sweep.plan.study.metric.name,
        judged_on=sweep.plan.study.metric.words,
        trials_dir=sweep.workspace.trials,
        standing=lambda: standing_of(
            sweep.plan, source.state, source.results, source.known.stopped, sweep.tariff
        ),
    ) as view:
        run_trials(
            sweep,
            source,
            journal,
            executor,
            view,
            hands=heard.hands,
            shield=heard.stop.deferred,
            undisturbed=mirror.begin,
        )
    if idle := executor.idle_seconds:
        listener.say(f"idle per worker: {', '.join(f'{seconds:.1f} s' for seconds in idle.values())}")
