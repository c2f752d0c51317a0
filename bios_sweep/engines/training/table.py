"""Tokenised examples in files that all processes of a node share: prepared once, mapped, never copied.

A tuple of Python's integers costs 34 bytes a token in every worker; here a token is 2 or 4 bytes of one file,
which the system keeps in memory once, whoever reads it.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, overload

import numpy as np
from filelock import FileLock

from bios_sweep.engines.training.corpus import cache_folder
from bios_sweep.engines.training.tokens import TokenizedExample
from bios_sweep.errors import StorageError
from bios_sweep.sealed import file_digest
from bios_sweep.study.trials import short_hash

_log = logging.getLogger(__name__)

FORMAT = "bios_sweep tokens 1"  # raise it when the files, or what is written into them, change their meaning
FACTS = "facts.json"
UNUSED_DAYS = 30  # chosen: then a table is removed, which costs a later study its preparation
# Beside the ids, the arrays of a table: where each example and its asides end, numbers of each example.
ARRAYS = {"ends": "int64", "prompts": "int32", "bytes": "int32", "clusters": "int32", "aside_ends": "int64"}


class TokenTable(Sequence[TokenizedExample]):
    """Examples of one side of a data set at one length. A cluster is named by its number."""

    def __init__(self, folder: Path, rows: np.ndarray | None = None) -> None:
        self._folder, self._rows = folder, rows
        self._facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        kinds = {"ids": self._facts["dtype"], "asides": "int32", **ARRAYS}
        self._arrays = {name: _mapped(folder / name, dtype) for name, dtype in kinds.items()}

    def __len__(self) -> int:
        return len(self._arrays["prompts"]) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> TokenizedExample: ...
    @overload
    def __getitem__(self, index: slice) -> TokenTable: ...
    def __getitem__(self, index: int | slice) -> TokenizedExample | TokenTable:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        place = int(index) % len(self)
        row = place if self._rows is None else int(self._rows[place])
        of = self._arrays
        begin, aside = (int(of[name][row - 1]) if row else 0 for name in ("ends", "aside_ends"))
        return TokenizedExample(
            input_ids=of["ids"][begin : int(of["ends"][row])],
            prompt_length=int(of["prompts"][row]),
            completion_bytes=int(of["bytes"][row]),
            cluster=str(of["clusters"][row]),
            asides=tuple(
                map(tuple, of["asides"].reshape(-1, 2)[aside : int(of["aside_ends"][row])].tolist())
            ),
        )

    def subset(self, rows: np.ndarray) -> TokenTable:
        """The examples at these places, in their order."""
        return TokenTable(self._folder, rows if self._rows is None else self._rows[rows])

    @property
    def longest(self) -> int:
        """Tokens of the longest example of the whole table."""
        return int(self._facts["longest"])

    @property
    def largest(self) -> int:
        """The largest token of the whole table."""
        return int(self._facts["largest"])


def prepared(
    identity: Mapping[str, Any], vocabulary: int, make: Callable[[], Iterable[TokenizedExample]]
) -> TokenTable:
    """The table of that identity: this node's, or made here by the first process that needs it.

    identity: all that decides the tokens. vocabulary: how many different tokens there may be.
    """
    root = _root()
    folder = root / short_hash({"format": FORMAT, **identity}, 32)
    with FileLock(folder.with_suffix(".lock")):
        if not _whole(folder):
            _remove_unused(root)
            _write(folder, make(), "uint16" if vocabulary <= 2**16 else "uint32")
        os.utime(folder)
    return TokenTable(folder)


def _write(folder: Path, examples: Iterable[TokenizedExample], dtype: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        with (fresh / "ids").open("wb") as ids:
            arrays, extremes = _spread(examples, ids, dtype)
        for name, values in arrays.items():
            np.asarray(values, dtype=ARRAYS.get(name, "int32")).tofile(fresh / name)
        digests = {name: file_digest(fresh / name) for name in ("ids", *arrays)}
        facts = {"format": FORMAT, "dtype": dtype, **extremes, "digests": digests}
        (fresh / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        fresh.rename(folder)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise StorageError(
            f"{folder}: the tokens cannot be written ({error.strerror or error}); free some space, or set "
            "XDG_CACHE_HOME to another folder"
        ) from error


def _spread(
    examples: Iterable[TokenizedExample], ids: Any, dtype: str
) -> tuple[dict[str, array[int]], dict[str, int]]:
    """Write the ids one behind the other; what else an example is goes into arrays."""
    arrays = {name: array("q") for name in (*ARRAYS, "asides")}
    numbers: dict[str, int] = {}
    end = aside_end = longest = largest = 0
    for example in examples:
        tokens = np.asarray(example.input_ids, dtype=np.int64)
        ids.write(tokens.astype(dtype).tobytes())
        end, aside_end = end + len(tokens), aside_end + len(example.asides)
        longest, largest = max(longest, len(tokens)), max(largest, int(tokens.max()))
        arrays["ends"].append(end)
        arrays["prompts"].append(example.prompt_length)
        arrays["bytes"].append(example.completion_bytes)
        arrays["clusters"].append(numbers.setdefault(example.cluster, len(numbers)))
        arrays["aside_ends"].append(aside_end)
        arrays["asides"].extend(place for pair in example.asides for place in pair)
    return arrays, {"longest": longest, "largest": largest}


def _whole(folder: Path) -> bool:
    """Whether a table is there and holds what was written."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        wrong = [name for name, told in facts["digests"].items() if file_digest(folder / name) != told]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        wrong = [FACTS]
    if wrong:
        _log.warning("%s: is damaged (%s) and prepared again", folder, ", ".join(wrong))
    return not wrong


def _remove_unused(root: Path) -> None:
    for facts in root.glob(f"*/{FACTS}"):
        with suppress(OSError):
            if facts.parent.stat().st_mtime < time.time() - UNUSED_DAYS * 86_400:
                shutil.rmtree(facts.parent)


def _mapped(path: Path, dtype: str) -> np.ndarray:
    if not path.stat().st_size:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r")


@cache
def _root() -> Path:
    """The user's cache; where that cannot be written, a folder of this process."""
    folder = cache_folder()
    if folder is not None:
        with suppress(OSError):
            (folder / "tokens").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder / "tokens"):
                return folder / "tokens"
    own = Path(tempfile.mkdtemp(prefix="bios_sweep-tokens-"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own
