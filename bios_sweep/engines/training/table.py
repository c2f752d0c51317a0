"""Tokenised examples in files that all processes of a node share: prepared once, mapped, never copied.

A tuple of Python's integers costs 34 bytes a token in every worker; here a token is 2 or 4 bytes of one file,
which the system keeps in memory once, whoever reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from bios_sweep.engines.training.kept import code_digest, kept_folder, mapped
from bios_sweep.engines.training.tokens import TokenizedExample

FORMAT = "bios_sweep tokens 2"  # raise it when the files, or what is written into them, change their meaning
# Beside the ids, the arrays of a table: where each example and its asides end, numbers of each example.
ARRAYS = {"ends": "int64", "prompts": "int32", "bytes": "int32", "clusters": "uint64", "aside_ends": "int64"}
BLOCK = 5000  # examples that are held while the others are written; chosen


class TokenTable(Sequence[TokenizedExample]):
    """Examples of one side of a data set at one length.

    A cluster is named by a number that its name decides.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any], rows: np.ndarray | None = None) -> None:
        self._folder, self._facts, self._rows = folder, facts, rows
        kinds = {"ids": self._facts["dtype"], "asides": "int32", **ARRAYS}
        self._arrays = {name: mapped(folder / name, dtype) for name, dtype in kinds.items()}

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
        return TokenTable(self._folder, self._facts, rows if self._rows is None else self._rows[rows])

    @property
    def name(self) -> str:
        """What of the whole table its identity decides: two of one name hold the same."""
        return self._folder.name

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

    Raises:
        StorageError: the node's cache cannot be written.
    """
    dtype = "uint16" if vocabulary <= 2**16 else "uint32"
    identity = {"format": FORMAT, "code": code_digest(), **identity}
    folder, facts = kept_folder("tokens", "the tokens", identity, lambda fresh: _write(fresh, make(), dtype))
    return TokenTable(folder, facts)


def _write(folder: Path, examples: Iterable[TokenizedExample], dtype: str) -> dict[str, Any]:
    """Leave a table's files in a folder, block by block; returns its facts."""
    kinds = {"ids": dtype, "asides": "int32", **ARRAYS}
    longest = largest = 0
    end, source = {"ends": 0, "aside_ends": 0}, iter(examples)
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("wb")) for name in kinds}
        while block := list(islice(source, BLOCK)):
            columns = _columns(block)
            longest = max(longest, *map(len, columns["ids"]))
            columns["ids"] = np.concatenate(columns["ids"])
            largest = max(largest, int(columns["ids"].max()))
            for name, values in columns.items():
                column = np.asarray(values)
                if name in end:
                    column = end[name] + np.cumsum(column)
                    end[name] = int(column[-1])
                files[name].write(column.astype(kinds[name]).tobytes())
    return {"format": FORMAT, "dtype": dtype, "longest": longest, "largest": largest}


def _columns(block: Sequence[TokenizedExample]) -> dict[str, Any]:
    """What goes into each file of a table; ends are lengths as yet, ids apart by example."""
    return {
        "ids": [np.asarray(example.input_ids, dtype=np.int64) for example in block],
        "ends": [len(example.input_ids) for example in block],
        "prompts": [example.prompt_length for example in block],
        "bytes": [example.completion_bytes for example in block],
        "clusters": np.array([_number_of(example.cluster) for example in block], dtype=np.uint64),
        "aside_ends": [len(example.asides) for example in block],
        "asides": [place for example in block for pair in example.asides for place in pair],
    }


def _number_of(cluster: str) -> int:
    return int.from_bytes(hashlib.blake2b(cluster.encode(), digest_size=8).digest(), "little")
