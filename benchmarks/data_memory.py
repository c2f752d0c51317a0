"""What large data cost before the first step: memory and seconds of driver and workers, by examples.

    python benchmarks/data_memory.py                    # 10 000, 100 000 and 1 000 000 examples
    python benchmarks/data_memory.py 1000 10000

Examples of 60 tokens of the embedded model. Each line is a process of its own: the driver plans and
writes the data, and does so again; the first worker prepares the tokens and takes one step, the second finds
them. Processor seconds are those of all threads, and do not count what else the machine does. Memory is the
peak of resident memory, and what of it is the process's own, without mapped files, at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any

SIZES = (10_000, 100_000, 1_000_000)
EVALUATION = 200
WORDS = ("number", "record", "table", "value", "index", "module", "return", "string")


def write_examples(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            said = " ".join(WORDS[(number * 7 + place * (number % 5 + 1)) % 8] for place in range(31))
            file.write(json.dumps({"prompt": f"Explain {number}\n", "completion": said}) + "\n")


def drive(folder: Path) -> None:
    from bios_sweep.driver.invocation import Invocation
    from bios_sweep.driver.prepare import prepare
    from bios_sweep.engines.training.data import keep_dataset

    words = ("sweeps=learning_rate", f"data.path={folder}/data.jsonl", f"data.eval_examples={EVALUATION}")
    more = ("cluster=inline", f"workspace={folder}/runs", "budget=demo", "budget.max_steps=1")
    prepared = prepare(Invocation(verb="plan", overrides=(*words, *more)))
    scenario = prepared.plan.study.scenario
    assert prepared.dataset is not None
    keep_dataset(prepared.dataset, Path(scenario.data.file))
    trial = prepared.plan.trials[0].to_dict()
    (folder / "worker.json").write_text(
        json.dumps({"options": dict(scenario.engine_options), "trial": trial})
    )
    tokens = round((scenario.data.tokens_per_example or 0) * scenario.data.train_examples)
    report(tokens=tokens)


def work(folder: Path) -> None:
    from bios_sweep.engines.training.engine import LoraEngine
    from bios_sweep.study.trials import TrialSpec

    given = json.loads((folder / "worker.json").read_text())
    engine = LoraEngine({**given["options"], "measurements": 1})
    began = time.perf_counter()
    for _ in engine.run(TrialSpec.from_dict(given["trial"]), folder / f"trial-{os.getpid()}"):
        pass
    report(run=time.perf_counter() - began)


def report(**more: Any) -> None:
    own = sum(
        int(line.split()[1])
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_")
    )
    peak = getrusage(RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_mb": peak / 1024, "own_mb": own / 1024, **more}))


def measured(kind: str, folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    words = [sys.executable, __file__, kind, str(folder)]
    before = cpu_seconds()
    told = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    row = json.loads(told.splitlines()[-1])
    return {**row, "seconds": time.perf_counter() - began, "cpu": cpu_seconds() - before}


def cpu_seconds() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    if sys.argv[1:2] in (["driver"], ["worker"]):
        {"driver": drive, "worker": work}[sys.argv[1]](Path(sys.argv[2]))
        return
    print(f"{'examples':>10} {'process':>14} {'seconds':>8} {'cpu s':>6} {'peak MB':>8} {'own MB':>8}")
    for count in [int(word) for word in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_examples(folder / "data.jsonl", count)
            for label in ("driver", "second driver", "first worker", "second worker"):
                row = measured(label.split()[-1], folder)
                took = f"{row['seconds']:8.1f} {row['cpu']:6.1f}"
                held = f"{row['peak_mb']:8.0f} {row['own_mb']:8.0f}"
                print(f"{count:>10} {label:>14} {took} {held}", flush=True)


if __name__ == "__main__":
    main()
