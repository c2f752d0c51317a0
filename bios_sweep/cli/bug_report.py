"""The last net: an error that nobody foresaw becomes one sentence, and a file that helps to mend it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bios_sweep.secrecy import masked
from bios_sweep.version import __version__

UNFORESEEN = 1
PACKAGES = ("hydra-core", "omegaconf", "numpy", "ray", "torch", "transformers", "peft", "mlflow", "optuna")
LONGEST = 100_000  # characters of the report; chosen: a traceback of endless recursion has millions


def leave_report(error: BaseException, words: Sequence[str]) -> Path | None:
    """Write versions, the command and the traceback, without secrets; None where no file can be written."""
    name = f"bios-sweep-bug-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    path = Path(tempfile.gettempdir()) / name
    with suppress(OSError):
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(_text(error, words), encoding="utf-8", errors="backslashreplace")
        return path
    return None


def sentence_of(error: BaseException, report: Path | None) -> str:
    """What a person is told."""
    first = (str(error).strip().splitlines() or [""])[0]
    what = f"{type(error).__name__}: {first}" if first else type(error).__name__
    where = (
        "--debug shows where" if report is None else f"please send {report} (secrets are masked; look first)"
    )
    return f"something went wrong that should not have ({what}); it is not your input's fault alone: {where}"


def _text(error: BaseException, words: Sequence[str]) -> str:
    trace = "".join(traceback.format_exception(error, limit=-30))
    parts = [
        f"bios-sweep {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        f"command: bios-sweep {' '.join(words)}",
        f"executable: {Path(sys.executable).name}",
        trace,
    ]
    return masked("\n".join(part[:LONGEST] for part in parts))


def _version(name: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return "absent"
