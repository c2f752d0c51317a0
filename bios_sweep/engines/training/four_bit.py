"""A base in four bits (QLoRA): NF4 with double quantisation, by bitsandbytes. Light."""

from __future__ import annotations

from importlib import metadata, util

from bios_sweep.settings import QLORA, TrainingSettings

PACKAGE = "bitsandbytes"
SUFFIX = " nf4"  # of what a base is kept under, beside its number format
INSTALL = "install bios-sweep[qlora], or choose method=lora"
LEAST = (0, 50)  # the version whose CPU and GPU code the tests ran


def why_not() -> str:
    """Why no base can be quantised here, with the way out; empty where one can."""
    if util.find_spec(PACKAGE) is None:
        return f"method.trains=qlora: {PACKAGE} is not installed; {INSTALL}"
    version = metadata.version(PACKAGE)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < LEAST:
        least = ".".join(map(str, LEAST))
        return f"method.trains=qlora: {PACKAGE} {version} is older than {least}; {INSTALL}"
    return ""


def version() -> str:
    """What decides the numbers of a base in four bits."""
    return f"{PACKAGE} {metadata.version(PACKAGE)}" if util.find_spec(PACKAGE) else f"{PACKAGE} absent"


def kind_of(settings: TrainingSettings) -> str:
    """What a base is kept under: its number format, and whether it is in four bits."""
    return f"{settings.dtype}{SUFFIX}" if settings.method == QLORA else settings.dtype


def split(kind: str) -> tuple[str, bool]:
    """(number format, whether in four bits)."""
    return kind.removesuffix(SUFFIX), kind.endswith(SUFFIX)
