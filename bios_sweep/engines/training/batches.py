"""Which examples make which batch, and how a batch becomes tensors.

A batch is a pure function of (seed, batch size, step) over one example stream per seed, so arms share
their data, a resumed trial continues exactly, and batch sizes differ in how they cut the stream, not
in what it holds. Random numbers are raw Philox output, which numpy promises never to change, while the
methods of its `Generator` may change between versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from bios_sweep.engines.training.tokens import TokenizedExample

TENSORS = ("input_ids", "sources", "targets")
CPU = torch.device("cpu")


def philox(count: int, *key: object) -> np.ndarray:
    """`count` raw 64-bit numbers that depend on the key alone; a shorter draw is a prefix of a longer."""
    digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(count)


def uniform(count: int, *key: object) -> np.ndarray:
    """`count` float64 numbers in [0, 1) from `philox`: the upper 53 bits of each."""
    return (philox(count, *key) >> np.uint64(11)) * 2.0**-53


@lru_cache(maxsize=2)  # 8 bytes an example each
def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """Permutation of the training examples in one pass, shape (examples,)."""
    return np.argsort(philox(examples, "example order", seed, epoch), kind="stable")


def batch_indices(seed: int, batch_size: int, step: int, examples: int) -> np.ndarray:
    """Indices of the training examples in batch `step` (from 0), shape (batch_size,).

    Position p of the stream holds example p % examples of the permutation of pass p // examples.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    passes = positions // examples
    return np.concatenate(
        [
            epoch_order(seed, int(epoch), examples)[positions[passes == epoch] % examples]
            for epoch in np.unique(passes)
        ]
    )


@dataclass(frozen=True, kw_only=True)
class MicroBatch:
    """Examples that go through the model in one piece, padded on the right.

    input_ids: (rows, length); the last token of an example predicts nothing and is left out. No mask is
    needed: attention is causal, so no token that counts ever sees the padding to its right.
    sources: (n,), positions in the flattened (rows * length) hidden states that predict completion
    tokens. targets: (n,), those tokens. owners: (n,), each target's example as it was numbered.
    """

    input_ids: torch.Tensor
    sources: torch.Tensor
    targets: torch.Tensor
    owners: np.ndarray

    def ready(self) -> MicroBatch:
        """In memory from which a GPU fetches by itself, while the processor goes on."""
        pinned = {name: getattr(self, name).pin_memory() for name in TENSORS}
        return replace(self, **pinned)

    def on(self, device: torch.device) -> MicroBatch:
        """On a device; nothing waits for it."""
        there = {name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS}
        return replace(self, **there)


def micro_batches(
    examples: Sequence[TokenizedExample], size: int, device: torch.device
) -> Iterator[MicroBatch]:
    """Cut one batch into micro-batches of at most `size` examples of similar length.

    Sorting happens inside the given batch only, so it saves padding and never changes which examples
    an optimizer step sees. Owners are positions in `examples`.
    """
    order = sorted(range(len(examples)), key=lambda index: (len(examples[index].input_ids), index))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield collated([examples[index] for index in rows], np.array(rows), device)


def token_batches(
    examples: Sequence[TokenizedExample], size: int, device: torch.device
) -> Iterator[MicroBatch]:
    """All examples, the shortest first, in batches of as many tokens as `size` of the longest have.

    Padding counts as tokens, so that no batch takes more memory than `size` of the longest would. Owners are
    positions in `examples`.
    """
    lengths = np.array([len(example.input_ids) for example in examples])
    order = np.argsort(lengths, kind="stable")
    most, begin = size * int(lengths.max()), 0
    while begin < len(order):
        coming = lengths[order[begin : begin + most // max(1, int(lengths[order[begin]]))]]
        padded = coming * np.arange(1, len(coming) + 1)  # tokens with each example more
        end = begin + max(1, int(np.searchsorted(padded, most, side="right")))
        rows = order[begin:end]
        yield collated([examples[row] for row in rows], rows, device)
        begin = end


def halves(batch: MicroBatch) -> tuple[MicroBatch, MicroBatch]:
    """The first rows and the others, targets in the same order."""
    rows, columns = batch.input_ids.shape
    border = rows // 2
    first = batch.sources < border * columns
    owned = first.cpu().numpy()
    return (
        MicroBatch(
            input_ids=batch.input_ids[:border],
            sources=batch.sources[first],
            targets=batch.targets[first],
            owners=batch.owners[owned],
        ),
        MicroBatch(
            input_ids=batch.input_ids[border:],
            sources=batch.sources[~first] - border * columns,
            targets=batch.targets[~first],
            owners=batch.owners[~owned],
        ),
    )


def collated(examples: Sequence[TokenizedExample], owners: np.ndarray, device: torch.device) -> MicroBatch:
    """Examples as one micro-batch, in their order. owners: their numbers."""
    length = max(len(example.input_ids) for example in examples) - 1
    ids = np.zeros((len(examples), length), dtype=np.int64)
    sources, targets = [], []
    for row, example in enumerate(examples):
        ids[row, : len(example.input_ids) - 1] = example.input_ids[:-1]
        for start, end in example.learned:
            sources.append(np.arange(row * length + start - 1, row * length + end - 1))
            targets.append(np.asarray(example.input_ids[start:end], dtype=np.int64))
    counts = [example.supervised_tokens for example in examples]
    return MicroBatch(
        input_ids=torch.from_numpy(ids).to(device),
        sources=torch.from_numpy(np.concatenate(sources)).to(device),
        targets=torch.from_numpy(np.concatenate(targets)).to(device),
        owners=np.repeat(owners, counts),
    )
