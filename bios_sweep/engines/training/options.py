"""How an engine is asked to run: plain values that travel to a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import one_of, whole

# our words -> transformers'
ATTENTIONS = {"sdpa": "sdpa", "flash": "flash_attention_2", "eager": "eager"}


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How to run; nothing here decides an outcome beyond rounding (dropout draws per micro-batch).

    model_path: a folder, a hub id (`org/name@COMMIT`), or `facts.EMBEDDED`. model_download: whether one that
    is not in this node's cache is downloaded.
    threads: CPU threads of torch. micro_batch_size: examples that go through the model in one piece, None
    for what fits. activation_checkpointing: whether layers are computed twice to save memory, None where
    they must be. sharers: processes that share the device. gpus: devices over which the base is spread.
    load: the most that a trial of the plan will ask, the fields of `memory.Load`; None where that is not
    known. checkpoint_minutes: how often a checkpoint is left between two measurements; None: at
    measurements alone. measurements: evaluations per trial after the one at step 0. eval_max_length: tokens
    at which the plan cuts evaluation examples, the same for all its trials; None: each trial's own
    `max_length`. score: how answers are scored, the fields of `ScoreOptions`; None: they are not.
    attention: how it is computed, one of `ATTENTIONS`; None: as transformers chooses. objective: how
    preference pairs are judged, the fields of `study.preference.PairJudge`; None: supervised training.
    stable: arms that share the stable part of their schedule, see `stable.stable_of`; None: none. routers:
    adapters are put on them, too. train_on and chat_date: how conversations are read, see
    `chat.reading_of`.
    """

    model_path: str
    data_file: str
    data_fingerprint: str
    model_download: bool = False
    threads: int = 1
    device: str = "cpu"
    micro_batch_size: int | None = None
    activation_checkpointing: bool | None = None
    sharers: int = 1
    gpus: int = 1
    load: Mapping[str, Any] | None = None
    checkpoint_minutes: float | None = None
    measurements: int = 5
    eval_max_length: int | None = None
    score: Mapping[str, Any] | None = None
    attention: str | None = None
    routers: bool = False
    objective: Mapping[str, Any] | None = None
    stable: Mapping[str, Any] | None = None
    train_on: str | None = None
    chat_date: str | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "micro_batch_size", "measurements", "eval_max_length", "sharers", "gpus"):
            optional = name in ("eval_max_length", "micro_batch_size")
            if not optional or getattr(self, name) is not None:
                whole(name, getattr(self, name))
        if self.attention is not None:
            one_of("attention", self.attention, tuple(ATTENTIONS))


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """How answers are scored. by: what `scorers.scorer_of` reads; the rest as in `study.score.Score`."""

    metric: str
    items: int
    new_tokens: int
    by: Mapping[str, Any]
    stop: Sequence[str] = ()
