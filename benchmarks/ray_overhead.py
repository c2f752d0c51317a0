"""What a trial costs beside its training: trials of nothing through Ray, ours and Ray Tune's own way.

    python benchmarks/ray_overhead.py            # 200 trials on two workers, 20 of Tune's default way
    python benchmarks/ray_overhead.py 200 20

A trial of nothing is a planted one: two measurements by a formula, no pause. Phases: Ray's start; from the
start of `run` to the first trial; the trials; the end. Then the same trials through the whole pipeline,
where every result is on the disk and in the journal before the next counts, less what Ray costs. The peer
is `tune.Tuner` over a function that reports twice, with its defaults (an actor for every trial).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.execution.ray.cluster import open_cluster, quiet_environment
from bios_sweep.execution.ray.executor import RayTuneExecutor
from bios_sweep.ports import ENDED, STARTED
from bios_sweep.request import Request
from bios_sweep.study.trials import TrialSpec
from tests.conformance.sources import SETTINGS, ListSource, Log, trials

ENGINE = "bios_sweep.engines.simulation.engine:PlantedEngine"
OPTIONS = {"measurements": 1}


def timed(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def ours(executor: Any, planned: list[TrialSpec], folder: Path) -> tuple[float, float, float]:
    """Seconds: to the first trial, of all trials, to the end."""
    times: dict[str, list[float]] = {STARTED: [], ENDED: []}

    def note(event: Any) -> None:
        if event.kind in times:
            times[event.kind].append(time.perf_counter())

    source = ListSource(planned)
    began = time.perf_counter()
    executor.run(
        source,
        Log(source, note),
        engine=ENGINE,
        engine_options=OPTIONS,
        trials_dir=folder / "trials",
    )
    over = time.perf_counter()
    return times[STARTED][0] - began, times[ENDED][-1] - times[STARTED][0], over - times[ENDED][-1]


def tunes_own(count: int, folder: Path) -> float:
    """Seconds of Tune's default way, Ray being up."""
    from ray import tune

    def nothing(config: dict[str, Any]) -> None:
        tune.report({"loss": 1.0})
        tune.report({"loss": 0.5})

    tuner = tune.Tuner(
        tune.with_resources(nothing, {"cpu": 1}),
        param_space={"seed": tune.grid_search(list(range(count)))},
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    return timed(tuner.fit)


def whole_pipeline(folder: Path, count: int) -> float:
    """Seconds of `bios-sweep run` over as many planted trials, tracking off."""
    seeds = ",".join(map(str, range(count // 2)))
    command = [sys.executable, "-m", "bios_sweep", "run", "sweeps=learning_rate", "model=planted"]
    study = [
        "data=planted",
        "sweeps.factors.learning_rate.multiply=[2]",
        f"seeds=[{seeds}]",
        f"decision.looks=[{count // 2}]",
        "decision.confirmation_seeds=0",
        "cluster.num_cpus=2",
        "tracking=none",
        f"workspace={folder}",
    ]
    return timed(lambda: subprocess.run([*command, *study], check=True, capture_output=True))


def main(count: int = 200, peers: int = 20) -> None:
    quiet_environment()
    folder = Path(tempfile.mkdtemp())
    planned = trials({"baseline": SETTINGS}, seeds=range(count))
    print(f"Ray's start {timed(lambda: open_cluster(Request(num_cpus=2))):.1f} s")
    first, all_of_them, end = ours(
        RayTuneExecutor(Request(num_cpus=2), storage_dir=folder / "ray"), planned, folder
    )
    each = all_of_them / count
    print(f"ours: first trial after {first:.1f} s, {count} trials in {all_of_them:.1f} s, end {end:.1f} s")
    alone = timed(lambda: ours(InlineExecutor(), planned, folder / "inline"))
    print(f"each {1000 * each:.0f} ms through Ray, {1000 * alone / count:.1f} ms in one process without Ray")
    peer = tunes_own(peers, folder / "peer") / peers
    print(f"Tune's own way: {1000 * peer:.0f} ms each over {peers} trials: {peer / each:.1f} times ours")
    print(f"bios-sweep run of {count} trials, all in all {whole_pipeline(folder / 'ws', count):.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
