"""How a sweep is gone on with, as its report tells it."""

from __future__ import annotations

from bios_sweep.driver.invocation import Invocation
from bios_sweep.report.content.expense import Tariff
from bios_sweep.report.content.verdict_rows import Ways
from bios_sweep.request import RAY, Request
from bios_sweep.study.plan import Plan


def ways_of(invocation: Invocation, plan: Plan, tariff: Tariff) -> Ways:
    """The commands that run a sweep again and what follows it, and what its trials cost."""
    return Ways(command=invocation.command, following=invocation.following(plan.study.name), tariff=tariff)


def tariff_of(request: Request) -> Tariff:
    """What an hour of a trial costs; trials of this very process take no GPU that is paid for."""
    if request.executor != RAY or not request.gpus_per_trial:
        return Tariff()
    return Tariff(gpus=request.gpus_per_trial, per_gpu_hour=request.price_per_gpu_hour)
