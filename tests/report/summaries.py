"""Summaries of planted studies, and how their texts are shown."""

from __future__ import annotations

import io
import json

from rich.console import Console

from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.jsonable import to_json
from bios_sweep.method import Method
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.verdict_rows import Ways
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Origin, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Status
from tests.scenarios import PUBLISH

WORLD = {
    "truth": {"learning_rate": {"optimum": 0.002, "curvature": 0.35}},
    "loss": 3.2,
    "untouched": 4.6,
    "seed_noise_percent": 0.4,
    "noise_percent": 0.08,
    "wall": 0.016,
}
BASELINE = TrainingSettings(learning_rate=0.0073527173489, batch_size=32, lora_rank=32, max_steps=100)
ORIGINS = {
    "learning_rate": Origin(
        rule="5e-05 * 10 * (2000 / 64)^0.781",
        source="a paper",
        confidence="extrapolated",
        recommended=0.0073527173489,
    ),
    "batch_size": Origin(
        rule="set by baseline.batch_size", source="configuration", confidence="given", recommended=128
    ),
}
FACTORS = (
    Factor(name="learning_rate", multiply=(0.25, 0.5, 2, 4)),
    Factor(name="lora_rank", values=(8, 128), claims=("optimum",)),
)


def planted_study(seeds=(0, 1, 2), factors=FACTORS, name="demo", tokens=44.3, model="tiny"):
    data = DataFacts(
        name="docstrings",
        file="/d",
        fingerprint="b",
        evaluation_fingerprint="c",
        train_examples=4000,
        eval_examples=500,
        tokens_per_example=tokens,
    )
    scenario = Scenario(
        model=ModelFacts(name=model, path="/m", family="llama", hidden_size=64, fingerprint="a"),
        data=data,
        method=Method(),
        engine="bios_sweep.engines.simulation.engine:PlantedEngine",
        engine_version="1",
        engine_options={},
        software={},
    )
    return Study(
        name=name,
        question="Are the defaults right?",
        scenario=scenario,
        baseline=BASELINE,
        factors=factors,
        seeds=seeds,
        decision=DecisionRule(looks=(len(seeds),), **PUBLISH),
        origins=ORIGINS,
    )


def run_planted(study, folder, at_most=None, **world):
    """The plan and its source after running (at most so many) trials."""
    plan = build_plan(study)
    source, engine = ProcedureSource(plan), PlantedEngine({**WORLD, **world})
    ran = 0
    while ran != at_most and (trial := source.take()) is not None:
        ran += 1
        try:
            *_, result = engine.run(trial, folder / trial.key)
        except RuntimeError as error:
            result = TrialResult(key=trial.key, status=Status.FAILED, cause=f"RuntimeError: {error}")
        source.add(result)
    return plan, source


def summary_of(study, folder, at_most=None, **world):
    plan, source = run_planted(study, folder, at_most, **world)
    summary = summarise(
        plan,
        source.state,
        source.results,
        Ways(command="bios-sweep run sweeps=demo", following="bios-sweep run --next"),
    )
    assert json.dumps(to_json(summary), allow_nan=False)
    return summary


def shown(draw, *args, width=80, terminal=False, **options):
    stream = io.StringIO()
    color = "truecolor" if terminal else None
    console = Console(
        file=stream, width=width, force_terminal=terminal, color_system=color, legacy_windows=False
    )
    draw(*args, console, **options)
    return stream.getvalue()
