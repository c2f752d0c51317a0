"""What an earlier sweep's score files tell, also where one was cut short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.items_seen import with_items_seen
from bios_sweep.driver.sweep import Sweep, open_journal
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.plan import build_plan
from bios_sweep.study.score import EXACT, Score
from bios_sweep.study.trials import SCORE_FILE, TrialResult
from bios_sweep.vocabulary import Status
from tests.records.plans import make_plan

ITEMS = 5
SCORE = Score(metric="exact", kind=EXACT, asked="exact_match", items=ITEMS, clusters=ITEMS, new_tokens=8)


def scored_plan(seeds):
    study = make_plan().study
    scenario = replace(study.scenario, data=replace(study.scenario.data, score=SCORE))
    rule = DecisionRule(looks=(len(seeds),))
    return build_plan(replace(study, scenario=scenario, seeds=seeds, decision=rule))


def seen(root, short=()):
    """What a later plan sees; short: the places of trials whose files lack an item."""
    workspace, earlier = Workspace(root), scored_plan((0, 1, 2))
    random = np.random.default_rng(1)
    with open_journal(Sweep(plan=earlier, workspace=workspace, invocation=Invocation())) as journal:
        journal.planned(earlier.trials)
        for place, trial in enumerate(earlier.trials):
            values = random.integers(0, 2, ITEMS).astype(float)
            folder = workspace.trial_dir(trial.key)
            folder.mkdir(parents=True)
            np.savez(folder / SCORE_FILE, score=values[: ITEMS - (place in short)])
            journal.started(trial.key)
            journal.ended(TrialResult(key=trial.key, status=Status.COMPLETED))
    return with_items_seen(scored_plan((0, 1)), workspace).study.scenario.data.score.seen


@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_score_file_that_lacks_an_item_is_left_out_and_the_others_tell(tmp_path, place):
    found = seen(tmp_path, (place,))
    assert found is not None
    assert found.sweep == scored_plan((0, 1, 2)).sweep_id
    assert 0 < found.differing <= 1


def test_files_that_are_all_too_short_tell_nothing(tmp_path):
    assert seen(tmp_path / "whole") is not None
    assert seen(tmp_path / "short", range(9)) is None
