"""JSON lines read for training, against the `datasets` library alone: seconds and peak memory.

    python benchmarks/read_lines.py             # 1 GB
    python benchmarks/read_lines.py 0.1         # gigabytes

Ours reads, checks, splits, fingerprints and writes the file of the workers, and then does so again;
`datasets` makes its Arrow files, with their splits, and opens them again. Neither counts a token. Each line
is a process of its own, the first of each with empty caches. Processor seconds are those of all threads.
Memory is the peak of resident memory; `datasets` maps its files, which counts there and is not its own.
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

GIGABYTES = 1.0
WORDS = ("number", "record", "table", "value", "index", "module", "return", "string")
EVALUATION = 2000
BLOCK = 1000  # lines


def write_lines(path: Path, gigabytes: float) -> None:
    """Prompts of a sentence, completions of 20 to 260 words: a kilobyte a line."""
    written, start = 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < gigabytes * 1e9:
            lines = []
            for number in range(start, start + BLOCK):
                count = 20 + number * 7919 % 241
                said = " ".join(WORDS[(number * 7 + place * (number % 5 + 1)) % 8] for place in range(count))
                lines.append(json.dumps({"prompt": f"Explain {number}\n", "completion": said}) + "\n")
            start += BLOCK
            written += file.write("".join(lines))


def ours(folder: Path) -> int:
    from bios_sweep.engines.training.data import keep_dataset
    from bios_sweep.engines.training.jsonl import jsonl_examples

    data = jsonl_examples(folder / "data.jsonl", eval_examples=EVALUATION)
    keep_dataset(data, folder / "kept.jsonl")
    return len(data.train) + len(data.evaluation)


def theirs(folder: Path) -> int:
    from datasets import load_dataset

    loaded = load_dataset(
        "json", data_files=str(folder / "data.jsonl"), split="train", cache_dir=str(folder / "arrow")
    )
    sides = loaded.train_test_split(test_size=EVALUATION, seed=0)
    return len(sides["train"]) + len(sides["test"])


def measured(kind: str, folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "HF_HOME": str(folder / "hub")}
    began, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    words = [sys.executable, __file__, kind, str(folder)]
    told = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    used = getrusage(RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(told.splitlines()[-1]), "seconds": time.perf_counter() - began, "cpu": cpu}


def main() -> None:
    """Print a line for each process."""
    if sys.argv[1:2] in (["ours"], ["datasets"]):
        examples = {"ours": ours, "datasets": theirs}[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps({"examples": examples, "peak_mb": getrusage(RUSAGE_SELF).ru_maxrss / 1024}))
        return
    gigabytes = float(sys.argv[1]) if sys.argv[1:] else GIGABYTES
    print(f"{'reader':>16} {'examples':>10} {'seconds':>8} {'cpu s':>6} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lines(folder / "data.jsonl", gigabytes)
        for label in ("ours", "ours again", "datasets", "datasets again"):
            row = measured(label.split()[0], folder)
            took = f"{row['seconds']:8.1f} {row['cpu']:6.1f}"
            print(f"{label:>16} {row['examples']:>10} {took} {row['peak_mb']:8.0f}", flush=True)


if __name__ == "__main__":
    main()
