"""The learning-rate law: brackets in, exponent out, refusals by name, and no change without a saving."""

import csv
import json
import math

import numpy as np
import pytest
from scipy import optimize, stats

from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.decision.table import Outcome
from bios_sweep.defaults import rules
from bios_sweep.refit.cells import cells_of
from bios_sweep.refit.design import design_of
from bios_sweep.refit.evidence import read_errors, read_seeds
from bios_sweep.refit.law import Rule, fit_law, likelihood_of
from bios_sweep.refit.regret import refit
from bios_sweep.study.scenario import Metric
from bios_sweep.vocabulary import Status
from tests.refit.simulated_studies import PUBLISHED, SIZES, family, outcomes, study

FLATTER = Rule(level=5e-4, exponent=0.3)
HIGHER = Rule(level=1.5e-3, exponent=0.5)


def losses(*means, diverged=()):
    found = {
        (float(rate), seed): Outcome(
            status=Status.COMPLETED, value=mean + 0.01 * seed + 0.001 * (seed * rate % 3)
        )
        for rate, mean in enumerate(means, start=1)
        for seed in range(3)
    }
    return found | {
        (float(rate), seed): Outcome(status=Status.DIVERGED) for rate in diverged for seed in range(3)
    }


def around(size, *, half=0.5, rate=None, **more):
    rate = rate or PUBLISHED.rate(size)
    return study(size, low=rate * math.exp(-half), high=rate * math.exp(half), **more)


def test_a_best_rate_inside_the_grid_is_bracketed_by_its_neighbours():
    reading = read_seeds(losses(2.5, 2.0, 2.5), Metric())
    assert (reading.low, reading.high, reading.gains[1]) == (1, 3, 0)
    assert reading.places == ((1, 3, 1.0),)


def test_a_best_rate_at_the_end_of_the_grid_is_open_there():
    assert read_seeds(losses(3.0, 2.5, 2.0), Metric()).high == math.inf
    assert read_seeds(losses(2.0, 2.5, 3.0), Metric()).low == 0


def test_a_rate_that_diverged_closes_the_bracket():
    reading = read_seeds(losses(3.0, 2.0, diverged=(5,)), Metric())
    assert (reading.low, reading.high, reading.wall) == (1, 5, 5)


def test_gains_with_standard_errors_say_the_same_as_seeds():
    reading = read_errors({1: -20, 2: 0, 3: -20}, {1: 0.1, 2: 0.1, 3: 0.1})
    assert (reading.low, reading.high, reading.places) == (1, 3, ((1, 3, 1.0),))
    unsure = read_errors({1: -0.1, 2: 0, 3: -20}, {1: 0.5, 2: 0.5, 3: 0.5})
    assert (unsure.low, unsure.high, len(unsure.places)) == (0, 3, 2)


def test_regret_is_what_was_tested_and_a_diverging_rate_costs_the_worst():
    one = study(2048, **vars(read_seeds(losses(3.0, 2.0, 2.2, diverged=(5,)), Metric())))
    assert one.regret(2.0) == 0
    assert one.regret(1.0) == pytest.approx(-one.gains[0])
    assert one.regret(6.0) == pytest.approx(-min(one.gains))
    assert 0 < one.regret(2.5) < one.regret(3.0)


@pytest.mark.parametrize("ranks", [(32,), (16, 64)])
def test_the_gradient_is_that_of_the_likelihood(ranks):
    ladders = family(0, PUBLISHED, ranks=ranks)
    likelihood = likelihood_of(design_of(ladders), ladders)
    start = likelihood.start()
    numeric = optimize.approx_fprime(start, lambda at: likelihood.minus_log(at)[0], 1e-6)
    assert likelihood.minus_log(start)[1] == pytest.approx(numeric, abs=1e-3)


def test_with_narrow_brackets_the_interval_is_that_of_a_regression():
    rng = np.random.default_rng(1)
    rates = [PUBLISHED.rate(size) * math.exp(rng.normal(0, 0.5)) for size in SIZES]
    law = fit_law([around(size, half=1e-3, rate=rate) for size, rate in zip(SIZES, rates, strict=True)])
    line = stats.linregress([math.log(2000 / size) for size in SIZES], np.log(rates))
    width = stats.t.ppf(0.975, len(SIZES) - 2) * line.stderr
    assert law.exponent.value == pytest.approx(line.slope, abs=0.01)
    assert law.exponent.lower == pytest.approx(line.slope - width, abs=0.02)
    assert law.exponent.upper == pytest.approx(line.slope + width, abs=0.02)


def test_more_studies_of_the_same_models_do_not_make_more_models():
    rng = np.random.default_rng(1)
    once = [around(s, half=1e-2, rate=PUBLISHED.rate(s) * math.exp(rng.normal(0, 0.5))) for s in SIZES]
    one, many = fit_law(once).exponent, fit_law(once * 4).exponent
    assert many.upper - many.lower > 0.85 * (one.upper - one.lower)


def test_the_order_of_studies_changes_nothing_and_the_level_scales():
    ladders = family(3, PUBLISHED)
    law, turned = fit_law(ladders), fit_law(ladders[::-1])
    assert turned.exponent.value == pytest.approx(law.exponent.value, abs=1e-3)
    twice = [around(size, rate=2 * PUBLISHED.rate(size)) for size in SIZES]
    plain = fit_law([around(size) for size in SIZES])
    assert fit_law(twice).level.value == pytest.approx(2 * plain.level.value, rel=1e-2)


@pytest.mark.parametrize(
    "ladders, sentence",
    [
        ([around(s, rank=s // 64) for s in SIZES], "hidden size and rank move together: not identified"),
        ([around(2048, model=m) for m in "abcd"], "hidden size is 2048 in every study: the exponent is not"),
        ([around(s) for s in SIZES[:2]], "an exponent needs at least 3 models, there are 2"),
        (
            [around(1024, rank=8), around(2048, rank=64), around(4096, rank=8)],
            "3 models are too few for hidden size and rank: not identified",
        ),
    ],
)
def test_what_the_studies_cannot_tell_apart_is_refused_by_name(ladders, sentence):
    law = fit_law(ladders)
    assert law.rule is None
    assert sentence in law.refusal
    assert refit(ladders, PUBLISHED, 0.5).choice == "old"


def test_rank_and_batch_that_move_together_are_refused_and_the_exponent_is_not():
    pairs = ((16, 64), (64, 256))
    ladders = [around(size, rank=rank, batch=batch) for size in SIZES for rank, batch in pairs]
    law = fit_law(ladders)
    assert (
        law.unknown["rank"]
        == law.unknown["batch size"]
        == "rank and batch size move together: not identified"
    )
    assert not law.effects
    assert law.exponent.holds(0.781)


def test_an_end_that_no_study_closes_is_open():
    law = fit_law([study(size, low=PUBLISHED.rate(size), high=math.inf) for size in SIZES])
    assert law.level.upper is None


@pytest.mark.parametrize("margin, choice", [(0.5, ("new", "flat")), (50, ("old",))])
def test_a_rule_that_is_far_off_is_changed_only_beyond_the_margin(margin, choice):
    assert refit(family(3, HIGHER), PUBLISHED, margin).choice in choice


def test_brackets_without_gains_change_nothing():
    found = refit([around(size, rate=HIGHER.rate(size)) for size in SIZES], PUBLISHED, 0.5)
    assert found.reason == "keep the old rule: regret needs the gains of at least 3 models, there are 0"


def recovered(repeats, truth, **more):
    """How often each interval holds the truth, and each choice was made."""
    fits = [refit(family(seed, truth, **more), PUBLISHED, 0.5) for seed in range(repeats)]
    exponent = sum(fit.law.exponent.holds(truth.exponent) for fit in fits)
    level = sum(fit.law.level.holds(truth.level) for fit in fits)
    return exponent, level, sum(fit.choice == "old" for fit in fits), fits


def test_a_planted_exponent_is_recovered_and_the_right_rule_kept():
    assert recovered(5, PUBLISHED)[:3] == (5, 5, 5)
    assert recovered(3, FLATTER)[:2] == (3, 3)


@pytest.mark.slow
def test_a_planted_exponent_is_recovered_in_93_of_100_and_the_right_rule_kept_in_95():
    exponent, level, kept, _ = recovered(100, PUBLISHED)
    assert min(exponent, level) >= 93
    assert kept >= 95
    assert recovered(100, FLATTER)[0] >= 93


@pytest.mark.slow
def test_a_planted_rank_effect_is_recovered_and_a_wrong_rule_found():
    exponent, _, _, fits = recovered(100, Rule(level=4e-4, exponent=0.5), ranks=(16, 32, 64), per_rank=1.16)
    assert exponent >= 93
    assert sum(fit.law.effects["rank"].holds(1.16) for fit in fits) >= 93
    assert recovered(40, HIGHER)[2] <= 4


def table(path, truth, seed=3, sizes=SIZES, **columns):
    rng = np.random.default_rng(seed)
    fixed = {"family": "llama", "lora_rank": 32, **columns}
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "hidden_size", "learning_rate", "seed", "value", "status", *fixed])
        for size in sizes:
            best = math.log(truth.rate(size)) + rng.normal(0, 0.15)
            for (rate, run), one in outcomes(rng, best, size).items():
                value = one.value if one.status == Status.COMPLETED else ""
                writer.writerow([f"m{size}", size, rate, run, value, one.status, *fixed.values()])
    return str(path)


def told(capsys, *words):
    assert main(["defaults", "refit", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_refit_writes_the_next_heuristics_and_they_serve_the_new_rule(tmp_path, capsys, monkeypatch):
    file = tmp_path / "heuristics.json"
    answer = told(capsys, table(tmp_path / "runs.csv", HIGHER), "-o", str(file))
    (found,) = answer["families"]
    written = json.loads(file.read_text())
    assert found["choice"] in ("new", "flat")
    assert written["version"] == str(int(defaults.heuristics()["version"]) + 1)
    assert '+            "level"' in answer["diff"].replace("+              ", "+            ")
    rule = found["rules"][found["choice"]]
    monkeypatch.setattr(rules, "heuristics", lambda: written)
    served = defaults.learning_rate(family="llama", hidden_size=4096)
    assert served.value == pytest.approx(rule["level"] * (2000 / 4096) ** rule["exponent"], rel=1e-3)
    assert served.why.evidence.startswith("change to the")
    assert served.why.source.startswith("refit of 8 ladders of 8 models by bios_sweep")
    assert "refit" not in defaults.learning_rate(family="qwen", hidden_size=4096).why.source
    assert defaults.learning_rate(family="qwen", hidden_size=4096).value == pytest.approx(4.730e-4, rel=1e-3)


def test_a_rule_that_holds_keeps_its_numbers_and_gains_evidence(tmp_path, capsys, monkeypatch):
    file = tmp_path / "heuristics.json"
    told(capsys, table(tmp_path / "runs.csv", PUBLISHED), "-o", str(file))
    llama = json.loads(file.read_text())["settings"]["learning_rate"]["rule"]["families"]["llama"]
    assert llama["exponent"] == 0.781
    assert "level" not in llama
    assert llama["refit"]["models"] == len(SIZES)
    monkeypatch.setattr(rules, "heuristics", lambda: json.loads(file.read_text()))
    source = defaults.learning_rate(family="llama", hidden_size=4096).why.source
    assert source.startswith("tinker-cookbook")
    assert "; kept by a refit of 8 ladders of 8 models" in source


def test_evidence_for_another_alpha_is_left_out_by_name(tmp_path, capsys):
    other = table(tmp_path / "alpha.csv", PUBLISHED, sizes=(2048,), lora_alpha=16)
    answer = told(capsys, table(tmp_path / "runs.csv", PUBLISHED), other)
    (left,) = answer["left_out"]
    assert "lora_alpha 16 belongs to another learning-rate rule than 32; it tells of the terms alone" in left
    assert answer["families"][0]["studies"] == len(SIZES)
    assert answer["terms"]["studies"] == 2  # the two ladders of the model that has both
    assert "2 ladders are too few for alpha: not identified" in answer["terms"]["not_identified"]


def test_ladders_of_full_fine_tuning_have_no_alpha_and_are_a_family_of_their_own(tmp_path, capsys):
    full = table(tmp_path / "full.csv", PUBLISHED, method="full", lora_alpha="null")
    answer = told(capsys, table(tmp_path / "runs.csv", PUBLISHED), full)
    assert answer["left_out"] == []
    assert [family["method"] for family in answer["families"]] == ["lora", "full"]


def test_an_unfinished_sweep_is_left_out(tmp_path, capsys):
    folder = tmp_path / "sweeps" / "rates-1"
    folder.mkdir(parents=True)
    table(folder / "results.csv", PUBLISHED)
    (folder / "report.json").write_text('{"stage": "screening"}')
    assert main(["defaults", "refit", str(tmp_path)]) == 2
    assert "the sweep is not finished" in capsys.readouterr().err


def test_an_unidentified_family_is_not_written(tmp_path, capsys):
    file = tmp_path / "heuristics.json"
    assert (
        main(["defaults", "refit", table(tmp_path / "r.csv", PUBLISHED, sizes=(2048,)), "-o", str(file)]) == 2
    )
    assert "no family was identified" in capsys.readouterr().err
    assert not file.exists()


def test_a_family_that_would_be_worse_keeps_its_rule_whatever_another_family_gains(tmp_path, capsys):
    file = tmp_path / "heuristics.json"
    wrong = table(tmp_path / "llama.csv", HIGHER)
    right = table(tmp_path / "qwen.csv", Rule(level=5e-4, exponent=0.0775), family="qwen")
    answer = told(capsys, wrong, right, "-o", str(file))
    choices = {one["family"]: one["choice"] for one in answer["families"]}
    assert choices["llama"] in ("new", "flat")
    assert choices["qwen"] == "old"
    written = json.loads(file.read_text())["settings"]["learning_rate"]["rule"]["families"]
    assert (written["qwen"]["exponent"], "level" in written["qwen"]) == (0.0775, False)
    assert "level" in written["llama"]


def test_a_gain_below_the_margin_changes_no_number_of_the_file(tmp_path, capsys):
    file = tmp_path / "heuristics.json"
    answer = told(capsys, table(tmp_path / "runs.csv", HIGHER), "-o", str(file), "--margin", "50")
    assert answer["families"][0]["reason"].startswith("keep the old rule: the better candidate")
    before = defaults.heuristics()["settings"]["learning_rate"]["rule"]["families"]["llama"]
    after = json.loads(file.read_text())["settings"]["learning_rate"]["rule"]["families"]["llama"]
    assert {name: after[name] for name in before} == before


def test_a_rule_that_saves_much_and_diverges_on_one_model_more_is_not_recommended():
    def twice_is_better(size, wall=math.inf):
        old = PUBLISHED.rate(size)
        if wall < math.inf:
            rates, gains, ends = (old / 4, old / 2, old), (-1.0, -0.5, 0.0), (old / 2, wall * old)
        else:
            rates, gains, ends = (old / 2, old, 2 * old), (-6.0, -3.0, 0.0), (old, 4 * old)
        return study(size, rates=rates, gains=gains, low=ends[0], high=ends[1], wall=wall * old)

    calm = refit([*map(twice_is_better, SIZES)], PUBLISHED, 0.5)
    assert calm.choice == "new"
    found = refit([*map(twice_is_better, SIZES[:-1]), twice_is_better(SIZES[-1], wall=1.5)], PUBLISHED, 0.5)
    assert found.gains["new"].lower > 0
    assert found.gains["new"].value > 0.5
    assert found.choice == "old"
    assert "diverges on 1 held-out studies, the old one on 0" in found.reason


MEANS = "model,family,hidden_size,learning_rate,gain,standard_error,status\n"


def test_a_table_of_gains_with_standard_errors_is_a_ladder(tmp_path, capsys):
    file = tmp_path / "means.csv"
    rows = [
        f"m{size},llama,{size},{PUBLISHED.rate(size) * step},{gain},0.1,"
        for size in SIZES[:4]
        for step, gain in ((0.25, -4), (0.5, -1), (1, 0), (2, -1.2))
    ]
    lost = [f"m{size},llama,{size},{PUBLISHED.rate(size) * 8},,,diverged" for size in SIZES[:4]]
    file.write_text(MEANS + "\n".join([*rows, *lost]) + "\n")
    answer = told(capsys, str(file))
    first = answer["studies"][0]
    assert len(answer["studies"]) == 4
    assert first["bracket"] == pytest.approx([PUBLISHED.rate(1024) * 0.5, PUBLISHED.rate(1024) * 2], rel=1e-3)
    assert first["diverges_at"] == pytest.approx(PUBLISHED.rate(1024) * 8, rel=1e-3)
    assert answer["families"][0]["choice"] == "old"


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ("m,llama,2048,1e-4,x,0.1,", "line 2: gain 'x' is not a number"),
        ("m,llama,2048,1e-4,,0.1,", "line 2: gain '' is not allowed; a number, in percent"),
        ("m,llama,2048,1e-4,0,-0.1,", "line 2: standard_error '-0.1' is not allowed; a number of at least 0"),
        ("m,llama,2048,0,0,0.1,", "line 2: learning_rate 0 is not above 0"),
        (
            "m,llama,2048,1e-4,0,0.1,\nm,llama,2048,1e-4,1,0.1,",
            "line 3: learning_rate 0.0001 is also in line 2",
        ),
        (
            "m,llama,2048,1e-4,0,0.1,\nm,llama,2048,2e-4,1,0.1,",
            "line 2: m: a learning-rate ladder needs three",
        ),
    ],
)
def test_a_fault_in_a_table_of_gains_is_told_with_file_line_and_column(rows, sentence, tmp_path, capsys):
    file = tmp_path / "means.csv"
    file.write_text(MEANS + rows + "\n")
    assert main(["defaults", "refit", str(file)]) == 2
    assert f"{file}: {sentence}" in capsys.readouterr().err


def moving(path, pairs, data=(), **columns):
    """Ladders of models whose rank is told with each size, on each of the data."""
    rng = np.random.default_rng(3)
    with path.open("w") as file:
        writer = csv.writer(file)
        fixed = {"family": "llama", **columns}
        names = ["model", "hidden_size", "lora_rank", "dataset", "learning_rate", "seed", "value", "status"]
        writer.writerow([*names, *fixed])
        for size, rank in pairs:
            for on in data or ("chat",):
                best = math.log(PUBLISHED.rate(size)) + rng.normal(0, 0.15)
                for (rate, seed), one in outcomes(rng, best, size).items():
                    value = one.value if one.status == Status.COMPLETED else ""
                    row = [f"m{size}", size, rank, on, rate, seed, value, one.status]
                    writer.writerow([*row, *fixed.values()])
    return str(path)


def test_size_and_rank_that_move_together_in_a_table_are_named(tmp_path, capsys):
    file = moving(tmp_path / "runs.csv", [(size, size // 64) for size in SIZES])
    (found,) = told(capsys, file)["families"]
    assert found["confounded"] == [["hidden size", "rank"]]
    assert found["rules"]["new"] is None
    assert main(["defaults", "refit", file]) == 0
    assert "hidden size and rank move together: not identified" in capsys.readouterr().out
    apart = moving(tmp_path / "apart.csv", [(s, (16, 64)[at % 2]) for at, s in enumerate(SIZES)])
    assert told(capsys, apart)["families"][0]["confounded"] == []


def test_two_models_are_too_few_and_what_moves_together_is_named_all_the_same(tmp_path, capsys):
    file = moving(tmp_path / "runs.csv", [(1024, 16), (4096, 64)])
    (found,) = told(capsys, file)["families"]
    assert found["confounded"] == [["hidden size", "rank"]]
    assert main(["defaults", "refit", file]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "an exponent needs at least 3 models, there are 2: not identified" in printed
    assert "hidden size and rank move together: not identified" in printed


def test_families_of_one_size_each_are_not_told_from_their_sizes(tmp_path, capsys):
    small = moving(tmp_path / "llama.csv", [(1024, 32)])
    large = moving(tmp_path / "qwen.csv", [(8192, 32)], family="qwen")
    assert told(capsys, small, large)["confounded"] == [["family", "hidden size"]]
    assert main(["defaults", "refit", small, large]) == 0
    assert "family and hidden size move together" in capsys.readouterr().out
    both = moving(tmp_path / "both.csv", [(1024, 32)], family="qwen")
    assert told(capsys, small, large, both)["confounded"] == []


def test_a_method_that_always_has_an_alpha_rule_of_its_own_is_named(tmp_path, capsys):
    pairs = [(1024, 32), (4096, 32)]
    lora = moving(tmp_path / "lora.csv", pairs, method="lora", alpha_rule="alpha_over_rank")
    other = moving(tmp_path / "dora.csv", pairs, method="dora", alpha_rule="alpha_over_root")
    answer = told(capsys, lora, other)
    assert answer["confounded"] == [["method", "alpha rule"]]
    assert "alpha_rule alpha_over_root belongs to another" in answer["left_out"][0]
    assert told(capsys, lora)["confounded"] == []


def test_cells_that_lose_little_are_counted_per_model_and_data(tmp_path, capsys):
    file = moving(tmp_path / "runs.csv", [(size, 32) for size in SIZES], data=("chat", "code"))
    answer = told(capsys, file)
    cells = answer["families"][0]["cells"]
    assert {study["data"] for study in answer["studies"]} == {"chat", "code"}
    assert (cells["cells"], cells["known"], cells["held_out"]) == (16, 16, True)
    assert cells["less_than_percent"] == 0.5
    assert cells["less"]["old"] == 16
    assert cells["less"]["flat"] < cells["less"]["new"] <= 16
    assert main(["defaults", "refit", file]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"of 16 cells (model x data): rule old in 16, new in {cells['less']['new']}" in printed


def test_a_rate_that_diverges_or_lies_beyond_the_tested_ones_does_not_count_as_losing_little():
    def one(data, **more):
        shape = {"rates": (1.0, 2.0, 4.0), "gains": (-2.0, 0.0, -0.1), "low": 1.0, "high": 8.0}
        return study(2000, model="m", data=data, **{**shape, **more})

    cells = [one("inside"), one("diverges", wall=3.0), one("lower", gains=(-2.0, 0.0, -3.0))]
    bracket = study(2000, model="m", data="bracket", low=1.0, high=2.0)
    found = cells_of([*cells, bracket], {"m": {"at": 4.0, "past": 5.0, "best": 2.0}}, held_out=True)
    assert (found.cells, found.known) == (4, 3)
    assert found.less == {"at": 1, "past": 0, "best": 3}
    assert found.beyond == {"at": 0, "past": 1, "best": 0}
    two = cells_of([one("a"), one("a", gains=(-2.0, 0.0, -3.0))], {"m": {"at": 4.0}}, held_out=True)
    assert (two.cells, two.less) == (1, {"at": 0})
