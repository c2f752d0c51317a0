"""Scenarios that tests judge in: facts of a model and of data, without the files behind them."""

from __future__ import annotations

from bios_sweep.method import Method
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario

PUBLISH = {"purpose": "publish", "margin_percent": 0.5, "margin_share": 0.05}  # a rule's margin of 0.5 %
PLANTED = Scenario(  # its trials can be run by the planted engine
    model=ModelFacts(name="tiny", path="", family="llama", hidden_size=64, fingerprint="m"),
    data=DataFacts(
        name="docs",
        file="",
        fingerprint="d",
        evaluation_fingerprint="e",
        train_examples=4000,
        eval_examples=500,
    ),
    method=Method(),
    engine="bios_sweep.engines.simulation.engine:PlantedEngine",
    engine_version="1",
    engine_options={},
    software={},
)
RECORDED = Scenario(  # its trials are written down and never run
    model=ModelFacts(name="tiny", path="/m", family="llama", hidden_size=64, fingerprint="m" * 64),
    data=DataFacts(
        name="docs",
        file="/data/docs.jsonl",
        fingerprint="a" * 64,
        evaluation_fingerprint="b" * 64,
        train_examples=400,
        eval_examples=50,
        source="docs.jsonl",
    ),
    method=Method(),
    engine="somewhere:Engine",
    engine_version="1",
    engine_options={},
    software={"torch": "2"},
)
