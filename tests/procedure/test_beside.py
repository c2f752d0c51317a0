"""What the arms do to a metric that must not lose by a percent: bounds by hand, and a default of 0."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.vocabulary import Stage
from tests.procedure.test_serving import ended, finished, study, wobble

LOSES = {"learning_rate x0.5": 1.03, "learning_rate x2": 1.005}


def beside(level=2.0, loses=LOSES, **rule):
    """Rows by arm, and the guardrail's values by arm and seed."""
    told = {}

    def world(trial):
        base = level + (wobble("guard", trial.arm, trial.seed) if level else 0.0)
        told[trial.arm, trial.seed] = base * loses.get(trial.arm, 1.0) + (
            0.01 * (not level and trial.arm == "learning_rate x0.5")
        )
        loss = 1.0 + 0.05 * (trial.arm != "baseline")
        return ended(trial, loss + wobble(trial.arm, trial.seed), general_loss=told[trial.arm, trial.seed])

    plan = build_plan(
        study(Factor(name="learning_rate", multiply=(0.5, 2)), guardrails={"general_loss": 1.0}, **rule)
    )
    state, _ = finished(plan, world)
    return {row.arm: row for row in state.beside}, told


def test_a_percent_of_a_guardrail_has_its_own_paired_bounds_and_says_whether_it_is_kept():
    rows, told = beside()
    assert {row.unit for row in rows.values()} == {"%"}
    assert {arm: row.kept for arm, row in rows.items()} == {
        "learning_rate x0.5": False,
        "learning_rate x2": True,
    }
    for arm, row in rows.items():
        default = np.array([told["baseline", seed] for seed in range(5)])
        gains = 100.0 * (default - [told[arm, seed] for seed in range(5)]) / default.mean()
        width = stats.t.ppf(0.95, 4) * gains.std(ddof=1) / np.sqrt(5)
        assert (row.stage, row.seeds, row.may_lose) == (Stage.SCREENING, 5, 1.0)
        assert (row.gain, row.lower, row.upper) == pytest.approx(
            (gains.mean(), gains.mean() - width, gains.mean() + width)
        )


def test_looks_that_were_planned_share_alpha_beside_the_verdict_too():
    (one, _), (three, _) = beside(looks=(5,)), beside(looks=(3, 4, 5))
    arm = "learning_rate x2"
    assert three[arm].lower < one[arm].lower
    assert three[arm].seeds <= one[arm].seeds


def test_a_percent_of_nothing_is_no_number_and_kept_only_without_a_loss():
    rows, _ = beside(level=0.0)
    assert {(row.gain, row.lower, row.upper) for row in rows.values()} == {(None, None, None)}
    assert {arm: row.kept for arm, row in rows.items()} == {
        "learning_rate x0.5": False,
        "learning_rate x2": True,
    }


def test_without_a_guardrail_nothing_stands_beside():
    plan = build_plan(study(Factor(name="learning_rate", multiply=(0.5, 2))))
    state, _ = finished(plan, lambda trial: ended(trial, 1.0 + wobble(trial.arm, trial.seed)))
    assert state.beside == ()
