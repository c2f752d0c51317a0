"""A sweep's own results table says all that its verdicts rest on: an audit of it alone says the same."""

from __future__ import annotations

import csv
import dataclasses
import json
import math

import pytest

from bios_sweep.cli.main import main
from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.jsonable import to_json
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.report.content.arm_rows import results_rows
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.verdict_rows import Ways
from bios_sweep.report.text.publish import write_results
from bios_sweep.study.factors import Factor
from bios_sweep.study.margins import MARGINS, margins_of
from bios_sweep.study.plan import build_plan
from bios_sweep.study.scenario import Metric
from tests.report.summaries import planted_study

SHARE = Metric(name="eval_accuracy", direction="maximize", unit="")  # of tokens that are guessed rightly
POINTS = Metric(name="exact", direction="maximize", unit="")  # the same in percent
SCORE = Metric(name="quality", direction="maximize", unit="")  # a name that tells no direction
METRICS = (Metric(), Metric(name="eval_bits_per_byte", unit="bits"), SHARE, POINTS, SCORE)
LOOKS = ((5,), (3, 5, 8))
RATE, MANY = 0.002, 1
WORLDS = {
    "right": {"optimum": RATE},
    "low by two": {"optimum": 2 * RATE},
    "little was gained": {"optimum": RATE, "untouched": 3.4},
    "off by a third, and noisy": {"optimum": 1.35 * RATE, "noise": 0.35},
    "noisy": {"optimum": RATE, "noise": 0.5},
}


def scored(measured):
    """With what a model guesses rightly at a loss, in three spellings."""
    share = math.exp(-measured.eval_loss / 3)
    return dataclasses.replace(
        measured, metrics={"eval_accuracy": share, "exact": 100 * share, "quality": share}
    )


def finished(
    metric, looks, folder, *, optimum, noise=0.08, untouched=4.6, noise_seed=0, seeds=None, factors=(), **rule
):
    """A planted sweep of one learning rate, run to its end in this process, judged on a metric."""
    rates = Factor(name="learning_rate", multiply=(0.25, 0.5, 2, 4))
    study = planted_study(seeds=seeds or tuple(range(looks[-1])), factors=(rates, *factors))
    margins = margins_of("publish", metric.name, {name: rule.pop(name, None) for name in MARGINS})
    study = dataclasses.replace(
        study,
        metric=metric,
        decision=dataclasses.replace(study.decision, looks=looks, **margins, **rule),
        baseline=dataclasses.replace(study.baseline, learning_rate=RATE),
    )
    world = {
        "truth": {"learning_rate": {"optimum": optimum, "curvature": 4.0}},
        "loss": 3.2,
        "seed_noise_percent": 0.4,
        "noise_percent": noise,
        "untouched": untouched,
        "noise_seed": noise_seed,
    }
    plan = build_plan(study)
    source, engine = ProcedureSource(plan), PlantedEngine(world)
    while (trial := source.take()) is not None:
        *_, result = engine.run(trial, folder / "trials" / trial.key)
        curve = tuple(map(scored, result.curve))
        source.add(dataclasses.replace(result, curve=curve, final={**result.final, **curve[-1].metrics}))
    write_results(results_rows(plan, source.state, source.results), folder / "results.csv")
    return json.loads(json.dumps(to_json(summarise(plan, source.state, source.results, Ways()))))


def audited(file, capsys, *words):
    assert main(["report", "--from-csv", str(file), "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def told(answer):
    verdict = answer["verdicts"][0]
    numbers = [verdict[name] for name in ("effect_percent", "lower", "upper", "margin", "confidence")]
    return {
        "word": verdict["verdict"],
        "advice": verdict["sentence"] if verdict["verdict"] == "refine" else "",
        "level": verdict["best_level"],
        "numbers": [None if number is None else f"{number:.5g}" for number in numbers],
        "margin": f"{answer['margin']['absolute']:.9g}",
        "metric": answer["metric"]["name"],
        "direction": answer["metric"]["direction"],
    }


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_an_audit_of_a_sweeps_own_table_has_its_margin_and_its_verdict(metric, looks, tmp_path, capsys):
    words = set()
    for name, world in WORLDS.items():
        for noise_seed in range(MANY):
            folder = tmp_path / f"{name}-{noise_seed}"
            own = finished(metric, looks, folder, noise_seed=noise_seed, **world)
            assert told(audited(folder / "results.csv", capsys)) == told(own), name
            words.add(own["verdicts"][0]["verdict"])
    assert words >= {"confirm", "refine"}  # the worlds differ, else equal words would show nothing


def judgements(answer):
    """Factor -> word, level and numbers."""
    names = ("verdict", "best_level", "effect_percent", "lower", "upper", "margin")
    return {
        one["factor"]: [
            *(cell if isinstance(cell := one[name], str) else f"{cell:.5g}" for name in names),
            *sorted(one["seeds"]),
        ]
        for one in answer["verdicts"]
    }


@pytest.mark.parametrize("noise", [0.08, 0.3, 0.6])
def test_factors_that_end_at_different_looks_are_judged_as_their_sweep_did(noise, tmp_path, capsys):
    decays = Factor(name="weight_decay", values=(0.01, 0.1))
    own = finished(
        Metric(),
        (3, 5, 8),
        tmp_path,
        optimum=RATE,
        noise=noise,
        seeds=(9, 4, 7, 0, 2, 1, 8, 3),
        factors=(decays,),
    )
    file = tmp_path / "results.csv"
    lines = file.read_text().splitlines()
    (tmp_path / "sorted.csv").write_text("\n".join([lines[0], *sorted(lines[1:])]) + "\n")
    assert judgements(audited(file, capsys)) == judgements(own)
    assert judgements(audited(tmp_path / "sorted.csv", capsys)) == judgements(own)


def test_the_margin_of_the_table_is_none_that_the_value_column_could_tell(tmp_path, capsys):
    own = finished(SHARE, (5,), tmp_path, optimum=RATE)
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    judged = ["metric", "direction", "untouched", "looks"]
    judged += [f"decision.{name}" for name in (*MARGINS, "alpha")]
    assert list(rows[0])[-len(judged) :] == judged
    bare = tmp_path / "bare.csv"
    write_results([{k: row[k] for k in list(row)[: -len(judged)]} for row in rows], bare)
    assert audited(bare, capsys)["margin"] != own["margin"]


def test_an_audit_keeps_the_decision_rule_of_the_sweep_unless_it_is_told_another(tmp_path, capsys):
    rule = {"margin_percent": 2.0, "margin_share": 0.5, "alpha": 0.01}
    own = finished(Metric(), (5,), tmp_path, optimum=RATE, noise=0.5, **rule)
    file = tmp_path / "results.csv"
    assert told(audited(file, capsys)) == told(own)
    assert own["verdicts"][0]["margin"] == 2.0
    answer = audited(file, capsys, "decision.margin_percent=3")
    assert answer["verdicts"][0]["margin"] == 3.0
    assert answer["verdicts"][0]["confidence"] == own["verdicts"][0]["confidence"] == 0.99


def test_rows_of_two_metrics_are_refused(tmp_path, capsys):
    file = tmp_path / "two.csv"
    file.write_text("arm,seed,value,metric\nbaseline,0,1,loss\nb,0,1,accuracy\n")
    assert main(["report", "--from-csv", str(file)]) == 2
    assert "column 'metric' says 'loss', 'accuracy'; keep the rows of one" in capsys.readouterr().err


@pytest.mark.parametrize("extra", ["metric,direction\n{0},0.9,up", "looks\n{0},many", "direction\n{0},left"])
def test_columns_of_that_name_that_say_something_else_are_left_alone(extra, tmp_path, capsys):
    header, _, cells = extra.partition("\n")
    lines = [cells.format(row) for row in ("baseline,0,1.0", "baseline,1,1.1", "b,0,1.2", "b,1,1.25")]
    file = tmp_path / "other.csv"
    file.write_text("\n".join([f"arm,seed,value,{header}", *lines]) + "\n")
    answer = audited(file, capsys)
    assert answer["metric"] == {"name": "value", "unit": "", "direction": "minimize"}
    assert answer["verdicts"][0]["confidence"] == 0.95
