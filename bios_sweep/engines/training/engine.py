"""`LoraEngine`: LoRA fine-tuning as a `ports.TrialEngine`. Knows no Ray and no MLflow."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bios_sweep.engines.training.batches import micro_batches
from bios_sweep.engines.training.chat import ChatTemplate, chat_renderer, reading_of
from bios_sweep.engines.training.data import ANSWERS, DataFile, open_dataset
from bios_sweep.engines.training.decoder_shape import Shape, shape_of
from bios_sweep.engines.training.device import (
    choose_device,
    device_name,
    make_repeatable,
    memory_of,
    one_load_at_a_time,
    processes_of_node,
    stay_offline_and_quiet,
)
from bios_sweep.engines.training.facts import (
    ENGINE_VERSION,
    READERS,
    describe_model,
    read_config,
    reads_by,
    resolve_model,
    software_versions,
)
from bios_sweep.engines.training.fit import Fit
from bios_sweep.engines.training.fitting import DEFAULT_MICRO_BATCH, fitting, room_on
from bios_sweep.engines.training.four_bit import kind_of, split, version
from bios_sweep.engines.training.general import general_set
from bios_sweep.engines.training.linear import linear_of
from bios_sweep.engines.training.loop import evaluate, evaluation_set
from bios_sweep.engines.training.model import BaseModel, load_base, verify_split
from bios_sweep.engines.training.objectives.dpo import dpo_of
from bios_sweep.engines.training.objectives.objective import Figures, HeldOut
from bios_sweep.engines.training.objectives.pair_figures import PairSet
from bios_sweep.engines.training.objectives.pairs import PairTable
from bios_sweep.engines.training.objectives.reference import reference_nats
from bios_sweep.engines.training.objectives.sequences import tokenize_pairs
from bios_sweep.engines.training.options import ATTENTIONS, EngineOptions, ScoreOptions
from bios_sweep.engines.training.scorers import scorer_of
from bios_sweep.engines.training.scoring import (
    Scoring,
    cluster_numbers,
    ends_of_answers,
    pads_safely,
    questions_of,
)
from bios_sweep.engines.training.stable import Stable, stable_of
from bios_sweep.engines.training.table import TokenTable, prepared
from bios_sweep.engines.training.taken import forget_peak, load_of, taken
from bios_sweep.engines.training.timing import time_steps
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all
from bios_sweep.engines.training.trial import Judge, Material, Work, run_trial
from bios_sweep.errors import DataError, ModelError
from bios_sweep.ports import options_of
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.preference import PairJudge
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec


class LoraEngine:
    """Trains one trial after the other on a base model that stays loaded.

    Model, tokenizer, tokenised data and the untouched model's evaluation are kept between trials; the
    adapter lives for one trial. A warm engine gives the numbers of a fresh one to the bit.
    """

    version = ENGINE_VERSION
    resumes = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        given = options_of(EngineOptions, options)
        folder = resolve_model(given.model_path, download=given.model_download)
        self._options = replace(given, model_path=str(folder))
        self._device = choose_device(self._options.device)
        stay_offline_and_quiet()
        make_repeatable(self._device, self._options.threads)
        self._file = open_dataset(Path(self._options.data_file))
        if self._file.fingerprint != self._options.data_fingerprint:
            raise DataError(
                f"{self._options.data_file}: these are not the examples of the plan (fingerprint "
                f"{self._file.fingerprint[:12]}, planned {self._options.data_fingerprint[:12]}); plan again"
            )
        self._tokenizer = load_tokenizer(self._options.model_path)
        self._materials: dict[tuple[str, int], Material] = {}
        self._judges: dict[tuple[str, int], Judge] = {}
        self._fits: dict[str, Fit] = {}

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        """Train to the next measurement at each `next()`; the last item is the `TrialResult`.

        Leaves in `directory`: `eval.npz` (losses per evaluation example at the latest measurement),
        `checkpoint.pt`, and the one before, while it runs, `adapter/` when it completed. Closing the iterator
        early leaves the base model clean.

        Raises:
            ModelError: the base model cannot be trained.
            DataError: the data do not fit the model.
            StorageError: the directory cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        minutes = self._options.checkpoint_minutes
        forget_peak(self._device)
        work = run_trial(
            Work(
                trial=trial,
                directory=directory,
                material=self._material(kind_of(trial.settings), trial.settings.max_length),
                owner=f"{trial.key} of engine {self.version}",
                measurements=self._options.measurements,
                fit=self._fit(trial.settings),
                checkpoint_seconds=None if minutes is None else 60.0 * minutes,
                stable=self._stable(trial),
                provenance={
                    "host": socket.gethostname(),
                    "device": self._where,
                    "threads": self._options.threads,
                    "torch": torch.__version__,
                },
            )
        )
        with closing(work):
            for item in work:
                yield self._with_memory(item, trial.settings) if isinstance(item, TrialResult) else item

    def _with_memory(self, result: TrialResult, settings: TrainingSettings) -> TrialResult:
        """A result with what its trial took of the device."""
        longest = self._material(kind_of(settings), settings.max_length).train.longest
        load = load_of(settings, longest * self._answers, self._answers, self._options.gpus)
        found = taken(self._device, self._shape, settings, load, self._fit(settings))
        return replace(result, provenance={**result.provenance, **found})

    @property
    def _where(self) -> str:
        """The device's name, and of how many such."""
        gpus = self._options.gpus if self._device.type == "cuda" else 1
        return f"{gpus} x {device_name(self._device)}" if gpus > 1 else device_name(self._device)

    @property
    def hardware(self) -> str:
        """The device and, on a CPU, how many threads a trial has."""
        threads = self._options.threads
        if self._device.type == "cuda":
            return self._where
        return f"{self._where}, {threads} thread{'' if threads == 1 else 's'}"

    def time_steps(self, settings: Sequence[TrainingSettings], repeats: int) -> list[list[float]]:
        """Seconds per optimizer step, shape (repeats, arms); see `training.timing`."""
        return time_steps(
            settings,
            lambda arm: self._material(kind_of(arm), arm.max_length),
            repeats=repeats,
            fit_of=self._fit,
        )

    def _fit(self, settings: TrainingSettings) -> Fit:
        """How batches are cut on this device, one decision per number format; memory that ran out counts."""
        if settings.dtype not in self._fits:
            self._fits[settings.dtype] = self._decided(settings)
        return self._fits[settings.dtype]

    @cached_property
    def _shape(self) -> Shape | None:
        """The sizes of the base model, where its config.json tells them."""
        folder = Path(self._options.model_path)
        config = read_config(folder)
        parameters, attention = describe_model(str(folder)).parameters, self._options.attention
        return shape_of(config, parameters, linear_of(folder, config), attention)

    def _decided(self, settings: TrainingSettings) -> Fit:
        given, twice = self._options.micro_batch_size, self._options.activation_checkpointing
        shape = self._shape
        if shape is None:
            return Fit(given or DEFAULT_MICRO_BATCH, checkpointing=bool(twice), folding=False)
        on_cpu = self._device.type == "cpu"
        if on_cpu:  # the memory of a node is seldom the limit, and computing twice is slow there
            given, twice = given or DEFAULT_MICRO_BATCH, bool(twice)
        own = load_of(settings, settings.max_length * self._answers, self._answers, self._options.gpus)
        asked = {"gpus": self._options.gpus, "dtype": settings.dtype}
        load = replace(own, **{**(self._options.load or {}), **asked})
        sharers = self._options.sharers if not on_cpu else processes_of_node(self._options.threads)
        room = room_on(memory_of(self._device), sharers)
        found = fitting(shape, load, room, micro_batch_size=given, checkpointing=twice)
        return Fit(found.micro_batch_size, checkpointing=found.checkpointing, folding=found.folded)

    def _material(self, kind: str, max_length: int) -> Material:
        key = (kind, max_length)
        if key not in self._materials:
            base = self._base(kind)
            train = self._tokenized(base, max_length, held_out=False)
            judge = self._judge(base, kind, self._options.eval_max_length or max_length)
            self._materials[key] = self._of_objective(base, train, judge, kind)
        return self._materials[key]

    def _of_objective(self, base: BaseModel, train: TokenTable, judge: Judge, kind: str) -> Material:
        if self._pairs is None:
            return Material(base=base, train=train, judge=judge)
        pairs = PairTable(train, -self._reference(base, train, kind))
        return Material(base=base, train=pairs, judge=judge, objective=dpo_of)

    def _base(self, kind: str) -> BaseModel:
        """One base model at a time: two copies of a large one would not fit. kind: of `four_bit.kind_of`."""
        for (loaded, _), material in self._materials.items():
            if loaded == kind:
                return material.base
        self._materials.clear()
        self._judges.clear()
        with one_load_at_a_time(self._device):
            return self._loaded(kind)

    def _loaded(self, kind: str) -> BaseModel:
        chosen = self._options.attention
        attention = None if chosen is None else ATTENTIONS[chosen]
        path = Path(self._options.model_path)
        dtype, four_bit = split(kind)
        routed = self._options.routers
        gpus = self._options.gpus if self._device.type == "cuda" else 1
        return load_base(path, dtype, self._device, attention, routed=routed, four_bit=four_bit, gpus=gpus)

    def _judge(self, base: BaseModel, kind: str, max_length: int) -> Judge:
        """What trials are measured on: cut once for all of a plan, whatever their own `max_length`."""
        if (kind, max_length) in self._judges:
            return self._judges[kind, max_length]
        dtype, _ = split(kind)
        evaluation = self._tokenized(base, max_length, held_out=True)
        size = self._options.micro_batch_size or DEFAULT_MICRO_BATCH
        # Enough to check the model on padding, at the least cost; of different lengths where there are.
        by_length = {len(example.input_ids): example for example in evaluation}
        two_shortest = [by_length[length] for length in sorted(by_length)[:2]]
        verify_split(base, next(micro_batches(two_shortest, 2, self._device)), dtype)
        held_out, untouched = self._held_out(base, evaluation, size, kind)
        if not math.isfinite(untouched.loss):
            raise ModelError(
                f"model {self._options.model_path}: its evaluation loss is {untouched.loss} before training; "
                f"check its weights, or choose another dtype than {dtype}"
            )
        general = general_set(base, self._tokenizer, size)
        before = evaluate(base, general).loss
        scoring = self._scoring(base, dtype, max_length)
        judge = Judge(
            evaluation=held_out,
            untouched=untouched,
            general=general,
            general_before=before,
            scoring=scoring,
            score_before=None if scoring is None else scoring.measure(base).mean,
        )
        self._judges[kind, max_length] = judge
        return judge

    def _held_out(
        self, base: BaseModel, examples: TokenTable, size: int, kind: str
    ) -> tuple[HeldOut, Figures]:
        """What trials are measured on, and what the untouched model is there."""
        sequences = evaluation_set(examples, size, self._device)
        if self._pairs is None:
            return sequences, evaluate(base, sequences)
        reference = self._reference(base, examples, kind)
        pairs = PairSet(sequences=sequences, reference=reference, judge=self._pairs)
        return pairs, pairs.untouched

    def _stable(self, trial: TrialSpec) -> Stable | None:
        options, fit = self._options, self._fit(trial.settings)
        if options.stable is None:
            return None
        cut = [fit.micro_batch_size, fit.checkpointing, options.measurements, options.eval_max_length]
        numbers = [self._where, options.threads, *cut]
        return stable_of(trial, options.stable, numbers)

    @property
    def _pairs(self) -> PairJudge | None:
        """How held-out pairs are judged; None of supervised training."""
        given = self._options.objective
        return None if given is None else PairJudge.from_dict(given)

    @property
    def _answers(self) -> int:
        """Sequences of an example."""
        return 1 if self._pairs is None else ANSWERS

    def _reference(self, base: BaseModel, table: TokenTable, kind: str) -> np.ndarray:
        """Summed nats of both answers of every pair by the untouched model, shape (pairs, 2)."""
        options = self._options
        identity = {
            "model": describe_model(options.model_path).fingerprint,
            "dtype": kind,
            "attention": options.attention,
            "device": self._where,
            "threads": options.threads,
            "engine": ENGINE_VERSION,
            "software": {**software_versions(), **({"four bits": version()} if split(kind)[1] else {})},
        }
        size = options.micro_batch_size or DEFAULT_MICRO_BATCH
        return reference_nats(base, table, size, identity).reshape(-1, 2)

    def _scoring(self, base: BaseModel, dtype: str, max_length: int) -> Scoring | None:
        """What is answered and scored; prompts are read as far as the loss reads them."""
        if self._options.score is None:
            return None
        asked = options_of(ScoreOptions, self._options.score)
        examples = list(islice(self._verified.examples(held_out=True), asked.items))
        room = min(max_length, (base.positions or max_length + asked.new_tokens) - asked.new_tokens)
        render = None if self._render is None else self._render.of_the_last
        questions = questions_of(examples, self._tokenizer, render, room)
        ends, stop = ends_of_answers(examples, self._tokenizer, render)
        scoring = Scoring(
            metric=asked.metric,
            scorer=scorer_of(asked.by),
            questions=questions,
            cluster=cluster_numbers(examples),
            tokenizer=self._tokenizer,
            new_tokens=asked.new_tokens,
            ends=tuple(dict.fromkeys(ends)),
            stop=(*stop, *asked.stop),
            size=self._options.micro_batch_size or DEFAULT_MICRO_BATCH,
            padded=True,
        )
        padded = pads_safely(base, [one.ids for one in questions], scoring.ends, dtype)
        return replace(scoring, padded=padded)

    def _tokenized(self, base: BaseModel, max_length: int, *, held_out: bool) -> TokenTable:
        """One side at a length: what another process of this node made of it, or made here."""
        identity = {
            "data": self._file.fingerprint,
            "held_out": held_out,
            "max_length": max_length,
            "model": reads_by(Path(self._options.model_path)),
            "reading": self._reading_words,
            "software": software_versions(READERS),
            "engine": ENGINE_VERSION,
            **({} if self._pairs is None else {"pairs": True}),
        }
        tokenize = tokenize_all if self._pairs is None else tokenize_pairs
        table = prepared(
            identity,
            self._tokenizer.encoder.get_vocab_size(),
            lambda: tokenize(
                self._verified.examples(held_out=held_out), self._tokenizer, max_length, self._render
            ),
        )
        _require_fit(base, table)
        return table

    @cached_property
    def _verified(self) -> DataFile:
        """The examples, proved to be those of the plan: read once through, where they are read at all."""
        return self._file.verified()

    @cached_property
    def _render(self) -> ChatTemplate | None:
        """The chat template, read only where there are conversations: it costs a second."""
        talks = any(
            one.messages for held_out in (False, True) for one in self._verified.examples(held_out=held_out)
        )
        if not talks:
            return None
        return chat_renderer(Path(self._options.model_path), reading_of(self._reading_words))

    @property
    def _reading_words(self) -> dict[str, str | None]:
        return {"train_on": self._options.train_on, "chat_date": self._options.chat_date}


def _require_fit(base: BaseModel, examples: TokenTable) -> None:
    """Refuse what would end in an index error, or in silence, deep inside the model."""
    name = base.model.config.name_or_path
    longest = examples.longest
    if base.positions and longest > base.positions:
        raise DataError(
            f"max_length: an example has {longest} tokens but model {name} has {base.positions} positions; "
            f"use max_length={base.positions} or less"
        )
    largest = examples.largest
    embeddings: Any = base.model.get_input_embeddings()
    rows = embeddings.weight.shape[0]
    if largest >= rows:
        raise ModelError(
            f"model {name}: its tokenizer gives token {largest} but it has {rows} embeddings; "
            "the tokenizer belongs to another model"
        )
