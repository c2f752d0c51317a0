"""Groups of examples that stay on one side: those of a cluster, or those that say the same.

A group's side is a hash of what it is, so that rows added later move no old one.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bios_sweep.engines.training.data import Example
from bios_sweep.engines.training.split import EmptySide, Sides, below, by_hash, identity, require_two, taken

CONTENT, NORMALISED, CLUSTER = RULES = ("content", "normalised", "cluster")  # of `data.split`

Key = Callable[[Example], bytes]


class _Spaced(dict[int, int]):
    """For `str.translate`: marks, blanks and control characters as blanks, looked up once each."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(" ") if unicodedata.category(chr(code))[0] in "PZC" else code
        return self[code]


_SPACED = _Spaced()


def normalised(text: str) -> str:
    """A text without what does not count between two that say the same.

    Case, white space, punctuation and the ways that Unicode has of writing one character (NFKC).
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    # where a text is all marks, as a line of code may be, they are what it says
    return " ".join(plain.translate(_SPACED).split()) or " ".join(plain.split())


def normalised_identity(example: Example) -> bytes:
    """sha256 of what an example says, normalised: equal means the same for people."""
    turns = [text for one in example.messages for text in (one.role, one.content, one.more)]
    parts = (*turns, example.prompt, example.completion, example.tools)
    return hashlib.sha256("\0".join(map(normalised, parts)).encode()).digest()


def cluster_identity(example: Example) -> bytes:
    """sha256 of the cluster's name."""
    return hashlib.sha256(example.cluster.encode()).digest()


KEYS: dict[str, Key] = {CONTENT: identity, NORMALISED: normalised_identity, CLUSTER: cluster_identity}


def split_groups(
    examples: Sequence[Example], key: Key, path: Path, *, fraction: float | None, count: int | None
) -> Sides:
    """Training examples in file order, evaluation examples in hash order; no group is on both sides.

    fraction: a group is held out if its hash falls below it, whatever else is in the file. count: groups are
    held out in the order of their hashes while they fit into it, which may hold out fewer.

    Raises:
        DataError: one side is empty.
    """
    keys = np.frombuffer(b"".join(map(key, examples)), dtype=">u8").reshape(-1, 4).astype(np.uint64)
    chosen = below(keys, fraction) if fraction is not None else _fitting(keys, count or 0)
    train = taken(examples, np.flatnonzero(~chosen))
    held_out = by_hash(taken(examples, np.flatnonzero(chosen)))
    if not len(train) or not len(held_out):
        require_two(examples, path)
        asked = f"data.eval_fraction={fraction:g}" if fraction is not None else f"data.eval_examples={count}"
        raise EmptySide(
            f"{path}: {asked} of {len(examples)} examples in {len(np.unique(keys, axis=0))} groups holds out "
            f"{len(held_out)} and leaves {len(train)} for training, for a group is never torn apart; ask for "
            "another share, or give data.eval_path"
        )
    return train, held_out


def _fitting(keys: np.ndarray, count: int) -> np.ndarray:
    """Which examples are of a group that is held out, shape (examples,)."""
    _, groups, sizes = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    chosen, left = np.zeros(len(sizes), dtype=bool), count
    for group, size in enumerate(sizes.tolist()):
        if size <= left:
            chosen[group] = True
            left -= size
    return np.asarray(chosen[groups.reshape(-1)])
