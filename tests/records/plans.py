"""A small plan to keep records of."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan, build_plan
from tests.scenarios import RECORDED


def make_plan() -> Plan:
    study = Study(
        name="demo",
        question="Is the rate right?",
        scenario=replace(RECORDED, engine_options={"secret_path": "/home/me"}),
        baseline=TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=10),
        factors=(Factor(name="learning_rate", multiply=(0.5, 2)),),
        seeds=(0, 1),
        decision=DecisionRule(looks=(2,)),
    )
    return build_plan(study)
