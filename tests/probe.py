"""What a command loads, seen in `sys.modules` of a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def loaded(code: str, folder: Path) -> set[str]:
    """Top-level packages outside the standard library that running the code leaves in `sys.modules`."""
    probe = (
        f"{code}\nimport json, sys\nprint(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    )
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
    return set(json.loads(done.stdout)) - set(sys.stdlib_module_names)


def verb(*words: str) -> str:
    return VERB.format(words=list(words))
