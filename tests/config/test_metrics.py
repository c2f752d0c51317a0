"""`decision.metrics`: exactly one metric decides, each other one says once what it may lose."""

from __future__ import annotations

import pytest

from bios_sweep.config.metrics import asked_metrics, companions_of, items_of, with_metrics
from bios_sweep.errors import InputError
from bios_sweep.study.companions import Companion
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric

BOTH = {
    "accuracy": {"role": "must_not_lose", "margin_points": 2, "items": 500},
    "eval_loss": {"role": "decides", "margin_percent": 1},
}


def values(metrics, method=None, **decision):
    return {"decision": {"metrics": metrics, **decision}, "method": method or {}}


def test_a_mapping_and_a_list_say_the_same_and_the_one_that_decides_comes_first():
    listed = [{"name": name, **entry} for name, entry in BOTH.items()]
    assert asked_metrics(BOTH) == asked_metrics(listed)
    assert [one.name for one in asked_metrics(BOTH)] == ["eval_loss", "accuracy"]
    (kept,) = companions_of(BOTH)
    assert (kept.metric.direction, kept.limit_words, kept.items) == ("maximize", "2 points", 500)
    assert asked_metrics(None) == ()
    assert companions_of(None) is None
    said = {"role": "decides", "items": 300, "differing": 0.1}
    assert items_of({"acc": said}) == {"items": 300, "differing": 0.1}


def test_the_metric_that_decides_takes_the_place_of_the_only_one():
    asked = {"quality": {"role": "decides", "direction": "maximize", "margin_absolute": 0.1}}
    found = with_metrics(values(asked, {"metric": "eval_loss", "direction": None}, margin_absolute=None))
    assert found["method"] == {"metric": "quality", "direction": "maximize"}
    assert found["decision"]["margin_absolute"] == 0.1
    alone = values(None, {"metric": "acc"})
    assert with_metrics(alone) is alone


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        (3, "decision.metrics: 3 is not allowed"),
        ({"acc": 3}, "decision.metrics acc: 3 is not allowed; for example"),
        ([3], "decision.metrics: 3 is not allowed"),
        ([{"role": "decides"}], "decision.metrics name: None is not allowed"),
        ({"acc": {}}, "decision.metrics acc role: None is not allowed; choose from decides, must not lose"),
        ({"acc": {"role": "decides", "margin": 1}}, "acc: unknown key 'margin'; it has role, direction"),
        ({"acc": {"role": "decides", "direction": "up"}}, "acc direction: 'up' is not allowed; choose from"),
        ({"acc": {"role": "decides", "items": 0}}, "acc items: 0 is not allowed"),
        (
            {"acc": {"role": "decides", "differing": 2}},
            "acc differing: 2 is not allowed; a share of the items",
        ),
        ({"acc": {"role": "decides", "margin_points": "1"}}, "acc margin_points: '1' is not allowed"),
        ([{"name": "acc", "role": "decides"}] * 2, "acc: is given twice"),
        ({"acc": {"role": "must not lose", "margin_percent": 1}}, "none of them would decide; exactly one"),
        (
            {"acc": {"role": "decides"}, "f1": {"role": "decides"}},
            "decision.metrics: acc and f1 would decide; exactly one metric has role: decides",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_allowed(metrics, sentence):
    with pytest.raises(InputError, match=r"decision\.metrics") as refused:
        asked_metrics(metrics)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"role": "must not lose"}, "no margin given; say once what it may lose"),
        ({"margin_percent": 1, "margin_points": 1}, "margin_percent and margin_points given; say once"),
        ({"margin_percent": -1}, "accuracy margin_percent: -1 is not allowed"),
    ],
)
def test_what_a_metric_may_lose_is_said_once(entry, sentence):
    asked = {"eval_loss": {"role": "decides"}, "accuracy": {"role": "must not lose", **entry}}
    with pytest.raises(InputError) as refused:
        companions_of(asked)
    assert sentence in str(refused.value)


def test_a_name_that_says_no_direction_is_asked_for():
    asked = {"eval_loss": {"role": "decides"}, "quality": {"role": "must not lose", "margin_percent": 1}}
    with pytest.raises(InputError, match="'quality' does not say which way is better; give direction: max"):
        companions_of(asked)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (values(BOTH, {"metric": "f1"}), "method.metric: 'f1', and by decision.metrics eval_loss decides"),
        (values(BOTH, margin_percent=2), "margin_percent: decision.margin_percent is given too"),
        (
            values({"q": {"role": "decides", "direction": "maximize"}}, {"direction": "minimize"}),
            "q direction: maximize, and method.direction says otherwise",
        ),
    ],
)
def test_what_is_said_twice_must_be_the_same(given, sentence):
    with pytest.raises(InputError) as refused:
        with_metrics(given)
    assert sentence in str(refused.value)


def test_a_rule_without_further_metrics_has_the_identity_it_had_and_items_decide_nothing():
    kept = Companion(metric=Metric(name="f1", direction="maximize", unit=""), margin_points=2)
    with_items = Companion(metric=kept.metric, margin_points=2, items=500, differing=0.1)
    assert "companions" not in DecisionRule(items=3).identity()
    assert DecisionRule(items=3, differing=0.1).identity() == DecisionRule().identity()
    told = [DecisionRule(companions=(one,)).identity() for one in (kept, with_items)]
    assert told[0] == told[1]
    assert told[0]["companions"][0]["margin_points"] == 2


def test_a_guardrail_and_a_metric_of_one_name_are_one_too_many():
    kept = Companion(metric=Metric(name="f1", direction="maximize", unit=""), margin_points=2)
    with pytest.raises(InputError, match=r"decision\.guardrails\.f1: decision\.metrics says it too"):
        DecisionRule(companions=(kept,), guardrails={"f1": 1.0})
