"""What earlier runs left beside results: timings, proposals, evaluations by cluster, and their speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bios_sweep.decision.costs import Timing
from bios_sweep.paths import open_regular
from bios_sweep.procedure.state import Known
from bios_sweep.records.reading import read_state
from bios_sweep.records.results import ClusterReader
from bios_sweep.records.sweep_state import SweepState, TrialState
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import is_sealed_json
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import Scenario
from bios_sweep.study.search import Proposal
from bios_sweep.study.trials import ANSWER_SECONDS, timing_key
from bios_sweep.vocabulary import Status

NOTHING_YET = SweepState()


def known_of(plan: Plan, workspace: Workspace, own: SweepState = NOTHING_YET) -> Known:
    """What a run of the plan finds: any sweep's timing of these arms, and what its own journal says."""
    found = workspace.read_timing(timing_key_of(plan)) if plan.timed_arms else None
    return replace(told_by(own, workspace), timing=None if found is None else named_timing(plan, found))


def told_by(journal: SweepState, workspace: Workspace) -> Known:
    """What a sweep's own journal says was known: a reader sees what the run saw."""
    return Known(
        timing=None if journal.timing is None else Timing.from_dict(journal.timing),
        proposals=tuple(Proposal.from_dict(values) for values in journal.proposals),
        importance=journal.importance,
        clusters=ClusterReader(workspace),
        stopped=journal.stopped,
    )


def seal_timing(plan: Plan, workspace: Workspace) -> None:
    """Give the timing of an earlier version, taken as it is, a checksum; only the workspace's owner may."""
    key = timing_key_of(plan)
    found = workspace.read_timing(key)
    if found is not None and not is_sealed_json(workspace.timing_file(key).read_bytes()):
        workspace.write_timing(key, found)


def timing_key_of(plan: Plan) -> str:
    """The identity of the plan's timing probe."""
    scenario = plan.study.scenario
    options = scenario.engine_options
    where = {name: options.get(name) for name in ("device", "threads", "micro_batch_size")}
    if options.get("gpus", 1) > 1:  # left out for one, as in the keys of before a trial could have several
        where["gpus"] = options["gpus"]
    return timing_key([arm.settings for arm in plan.timed_arms], scenario, where)


def named_timing(plan: Plan, found: Mapping[str, Any]) -> Timing:
    """Stored seconds belong to settings; the names are the plan's."""
    return Timing.from_dict({**found, "arms": [arm.name for arm in plan.timed_arms]})


def one_each(settings: TrainingSettings) -> float:
    """The weight of an example where every method is taken to compute alike."""
    return 1.0


def seconds_per_example(
    workspace: Workspace,
    scenario: Scenario,
    like: Callable[[str], bool],
    *,
    weight: Callable[[TrainingSettings], float] = one_each,
) -> tuple[float, int] | None:
    """Wall-clock seconds of a whole trial per training example, and over how many trials.

    Evaluation and checkpoints are included: it is what a user waits for. None where no trial of the model
    was run here on such a device. Trials of the same data and method count where there are some, else those
    of the data, else all of the model.
    Only trials of one attempt count: a killed one waited for its second worker. like: whether a device, by
    its name, is such a one. weight: what an example of such settings takes over one of the scenario's method,
    so that trials of another method tell its pace, too.
    """
    alike: dict[str, TrialState] = {}
    data: dict[str, TrialState] = {}
    every: dict[str, TrialState] = {}
    for facts, trial in _told(workspace, scenario.model.fingerprint):
        device = None if trial.result is None else trial.result.provenance.get("device")
        if device is not None and not like(device):  # scripts and planted curves do not say where they ran
            continue
        every[trial.spec.key] = trial
        if facts.get("data", {}).get("fingerprint") == scenario.data.fingerprint:
            data[trial.spec.key] = trial
            if trial.spec.settings.method == scenario.method.trains:
                alike[trial.spec.key] = trial
    trials = alike or data or every
    if not trials:
        return None
    seconds = sum((trial.ended or 0) - (trial.started or 0) for trial in trials.values()) / 1000.0
    examples = sum(
        weight(trial.spec.settings) * trial.spec.settings.max_steps * trial.spec.settings.batch_size
        for trial in trials.values()
    )
    return seconds / examples, len(trials)


def seconds_per_answer(workspace: Workspace, model_fingerprint: str) -> tuple[float, int] | None:
    """Seconds that answering and scoring an item took, and over how many trials; None without any."""
    trials = {trial.spec.key: trial for trial in _trials(workspace, model_fingerprint)}
    told = [trial.result.provenance.get(ANSWER_SECONDS) for trial in trials.values() if trial.result]
    seconds = [float(one) for one in told if one is not None]
    return (sum(seconds) / len(seconds), len(seconds)) if seconds else None


def _trials(workspace: Workspace, model_fingerprint: str) -> Iterator[TrialState]:
    return (trial for _, trial in _told(workspace, model_fingerprint))


def _told(workspace: Workspace, model_fingerprint: str) -> Iterator[tuple[Mapping[str, Any], TrialState]]:
    """(facts of its sweep, trial) of every completed trial of the model."""
    for sweep_id in workspace.sweeps():
        path = workspace.journal_file(sweep_id)
        if not path.exists() or not names_model(path, model_fingerprint):
            continue
        state = read_state(path)
        if state.facts.get("model", {}).get("fingerprint") != model_fingerprint:
            continue
        for trial in state.trials.values():
            done = trial.result is not None and trial.result.status == Status.COMPLETED
            if done and not trial.reused and trial.attempts == 1 and trial.started and trial.ended:
                yield state.facts, trial


def names_model(path: Path, model_fingerprint: str) -> bool:
    """Whether a journal's first line, which says what the sweep is about, names the model.

    A workspace of a hundred planted sweeps is a hundred models; their journals need not be read.
    """
    with open_regular(path) as file:
        return model_fingerprint.encode() in file.readline()
