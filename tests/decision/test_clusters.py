"""Evaluation error over clusters: the formula, its degrees of freedom, and what ignoring it would cost."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

from bios_sweep.claims import OPTIMUM
from bios_sweep.decision.bounds import student
from bios_sweep.decision.clusters import ClusterSums, ClusterTable, cluster_sums, cluster_table, combined
from bios_sweep.decision.contrasts import Contrasts
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.fresh import NO_CLUSTERS, judge_fresh
from bios_sweep.decision.gates import margin_of
from bios_sweep.decision.table import Outcome, ResultTable, complete_blocks
from bios_sweep.records.results import ClusterReader
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import EVALUATION_FILE
from bios_sweep.vocabulary import Status, Word
from tests.answers import answer
from tests.scenarios import PUBLISH
from tests.texts import texts

ALPHA, DELTA, LOSS, SEEDS, G = 0.05, 0.5, 2.0, 5, 40
FEW, MANY = 300, int(os.environ.get("BIOS_SWEEP_SIMULATIONS", "4000"))
ARMS = ("baseline", "x0.5", "x2", "x4")
LEVELS = FactorLevels(
    name="learning_rate", default=1.0, arms=ARMS[1:], levels=(0.5, 2.0, 4.0), labels=ARMS[1:]
)


def study(random, gains, cluster_percent, sigma=0.1):
    """Losses and their sums by cluster; `gains` are true of the distribution, not of the clusters drawn."""
    tokens = random.integers(50, 150, G).astype(float)
    deviation = random.normal(0, cluster_percent, (len(ARMS), 1, G))
    trial = random.normal(0, sigma, (len(ARMS), SEEDS, 1)) + random.normal(0, 2.0, (1, SEEDS, 1))
    nats = tokens * LOSS * (1 + (trial + deviation - np.array(gains)[:, None, None]) / 100)
    values = nats.sum(axis=2) / tokens.sum()
    cells = [(arm, seed) for arm in ARMS for seed in range(SEEDS)]
    table = ResultTable(
        arms=ARMS,
        seeds=tuple(range(SEEDS)),
        outcomes={
            (arm, seed): Outcome(status=Status.COMPLETED, value=float(values[ARMS.index(arm), seed]))
            for arm, seed in cells
        },
        metric=Metric(),
        untouched=2 * LOSS,
    )
    sums = {(arm, seed): ClusterSums(nats=nats[ARMS.index(arm), seed], tokens=tokens) for arm, seed in cells}
    return table, sums


def found(table, sums, **rule):
    return answer(OPTIMUM, LEVELS, table, DecisionRule(looks=(SEEDS,), **PUBLISH, **rule), sums=sums)


def test_examples_are_summed_to_their_clusters_in_any_order_and_with_gaps_in_the_numbers():
    cluster, nats, tokens = np.array([7, 2, 7, 4]), np.array([1.0, 2.0, 3.0, 9.0]), np.array([1, 2, 3, 0])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        summed = cluster_sums(nats[order], tokens[order], cluster[order])
        assert summed.tokens.tolist() == [2, 4]  # a cluster without a token says nothing
        assert summed.nats.tolist() == [2, 4]


def test_the_variance_of_a_contrast_is_the_formula_looped_by_hand():
    table, sums = study(np.random.default_rng(1), (0, 0, 0, 0), 1.0)
    blocks = complete_blocks(table)
    clusters = cluster_table(blocks, sums)
    tokens = sums["baseline", 0].tokens
    total = sum(tokens)
    differences = []
    for g in range(G):
        per_seed = [(sums["x2", s].nats[g] - sums["baseline", s].nats[g]) / tokens[g] for s in range(SEEDS)]
        differences.append(sum(per_seed) / SEEDS)
    mean = sum(w * d for w, d in zip(tokens, differences, strict=True)) / total
    summed = sum((w * (d - mean)) ** 2 for w, d in zip(tokens, differences, strict=True))
    scale = 100 / blocks.values[0].mean()
    shares = [w / total for w in tokens]
    left = [1 - 2 * p + sum(q**2 for q in shares) for p in shares]
    pairs = zip(shares, differences, left, strict=True)
    by_hand = sum((p * (d - mean)) ** 2 / h for p, d, h in pairs) * scale**2
    assert clusters.variance({"x2": 1.0, "baseline": -1.0}) == pytest.approx(by_hand)
    usual = G / (G - 1) * summed / total**2 * scale**2
    assert 1 < by_hand / usual < 1.05  # alike where sizes differ by a factor of three at the most
    assert clusters.variance({"x2": 0.0, "baseline": 0.0}) == 0.0


def sized(tokens):
    tokens = np.asarray(tokens, dtype=float)
    return ClusterTable(arms=ARMS, nats=np.zeros((len(ARMS), SEEDS, len(tokens))), tokens=tokens, scale=1.0)


def test_degrees_of_freedom_are_those_of_the_form_written_as_a_matrix():
    assert sized([70] * 12).freedom == pytest.approx(11)
    for tokens in ([1, 2, 4, 8], [100, 1, 1, 1, 1, 1], np.random.default_rng(7).integers(5, 900, 33)):
        table = sized(tokens)
        p = table.tokens / table.tokens.sum()
        centring = np.eye(table.count) - np.outer(np.ones(table.count), p)
        form = centring.T @ np.diag(p**2 / (1 - 2 * p + p @ p)) @ centring
        assert np.trace(form) == pytest.approx(p @ p)  # unbiased where all clusters have one variance
        assert table.freedom == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert sized([1000, 1, 1, 1, 1, 1]).freedom < 1.01  # one document that holds all the text is one document


def test_standard_error_and_degrees_of_freedom_combine_as_satterthwaite_says():
    error, nu = combined(0.04, 12, 0.01, 39)
    assert error == pytest.approx(math.sqrt(0.05))
    assert nu == int(0.05**2 / (0.04**2 / 12 + 0.01**2 / 39)) == 18
    assert combined(0.04, 12, 0.0, 39) == (pytest.approx(0.2), 12)
    assert combined(0.0, 12, 0.01, 39) == (pytest.approx(0.1), 39)
    assert combined(0.0, 12, 0.0, 39) == (0.0, 12)
    assert combined(1e-200, 12, 1e-200, 39)[1] >= 12


def test_clusters_widen_every_bound_and_are_counted():
    table, sums = study(np.random.default_rng(2), (0, 0, 0, 0), 1.0)
    with_them, without = found(table, sums), found(table, {})
    assert found(table, sums, scope="distribution") == with_them
    for wide, narrow in zip(with_them.bounds, without.bounds, strict=True):
        assert wide.gain == narrow.gain
        assert wide.lower < narrow.lower < narrow.upper < wide.upper
        assert (wide.clusters, narrow.clusters) == (G, 0)


def test_brackets_use_the_degrees_of_freedom_that_few_clusters_leave():
    table, sums = study(np.random.default_rng(3), (0, 0, 0, 0), 5.0)
    blocks = complete_blocks(table)
    few = {key: ClusterSums(nats=one.nats[:10], tokens=one.tokens[:10]) for key, one in sums.items()}
    own = Contrasts(blocks=blocks, alpha=ALPHA, tried=3, clusters=cluster_table(blocks, few))
    pair, alone = own.among("x2", "baseline", blocks.arms, 2), own.over("x2", "baseline")
    width = (pair.upper - pair.gain) / alone.standard_error
    assert width > 2.2  # t(0.975, 9) = 2.26; with the 12 degrees of the seeds it would be 2.18


@pytest.mark.parametrize("flaw", ["a trial is missing", "other tokens"])
def test_clusters_that_do_not_fit_are_no_clusters(flaw):
    table, sums = study(np.random.default_rng(4), (0, 0, 0, 0), 1.0)
    if flaw == "a trial is missing":
        sums.pop(("x2", 3))
    else:
        sums["x2", 3] = ClusterSums(nats=sums["x2", 3].nats, tokens=sums["x2", 3].tokens + 1)
    assert cluster_table(complete_blocks(table), sums) is None
    stopped = found(table, sums, scope="distribution")
    assert stopped.state == Word.INCONCLUSIVE
    assert "clusters are not known" in texts(stopped.reasons)[0]
    assert found(table, sums, scope="auto").bound is not None


def first(count, sums):
    """The same study, evaluated on its first clusters alone."""
    return {key: ClusterSums(nats=one.nats[:count], tokens=one.tokens[:count]) for key, one in sums.items()}


@pytest.mark.parametrize("scope", ["auto", "distribution"])
def test_few_clusters_never_turn_into_the_narrower_scope_in_silence(scope):
    table, sums = study(np.random.default_rng(8), (0, 0, 0, 0), 1.0)
    for count in (4, 9):
        assert found(table, first(count, sums), scope=scope).bound.clusters == count
    for count in (1, 3):
        stopped = found(table, first(count, sums), scope=scope)
        assert stopped.state == Word.INCONCLUSIVE
        assert f"come from {count} clusters" in texts(stopped.reasons)[0]
        assert "decision.scope=evaluation" in texts(stopped.reasons)[0]


def test_a_candidate_found_with_clusters_is_not_confirmed_without_them():
    table, sums = study(np.random.default_rng(5), (0, 0, 3, -3), 0.1)
    candidate = found(table, sums)
    assert candidate.state == Word.CANDIDATE
    fresh, fresh_sums = study(np.random.default_rng(6), (0, 0, 3, -3), 0.1)
    margin = margin_of(table, DecisionRule(**PUBLISH))
    assert judge_fresh(candidate, candidate.test, fresh, margin, ALPHA, (), fresh_sums).state == "refine"
    assert judge_fresh(candidate, candidate.test, fresh, margin, ALPHA).reasons == (NO_CLUSTERS(),)


def false_confirms(sweeps, *, counted):
    """Gain = Delta in the distribution on one inner level: a confirmation is false."""
    random = np.random.default_rng(11)
    false = 0
    for _ in range(sweeps):
        table, sums = study(random, (0.0, -3.0, DELTA, -3.0), 2.0)
        false += found(table, sums if counted else {}).state == Word.CONFIRM
    return false / sweeps


def allowed(sweeps):
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / sweeps)


def test_a_gain_of_the_margin_is_falsely_confirmed_in_at_most_alpha_over_evaluation_sets():
    assert false_confirms(FEW, counted=True) <= allowed(FEW)


def test_ignoring_the_clusters_would_confirm_falsely_far_more_often():
    assert false_confirms(FEW, counted=False) > 2 * allowed(FEW)


@pytest.mark.slow
def test_false_confirmations_over_many_evaluation_sets():
    counted, ignored = false_confirms(MANY, counted=True), false_confirms(MANY, counted=False)
    print(f"clusters counted {counted:.4f}, ignored {ignored:.4f}, allowed {allowed(MANY):.4f}, n {MANY}")
    assert counted <= allowed(MANY) < ignored


COUNTS, DRAWS = (4, 6, 9, 12, 30), 2000
USUAL = "usual"  # the robust variance with G - 1 degrees of freedom, as if all clusters were of one size


def below_the_truth(count, spread, rule, draws=DRAWS):
    """How often an upper bound lies below the true gain, over evaluation sets of `count` clusters.

    spread: standard deviation of the logarithm of their sizes; 1.2 has some ten times as large as others.
    """
    random, below = np.random.default_rng([count, int(10 * spread)]), 0
    for _ in range(draws):
        tokens = np.exp(random.normal(0, spread, count))
        nats = random.normal(0, 1.0, count) * tokens
        table = ClusterTable(arms=("x2",), nats=nats[None, None], tokens=tokens, scale=1.0)
        gains = random.normal(0, 0.28, SEEDS)
        variance, freedom = table.variance({"x2": 1.0}), table.freedom
        if rule == USUAL:
            variance = robust_variance(tokens, nats)
            freedom = count - 1
        error, nu = combined(float(gains.var(ddof=1)) / SEEDS, SEEDS - 1, variance, freedom)
        below += nats.sum() / tokens.sum() + gains.mean() + student(ALPHA, nu) * error < 0
    return below / draws


def robust_variance(tokens, nats):
    residuals = (nats - tokens * (nats.sum() / tokens.sum())) / tokens.sum()
    return len(tokens) / (len(tokens) - 1) * float((residuals**2).sum())


@pytest.mark.parametrize("spread", [0.0, 1.2])
def test_an_upper_bound_holds_for_few_clusters_of_any_sizes(spread):
    assert max(below_the_truth(count, spread, "own") for count in COUNTS) <= allowed(DRAWS)


def test_the_usual_variance_would_not_hold_where_sizes_differ():
    assert min(below_the_truth(count, 1.2, USUAL) for count in COUNTS) > allowed(DRAWS)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off", b"no archive"])
def test_an_evaluation_that_cannot_be_read_is_not_known(tmp_path, content):
    workspace = Workspace(tmp_path)
    if content is not None:
        workspace.trial_dir("k").mkdir(parents=True)
        (workspace.trial_dir("k") / EVALUATION_FILE).write_bytes(content)
    assert ClusterReader(workspace)("k", EVALUATION_FILE) is None


def test_an_evaluation_file_is_read_as_its_sums(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.trial_dir("k").mkdir(parents=True)
    nats, tokens, cluster = np.array([1.5, 2.0, 0.5]), np.array([3, 4, 5]), np.array([0, 1, 0])
    np.savez(
        workspace.trial_dir("k") / EVALUATION_FILE, nats=nats, tokens=tokens, bytes=tokens, cluster=cluster
    )
    read = ClusterReader(workspace)("k", EVALUATION_FILE)
    assert (read.nats.tolist(), read.tokens.tolist()) == ([2.0, 2.0], [8.0, 4.0])
