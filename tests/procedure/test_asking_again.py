"""What a study is judged on when its questions were asked before: the ledger's arithmetic alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bios_sweep.claims import OPTIMUM
from bios_sweep.errors import PlanError
from bios_sweep.procedure.asking_again import answered_by, asked_again
from bios_sweep.procedure.looks import BY_PURPOSE, Look, Overtaken, asked_questions, overtaken, rule_of
from bios_sweep.procedure.rule_before import under_the_rule_before
from bios_sweep.report.content.overtaken import how_again
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.stages import confirmation_seeds
from tests.scenarios import RECORDED

RATES = (0.25, 0.5, 2.0, 4.0)


def plan(seeds=(0, 1, 2), rates=RATES, more=(), **rule):
    study = Study(
        name="rates",
        question="",
        scenario=RECORDED,
        baseline=TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=100),
        factors=(Factor(name="learning_rate", multiply=tuple(rates)), *more),
        seeds=tuple(seeds),
        decision=DecisionRule(looks=(len(seeds),), **rule),
    )
    return build_plan(study)


def look(asked, word="inconclusive", fresh=(), sweep=None, **more):
    """What a study leaves behind; asked: its plan as it was judged."""
    [(known, (_, question))] = [
        item for item in asked_questions(asked).items() if item[1][1].factor == "learning_rate"
    ]
    history = asked.study.history
    before = history.of("learning_rate") if history else None
    return Look(
        **{
            "sweep": sweep or asked.sweep_id,
            "asked": history.asked if history else asked.sweep_id,
            "question": known,
            "factor": "learning_rate",
            "claim": question.claim.name,
            "cell": "",
            "default": 1e-3,
            "multiply": asked.study.factors[0].multiply,
            "values": (),
            "rungs": (),
            "seeds": tuple(sorted(asked.study.seeds)),
            "fresh": tuple(fresh),
            "rule": rule_of(asked.study, OPTIMUM),
            "word": word,
            "value": None,
            "counts": True,
            "pools": True,
            "series": before.series if before else 0,
            "changed": bool(before and before.changed),
            **more,
        }
    )


def in_turn(*studies):
    """The plans as they are judged one after the other, and the looks that they leave."""
    judged, looks = [], []
    for one in studies:
        judged.append(asked_again(one, looks))
        looks.append(look(judged[-1]))
    return judged, looks


def design(one):
    return one.study.seeds, one.study.decision.looks, one.study.decision.alpha


def test_who_asks_first_is_judged_by_the_own_plan():
    assert asked_again(plan(), []) == plan()


def test_later_looks_are_judged_once_on_all_seeds_at_half_of_alpha():
    judged, _ = in_turn(plan((0, 1, 2)), plan((0, 1, 2, 3, 4)), plan((7, 8, 9)))
    assert [design(one) for one in judged] == [
        ((0, 1, 2), (3,), 0.05),
        ((0, 1, 2, 3, 4), (5,), 0.025),
        ((7, 8, 9, 0, 1, 2, 3, 4), (8,), 0.025),
    ]
    assert [one.study.history.look for one in judged[1:]] == [2, 3]


def test_from_the_fourth_look_on_they_are_judged_at_a_third_of_alpha():
    judged, _ = in_turn(*(plan(range(count)) for count in range(3, 9)))
    shares = [0.05 / one.study.decision.alpha for one in judged]
    assert shares == pytest.approx([1, 2, 2, 3, 3, 3])


def test_levels_of_earlier_studies_come_back():
    judged, _ = in_turn(plan(rates=RATES), plan((3, 4, 5), rates=(0.5, 4)))
    assert judged[1].study.factors[0].multiply == (0.5, 4, 0.25, 2.0)
    assert judged[1].study.history.factors[0].levels == (0.25, 2.0)


def test_the_seventh_look_is_refused_and_fresh_seeds_begin_anew_at_half_the_alpha():
    _, looks = in_turn(*(plan(range(count)) for count in range(3, 9)))
    with pytest.raises(
        PlanError, match=r"6 studies have looked .* such as seeds=\[9,10,11,12,13,14,15,16,17\]"
    ):
        asked_again(plan(range(9)), [*looks, look(plan([8]), counts=False, pools=False)])
    fresh = asked_again(plan((20, 21, 22)), looks)
    assert design(fresh) == ((20, 21, 22), (3,), 0.025)
    again = asked_again(plan((23, 24)), [*looks, look(fresh)])
    assert design(again) == ((23, 24, 20, 21, 22), (5,), 0.0125), "its own later look costs another half"


@pytest.mark.parametrize(
    "rule", [{"margin_percent": 2.0}, {"alpha": 0.1}, {"guardrails": {"general_loss": 1.0}}]
)
def test_a_changed_rule_is_known_as_changed_until_all_seeds_are_fresh(rule):
    _, looks = in_turn(plan())
    for seeds in ((0, 1, 2), (2, 3, 4)):
        changed = asked_again(plan(seeds, **rule), looks)
        assert changed.study.history.changed
        before = under_the_rule_before(changed).study
        assert rule_of(before, OPTIMUM)["margin"] == rule_of(plan().study, OPTIMUM)["margin"]
        assert before.decision.must_not_lose(before.metric) == ()
    fresh = asked_again(plan((5, 6, 7), **rule), looks)
    assert not fresh.study.history.changed
    assert (fresh.study.seeds, fresh.study.history.factors[0].series) == ((5, 6, 7), 1)


def test_a_direction_that_is_turned_round_is_a_change():
    _, looks = in_turn(plan())
    other = plan((0, 1, 2, 3))
    turned = build_plan(replace(other.study, metric=replace(other.study.metric, direction="maximize")))
    assert [change.key for change in asked_again(turned, looks).study.history.changed] == ["direction"]


def test_who_comes_back_to_the_first_rule_goes_on_with_all_trials():
    first, fresh = plan(), plan((5, 6, 7), margin_percent=2.0)
    _, looks = in_turn(first, fresh)
    back = asked_again(plan((0, 1, 2, 3)), looks)
    assert set(back.study.seeds) == {0, 1, 2, 3, 5, 6, 7}
    assert not back.study.history.changed


def test_looks_that_say_nothing_cost_nothing():
    edge = look(plan(rates=(0.5, 2.0)), counts=False)
    gate = look(plan((7, 8, 9)), counts=False, pools=False, sweep="gate-12345678")
    extended = asked_again(plan(), [edge, gate])
    assert design(extended) == ((0, 1, 2), (3,), 0.05)
    assert extended.sweep_id == plan().sweep_id, "its own plan, whose trials are there already"


def test_what_every_trial_was_judged_of_is_answered():
    whole = look(plan((0, 1, 2, 3)), word="confirm")
    assert [*answered_by(plan((0, 1, 2)), [whole])] == [whole.sweep]
    assert [*answered_by(plan((0, 1, 2), rates=(0.5, 2.0)), [whole])] == [whole.sweep]
    assert not [*answered_by(plan((0, 1, 4)), [whole])]
    assert not [*answered_by(plan((0, 1, 2), rates=(0.5, 8.0)), [whole])]
    assert not [*answered_by(plan((0, 1, 2), margin_percent=2.0), [whole])]


def test_a_candidate_that_met_nobody_is_not_answered_where_fresh_seeds_are_planned():
    unconfirmed = look(plan(confirmation_seeds=0), word="refine (unconfirmed)")
    assert [*answered_by(plan(confirmation_seeds=0), [unconfirmed])]
    assert not [*answered_by(plan(), [unconfirmed])]


def test_fresh_seeds_are_fresh_for_the_question():
    tried = look(plan(), fresh=range(1_000_000, 1_000_005))
    later = asked_again(plan((3, 4, 5)), [tried])
    assert confirmation_seeds(later.study) == tuple(range(1_000_005, 1_000_010))


def test_another_default_is_another_question():
    other = plan((3, 4, 5))
    moved = build_plan(replace(other.study, baseline=replace(other.study.baseline, lora_rank=8)))
    assert asked_again(moved, [look(plan())]) == moved


def test_margins_that_nobody_chose_are_no_rule_of_the_users():
    assert rule_of(plan().study, OPTIMUM)["margin"] == BY_PURPOSE
    before = build_plan(replace(plan().study, decision=replace(plan().study.decision, margin_percent=3.0)))
    assert rule_of(before.study, OPTIMUM)["margin"] != BY_PURPOSE


def test_a_later_judgement_takes_the_place_of_the_earlier_words():
    judged, looks = in_turn(plan(), plan((3, 4, 5)))
    asked = ("learning_rate", "optimum", "")
    by = Overtaken(by=judged[1].sweep_id, together=True, rule=())
    assert overtaken(looks) == {judged[0].sweep_id: {asked: by}}
    changed = look(asked_again(plan((0, 1), alpha=0.2), looks))
    assert judged[1].sweep_id not in overtaken([*looks, changed])


def test_a_series_on_fresh_seeds_by_another_rule_is_not_said_to_have_judged_the_earlier_trials():
    judged, looks = in_turn(plan(), plan((7, 8, 9), margin_percent=2.0))
    [by] = overtaken(looks)[judged[0].sweep_id].values()
    assert by == Overtaken(by=judged[1].sweep_id, together=False, rule=("margin",))
    assert how_again(by) == "judged it again, on seeds that nobody had seen, by another rule (margin)"
