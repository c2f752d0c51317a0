"""One trial's training: optimizer steps between measurements, and what a measurement is."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.autograd.graph import increment_version
from torch.nn.utils import clip_grad_norm_

from bios_sweep.atomic import write_atomically
from bios_sweep.engines.training.batches import (
    MicroBatch,
    batch_indices,
    halves,
    philox,
    token_batches,
)
from bios_sweep.engines.training.checkpoint import Checkpoint
from bios_sweep.engines.training.fit import Fit, recomputed
from bios_sweep.engines.training.folded import fold
from bios_sweep.engines.training.model import BaseModel
from bios_sweep.engines.training.objectives.objective import Figures, HeldOut, Objective, Piece
from bios_sweep.engines.training.objectives.sft import SFT
from bios_sweep.engines.training.step_log import Step, StepLog
from bios_sweep.engines.training.tokens import TokenizedExample
from bios_sweep.engines.training.weights import Weights, groups
from bios_sweep.errors import ran_out_of_memory
from bios_sweep.sealed import digest
from bios_sweep.settings import FULL, WSD, TrainingSettings, decay_steps, warmup_steps
from bios_sweep.study.trials import EVALUATION_FILE, Measurement


class DivergedError(Exception):
    """Training left the finite numbers; the message is the trial's cause."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """The held-out examples as micro-batches, made once; arrays have shape (examples,)."""

    batches: tuple[MicroBatch, ...]
    tokens: np.ndarray
    bytes: np.ndarray
    cluster: np.ndarray

    def measure(self, base: BaseModel) -> Evaluation:
        """The model as it stands; dropout is off."""
        return evaluate(base, self)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Summed nats of each evaluation example's completion, shape (examples,), float64."""

    data: EvaluationSet
    nats: np.ndarray

    @property
    def loss(self) -> float:
        """Mean nats per completion token over all tokens: long completions weigh more."""
        return float(self.nats.sum() / self.data.tokens.sum())

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of completion text: comparable between tokenizers."""
        return float(self.nats.sum() / math.log(2) / self.data.bytes.sum())

    @property
    def metrics(self) -> Mapping[str, float]:
        """None beside the loss."""
        return {}

    def save(self, directory: Path) -> str:
        """Write `eval.npz`: nats, tokens, bytes and cluster number per example; returns its digest."""
        buffer = io.BytesIO()
        data = self.data
        np.savez(buffer, nats=self.nats, tokens=data.tokens, bytes=data.bytes, cluster=data.cluster)
        write_atomically(directory / EVALUATION_FILE, [buffer.getvalue()])
        return digest([buffer.getvalue()])


def evaluation_set(examples: Sequence[TokenizedExample], size: int, device: torch.device) -> EvaluationSet:
    """Batches by length, whatever the seed; clusters are numbered in the order they first appear.

    They are made once and stay on the device. size: examples of the longest's length in a batch; of shorter
    ones there are more, see `token_batches`.
    """
    examples = list(examples)
    numbers = {name: index for index, name in enumerate(dict.fromkeys(item.cluster for item in examples))}
    return EvaluationSet(
        batches=tuple(token_batches(examples, size, device)),
        tokens=np.array([example.supervised_tokens for example in examples]),
        bytes=np.array([example.completion_bytes for example in examples]),
        cluster=np.array([numbers[example.cluster] for example in examples]),
    )


@torch.no_grad()
def evaluate(base: BaseModel, data: EvaluationSet) -> Evaluation:
    """Losses of the model as it stands; dropout is off."""
    losses = torch.cat([_losses(base, batch) for batch in data.batches])  # all of them are under way
    owners = np.concatenate([batch.owners for batch in data.batches])
    weights = losses.double().cpu().numpy()  # the only wait for the device
    return Evaluation(data=data, nats=np.bincount(owners, weights=weights, minlength=len(data.tokens)))


def _losses(base: BaseModel, batch: MicroBatch) -> torch.Tensor:
    """Nats per target, shape (n,); where memory runs out, of half the examples after the other half."""
    try:
        return base.token_losses(batch)
    except Exception as error:
        if not ran_out_of_memory(error) or len(batch.input_ids) == 1:
            raise
    if base.device.type == "cuda":
        torch.cuda.empty_cache()
    return torch.cat([_losses(base, half) for half in halves(batch)])


def learning_rate_at(settings: TrainingSettings, step: int) -> float:
    """Learning rate of optimizer step `step` (from 0).

    Warm-up rises linearly and reaches the peak with its last step. After it the schedule runs over the
    share of the remaining steps already done: linear and cosine would reach 0 one step after the last. So
    does the linear decay that ends wsd (warm-up, stable, decay: MiniCPM, arXiv 2404.06395; linear over the
    last fifth: arXiv 2405.18392), which stays at the peak until then.
    """
    warmup = warmup_steps(settings)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == WSD:
        return settings.learning_rate * min(1.0, (settings.max_steps - step) / max(1, decay_steps(settings)))
    done = (step - warmup) / (settings.max_steps - warmup)
    share = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
    return settings.learning_rate * share[settings.schedule]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The examples of one optimizer step, cut to pieces of `size`; tokens in all, and what they weigh."""

    step: int
    size: int
    pieces: tuple[Piece, ...]
    tokens: int
    weight: int


# Of all of a process: it trains one trial at a time.
AHEAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="next batch")


class Training:
    """The moving parts of one trial: adapter weights, optimizer, position in the example stream.

    step: optimizer steps done; tokens: training tokens seen; wall_seconds: spent in `advance` alone.
    evaluations: what each took that this process made, in seconds.
    """

    def __init__(
        self,
        base: BaseModel,
        adapted: nn.Module,
        settings: TrainingSettings,
        seed: int,
        examples: Sequence[Any],
        fit: Fit,
        log: StepLog | None = None,
        objective: Objective = SFT,
    ) -> None:
        """log: where each step is told, None for nowhere. objective: whose examples they are."""
        self._objective = objective
        self._log = log
        self._base, self._adapted, self._settings, self._seed = base, adapted, settings, seed
        self._examples, self.fit = examples, fit
        # by the first batch, wherever a trial is taken up again
        fold(adapted, self._collated(0, fit.micro_batch_size).tokens, room=lambda: fit.folding)
        self._weights = Weights(adapted)
        self._parameters = self._weights.held
        self._optimizer = torch.optim.AdamW(
            groups(self._parameters, settings.weight_decay, full=settings.method == FULL),
            lr=settings.learning_rate,
            betas=(settings.adam_beta1, settings.adam_beta2),
            eps=settings.adam_eps,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        # The fused step writes without telling autograd, by which it is known what to fold anew.
        self._optimizer.register_step_post_hook(lambda *_: increment_version(list(self._parameters.values())))
        self.step, self.tokens, self.wall_seconds = 0, 0, 0.0
        self.evaluations: list[float] = []
        self._since: dict[str, tuple[float, int]] = {"": (0.0, 0)}
        self._measured: tuple[int, HeldOut, Figures] | None = None
        self._coming: Future[Batch] | None = None

    def advance(self, stop: int, between: Callable[[], None] = lambda: None) -> float | None:
        """Train until `stop` optimizer steps are done; returns the mean training loss since then.

        None when there was nothing to do. between: called between two steps, where a checkpoint may be left.

        Raises:
            DivergedError: a loss or gradient is not finite; the step is named.
        """
        self.train_to(stop, between)
        return self.taken()

    def watch(self, name: str) -> None:
        """Sum the training loss under a name from here on, beside what `advance` tells."""
        self._since[name] = (0.0, 0)

    def taken(self, name: str = "") -> float | None:
        """The mean training loss since this was asked last under the name; None where no step was done."""
        nats, supervised = self._since[name]
        self._since[name] = (0.0, 0)
        return nats / supervised if supervised else None

    def train_to(self, stop: int, between: Callable[[], None] = lambda: None) -> None:
        """Train until `stop` optimizer steps are done; see `advance`."""
        begin = time.perf_counter()
        if self._log is not None:
            self._log.resting(self.tokens)
        self._set_dropout(active=True)
        # Noise on what the model reads, until the handle is removed; without effect where it is off.
        alpha = self._settings.neftune_alpha
        noise = self._base.model.get_input_embeddings().register_forward_hook(
            lambda module, read, embedded: noised(embedded, alpha) if alpha else None
        )
        try:
            with recomputed(self._base.decoder, active=lambda: self.fit.checkpointing):
                while self.step < stop:
                    batch = self._next()
                    nats = self._descend(batch)
                    for name, (total, weight) in self._since.items():
                        self._since[name] = (total + nats, weight + batch.weight)
                    self.tokens += batch.tokens
                    self.step += 1
                    self._tell(nats / batch.weight)
                    if self.step < stop:
                        self.wall_seconds += time.perf_counter() - begin
                        between()
                        begin = time.perf_counter()
        finally:
            self._set_dropout(active=False)
            noise.remove()
            self.wall_seconds += time.perf_counter() - begin

    def _tell(self, loss: float) -> None:
        if self._log is not None:
            rate = learning_rate_at(self._settings, self.step - 1)
            self._log.step(Step(number=self.step, loss=loss, learning_rate=rate, tokens=self.tokens))

    def evaluated(self, data: HeldOut) -> Figures:
        """The model as it stands."""
        known = self._measured
        if known is not None and known[0] == self.step and known[1] is data:
            return known[2]
        begin = time.perf_counter()
        found = data.measure(self._base)
        self.evaluations.append(time.perf_counter() - begin)
        self._measured = (self.step, data, found)
        return found

    def snapshot(self, curve: Sequence[Measurement], name: str = "") -> Checkpoint:
        """All that going on needs, with what was measured so far. name: of the sum of losses beside."""
        nats, supervised = self._since[name]
        return Checkpoint(
            step=self.step,
            tokens=self.tokens,
            wall_seconds=self.wall_seconds,
            curve=tuple(curve),
            weights={name: value.detach() for name, value in self._parameters.items()},
            optimizer=self._optimizer.state_dict(),
            nats=nats,
            supervised=supervised,
        )

    @torch.no_grad()
    def restore(self, checkpoint: Checkpoint) -> None:
        """Become what `snapshot` saw."""
        self.step, self.tokens = checkpoint.step, checkpoint.tokens
        self.wall_seconds = checkpoint.wall_seconds
        self._since = {"": (checkpoint.nats, checkpoint.supervised)}
        self._measured = None
        self._weights.restore(checkpoint.weights)
        self._optimizer.load_state_dict(checkpoint.optimizer)

    def _next(self) -> Batch:
        """The batch of this step; the one after it is made meanwhile, which decides nothing but time."""
        coming, self._coming = self._coming, None
        batch = None if coming is None else coming.result()
        if batch is None or (batch.step, batch.size) != (self.step, self.fit.micro_batch_size):
            batch = self._collated(self.step, self.fit.micro_batch_size)
        self._coming = AHEAD.submit(self._collated, self.step + 1, self.fit.micro_batch_size)
        return batch

    def _collated(self, step: int, size: int) -> Batch:
        indices = batch_indices(self._seed, self._settings.batch_size, step, len(self._examples))
        return self._cut([self._examples[index] for index in indices], step, size)

    def _cut(self, examples: Sequence[Any], step: int, size: int) -> Batch:
        objective = self._objective
        pieces: Iterator[Piece] = objective.pieces(examples, size)
        if self._base.device.type == "cuda":
            pieces = (piece.ready() for piece in pieces)
        return Batch(
            step=step,
            size=size,
            pieces=tuple(pieces),
            tokens=sum(map(objective.tokens, examples)),
            weight=sum(map(objective.weight, examples)),
        )

    def _descend(self, batch: Batch) -> float:
        """One optimizer step; returns the batch's summed loss before it.

        What an example weighs in the whole batch is the objective's, however it is cut into micro-batches.
        """
        settings = self._settings
        nats = self.fit.try_within(lambda: self._gradients(batch), self._base.device)
        norm = clip_grad_norm_(self._parameters.values(), settings.max_grad_norm, foreach=True)
        total, length = torch.stack([nats, norm.to(nats.device)]).tolist()  # the only wait for the device
        if not math.isfinite(total) or not math.isfinite(length):
            what = "gradient" if math.isfinite(total) else "training loss"
            raise DivergedError(f"the {what} was not finite at step {self.step + 1}")
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate_at(settings, self.step)
        self._optimizer.step()
        self._weights.spread()
        return float(total)

    def _gradients(self, batch: Batch) -> torch.Tensor:
        """Leave the batch's mean gradient; returns its summed loss. Called again it begins anew."""
        settings = self._settings
        if settings.lora_dropout or settings.neftune_alpha:
            torch.manual_seed(int(philox(1, "dropout", self._seed, self.step)[0]))
        if batch.size != self.fit.micro_batch_size:  # memory ran out
            batch = self._collated(batch.step, self.fit.micro_batch_size)
        nats = torch.zeros((), device=self._base.device)
        self._optimizer.zero_grad()
        self._weights.forget()
        for piece in batch.pieces:
            loss = self._objective.loss(self._base, piece.on(self._base.device))
            (loss / batch.weight).backward()
            self._weights.gather()
            nats += loss.detach()
        return nats

    def _set_dropout(self, *, active: bool) -> None:
        if self._settings.lora_dropout:
            for name, module in self._adapted.named_modules():
                if ".lora_dropout." in name:
                    module.train(active)
                elif isinstance(module, LoraLayer):
                    layer: Any = module
                    layer.training = active  # of the layer itself, which DoRA asks before it drops anything


def noised(embedded: torch.Tensor, alpha: float) -> torch.Tensor:
    """Embeddings, shape (rows, length, width), with NEFTune's noise (arXiv 2310.05914, algorithm 1).

    The length is that of the padded micro-batch, as in transformers, whose draws these are.
    """
    bound = alpha / math.sqrt(embedded.shape[1] * embedded.shape[2])
    return embedded + torch.empty_like(embedded).uniform_(-bound, bound)
