"""What earlier trials of a workspace show of a score's items: how far two trained models differ on them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from bios_sweep.decision.items import seen_differences
from bios_sweep.decision.table import Floats
from bios_sweep.errors import StorageError
from bios_sweep.records.earlier import names_model
from bios_sweep.records.reading import read_state
from bios_sweep.records.results import item_scores
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.plan import Plan
from bios_sweep.study.score import ItemsSeen, Score
from bios_sweep.vocabulary import Status


def with_items_seen(plan: Plan, workspace: Workspace) -> Plan:
    """The plan with what the latest sweep that scored these items so showed of them; as it is without one."""
    scenario = plan.study.scenario
    score = scenario.data.score
    seen = None if score is None else _seen(plan, score, workspace)
    if score is None or seen is None:
        return plan
    data = replace(scenario.data, score=replace(score, seen=seen))
    return replace(plan, study=replace(plan.study, scenario=replace(scenario, data=data)))


def _seen(plan: Plan, score: Score, workspace: Workspace) -> ItemsSeen | None:
    scenario = plan.study.scenario
    for sweep_id in workspace.sweeps():
        journal = workspace.journal_file(sweep_id)
        if sweep_id == plan.sweep_id or not journal.exists():
            continue
        if not names_model(journal, scenario.model.fingerprint):
            continue
        with suppress(StorageError):
            asked = workspace.read_plan(sweep_id)["study"]["scenario"]["data"]
            if not _asks_the_same(asked, plan, score):
                continue
            found = seen_differences(list(_differences(read_state(journal), workspace, score.items)))
            if found is None:
                continue
            return ItemsSeen(differing=round(found[0], 4), lasting=round(found[1], 3), sweep=sweep_id)
    return None


def _asks_the_same(data: Mapping[str, Any], plan: Plan, score: Score) -> bool:
    asked, now = data.get("score"), plan.study.scenario.data
    same = data.get("evaluation_fingerprint") == now.evaluation_fingerprint
    return bool(asked and same and Score.from_dict(asked).identity() == score.identity())


def _differences(state: SweepState, workspace: Workspace, items: int) -> Iterator[Floats]:
    """Per arm its items' scores less the default's at the same seed, shape (S, items).

    A trial whose file has other than so many items is left out: it was cut short.
    """
    scores: dict[str, dict[int, Floats]] = defaultdict(dict)
    for trial in state.trials.values():
        if trial.result is not None and trial.result.status == Status.COMPLETED:
            found = item_scores(workspace, trial.spec.key)
            if found is not None and found.shape == (items,):
                scores[trial.spec.arm][trial.spec.seed] = found
    default = scores.pop(BASELINE, {})
    for own in scores.values():
        pairs = [own[seed] - default[seed] for seed in own if seed in default]
        if pairs:
            yield np.asarray(pairs, dtype=np.float64)
