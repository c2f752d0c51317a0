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
from bios_sweep.engines.training.split import Sides, hash_order, identities, identity, taken
from bios_sweep.errors import DataError

CONTENT, NORMALISED, CLUSTER = RULES = ("content", "normalised", "cluster")  # of `data.split`

Key = Callable[[Example], bytes]


def normalised(text: str) -> str:
    """A text without what does not count between two that say the same.

    Case, white space, punctuation and the ways that Unicode has of writing one character (NFKC).
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(one if one.isalnum() else " " for one in plain)
    # where a text is all signs, as a sum or a line of code may be, they are what it says
    return " ".join(kept.split()) or " ".join(plain.split())


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
    keys = [key(example) for example in examples]
    chosen = _below(keys, fraction) if fraction is not None else _fitting(keys, count or 0)
    out = np.fromiter((group in chosen for group in keys), dtype=bool, count=len(keys))
    train, held_out = np.flatnonzero(~out), np.flatnonzero(out)
    if not len(train) or not len(held_out):
        asked = f"data.eval_fraction={fraction:g}" if fraction is not None else f"data.eval_examples={count}"
        raise DataError(
            f"{path}: {asked} of {len(examples)} examples in {len(set(keys))} groups holds out "
            f"{len(held_out)} and leaves {len(train)} for training, for a group is never torn apart; ask for "
            "another share, or give data.eval_path"
        )
    evaluation = taken(examples, held_out)
    return taken(examples, train), taken(evaluation, hash_order(identities(evaluation)))


def _below(keys: Sequence[bytes], fraction: float) -> set[bytes]:
    return {key for key in keys if int.from_bytes(key[:8], "big") < fraction * 2**64}


def _fitting(keys: Sequence[bytes], count: int) -> set[bytes]:
    sizes: dict[bytes, int] = {}
    for key in keys:
        sizes[key] = sizes.get(key, 0) + 1
    chosen: set[bytes] = set()
    left = count
    for key in sorted(sizes):
        if sizes[key] <= left:
            chosen.add(key)
            left -= sizes[key]
    return chosen
