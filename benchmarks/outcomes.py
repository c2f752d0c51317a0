"""A plugin of pytest: a line of JSON per test as it ends, so that a run that is cut keeps what it has.

OUTCOMES=/tmp/outcomes.jsonl python -m pytest -p benchmarks.outcomes ...
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = "OUTCOMES"  # the variable that names the file


def pytest_runtest_logreport(report: Any) -> None:
    """A test's call, or what kept it from being called."""
    if report.when == "call" or not report.passed:
        line = {
            "name": report.nodeid.rpartition("::")[2],
            "outcome": report.outcome,
            "properties": dict(report.user_properties),
        }
        with Path(os.environ[FILE]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")
