"""The devices that a test's body runs on: the CPU in every suite, a GPU with `-m gpu` where torch sees one.

Bodies are the same, so that what a GPU is asked has been seen to pass, and to fail, on a CPU. What they
measure they leave as properties of the test, which `make gpu` puts into its summary.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")],
)
on_each_device = pytest.mark.parametrize("device", ["cpu", GPU])


def peak_bytes(device: torch.device, work: Callable[[], Any]) -> int:
    """The most that is held at once while the work is done, by what was there before: the allocator's peak.

    A CPU's allocator keeps no count, so there it is the storages that live, as each operation leaves them.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with LiveStorages() as live:
        work()
    return live.peak


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of storages that operations made and that still live; peak: the most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: dict[int, weakref.finalize[..., Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = func(*args, **(kwargs or {}))
        for value in tree_leaves(given):
            if isinstance(value, torch.Tensor):
                self._count(value.untyped_storage())
        return given

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place in self._known:
            return
        self._known[place] = weakref.finalize(storage, self._freed, place, size)
        self._now += size
        self.peak = max(self.peak, self._now)

    def _freed(self, place: int, size: int) -> None:
        self._known.pop(place, None)
        self._now -= size
