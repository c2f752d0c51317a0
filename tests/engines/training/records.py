"""The records of a file as examples, before they are split."""

from __future__ import annotations

from pathlib import Path

from bios_sweep.containers.source import source_of
from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.shapes.asked import AS_EVER, Asked
from bios_sweep.engines.training.shapes.reading import Reader


def read_examples(path: Path, asked: Asked = AS_EVER) -> list[Example]:
    return list(Reader(asked)(source_of(path).read()))
