"""The embedded data: signature -> summary pairs of the standard library that is running us.

Real instruction-style text that every machine already has. Whole modules are held out, so that an
evaluation example never shares its module with a training example, and no summary is on both sides.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.engines.training.stdlib import (
    ModuleFile,
    Pair,
    documented_pairs,
    is_evaluation_module,
    module_files,
)
from bios_sweep.errors import DataError, StorageError

MOST_PER_MODULE = 60  # pairs; chosen: tkinter alone has 458 and would be a tenth of the data
CACHE_VERSION = 2  # raise it when `stdlib.documented_pairs` finds other pairs in the same files
QUESTION = "Explain"


def embedded_examples(limit_evaluation: int | None = None) -> DataSet:
    """About 4 000 training and 1 500 evaluation pairs of the running CPython, `cluster` = module.

    Both sides are in the order of a hash of the example, so that the first `limit_evaluation`
    evaluation examples are a fair sample of all of them and contain every smaller sample.

    Raises:
        DataError: the limit is not positive or more than there is, or this Python has no sources.
    """
    pairs = _capped(_distinct(_ordered(read_pairs())))
    train = tuple(_example(pair) for pair in pairs if not is_evaluation_module(pair.module))
    evaluation = tuple(_example(pair) for pair in pairs if is_evaluation_module(pair.module))
    if limit_evaluation is not None and not 1 <= limit_evaluation <= len(evaluation):
        raise DataError(
            f"data.eval_examples: {limit_evaluation} asked of the embedded data, "
            f"which has {len(evaluation)}; choose 1 to {len(evaluation)}"
        )
    return DataSet(
        name="embedded",
        train=train,
        evaluation=evaluation[:limit_evaluation],
        source=f"standard library of CPython {platform.python_version()}",
    )


def read_pairs() -> tuple[Pair, ...]:
    """Every pair of the running library, duplicates included, from the cache where it is current.

    Parsing 600 files takes some seconds on a slow machine; each `plan` would pay them again.
    """
    files = module_files()
    folder = cache_folder()
    cache = folder / f"stdlib-{_digest(files)[:16]}.json" if folder else None
    pairs = _read_cache(cache) if cache else None
    if pairs is None:
        pairs = tuple(pair for file in files for pair in documented_pairs(file))
        if cache:
            _write_cache(cache, pairs)
    return pairs


def cache_folder() -> Path | None:
    """The user's cache folder of this package, by the XDG convention; None for a user without a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # the convention says that a relative path is invalid and must be ignored
        return base / "bios_sweep"
    try:
        return Path.home() / ".cache" / "bios_sweep"
    except RuntimeError:  # containers run under numbers that no user has
        return None


def _digest(files: Iterable[ModuleFile]) -> str:
    digest = hashlib.sha256(f"{CACHE_VERSION} {platform.python_version()}".encode())
    for file in files:
        stat = file.path.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read_cache(path: Path) -> tuple[Pair, ...] | None:
    """The cached pairs; None if there are none or the file is damaged, which only costs a rebuild."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return tuple(Pair(module=str(m), signature=str(s), summary=str(t)) for m, s, t in rows)
    except (OSError, ValueError, TypeError):
        return None


def _write_cache(path: Path, pairs: tuple[Pair, ...]) -> None:
    """Keep the pairs for the next start.

    A folder that cannot be written (a container, a read-only home) means no cache and no complaint:
    the pairs are the same, only found more slowly, and the user can do nothing about it here.
    """
    content = json.dumps([astuple(pair) for pair in pairs], ensure_ascii=False)
    try:
        write_atomically(path, content)
    except StorageError:
        return


def _ordered(pairs: Iterable[Pair]) -> list[Pair]:
    """By a hash of the content: independent of file order, and any prefix is a fair sample."""
    return sorted(pairs, key=lambda pair: hashlib.sha256("\n".join(astuple(pair)).encode()).digest())


def _distinct(pairs: Iterable[Pair]) -> list[Pair]:
    """The first pair of every summary, training modules first.

    A model pretrained on the training modules knows their summaries: none may be evaluated on.
    """
    first: dict[str, Pair] = {}
    for pair in sorted(pairs, key=lambda pair: is_evaluation_module(pair.module)):
        first.setdefault(" ".join(pair.summary.casefold().split()), pair)
    return list(first.values())


def _capped(pairs: Iterable[Pair]) -> list[Pair]:
    taken: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        taken[pair.module] += 1
        if taken[pair.module] <= MOST_PER_MODULE:
            kept.append(pair)
    return kept


def _example(pair: Pair) -> Example:
    return Example(
        prompt=f"{QUESTION} {pair.signature}\n",
        completion=pair.summary,
        cluster=pair.module,
        origin=pair.signature,
    )
