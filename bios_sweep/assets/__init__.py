"""What ships inside the package: the tiny base model and the scripts that made it."""

from __future__ import annotations

from pathlib import Path


def base_model_path() -> Path:
    """The folder of the embedded base model, in the form that `from_pretrained` reads."""
    return Path(__file__).resolve().parent / "base_model"
