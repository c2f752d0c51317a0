"""The signs in curves: found where they were planted, and nowhere else."""

from collections import Counter
from dataclasses import replace

import pytest

from bios_sweep.curves.remedies import REMEDIES, moves_of, remedy_text
from bios_sweep.curves.signs import SIGNS, Limits, diagnose
from bios_sweep.errors import PlanError
from bios_sweep.settings import FULL, TrainingSettings, without_adapter
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.scenario import Metric
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status
from tests.curves.simulated_curves import KINDS, content, healthy

LOSS = Metric()
REAL = {  # trials of the embedded model, 100 steps of 32 examples, seeds 0 to 2, learning rate 5.4e-3 times
    1.0: (
        (3.4358, 3.2158, 3.2021, 3.1752, 3.17, 3.1675),
        (3.4358, 3.2147, 3.1891, 3.1712, 3.1626, 3.1582),
        (3.4358, 3.2126, 3.1881, 3.1828, 3.1697, 3.1649),
    ),
    0.25: (
        (3.4358, 3.1996, 3.1855, 3.1755, 3.1692, 3.1682),
        (3.4358, 3.1973, 3.1814, 3.1709, 3.1683, 3.1663),
        (3.4358, 3.1973, 3.1812, 3.1723, 3.1693, 3.1676),
    ),
    4.0: (
        (3.4358, 3.5831, 3.428, 3.3282, 3.2777, 3.2278),
        (3.4358, 3.4924, 3.419, 3.3289, 3.2601, 3.223),
        (3.4358, 3.5515, 3.433, 3.3525, 3.267, 3.2299),
    ),
}
SETTINGS = TrainingSettings(learning_rate=5e-4, batch_size=128, lora_rank=32, max_steps=1000)


def trial(values, *, status=Status.COMPLETED, metric="eval_loss", train=None, **changes):
    """A trial whose metric was `values` at equal fractions of training."""
    last = len(values) - 1
    points = tuple(
        Measurement(
            step=place * 10,
            fraction=place / last,
            examples=place,
            tokens=place,
            eval_loss=value if metric == "eval_loss" else float("nan"),
            train_loss=None if train is None or place == 0 else train[place],
            metrics={} if metric == "eval_loss" else {metric: value},
        )
        for place, value in enumerate(values)
    )
    return TrialResult(key="k", status=status, curve=points, final={metric: values[-1]}, **changes)


def names(trials, limits=None, metric=LOSS):
    return diagnose(trials, limits or Limits(margin=0.014), metric).names


def counted(make, number):
    return Counter(diagnose(*make(seed), LOSS).names for seed in range(number))


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_sign_is_told_and_no_other(kind):
    """Reduced: the slow test has 200 curves."""
    found = counted(KINDS[kind], 40)
    assert found[(kind,)] >= 38, found


def test_healthy_curves_have_no_sign():
    for make in (healthy, content):
        found = counted(make, 60)
        assert found[()] >= 59, found


@pytest.mark.slow
def test_two_hundred_curves_per_sign_and_healthy_ones(capsys):
    """At least 95 % right, at most 2 % false alarms."""
    table = {kind: counted(make, 200) for kind, make in KINDS.items()}
    calm = {make.__name__: counted(make, 200) for make in (healthy, content)}
    with capsys.disabled():
        for kind, found in {**table, **calm}.items():
            print(f"\n{kind}: {dict(found)}", end="")
    assert all(found[(kind,)] >= 190 for kind, found in table.items())
    assert all(found[()] >= 196 for found in calm.values())


def test_real_trials_a_learning_rate_four_times_too_high_is_unstable_and_the_default_is_quiet():
    assert names([trial(values) for values in REAL[1.0]]) == ()
    assert names([trial(values) for values in REAL[0.25]]) == ()
    assert names([trial(values) for values in REAL[4.0]]) == ("unstable",)
    assert names([trial(REAL[4.0][0])]) == ("unstable",), "one trial shows it as well"


def test_every_sign_tells_its_numbers_its_threshold_and_where_that_comes_from():
    for kind, make in KINDS.items():
        trials, limits = make(1)
        [sign] = diagnose(trials, limits, LOSS).signs
        assert sign.name == kind
        assert sign.seen
        assert sign.numbers
        assert sign.source
    assert set(KINDS) == set(SIGNS) == set(REMEDIES)


def test_a_rate_too_low_still_improves_over_what_the_schedule_gave_out():
    """Real: 60 steps at a hundredth of the default's rate; over steps it looks flat at its end."""
    low = [3.4225, 3.4022, 3.3856, 3.3735, 3.3663, 3.3637]
    assert diagnose([trial(low)], Limits(margin=0.003), LOSS).names == ("still improving",)
    assert diagnose([trial(low)], Limits(margin=0.003), LOSS, "constant").names == ()


def test_a_score_that_should_be_high_is_read_upside_down():
    accuracy = Metric(name="accuracy", direction="maximize", unit="")
    rising = [trial([0.5, 0.7, 0.8, 0.7, 0.6, 0.5], metric="accuracy") for _ in range(3)]
    assert names(rising, Limits(margin=0.01), accuracy) == ("overfitting",)
    good = [trial([0.5, 0.7, 0.78, 0.8, 0.81, 0.812], metric="accuracy")]
    assert names(good, Limits(margin=0.01), accuracy) == ()
    short = Limits(margin=0.01, rule=DecisionRule(target=0.9))
    assert names(good, short, accuracy) == ("quality not reached",)
    assert names(good, Limits(margin=0.01, rule=DecisionRule(target=0.8)), accuracy) == ()


def test_a_rise_with_the_training_loss_is_unstable_and_without_it_overfitting():
    values = [3.0, 2.4, 2.2, 2.1, 2.3, 2.5]
    falling, rising = [3.0, 2.5, 2.2, 2.0, 1.8, 1.6], [3.0, 2.5, 2.2, 2.0, 2.3, 2.6]
    assert names([trial(values, train=falling)]) == ("overfitting",)
    assert names([trial(values, train=rising)]) == ("unstable",)
    assert names([trial(values)]) == ("overfitting",)


def test_a_training_loss_in_another_unit_than_the_metric_judges_nothing():
    accuracy = Metric(name="accuracy", direction="maximize", unit="")
    values, rising = [0.2, 0.5, 0.6, 0.7, 0.6, 0.5], [3.0, 2.5, 2.2, 2.0, 2.3, 2.6]
    trials = [trial(values, metric="accuracy", train=rising)]
    assert names(trials, Limits(margin=0.01), accuracy) == ("overfitting",)


def test_too_few_measurements_judge_no_plateau_and_say_so():
    found = diagnose([trial([3.0, 2.0, 2.0])], Limits(margin=0.01), LOSS)
    assert found.signs == ()
    assert found.unjudged == (
        "plateau, still improving (budget.measurements: 4 are needed)",
        "overfitting against unstable (no training loss)",
    )


def test_a_diverged_seed_is_counted_and_the_others_are_still_looked_at():
    lost = trial([3.0, 9.0], status=Status.DIVERGED, cause="the training loss was not finite at step 7")
    flat = [trial([3.0, 2.0, 2.0, 2.0, 2.0, 2.0]) for _ in range(2)]
    found = diagnose([lost, *flat], Limits(margin=0.01), LOSS)
    assert found.names == ("diverged", "plateau")
    assert found.signs[0].seen == ("1 of 3 trials diverged: the training loss was not finite at step 7")


def test_nothing_is_said_of_failed_trials_and_of_none():
    assert names([]) == ()
    assert names([TrialResult(key="k", status="failed", cause="gone")]) == ()


def test_forgetting_is_measured_against_the_untouched_model():
    general = {"eval_loss": 2.0, "general_loss": 3.06, "general_loss_before": 3.0}
    told = [replace(trial(REAL[1.0][0]), final=general)] * 3
    [sign] = diagnose(told, Limits(margin=0.014), LOSS).signs
    assert (sign.name, "chosen" in sign.source) == ("forgetting", True)
    strict = Limits(margin=0.014, rule=DecisionRule(guardrails={"general_loss": 0.5}))
    assert diagnose(told, strict, LOSS).signs[0].source == "decision.guardrails.general_loss"
    assert names(told, Limits(margin=0.014, rule=DecisionRule(guardrails={"general_loss": 3.0}))) == ()


def test_advice_names_the_settings_and_their_next_values():
    assert remedy_text("unstable", SETTINGS) == "lower the learning rate (learning_rate 0.0005 -> 0.00025)"
    assert remedy_text("quality not reached", SETTINGS) == (
        "a smaller batch and a higher rank (slower) (batch_size 128 -> 64; lora_rank 32 -> 64)"
    )
    assert moves_of(["plateau"], SETTINGS) == (
        ("plateau", "learning_rate", 2.0),
        ("plateau", "lora_rank", 2.0),
    )


def test_full_fine_tuning_is_advised_no_rank():
    full = TrainingSettings(
        **without_adapter({"learning_rate": 5e-4, "batch_size": 128, "max_steps": 1000}), method=FULL
    )
    assert remedy_text("plateau", full) == (
        "raise the learning rate or the rank (learning_rate 0.0005 -> 0.001)"
    )
    assert moves_of(["plateau"], full) == (("plateau", "learning_rate", 2.0),)
    assert all("None" not in remedy_text(sign, full) for sign in REMEDIES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"target": float("nan")}, "decision.target: nan is not allowed; a finite number, or null"),
        ({"target": True}, "decision.target: True is not allowed; a finite number, or null"),
        ({"deadline": 0}, "decision.deadline: 0 is not allowed; seconds above 0, or null"),
    ],
)
def test_a_wish_that_is_none_is_refused(changes, told):
    with pytest.raises(PlanError) as raised:
        DecisionRule(**changes)
    assert str(raised.value) == told


def test_wishes_decide_no_verdict_and_are_no_part_of_the_plan():
    assert DecisionRule(target=2.0, deadline=9.0).identity() == DecisionRule().identity()
    assert DecisionRule(alpha=0.01).identity() != DecisionRule().identity()
