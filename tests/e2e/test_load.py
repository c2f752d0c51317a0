"""A day's load on one tracking server, compressed: memory stays flat, in the drivers too; nothing is lost.

`BIOS_SWEEP_LOAD=2000 python -m pytest -m slow tests/e2e/test_load.py -s` runs a tenth and prints the slopes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.mirror.mlflow.store import all_runs
from tests.e2e.harness import of_sessions
from tests.mirror import postgres
from tests.mirror.births import begin, commanded, end
from tests.mirror.tracking_server import serving

TRIALS = int(os.environ.get("BIOS_SWEEP_LOAD", "20000"))
DRIVERS = 4
ARMS = 5
SAMPLE_SECONDS = 2.0
# What a driver must remember of a trial (its result with two measurements) is 3-5 kB; chosen, with room.
DRIVER_BYTES_A_TRIAL = 40_000
SERVER_BYTES_A_TRIAL = 5_000  # a server has nothing to remember; its allocator has
HOURS = 6  # a driver may take; the test is for a quiet night


@dataclass
class Memory:
    """Resident bytes of some processes, each list (samples,). trials: what they have to do with."""

    name: str
    trials: int
    seconds: list[float] = field(default_factory=list)
    size: list[int] = field(default_factory=list)

    def sample(self, processes: list[int]) -> None:
        self.seconds.append(time.monotonic())
        self.size.append(sum(map(resident, processes)))

    @property
    def slope(self) -> float:
        """Bytes per trial over the second half, in which nothing is loaded any more; least squares.

        The server is what takes the time, and takes trials at a constant rate, so that the clock counts them.
        """
        half = len(self.seconds) // 2
        a_second = float(np.polyfit(np.array(self.seconds[half:]), np.array(self.size[half:]), 1)[0])
        return a_second * (self.seconds[-1] - self.seconds[0]) / self.trials

    def told(self) -> str:
        middle, last = (self.size[place] / 1e6 for place in (len(self.size) // 2, -1))
        return (
            f"{self.name}: {middle:.0f} -> {last:.0f} MB in the second half, {self.slope:.0f} bytes a trial"
        )


def resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def words(workspace: Path, url: str, number: int) -> list[str]:
    """Disjoint seeds, so that no trial of one workspace is another's."""
    each = TRIALS // DRIVERS // ARMS
    seeds = list(range(number * each, (number + 1) * each))
    return [
        *("run", "sweeps=learning_rate", "model=planted", "cluster=inline", "budget.measurements=1"),
        f"budget.max_trials={TRIALS}",
        *(f"seeds={seeds}".replace(" ", ""), f"decision.looks=[{each}]", "decision.confirmation_seeds=0"),
        *("tracking=sqlite", f"tracking.uri={url}", "tracking.flush_seconds=20000", f"workspace={workspace}"),
    ]


@pytest.mark.slow
@pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing() or "there is one")
def test_a_day_of_four_drivers_on_one_server_leaves_memory_flat_and_loses_nothing(tmp_path):
    began = time.monotonic()
    with serving(over_postgres=True) as server:
        places = [tmp_path / str(number) / "runs" for number in range(DRIVERS)]
        drivers = []
        for number, place in enumerate(places):
            place.parent.mkdir()
            drivers.append(begin(commanded, words(place, server.url, number), place.parent / "log"))
        told = [
            Memory("server", TRIALS),
            *(Memory(f"driver {number}", TRIALS // DRIVERS) for number in range(DRIVERS)),
        ]
        while all(driver.is_alive() for driver in drivers):
            told[0].sample(of_sessions([server.process]))
            for memory, driver in zip(told[1:], drivers, strict=True):
                memory.sample([driver.pid or 0])
            time.sleep(SAMPLE_SECONDS)
        for driver in drivers:
            driver.join(HOURS * 3600)
        codes = [end(driver) for driver in drivers]
        assert codes == [0] * DRIVERS, [(place.parent / "log").read_text()[-1500:] for place in places]
        print(*(memory.told() for memory in told), sep="\n")
        print(f"{TRIALS} trials in {(time.monotonic() - began) / 60:.1f} min")
        assert codes == [0] * DRIVERS, [(place.parent / "log").read_text()[-1500:] for place in places]
        for place in places:
            check_nothing_lost(place, server.url)
    assert told[0].slope < SERVER_BYTES_A_TRIAL, told[0].told()
    for memory in told[1:]:
        assert memory.slope < DRIVER_BYTES_A_TRIAL, memory.told()


def check_nothing_lost(place: Path, url: str) -> None:
    """A finished run per trial, with its result, once."""
    sweep = bios_sweep.open(place)
    client = MlflowClient(url)
    experiment = client.get_experiment_by_name("planted | planted | lora").experiment_id
    mine = f"tags.kind = 'trial' and tags.`sweep.{sweep.sweep_id}` != ''"
    runs = all_runs(client, experiment, filter_string=mine, max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    values = {trial["trial_key"]: trial["value"] for trial in sweep.trials}
    assert len(values) == TRIALS // DRIVERS
    assert Counter(run.data.tags["trial_key"] for run in runs) == dict.fromkeys(values, 1)
    assert {run.data.tags["trial_key"]: run.data.metrics["eval_loss"] for run in runs} == values
