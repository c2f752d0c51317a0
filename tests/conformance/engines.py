"""Engines that no study would use: importable by workers, to see what executors do with them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bios_sweep.engines.simulation.engine import PlantedEngine
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec


class DyingEngine:
    """Takes its process with it while it loads, as a crash in native code or a lack of memory would."""

    version = "1"
    resumes = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        os._exit(1)

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        raise NotImplementedError


class ForgetfulEngine:
    """Ends without a result."""

    version = "1"
    resumes = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        pass

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        yield Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=1.0)


class TimedEngine:
    """Dies as often as `deaths` says while it is timed, fails as a GPU does as often as `poison` says, or
    stumbles; marks both in `folder`."""

    version = "1"
    resumes = True
    hardware = f"a stopwatch in process {os.getpid()}"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        raise NotImplementedError

    def time_steps(self, settings: Sequence[TrainingSettings], repeats: int) -> list[list[float]]:
        if self._options.get("stumble"):
            raise RuntimeError("the clock stopped\nwith a second line")
        folder = Path(self._options["folder"])
        failed = len(list(folder.glob("failed-*")))
        if failed < self._options.get("poison", 0):
            (folder / f"failed-{failed}").touch()
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors")
        died = len(list(folder.glob("died-*")))
        if died < self._options.get("deaths", 0):
            (folder / f"died-{died}").touch()
            os._exit(1)
        return [[1.0 for _ in settings] for _ in range(repeats)]


class NotedEngine(PlantedEngine):
    """The planted engine; notes in `folder` which process built, timed and trained.

    options: `folder`, `workers` (that must have an engine before a trial trains), beside the planted ones.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._diary, self._workers = Path(options["folder"]) / "diary", int(options["workers"])
        super().__init__(
            {name: value for name, value in options.items() if name not in ("folder", "workers")}
        )
        self._note("built")

    def time_steps(self, settings: Sequence[TrainingSettings], repeats: int) -> list[list[float]]:
        time.sleep(0.5)  # what another worker does too early, it does in here
        self._note("timed")
        return super().time_steps(settings, repeats)

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        while self._diary.read_text().count("built") < self._workers:
            time.sleep(0.05)
        self._note("trained")
        yield from super().run(trial, directory)

    def _note(self, what: str) -> None:
        with self._diary.open("a") as file:
            file.write(f"{what} {os.getpid()}\n")


class DiaryEngine(PlantedEngine):
    """The planted engine; notes in `diary` which attempt came to which step of which trial.

    An attempt is told by the folder that it works in.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._diary = Path(options["diary"])
        super().__init__({name: value for name, value in options.items() if name != "diary"})

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        for item in super().run(trial, directory):
            step = item.step if isinstance(item, Measurement) else "result"
            with self._diary.open("a") as file:
                file.write(f"{trial.key} {directory.parent.name} {step}\n")
            yield item


class HungryEngine(PlantedEngine):
    """The planted engine; a trial named in `hungry` asks for more memory than there is."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._hungry = options["hungry"]
        super().__init__({name: value for name, value in options.items() if name != "hungry"})

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        for item in super().run(trial, directory):
            if trial.key == self._hungry:
                raise MemoryError("no room for the activations")
            yield item


class SeatedEngine(PlantedEngine):
    """The planted engine; notes where its worker sits, and trains only once `seats` workers do.

    options: `seats`, `folder` (shared), beside the planted ones.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        import ray

        self._folder, self._seats = Path(options["folder"]), int(options["seats"])
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        node = ray.get_runtime_context().get_node_id()
        (self._folder / f"{os.getpid()}.seat").write_text(f"{node} {gpus}")
        super().__init__({name: value for name, value in options.items() if name not in ("seats", "folder")})

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        while len(list(self._folder.glob("*.seat"))) < self._seats:
            time.sleep(0.1)
        yield from super().run(trial, directory)


class PoisonedEngine(PlantedEngine):
    """Its GPU fails as often as `failures` says, and every later call of the same process fails too.

    options: `failures`, `folder` (shared, where they are counted), beside the planted ones. while_built: it
    fails as soon as it is built.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._folder, self._failures = Path(options["folder"]), int(options["failures"])
        self._poisoned = False
        own = ("failures", "folder", "while_built")
        super().__init__({name: value for name, value in options.items() if name not in own})
        if options.get("while_built"):
            self._compute()

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        self._compute()
        yield from super().run(trial, directory)

    def _compute(self) -> None:
        if self._poisoned or any(self._claim(number) for number in range(self._failures)):
            self._poisoned = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def _claim(self, number: int) -> bool:
        """Whether this process is the first to have this failure; two that ask at once do not both."""
        try:
            (self._folder / f"{number}.failed").open("x").close()
        except FileExistsError:
            return False
        return True
