"""Preference pairs as tokens, both answers side by side, with what the reference gives each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from bios_sweep.engines.training.data import ANSWERS
from bios_sweep.engines.training.table import TokenTable
from bios_sweep.engines.training.tokens import TokenizedExample


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A pair as tokens. reference: summed log-probabilities of both answers by the untouched model."""

    chosen: TokenizedExample
    rejected: TokenizedExample
    reference: tuple[float, float]

    @property
    def longest(self) -> int:
        """Tokens of the longer sequence."""
        return max(len(self.chosen.input_ids), len(self.rejected.input_ids))


class PairTable(Sequence[Pair]):
    """The pairs of one side, of a table that has both sequences of each behind one another.

    reference: (pairs, 2), of the table's own rows.
    """

    def __init__(self, table: TokenTable, reference: np.ndarray) -> None:
        self._table, self._reference = table, reference

    def __len__(self) -> int:
        return len(self._table) // ANSWERS

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> PairTable: ...
    def __getitem__(self, index: int | slice) -> Pair | PairTable:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        place = range(len(self))[int(index)]
        chosen, rejected = self._reference[place].tolist()
        return Pair(
            chosen=self._table[ANSWERS * place],
            rejected=self._table[ANSWERS * place + 1],
            reference=(chosen, rejected),
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest answer with its prompt, of the whole table."""
        return self._table.longest

    def subset(self, rows: np.ndarray) -> PairTable:
        """The pairs at these places, in their order."""
        both = np.stack([ANSWERS * rows, ANSWERS * rows + 1], axis=1).ravel()
        return PairTable(self._table.subset(both), self._reference[rows])
