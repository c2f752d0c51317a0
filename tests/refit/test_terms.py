"""Rank, alpha and method as terms of the best rate: planted laws come back, what is confounded is named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bios_sweep.refit.evidence import RateStudy, read_seeds
from bios_sweep.refit.terms import terms_of
from bios_sweep.settings import GROWTH
from bios_sweep.study.scenario import Metric
from tests.refit.simulated_studies import PUBLISHED, outcomes

LAW = {"rank": 0.8, "alpha": 0.3, "full": 0.1, "dora": 1.3}
RANKS = (8, 16, 64, 128)


def ladder(rng, *, rank=32, rule="alpha_over_rank", alpha=32.0, method="lora", size=2048, data="", law=LAW):
    """One ladder of five rates around its best one, which the law says."""
    own = alpha * (rank / 32) ** GROWTH[rule]
    best = math.log(PUBLISHED.rate(size)) + math.log(law.get(method, 1.0))
    facts = {"batch_size": 128.0, "max_steps": 1000.0}
    if method != "full":
        best += math.log(law["rank"]) * math.log2(rank / 32) + math.log(law["alpha"]) * math.log2(own / 32)
        facts |= {"lora_rank": float(rank), "alpha": own}
    centre = math.exp(best + rng.uniform(-0.3, 0.3))
    found = {
        (rate / PUBLISHED.rate(size) * centre, seed): one
        for (rate, seed), one in outcomes(rng, best - math.log(centre / PUBLISHED.rate(size)), size).items()
    }
    reading = read_seeds(found, Metric())
    common = {"model": f"m{size}", "family": "llama", "hidden_size": size, "data": data}
    return RateStudy(name="ladder", method=method, facts=facts, **common, **vars(reading))


def both_rules(rng, **more):
    return [
        ladder(rng, rank=rank, rule=rule, **more) for rank in RANKS for rule in ("alpha_over_rank", "rank")
    ]


def test_rank_and_alpha_come_back_from_one_model_under_two_alpha_rules():
    found = terms_of([*both_rules(np.random.default_rng(0)), ladder(np.random.default_rng(1))])
    assert (found.cells, found.studies, found.together) == (1, 9, ())
    assert found.doublings["rank"].holds(0.8)
    assert found.doublings["alpha"].holds(0.3)
    assert not found.doublings["alpha"].holds(1.0)
    assert found.by_rule["rank"].holds(0.8 * 0.3)
    assert found.by_rule["sqrt_rank"].holds(0.8 * 0.3**0.5)
    assert "batch size does not vary" in found.unknown["batch size"]


def test_under_one_alpha_rule_rank_and_alpha_are_one_and_the_rank_is_told_under_that_rule():
    rng = np.random.default_rng(2)
    found = terms_of([ladder(rng, rank=rank, rule="rank") for rank in (*RANKS, 32)])
    assert found.together == (("rank", "alpha"),)
    assert found.unknown["alpha"] == "rank and alpha move together: not identified"
    assert found.doublings == {}
    assert list(found.by_rule) == ["rank"]
    assert found.by_rule["rank"].holds(0.8 * 0.3)


def test_under_the_constant_rule_nothing_is_said_of_alpha():
    rng = np.random.default_rng(3)
    found = terms_of([ladder(rng, rank=rank) for rank in (*RANKS, 32)])
    assert list(found.doublings) == ["rank"]
    assert found.by_rule == {}
    assert "alpha does not vary inside" in found.unknown["alpha"]


def test_methods_are_told_from_each_other_over_several_models():
    rng = np.random.default_rng(4)
    found = terms_of(
        [ladder(rng, method=m, size=size) for size in (1024, 2048, 4096) for m in ("lora", "full", "dora")]
    )
    assert found.reference == "lora"
    assert found.methods["full"].holds(0.1)
    assert not found.methods["full"].holds(1.0)
    assert found.methods["dora"].holds(1.3)


def test_a_method_that_always_has_an_alpha_of_its_own_is_named():
    rng = np.random.default_rng(5)
    pairs = (("lora", 32.0), ("dora", 64.0))
    found = terms_of([ladder(rng, method=m, alpha=a, size=s) for s in (1024, 2048, 4096) for m, a in pairs])
    assert found.together == (("alpha", "method dora"),)
    assert found.methods == found.doublings == {}
    assert found.unknown["method dora"] == "alpha and method dora move together: not identified"


def test_two_ladders_are_too_few_and_cells_of_one_tell_nothing():
    rng = np.random.default_rng(6)
    few = terms_of([ladder(rng), ladder(rng, method="full")])
    assert few.unknown["method full"] == "2 ladders are too few for method full: not identified"
    assert terms_of([ladder(rng), ladder(rng, data="code"), ladder(rng, size=4096)]) is None


def test_what_differs_between_models_is_in_no_term():
    """The rank goes with the size of the model: between them it tells nothing, inside them it does."""
    rng = np.random.default_rng(7)
    found = terms_of([ladder(rng, rank=rank, size=64 * rank) for rank in RANKS for _ in range(2)])
    assert "rank does not vary inside" in found.unknown["rank"]


def covered(repeats, rng):
    found = [terms_of(both_rules(rng) + both_rules(rng, size=4096)) for _ in range(repeats)]
    return [
        sum(one.doublings["rank"].holds(0.8) for one in found),
        sum(one.doublings["alpha"].holds(0.3) for one in found),
        sum(one.by_rule["rank"].holds(0.24) for one in found),
    ]


@pytest.mark.slow
def test_the_intervals_hold_the_planted_terms_in_93_of_100():
    counts = covered(100, np.random.default_rng(8))
    print(counts)
    assert min(counts) >= 93
