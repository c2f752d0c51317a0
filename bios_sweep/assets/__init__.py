"""What ships inside the package: the tiny base model and a text of general English."""

from __future__ import annotations

from pathlib import Path


def general_text_path() -> Path:
    """Passages of general English, one a line: what a model should not forget."""
    return Path(__file__).resolve().parent / "general_text.txt"


def base_model_path() -> Path:
    """The folder of the embedded base model, in the form that `from_pretrained` reads."""
    return Path(__file__).resolve().parent / "base_model"
