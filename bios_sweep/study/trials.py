"""A trial (arm x seed), what it measures, and what is left when it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.settings import TrainingSettings, is_whole
from bios_sweep.study.preference import ACCURACY
from bios_sweep.study.scenario import Scenario
from bios_sweep.study.score import Score
from bios_sweep.vocabulary import Failure, Stage, Status

FINISHED = (Status.COMPLETED, Status.DIVERGED)  # a failed trial is tried again by the next run; these are not

# failures that would end the same again
RETRIED_IN_VAIN = frozenset({Failure.OUT_OF_MEMORY, Failure.CODE, Failure.DATA, Failure.NO_METRIC})

# What an engine leaves in a trial's folder that a word rests on, or that is handed on: a file and a folder.
EVALUATION_FILE = "eval.npz"  # nats, tokens, bytes, cluster, each of shape (evaluation examples,)
SCORE_FILE = "score.npz"  # score, cluster, each of shape (items,): of the answers that were scored
PREFERENCE_FILE = "preference.npz"  # score, cluster, each of shape (pairs,): whether the chosen was preferred
ANSWERS_FILE = "answers.jsonl"  # the answers themselves, for people
ADAPTER_FOLDER = "adapter"
# What a trial writes down while it runs: our own trainer's lines, a script's streams, our traceback.
TRAINING_LOG, STDOUT, STDERR, ERROR_LOG = LOGS = ("training.log", "stdout.txt", "stderr.txt", "error.log")
EVIDENCE = (EVALUATION_FILE, SCORE_FILE, PREFERENCE_FILE, ADAPTER_FOLDER)

GENERAL, GENERAL_BEFORE = "general_loss", "general_loss_before"  # of a result, nats per token of general text
ANSWER_SECONDS = "seconds_per_answer"  # in a trial's provenance: what answering and scoring an item took
EVALUATION_SECONDS = "seconds_per_evaluation"  # in a trial's provenance
# in a trial's provenance: bytes on the fullest of its devices, by the model of bytes, and as GPUs measured
MEMORY_RECKONED, MEMORY_PEAK = "memory_reckoned_bytes", "memory_peak_bytes"
SHARED_STEPS = "shared_steps"  # in a trial's provenance: steps of its stable part that a longer arm trained
READ = "read"  # in a script's provenance: where its metric was read, in words
TOLD = "told"  # in a script's provenance: what of `SPENT` it said it had spent, up to the value that counts
SPENT = ("steps", "examples", "tokens", "epochs")
OWN_METRICS = ("eval_loss", "eval_bits_per_byte", "train_loss")  # fields of a measurement


def evaluation_file(metric: str, score: Score | None) -> str | None:
    """The file of a trial's folder that has a metric per example; None where it is no mean over examples."""
    if metric == OWN_METRICS[0]:
        return EVALUATION_FILE
    if metric == ACCURACY:
        return PREFERENCE_FILE
    return SCORE_FILE if score is not None and metric == score.metric else None


KEY_LENGTH = 16  # hex digits: 64 bits, so a million trials collide with probability 3e-8


CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def canonical_json(value: Any) -> str:
    """One text per value: sorted keys, no spaces, no NaN, so that equal values hash equally."""
    return CANONICAL.encode(value)


def short_hash(value: Any, length: int = KEY_LENGTH) -> str:
    """The first hex digits of sha256 over `canonical_json`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


def trial_key(settings: TrainingSettings, seed: int, repeat: int, scenario: Scenario) -> str:
    """The trial's identity for ever: a hash of what decides its outcome, and of nothing else.

    Names, hosts, paths, tracking and micro-batch are left out: two sweeps that need the same trial
    share it. `repeat` is 0 except for the A/A twin, which must run again under equal settings.
    """
    return short_hash(
        {
            "settings": as_hashed(settings),
            "seed": seed,
            "repeat": repeat,
            "scenario": {**scenario.identity(settings.dtype), **_of_method(settings, scenario)},
        }
    )


def _of_method(settings: TrainingSettings, scenario: Scenario) -> dict[str, str]:
    """The software that decides one method's numbers alone."""
    version = scenario.format_versions.get(settings.method)
    return {} if version is None else {settings.method: version}


def timing_key(arms: Sequence[TrainingSettings], scenario: Scenario, where: Mapping[str, Any]) -> str:
    """The identity of a timing probe: what was timed, and on what (device, threads) it was asked for."""
    return short_hash(
        {
            "arms": [as_hashed(settings) for settings in arms],
            "scenario": scenario.identity(),
            "where": dict(where),
        }
    )


def as_hashed(settings: TrainingSettings) -> dict[str, Any]:
    """Settings with one spelling per number: 32 and 32.0 are equal but would hash differently.

    A setting that is None changes nothing and is left out, so that a later version may add one.
    """
    return {
        name: float(value) if isinstance(value, int) and not is_whole(name) else value
        for name, value in settings.to_dict().items()
        if value is not None
    }


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """One arm at one seed: the unit that runs once. `stage` says what it was run for."""

    key: str
    arm: str
    seed: int
    settings: TrainingSettings
    repeat: int = 0
    stage: str = Stage.SCREENING

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the journal and for workers."""
        return {**vars(self), "settings": self.settings.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialSpec:
        """Inverse of `to_dict`."""
        return cls(**{**values, "settings": TrainingSettings.from_dict(values["settings"])})


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Metric values at a step.

    step: optimizer steps done (0 is the untouched model). fraction: share of the trial's steps.
    examples, tokens: training examples and tokens seen so far. eval_loss: nats per completion token;
    eval_bits_per_byte: bits per byte of completion text; train_loss: mean of nats per token since the
    previous measurement, None at step 0. wall_seconds: training time so far, evaluation left out.
    metrics: whatever else was measured, by name. An eval_loss of NaN was no number, or not measured by a
    script that is judged on something else.
    """

    step: int
    fraction: float
    examples: int
    tokens: int
    eval_loss: float
    eval_bits_per_byte: float | None = None
    train_loss: float | None = None
    wall_seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)

    def value(self, name: str) -> float | None:
        """A metric by its name; None where it was not measured here."""
        if name in OWN_METRICS:
            own: float | None = getattr(self, name)
            return own
        return self.metrics.get(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the journal; without `metrics` where there are none."""
        values = {**vars(self), "metrics": dict(self.metrics)}
        return values if self.metrics else {name: values[name] for name in values if name != "metrics"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measurement:
        """Inverse of `to_dict`, also after JSON: an eval_loss or a metric of None was no finite number."""
        metrics = {name: _number(value) for name, value in values.get("metrics", {}).items()}
        return cls(**{**values, "eval_loss": _number(values["eval_loss"]), "metrics": metrics})


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """The terminal record of a trial.

    status: completed, diverged (an outcome, with its cause) or failed (no outcome; `cause` says why).
    curve: every measurement from step 0 on. final: metric name -> value at the last step, empty when
    failed. attempts: tries it took. failure: a `vocabulary.Failure` when failed, else empty; `cause` has the
    words. provenance: host, device, threads, micro-batch: not identity. files: name -> digest of the
    `EVIDENCE` that a completed trial left in its folder, made where it was written (see `sealed`).
    """

    key: str
    status: str
    curve: tuple[Measurement, ...] = ()
    final: Mapping[str, float] = field(default_factory=dict)
    wall_seconds: float = 0.0
    tokens: int = 0
    attempts: int = 1
    cause: str = ""
    failure: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A worker and a file give the words as plain text."""
        object.__setattr__(self, "status", Status(self.status))
        if self.failure:
            object.__setattr__(self, "failure", Failure(self.failure))

    @property
    def evaluation_share(self) -> float | None:
        """Seconds that its evaluations took over those of its training; None where that was not timed."""
        seconds = self.provenance.get(EVALUATION_SECONDS)
        if seconds is None or not self.wall_seconds:
            return None
        return (
            float(seconds) * (len(self.curve) - 1) / self.wall_seconds
        )  # the first is the untouched model's

    @property
    def finished(self) -> bool:
        """Whether the trial has an outcome and so never runs again."""
        return self.status in FINISHED

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the journal; without `files` where there are none.

        NaN and infinity become None (JSON has neither).
        """
        values = {**vars(self), "curve": [point.to_dict() for point in self.curve]}
        if not self.files:
            del values["files"]
        return plain(values)  # type: ignore[no-any-return]

    def says_the_same(self, other: TrialResult) -> bool:
        """Whether both have one outcome; when and where it was found does not matter, nor what it took."""
        own, others = ((one.key, one.status, one.final, one.curve, one.tokens) for one in (self, other))
        return own == others or self._outcome() == other._outcome()

    def _outcome(self) -> tuple[Any, ...]:
        """Without times, and with NaN equal to itself."""
        curve = [plain({**vars(point), "wall_seconds": None}) for point in self.curve]
        return self.key, self.status, plain(self.final), curve, self.tokens

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialResult:
        """Inverse of `to_dict`; a None loss comes back as NaN."""
        curve = tuple(Measurement.from_dict(point) for point in values["curve"])
        final = {name: _number(value) for name, value in values["final"].items()}
        return cls(**{**values, "curve": curve, "final": final})


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def plain(value: Any) -> Any:
    """A value as it comes back from JSON: lists for tuples, None for what is not a finite number."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:  # most of what there is
        return value
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if kind is dict:
        return {name if type(name) is str else str(name): plain(item) for name, item in value.items()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
