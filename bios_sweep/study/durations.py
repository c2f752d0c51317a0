"""Duration arms: the default trained for longer and shorter, the yardstick of what cost alone buys."""

from __future__ import annotations

from dataclasses import replace

from bios_sweep.claims import Against
from bios_sweep.study.arms import BASELINE, Arm
from bios_sweep.study.design import Study


def add_durations(study: Study, arms: list[Arm]) -> dict[float, str]:
    """Add the default's own duration arms, the yardstick of what cost alone buys.

    Only those that a tested batch size may need: a smaller batch costs up to as many times more as it
    takes more steps, a larger one less (docs/statistics.md, item 13).
    """
    sizes = [
        value
        for factor in study.factors
        if factor.name == "batch_size"
        and any(claim.against == Against.AS_LONG for claim in factor.judged_claims(study.baseline))
        for _, value in factor.levels(study.baseline)
    ]
    ratios = [size / study.baseline.batch_size for size in sizes]
    # at equal steps a larger batch is the dearer one, at equal examples a smaller one
    costs = [ratio if study.budget.hold == "steps" else 1.0 / ratio for ratio in ratios]
    wanted = [
        *([0.5] if any(cost < 1 for cost in costs) else []),
        *([2.0] if any(cost > 1 for cost in costs) else []),
        *([4.0] if any(cost > 2 for cost in costs) else []),
    ]
    durations = {1.0: BASELINE} if wanted else {}
    for nominal in wanted:
        new = duration_arm(study, nominal)
        multiple = new.settings.max_steps / study.baseline.max_steps  # steps are whole
        same = next((arm for arm in arms if arm.settings == new.settings and not arm.repeat), None)
        if same is None:
            arms.append(new)
        durations[multiple] = (same or new).name
    return dict(sorted(durations.items()))


def duration_arm(study: Study, multiple: float, start: Arm | None = None) -> Arm:
    """The default (or `start`, the default at another learning rate) for another multiple of its steps."""
    base = study.baseline if start is None else start.settings
    retuned = "" if start is None or start.name.startswith(BASELINE) else f"{start.name}, "
    settings = replace(base, max_steps=max(1, round(base.max_steps * multiple)))
    return Arm(
        name=f"{retuned}max_steps x{multiple:.4g}",
        settings=settings,
        label=f"x{multiple:.4g}",
        changes=settings.differing(study.baseline),
        duration=multiple,
    )
