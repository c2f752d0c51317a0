"""What `make gpu` does: the tests of a device and the trainer's benchmark, then one summary.

    python -m benchmarks.on_device --out gpu_results
    python -m benchmarks.on_device --device cpu --out /tmp/there   # the same bodies, where no GPU is

Needs torch, transformers, peft and pytest (hydra-core for one test), no network, no Ray and no MLflow. Exit
status 0: all passed; 1: something failed or took too long; 2: the device is not there. `summary.json` and
`summary.txt` are written in each of the first two cases, with the date, the machine and what was measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from benchmarks import outcomes, trainer

NONE: Mapping[str, str] = MappingProxyType({})
ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/engines/training/test_devices.py", "tests/engines/training/test_number_format.py")
PACKAGES = ("torch", "transformers", "peft", "numpy")
LIMIT = 440.0  # seconds of it all: eight minutes, less what starting, ending and writing take
TESTS_LIMIT = 240.0
LAST_SECONDS = 10.0  # for what took too long to write down what it has
MOST_PRINTED = 4000  # characters of the end
MODEL = "SmolLM2-135M"
# a rehearsal: enough to see every setting and every trainer, and no figure that anybody would quote
ON_A_CPU = (
    "--rows",
    "4",
    "--piece",
    "2",
    "--length",
    "64",
    "--steps",
    "3",
    "--repeats",
    "1",
    "--matrix",
    "256",
)


def environment_on(device: str) -> dict[str, str]:
    """One thread where the CPU computes: several that wait for each other stand still beside other work."""
    return {"OMP_NUM_THREADS": "1"} if device == "cpu" else {}


def _heed_interrupts() -> None:
    """A shell starts what it puts behind with interrupts ignored, and a child inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run(program: Sequence[str], seconds: float, more: Mapping[str, str] = NONE) -> tuple[int | None, str]:
    """(exit status, None where it took too long; the end of what it printed). more: of the environment."""
    own = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false", **more}
    # on several GPUs transformers' Trainer would share each batch among them
    environment = {"CUDA_VISIBLE_DEVICES": "0", **os.environ, **own}
    with subprocess.Popen(
        [sys.executable, *program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT, errors="replace", preexec_fn=_heed_interrupts,
    ) as started:  # fmt: skip
        try:
            printed, _ = started.communicate(timeout=max(1.0, seconds))
            return started.returncode, printed[-MOST_PRINTED:]
        except subprocess.TimeoutExpired:
            started.send_signal(signal.SIGINT)  # what it has by then is told all the same
        try:
            printed, _ = started.communicate(timeout=LAST_SECONDS)
        except subprocess.TimeoutExpired:
            started.kill()
            printed, _ = started.communicate()
    return None, f"took longer than {seconds:.0f} s\n{printed[-MOST_PRINTED:]}"


def tested(device: str, out: Path, only: str) -> dict[str, Any]:
    """The tests' outcomes by kind, the names of those that failed, and what they measured."""
    file = out / "tests.jsonl"
    marks = "gpu" if device == "cuda" else "not gpu and not slow"
    program = ["-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "benchmarks.outcomes"]
    asked = [*program, "-m", marks, *(["-k", only] if only else []), *TESTS]
    status, printed = run(asked, TESTS_LIMIT, {outcomes.FILE: str(file), **environment_on(device)})
    found: dict[str, Any] = {"passed": 0, "failed": [], "skipped": [], "figures": {}}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        case = json.loads(line)
        if case["outcome"] == "passed":
            found["passed"] += 1
        else:
            found[case["outcome"]].append(case["name"])
        found["figures"] |= case["properties"]
    found["ok"] = status == 0 and found["passed"] > 0 and not found["failed"]
    return found if found["ok"] else {**found, "printed": printed}


def benchmarked(
    device: str, out: Path, model: Path | None, seconds: float, more: Sequence[str]
) -> dict[str, Any]:
    """The benchmark's rows, and its table as text."""
    file = out / "trainer.csv"
    chosen = [] if model is None else ["--model", str(model)]
    begin = f"{max(0.0, seconds * 0.8):.0f}"  # a repeat that began then has the rest
    size = ON_A_CPU if device == "cpu" else ()
    program = ["-m", "benchmarks.trainer", "--device", device, "--csv", str(file), "--seconds", begin, *size]
    status, printed = run([*program, *chosen, *more], seconds, environment_on(device))
    if not file.exists():
        return {"ok": False, "printed": printed}
    with file.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    found = {"ok": status == 0, "rows": rows, "table": trainer.table([trainer.read(row) for row in rows])}
    return found if found["ok"] else {**found, "printed": printed}


def machine(device: str) -> dict[str, Any]:
    """Where the figures were measured."""
    here: dict[str, Any] = {"python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            here[name] = version(name)
        except PackageNotFoundError:
            here[name] = None
    if device == "cuda":
        found = torch.cuda.get_device_properties(0)
        here |= {
            "gpu": found.name,
            "gpu_gib": round(found.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
        }
        here["capability"] = ".".join(map(str, torch.cuda.get_device_capability(0)))
    return {**here, "cpus": len(os.sched_getaffinity(0))}


def words(summary: dict[str, Any]) -> str:
    """The summary for people."""
    tests, benchmark = summary["tests"], summary["benchmark"]
    lines = [f"{summary['date']}  {'passed' if summary['ok'] else 'FAILED'}  {summary['seconds']:.0f} s"]
    lines += [f"  {name}: {value}" for name, value in summary["machine"].items()]
    lines.append(
        f"tests: {tests['passed']} passed, {len(tests['failed'])} failed, {len(tests['skipped'])} skipped"
    )
    lines += [f"  failed: {name}" for name in tests["failed"]]
    lines += [f"  {name}: {value}" for name, value in sorted(tests["figures"].items())]
    lines += [f"benchmark, {summary['model']}:", benchmark.get("table", "  failed")]
    lines += [one["printed"] for one in (tests, benchmark) if "printed" in one]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu_results"))
    parser.add_argument(
        "--model", type=Path, help=f"a folder, such as that of {MODEL}; else the embedded model"
    )
    parser.add_argument("--only", default="", help="of the tests, those whose name has this (pytest -k)")
    given, more = parser.parse_known_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} sees no GPU; `--device cpu` runs the same bodies here",
            file=sys.stderr,
        )
        return 2
    began, out = time.monotonic(), given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for stale in ("tests.jsonl", "trainer.csv"):
        (out / stale).unlink(missing_ok=True)
    tests = tested(given.device, out, given.only)
    left = LIMIT - (time.monotonic() - began)
    benchmark = benchmarked(given.device, out, given.model, left, more)
    summary = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "ok": tests["ok"] and benchmark["ok"],
        "seconds": round(time.monotonic() - began, 1),
        "device": given.device,
        "machine": machine(given.device),
        "model": given.model.name if given.model else "the embedded model",
        "tests": tests,
        "benchmark": benchmark,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (out / "summary.txt").write_text(words(summary), encoding="utf-8")
    print(words(summary), end="")
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
