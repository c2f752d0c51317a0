"""Whether a trial that is trained again on its GPU gives the same numbers: by deterministic kernels alone.

Asked to warn only, torch (2.13, aten/src/ATen/native/transformers/cuda/attention_backward.cu) still takes
flash and memory-efficient attention's own backward pass, whose order of additions no two runs share. Asked
strictly it takes their deterministic one, and refuses an operation that has none. So gradients are computed
strictly, until a model is found to need such an operation; its trials then say that they are not repeatable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from bios_sweep.errors import poisons_its_process, ran_out_of_memory

LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")


class Kernels:
    """Of one engine. repeatable: whether deterministic ones were enough for all gradients so far."""

    def __init__(self) -> None:
        self.repeatable = True

    def within(self, work: Callable[[], Result], device: torch.device) -> Result:
        """Do the work with deterministic kernels; what works only without them is done without.

        work: begins anew each time. On a CPU the number of threads alone decides the order of additions.

        Raises:
            Exception: of the work, if other kernels do not help.
        """
        if device.type == "cpu" or not self.repeatable:
            return work()
        try:
            with _strictly():
                return work()
        except RuntimeError as error:
            if ran_out_of_memory(error) or poisons_its_process(error):
                raise
            lacking = (str(error).strip().splitlines() or [""])[0]
        # here the exception, and with it every tensor of its frames, is gone
        result = work()
        self.repeatable = False
        LOGGER.warning("trials on this GPU are not repeatable to the bit: %s", lacking)
        return result


@contextmanager
def _strictly() -> Iterator[None]:
    mode = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode, warn_only=warn_only)
