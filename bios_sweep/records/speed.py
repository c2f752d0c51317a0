"""How fast earlier trials of a model went, read from the journals of a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bios_sweep.records.journal import read_state
from bios_sweep.records.trial_state import TrialState
from bios_sweep.records.workspace import Workspace
from bios_sweep.vocabulary import Status


def seconds_per_example(workspace: Workspace, model_fingerprint: str) -> tuple[float, int] | None:
    """Wall-clock seconds of a whole trial per training example, and over how many trials.

    Evaluation and checkpoints are included: it is what a user waits for. None where no trial of the
    model was run here. Only trials of one attempt count: a killed one waited for its second worker.
    """
    trials = {trial.spec.key: trial for trial in _trials(workspace, model_fingerprint)}
    if not trials:
        return None
    seconds = sum((trial.ended or 0) - (trial.started or 0) for trial in trials.values()) / 1000.0
    examples = sum(
        trial.spec.settings.max_steps * trial.spec.settings.batch_size for trial in trials.values()
    )
    return seconds / examples, len(trials)


def _trials(workspace: Workspace, model_fingerprint: str) -> Iterator[TrialState]:
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
                yield trial


def names_model(path: Path, model_fingerprint: str) -> bool:
    """Whether a journal's first line, which says what the sweep is about, names the model.

    A workspace of a hundred planted sweeps is a hundred models; their journals need not be read.
    """
    with path.open("rb") as file:
        return model_fingerprint.encode() in file.readline()
