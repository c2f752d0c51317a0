"""How much one trial scatters: stated, found in earlier sweeps of the scenario, or guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bios_sweep.decision.quantiles import chi_square_quantile
from bios_sweep.decision.table import Blocks, Floats, ResultTable, complete_blocks
from bios_sweep.errors import InputError
from bios_sweep.jsonable import LEFT_OUT

GIVEN, EARLIER, GUESS = "given", "earlier sweeps", "guess"
GUESS_PERCENT = 0.3  # chosen, not measured: between the two noises that the decision rule was checked at
GAINED_PERCENT = 50.0  # chosen, not measured: an untouched loss of 3 where training reaches 2
COVERAGE = 0.90  # of the interval of the noise


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Residual standard deviation of one trial, percent of the loss: what pairing by seed cannot remove.

    source: given, earlier sweeps or guess. degrees_of_freedom, lower, upper: of the estimate, and
    its 90 % interval by chi-square (`with_interval`); 0 and None unless estimated. sweeps: ids it was
    estimated from.
    gained: percent by which training improved on the untouched model, which may narrow the margin. level: the
    mean that the latest of those sweeps had, None where none tells: points of a score are a percent of it.
    """

    percent: float
    source: str
    degrees_of_freedom: int = 0
    lower: float | None = None
    upper: float | None = None
    sweeps: tuple[str, ...] = ()
    gained: float = field(default=GAINED_PERCENT, metadata=LEFT_OUT)
    gained_known: bool = field(default=False, metadata=LEFT_OUT)
    level: float | None = field(default=None, metadata=LEFT_OUT)


def stated_noise(percent: float, earlier: Noise | None = None, unit: str = "percent of the loss") -> Noise:
    """A noise that the user knows; what training gained is still that of earlier sweeps, where there are any.

    unit: in what the number was given, for the message.

    Raises:
        InputError: it is no number above 0.
    """
    if not (math.isfinite(percent) and percent > 0):
        raise InputError(f"--noise: {percent!r} is not allowed; a number above 0, in {unit}")
    if earlier is None:
        return Noise(percent=percent, source=GIVEN)
    known = {name: getattr(earlier, name) for name in ("gained", "gained_known", "level")}
    return Noise(percent=percent, source=GIVEN, **known)


def guessed_noise() -> Noise:
    """Where nothing is known; whoever prints it says that it is a guess."""
    return Noise(percent=GUESS_PERCENT, source=GUESS)


def noise_from(tables: Mapping[str, Sequence[ResultTable]]) -> Noise | None:
    """The pooled residual of the blocked models of earlier sweeps; None where they leave none.

    tables: sweep id -> its tables of new trials (shared seeds and fresh seeds apart: each has its own
    blocks). y_as = mu_a + b_s + e_as in every table: sums of squares and degrees of freedom add up.
    """
    squares, degrees, used = 0.0, 0, []
    for sweep_id, parts in tables.items():
        found = [_residual(table) for table in parts]
        own = sum(nu for _, nu in found)
        if own:
            squares, degrees = squares + sum(ss for ss, _ in found), degrees + own
            used.append(sweep_id)
    if not degrees or squares <= 0:
        return None
    latest = [table for sweep_id in used for table in tables[sweep_id]]
    gained = _gained(latest)
    return Noise(
        percent=math.sqrt(squares / degrees),
        source=EARLIER,
        degrees_of_freedom=degrees,
        sweeps=tuple(used),
        gained=GAINED_PERCENT if gained is None else gained,
        gained_known=gained is not None,
        level=next((mean for table in latest if (mean := _level(complete_blocks(table)))), None),
    )


def with_interval(noise: Noise) -> Noise:
    """The same with the interval of an estimate, which is told and decides nothing."""
    degrees = noise.degrees_of_freedom
    if not degrees:
        return noise
    tail = (1.0 - COVERAGE) / 2.0
    least, most = (math.sqrt(degrees / chi_square_quantile(at, degrees)) for at in (1.0 - tail, tail))
    return replace(noise, lower=noise.percent * least, upper=noise.percent * most)


def _residual(table: ResultTable) -> tuple[float, int]:
    """Sum of squared residuals, percent^2 of the first arm's mean, and its degrees of freedom."""
    blocks = complete_blocks(table)
    arms, seeds = blocks.values.shape
    if arms < 2 or seeds < 2 or not blocks.values[0].mean():
        return 0.0, 0
    percent = blocks.values * (100.0 / abs(float(blocks.values[0].mean())))
    return float((_centred(percent) ** 2).sum()), (arms - 1) * (seeds - 1)


def _level(blocks: Blocks) -> float | None:
    """The first arm's mean, None without one."""
    return float(blocks.values[0].mean()) if blocks.values.size else None


def _centred(values: Floats) -> Floats:
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0)
    return np.asarray(values - rows - columns + values.mean(), dtype=np.float64)


def _gained(tables: Sequence[ResultTable]) -> float | None:
    """Percent gained over the untouched model by the first arm of the latest table that knows it."""
    for table in tables:
        blocks = complete_blocks(table)
        if table.untouched is None or not blocks.values.size or not blocks.values[0].mean():
            continue
        mean = float(blocks.values[0].mean())
        gained = 100.0 * table.metric.sign * (mean - table.untouched) / abs(mean)
        return gained if gained > 0 else None
    return None
