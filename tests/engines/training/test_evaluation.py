"""Evaluation in batches by tokens, and how often the processor waits for the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training.adapters import adapter
from bios_sweep.engines.training.batches import token_batches
from bios_sweep.engines.training.corpus import embedded_examples
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.loop import Training, evaluate, evaluation_set
from bios_sweep.engines.training.model import BaseModel, load_base
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import TokenizedExample, tokenize_all
from bios_sweep.settings import FLOAT32, TrainingSettings
from tests.engines.training.devices import on_each_device

SETTINGS = TrainingSettings(learning_rate=2e-3, batch_size=8, lora_rank=4, max_steps=8, max_length=64)
# What gives the processor a value or a size that only the device knows.
ASKING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "_unique2", "unique_dim")
METHODS = ("item", "tolist", "cpu", "__bool__", "__int__", "__float__")


class Waits(TorchDispatchMode):
    """Counts operations that wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        masks = [one for one in (args[1] if name == "index" else ()) if one is not None]
        self.count += name in ASKING or any(one.dtype == torch.bool for one in masks)
        return func(*args, **(kwargs or {}))


@contextmanager
def waits() -> Iterator[Waits]:
    """Counts both what operations ask, and what Python asks of a tensor, once."""
    seen = Waits()
    with pytest.MonkeyPatch.context() as patch:
        for name in METHODS:
            plain = getattr(torch.Tensor, name)

            def asked(tensor: torch.Tensor, *given: Any, plain: Any = plain, **more: Any) -> Any:
                before = seen.count
                value = plain(tensor, *given, **more)
                seen.count = before + 1
                return value

            patch.setattr(torch.Tensor, name, asked)
        with seen:
            yield seen


@pytest.fixture(scope="module")
def examples() -> tuple[TokenizedExample, ...]:
    data, tokenizer = embedded_examples(40), load_tokenizer(base_model_path())
    return tuple(tokenize_all((*data.train[:24], *data.evaluation), tokenizer, 64, None))


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base(base_model_path(), FLOAT32, torch.device("cpu"))


def test_batches_by_tokens_hold_every_example_once_and_no_more_tokens_than_allowed(examples):
    batches = list(token_batches(examples, 3, torch.device("cpu")))
    most = 3 * max(len(one.input_ids) for one in examples)
    owners = [sorted(set(batch.owners.tolist())) for batch in batches]
    assert sorted(place for rows in owners for place in rows) == list(range(len(examples)))
    assert all(len(batch.input_ids) * (batch.input_ids.shape[1] + 1) <= most for batch in batches)
    assert len(batches[0].input_ids) > len(batches[-1].input_ids) == 3, "short ones share more of a batch"


def test_losses_are_those_of_one_example_at_a_time_in_their_order(base, examples):
    alone = [float(evaluate(base, evaluation_set([one], 1, base.device)).nats[0]) for one in examples]
    for size in (1, 3, 50):
        found = evaluate(base, evaluation_set(examples, size, base.device))
        assert found.nats == pytest.approx(np.array(alone), rel=1e-5)


@on_each_device
def test_a_step_and_an_evaluation_wait_for_the_device_once(device, examples):
    base = load_base(base_model_path(), FLOAT32, torch.device(device))
    held_out = evaluation_set(examples[24:], 4, base.device)
    with adapter(base, SETTINGS, 0) as adapted:
        training = Training(base, adapted, SETTINGS, 0, examples[:24], Fit(4))
        training.advance(1)
        with waits() as seen:
            training.advance(4)
        assert seen.count == 3
        with waits() as seen:
            evaluate(base, held_out)
        assert seen.count == 1


def test_what_waits_is_seen():
    values = torch.arange(4.0)
    for ask in (
        lambda: values.sum().item(),
        lambda: values.tolist(),
        lambda: bool((values > 1).any()),
        lambda: values[values > 1],
        lambda: torch.nonzero(values),
        lambda: values.cpu(),
    ):
        with waits() as seen:
            ask()
        assert seen.count == 1
