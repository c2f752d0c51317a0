from __future__ import annotations

import pytest

from bios_sweep.execution.dispatch import Dispatch
from bios_sweep.procedure.broken import broken_by
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure, Status
from tests.scenarios import PLANTED

BASELINE = TrainingSettings(learning_rate=1e-3, batch_size=32, lora_rank=32, max_steps=100)


def plan_of(seeds=3):
    return build_plan(
        Study(
            name="demo",
            question="?",
            scenario=PLANTED,
            baseline=BASELINE,
            factors=(Factor(name="learning_rate", multiply=(0.5, 2)),),
            seeds=tuple(range(seeds)),
            decision=DecisionRule(looks=(seeds,)),
        )
    )


PLAN = plan_of()
DEFAULT, HALF, DOUBLE, *_ = PLAN.trials


def fails(trial, kind=Failure.CODE):
    return TrialResult(key=trial.key, status=Status.FAILED, failure=kind, cause="no module named 'torchh'")


def ends(trial, status=Status.COMPLETED):
    return TrialResult(key=trial.key, status=status, final={"eval_loss": 2.0})


def judged(*results, plan=PLAN):
    found = broken_by(plan, {result.key: result for result in results})
    return None if found is None else found.key


@pytest.mark.parametrize("kind", [Failure.CODE, Failure.DATA, Failure.NO_METRIC])
def test_two_faults_of_the_code_or_the_data_and_no_outcome_are_enough(kind):
    assert judged(fails(DEFAULT, kind)) is None
    assert judged(fails(HALF, kind), fails(DEFAULT, kind)) == DEFAULT.key


@pytest.mark.parametrize("kind", [Failure.OUT_OF_MEMORY, Failure.TIME_LIMIT, Failure.WORKER_LOST])
def test_what_another_arm_or_another_worker_may_escape_is_no_reason_to_end(kind):
    assert judged(*(fails(trial, kind) for trial in PLAN.trials[:5])) is None
    assert judged(fails(DEFAULT), fails(HALF, kind)) is None


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.DIVERGED])
def test_one_outcome_of_any_arm_gives_hope(status):
    failed = [fails(DEFAULT), fails(HALF)]
    assert judged(*failed, ends(DOUBLE, status)) is None
    assert judged(ends(DOUBLE, status), *failed) is None


def test_arms_that_fail_while_the_default_still_runs_are_their_own_fault():
    assert judged(fails(HALF), fails(DOUBLE)) is None


def test_with_one_seed_nothing_can_be_compared_without_its_baseline():
    plan = plan_of(seeds=1)
    assert judged(fails(plan.trials[1]), plan=plan) is None
    assert judged(fails(plan.trials[0]), plan=plan) == plan.trials[0].key


def test_a_broken_source_hands_out_nothing_more_and_is_closed():
    source = ProcedureSource(PLAN)
    for _ in range(2):
        source.add(fails(source.take()))
    assert (source.take(), source.closed, source.stopping) == (None, True, False)
    assert len(source.state.missing) == len(PLAN.trials) - 2


@pytest.mark.parametrize("last, more", [(ends, 3), (fails, 0)])
def test_workers_finish_what_they_have_and_an_outcome_among_it_lets_the_sweep_go_on(last, more):
    source = ProcedureSource(PLAN)

    def record(event):
        if event.result is not None:
            source.add(event.result)

    dispatch = Dispatch(source, record, max_attempts=3, clock=lambda: 0.0)
    for slot in range(3):
        dispatch.ready(slot, f"host:{slot}")
    jobs = [job.trial for _, job in dispatch.assign()]
    for slot in (0, 1):
        dispatch.item(slot, jobs[slot].key, 1, vars(fails(jobs[slot])))
    assert dispatch.assign() == []
    assert not dispatch.finished()  # the third still works
    dispatch.item(2, jobs[2].key, 1, vars(last(jobs[2])))
    assert len(dispatch.assign()) == more
    assert dispatch.finished() == (not more)
