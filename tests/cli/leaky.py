"""A user's training function that is careless with secrets, for the tests that look for them afterwards."""

from __future__ import annotations

import os
import sys
from typing import Any

SECRET_VARIABLES = ("MLFLOW_TRACKING_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY")


def careless(settings: Any, seed: int, report: Any) -> float:
    """Prints what it holds on both streams, writes none of it, and at seed 2 fails with it in the message."""
    held = " ".join(os.environ[name] for name in SECRET_VARIABLES)
    print("the environment is", held)
    print("the environment is", held, file=sys.stderr)
    report(3.0, step=0)
    if seed == 2:
        raise RuntimeError(f"401 for https://someone:{os.environ['HF_TOKEN']}@hub.example/x with {held}")
    return 2.0 + settings.learning_rate + seed / 100
