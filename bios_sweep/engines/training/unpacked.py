"""No wait for the device to learn that sequences are not packed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import masking_utils

LOOK = (
    "find_packed_sequence_indices"  # read in transformers 5.23's masking_utils; absent in others, it is none
)


@contextmanager
def never_packed() -> Iterator[None]:
    """A forward pass of rows that are one example each.

    transformers looks at the values of the positions of every batch for those of packed sequences, for which
    the processor has to wait until the device has done all that was asked of it. Ours are never packed, and
    the answer is known.
    """
    there: Any = masking_utils
    look = getattr(there, LOOK, None)
    if look is None:
        yield
        return
    setattr(there, LOOK, lambda position_ids: None)
    try:
        yield
    finally:
        setattr(there, LOOK, look)
