"""What a command loads, seen in `sys.modules` of a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "peft", "ray", "mlflow", "optuna", "datasets", "matplotlib", "pandas"}
VERB = """
from contextlib import redirect_stdout, suppress
import io
from bios_sweep.cli.main import main
with redirect_stdout(io.StringIO()), suppress(SystemExit):
    code = main({words!r})
    assert code == 0, code
"""


SEEN = "import json, sys\nprint(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"


def loaded(code: str, folder: Path) -> set[str]:
    """Top-level packages outside the standard library that running the code leaves in `sys.modules`."""
    [packages] = loaded_after_each([code], folder)
    return packages


def loaded_after_each(codes: Sequence[str], folder: Path) -> list[set[str]]:
    """The same after each code, one after another in one process: what an earlier one loads stays loaded."""
    probe = "\n".join(f"{code}\n{SEEN}" for code in codes)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder), "PYTHONWARNINGS": ""}
    done = subprocess.run(
        [sys.executable, "-c", probe],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[-len(codes) :]
    return [set(json.loads(line)) - set(sys.stdlib_module_names) for line in lines]


def verb(*words: str) -> str:
    return VERB.format(words=list(words))
