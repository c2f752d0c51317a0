"""What a right verdict costs: trials, and how often the answer is false, of our rule and of what people do.

    python -m benchmarks.verdict_cost                  # some minutes of one core
    python -m benchmarks.verdict_cost --sweeps 500 --out verdict_cost

Planted worlds, a default and four levels, margin 0.5 %, noise 0.2 % of the loss. In "early order" the level
that gains is behind at a third of the training, and one that gains nothing leads there. An answer is a level.
It is *false* where a level is chosen that gains less than the margin, or where the default is confirmed
though a level gains the margin or more; *open* where a rule says that it does not know; else it is right.
Rivals always answer. Each also gets as many seeds or trials as it takes to be false as seldom as we are, up
to a limit: that is its cost at equal error. A trial stopped at a third of its training counts a third. A
table, a CSV and a figure.

Ours is the rule as `tests/decision/simulated.py` states it, which is held against the package sweep by sweep.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.decision.simulated import CANDIDATE, CONFIRM, DELTA, World, words

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGMA = 0.2
PAIRED_SD = SIGMA * math.sqrt(2)
LEVELS, GAINING, TRAP = 4, 1, 2
KEEP, UNKNOWN = -1, -2  # an answer that is no level: the default stays, or nobody knows
FRESH_TRIALS = 10  # a candidate's and the default's on five seeds
SEEDS = (1, 2, 3, 5, 8, 12, 20, 32)  # what a rival may take; the last is the limit
RUNG = 1 / 3  # ASHA's usual reduction factor: https://arxiv.org/abs/1810.05934
EFFECTS = (0.0, 2.0, 3.0, 5.0)
TARGETS = dict(zip(EFFECTS, (0.40, 0.55, 0.45, 0.42), strict=True))  # share of the fixed design's trials


@dataclass(frozen=True, kw_only=True)
class Place:
    """A world. noise: of the default and the levels, over SIGMA. early: percent by which each leads early."""

    name: str
    effect: float
    noise: tuple[float, ...] = (1.0,) * (1 + LEVELS)
    early: tuple[float, ...] = (0.0,) * (1 + LEVELS)

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(self.effect * PAIRED_SD if level == GAINING else 0.0 for level in range(LEVELS))

    @property
    def world(self) -> World:
        return World(gains=self.gains, sigma=tuple(SIGMA * one for one in self.noise))

    def right(self, answer: Ints) -> NDArray[np.bool_]:
        gains = np.array([*self.gains, 0.0])
        matters = max(self.gains) >= DELTA
        chosen = np.where(answer >= 0, gains[answer], 0.0) >= DELTA
        return np.where(answer == KEEP, not matters, chosen) & (answer != UNKNOWN)

    def losses(self, random: np.random.Generator, sweeps: int, seeds: int, *, early: bool = False) -> Floats:
        """Percent below a common loss, negative: shape (sweeps, arms, seeds); its noise is not paired."""
        lead = np.array(self.early) if early else np.array([0.0, *self.gains])
        noise = random.standard_normal((sweeps, 1 + LEVELS, seeds)) * SIGMA * np.array(self.noise)[:, None]
        return np.asarray(noise - lead[:, None])


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method in one world. false, open: shares of the sweeps. trials: mean, in whole trials."""

    world: str
    effect: float
    method: str
    seeds: int
    sweeps: int
    false: float
    open: float
    trials: float
    share: float | None = None


def places() -> Iterator[Place]:
    for effect in EFFECTS:
        yield Place(name="equal noise", effect=effect)
    behind = tuple(
        -1.0 if arm == 1 + GAINING else 1.0 if arm == 1 + TRAP else 0.0 for arm in range(1 + LEVELS)
    )
    for effect in (0.0, 5.0):
        yield Place(name="default 3x as noisy", effect=effect, noise=(3.0, 1.0, 1.0, 1.0, 1.0))
        yield Place(name="one level 3x as noisy", effect=effect, noise=(1.0, 1.0, 1.0, 3.0, 1.0))
        yield Place(name="early order", effect=effect, early=behind)


def ours(place: Place, sweeps: int, looks: Sequence[int] = (3, 5, 8)) -> tuple[Ints, Floats]:
    """Answers and trials of the rule; a fixed design is one look, and excludes nothing on its way."""
    world = World(gains=place.gains, sigma=place.world.sigma, looks=tuple(looks))
    found = words(world, sweeps)
    answer = np.where(found.state == CONFIRM, KEEP, np.where(found.refined, found.chosen, UNKNOWN))
    return answer, found.trials + FRESH_TRIALS * (found.state == CANDIDATE)


def grid(place: Place, sweeps: int, seeds: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """The best mean over so many seeds; one seed is what most people do."""
    best = place.losses(random, sweeps, seeds).mean(axis=2).argmin(axis=1)
    return best - 1, np.full(sweeps, float((1 + LEVELS) * seeds))


def halving(place: Place, sweeps: int, seeds: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """ASHA with one rung: of all arms at so many seeds the best third goes on, and the best end is taken.

    Its decisions are those of the synchronous form; the asynchronous one decides on less.
    """
    runs = (1 + LEVELS) * seeds
    early = place.losses(random, sweeps, seeds, early=True).reshape(sweeps, runs)
    final = place.losses(random, sweeps, seeds).reshape(sweeps, runs)
    kept = max(1, round(RUNG * runs))
    going = early.argsort(axis=1)[:, :kept]
    best = going[np.arange(sweeps), np.take_along_axis(final, going, axis=1).argmin(axis=1)]
    return best // seeds - 1, np.full(sweeps, RUNG * runs + (1 - RUNG) * kept)


def tpe(place: Place, sweeps: int, seeds: int, random: np.random.Generator) -> tuple[Ints, Floats]:
    """Optuna's TPE over the arms, a new seed for each trial; the best trial's arm, `study.best_params`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials = (1 + LEVELS) * seeds
    losses, answers = place.losses(random, sweeps, trials), []
    for sweep in range(sweeps):
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(random.integers(2**31))))
        for number in range(trials):
            trial = study.ask()
            study.tell(trial, losses[sweep, trial.suggest_categorical("arm", range(1 + LEVELS)), number])
        answers.append(study.best_params["arm"] - 1)
    return np.array(answers), np.full(sweeps, float(trials))


Method = Callable[[Place, int, int, np.random.Generator], tuple[Ints, Floats]]
RIVALS: dict[str, tuple[Method, int]] = {  # and how many of the sweeps it is asked for: TPE is slow
    "best of a grid": (grid, 1),
    "ASHA": (halving, 1),
    "Optuna TPE": (tpe, 20),
}


def row(place: Place, method: str, seeds: int, found: tuple[Ints, Floats], fixed: float | None = None) -> Row:
    answer, trials = found
    return Row(
        world=place.name,
        effect=place.effect,
        method=method,
        seeds=seeds,
        sweeps=len(answer),
        false=float((~place.right(answer) & (answer != UNKNOWN)).mean()),
        open=float((answer == UNKNOWN).mean()),
        trials=float(trials.mean()),
        share=None if fixed is None else float(trials.mean()) / fixed,
    )


def rows_of(place: Place, sweeps: int) -> Iterator[Row]:
    fixed = row(place, "fixed 8 seeds", 8, ours(place, sweeps, (8,)))
    own = row(place, "ours", 8, ours(place, sweeps), fixed.trials)
    yield from (own, fixed)
    for name, (method, fewer) in RIVALS.items():
        random = np.random.default_rng(1)
        count = max(50, sweeps // fewer)
        first = row(place, name, 1, method(place, count, 1, random))
        yield first
        tried = (row(place, name, seeds, method(place, count, seeds, random)) for seeds in SEEDS[1:])
        equal = next((one for one in tried if one.false <= max(own.false, 1 / count)), None)
        if first.false > max(own.false, 1 / count):
            yield equal or Row(
                world=place.name, effect=place.effect, method=name, seeds=SEEDS[-1], sweeps=count,
                false=math.nan, open=0.0, trials=math.inf,
            )  # fmt: skip


def say(one: Row) -> None:
    share = "" if one.share is None else f"  {one.share:.2f} of a fixed design"
    target = f" (at most {TARGETS[one.effect]:.2f})" if share and one.world == "equal noise" else ""
    never = f"never within {one.seeds} seeds" if math.isinf(one.trials) else f"{one.trials:6.1f} trials"
    print(
        f"{one.world:22s} {one.effect:3.0f} sd  {one.method:15s} {one.seeds:3d} seeds  "
        f"false {one.false:.3f}  open {one.open:.3f}  {never}{share}{target}",
        flush=True,
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """False answers over trials, a panel per world."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    worlds = list(dict.fromkeys((one.world, one.effect) for one in rows))
    figure, panels = pyplot.subplots(2, math.ceil(len(worlds) / 2), figsize=(16, 6), layout="constrained")
    marks = dict(zip(dict.fromkeys(one.method for one in rows), "osv^D", strict=False))
    for world, panel in zip(worlds, panels.flat, strict=False):
        for method, mark in marks.items():
            shown = [one for one in rows if (one.world, one.effect, one.method) == (*world, method)]
            points = [(one.trials, one.false) for one in shown if math.isfinite(one.trials)]
            panel.plot(*zip(*points, strict=True), mark, label=method, linestyle=":", linewidth=0.8)
        panel.set(
            title=f"{world[0]}, {world[1]:g} sd", xlabel="trials", ylabel="false answers", ylim=(-0.03, 1)
        )
    panels.flat[0].legend(fontsize=7)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=4000, help="per world; Optuna gets a twentieth")
    parser.add_argument("--out", type=Path, default=Path("verdict_cost"), help="folder of CSV and figure")
    asked = parser.parse_args()
    rows = []
    for place in places():
        for one in rows_of(place, asked.sweeps):
            say(one)
            rows.append(one)
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "verdict_cost.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(vars(one) for one in rows)
    draw(rows, asked.out / "verdict_cost.png")


if __name__ == "__main__":
    main()
