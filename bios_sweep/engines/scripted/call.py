"""The other side of `CallableEngine`: calls a user's function in this process and prints what it reports.

`python -m bios_sweep.engines.scripted.call module:function JOB`, JOB being a JSON object with `settings`,
`seed`, `metric` and `trial_dir`. A function without a module comes on standard input, and `-` stands for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.function import unpacked
from bios_sweep.engines.scripted.readings import STEP_TOLD
from bios_sweep.settings import TrainingSettings

FROM_INPUT = "-"


class Report:
    """What a callable reports through: `report(2.31, step=10)` or `report(step=10, eval_loss=2.31)`.

    directory: a folder for the trial's own files.
    """

    def __init__(self, metric: str, directory: Path) -> None:
        self._metric = metric
        self.directory = directory

    def __call__(self, value: Any = None, *, step: int | None = None, **metrics: Any) -> None:
        """Say what the metric is now; numbers of numpy or torch are taken as they are."""
        named = {name: float(number) for name, number in metrics.items()}
        if value is not None:
            named[self._metric] = float(value)
        self._say(named if step is None else {"step": int(step), **named})

    def returned(self, found: Any, *, asked: int) -> None:
        """The last word of a function that names no step: those asked for, which nobody has seen."""
        values = found if isinstance(found, Mapping) else {self._metric: found}
        named = {name: float(number) for name, number in values.items()}
        self._say({"step": asked, STEP_TOLD: False, **named})

    def _say(self, line: Mapping[str, Any]) -> None:
        print(json.dumps(line), flush=True)  # noqa: T201 - the engine reads it


def main(name: str, job: Mapping[str, Any]) -> None:
    """Call the function; what it returns is the last word: a number, a mapping, or None if it reported."""
    sys.path.insert(0, str(Path.cwd()))
    module, _, own = name.partition(":")
    function = unpacked(sys.stdin.read()) if name == FROM_INPUT else getattr(import_module(module), own)
    settings = TrainingSettings.from_dict(job["settings"])
    report = Report(job["metric"], Path(job["trial_dir"]))
    found = function(settings, job["seed"], report)
    if found is not None:
        report.returned(found, asked=settings.max_steps)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
