"""Where a default is judged: model x data x method, as plain facts with their fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bios_sweep.errors import PlanError
from bios_sweep.jsonable import from_fields
from bios_sweep.method import Method
from bios_sweep.study.metric_names import BETTER, MINIMIZE, direction_of
from bios_sweep.study.preference import ACCURACY, UNIT, PairJudge
from bios_sweep.study.score import Score

TRAIN, EVALUATION = "train", "evaluation"  # the sides of a data set


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The number a study is judged on. `direction` travels with the name, never apart from it."""

    name: str = "eval_loss"
    direction: str = "minimize"
    unit: str = "nats per token"

    @property
    def sign(self) -> float:
        """+1 when a larger value is better, -1 when a smaller one is."""
        return -1.0 if self.direction == MINIMIZE else 1.0

    @property
    def words(self) -> str:
        """`eval_accuracy, larger is better`; where the name says otherwise, that too."""
        words = f"{self.name}, {BETTER[self.direction]}"
        return f"{words} (though its name says otherwise)" if self.doubt else words

    @property
    def doubt(self) -> str:
        """What to warn of where the stated direction is not the one that the name tells; empty elsewhere."""
        told = direction_of(self.name)
        if told is None or told == self.direction:
            return ""
        return f"{self.name} is judged as {BETTER[self.direction]}, but its name says that {BETTER[told]}"


def guardrail_metric(name: str, judged: Metric) -> Metric:
    """A guardrail's metric; that of the study itself has the study's direction.

    Raises:
        PlanError: the name does not say which way is better, so that nobody can tell what a loss is.
    """
    if name == judged.name:
        return judged
    direction = direction_of(name)
    if direction is None:
        raise PlanError(
            f"decision.guardrails.{name}: the name does not say which way is better; call the metric so "
            f"that its words do, such as quality_score (larger is better) or quality_error"
        )
    return Metric(name=name, direction=direction, unit="")


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What the plan needs to know of a base model, read from its files without loading it.

    path: absolute folder, or a name for engines that need no files. parameters: count, or None when
    the files do not tell. fingerprint: sha256 over the files that decide the numbers. ends: the tokens that
    end a generation, by the generation config, which is no part of the fingerprint. hub: `ORG/NAME@COMMIT` of
    one of the hub, else empty.
    """

    name: str
    path: str
    family: str
    hidden_size: int
    fingerprint: str
    parameters: int | None = None
    ends: tuple[int, ...] = ()
    hub: str = ""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What one side of the data (`train`, `evaluation`) loses where examples are cut at `max_length`.

    truncated: examples that lose tokens. tokens, supervised: before the cut, and of these under the loss;
    lost, lost_supervised: what the cut takes of them. longest: tokens of the longest example after it.
    """

    split: str
    max_length: int
    examples: int
    truncated: int
    tokens: int
    lost: int
    supervised: int
    lost_supervised: int
    longest: int

    @property
    def tokens_per_example(self) -> float:
        """Mean over all examples, after the cut."""
        return round((self.tokens - self.lost) / self.examples, 2)


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What the plan needs to know of a data set.

    file: the materialised examples that every worker reads. evaluation_fingerprint: of what results are
    measured on, where the evaluation examples are cut included. Token counts are None where no tokenizer
    could be read. eval_max_length: where the evaluation examples are cut for every arm, None where the
    engine has no examples of ours. cuts: what that and each `max_length` of an arm takes, the baseline's
    first. ends: how answers end, in words. eval_clusters: documents, modules or conversations that the
    evaluation examples come from, 0 where that is not known. score: how answers to them are scored, None
    where they are not. reading: how text is read where that is not as ever: which answers of a conversation
    are learned, the day that its template writes, the tokens at a border. told: what reading the data found,
    in words. eval_why: why there are as many evaluation examples, in words; empty where the user said how
    many. hub: `ORG/NAME@COMMIT` of those of the hub, else empty. preference: of preference pairs how they are
    judged, None of single answers.
    """

    name: str
    file: str
    fingerprint: str
    evaluation_fingerprint: str
    train_examples: int
    eval_examples: int
    tokens_per_example: float | None = None
    eval_tokens: int | None = None
    source: str = ""
    eval_max_length: int | None = None
    cuts: tuple[Cut, ...] = ()
    ends: tuple[str, ...] = ()
    eval_clusters: int = 0
    score: Score | None = None
    reading: Mapping[str, str] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    hub: str = ""
    eval_why: str = ""
    preference: PairJudge | None = None

    def clusters_of(self, metric: str) -> int:
        """What a metric's evaluation error is counted over, 0 where that is not known."""
        if self.score is not None and metric == self.score.metric:
            return self.score.clusters
        return self.eval_clusters if metric == Metric().name or self._preferred(metric) else 0

    def items_of(self, metric: str) -> int:
        """How many evaluation examples a metric is a mean over, 0 where that is not known."""
        scored = self.score is not None and metric == self.score.metric
        return self.score.items if self.score is not None and scored else self.eval_examples

    def known_items(self, metric: str) -> int | None:
        """The same of a share, None where nobody told."""
        if self.score is not None and metric == self.score.metric:
            return self.score.items
        return self.eval_examples if self._preferred(metric) else None

    def _preferred(self, metric: str) -> bool:
        return self.preference is not None and metric == ACCURACY

    @property
    def loss_unit(self) -> str:
        """Of the metric `eval_loss`."""
        return Metric().unit if self.preference is None else UNIT

    def tokens_at(self, max_length: int) -> float | None:
        """Tokens per training example for an arm with that `max_length`."""
        at = [cut for cut in self.cuts if (cut.split, cut.max_length) == (TRAIN, max_length)]
        return at[0].tokens_per_example if at else self.tokens_per_example


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Model, data and method, and the engine that trains there.

    engine: import string `module:Class` of a `ports.TrialEngine`; it travels to workers as text.
    engine_options: plain values for its constructor; how to run (paths, threads), never what decides
    the outcome. engine_version: raised by the engine when its numbers change. software: package -> version.
    code: sha256 of a user's own script, command or callable; empty where our engine is all the code.
    repeatable: whether the engine is known to give the same numbers for the same seed; where it is not, the
    plan runs one trial twice to find out. carried: settings that the engine takes; None: all. files: those
    whose content is part of `code`, by the names they are given. format_versions: beside the engine's
    version, that of a number format whose numbers alone changed.
    """

    model: ModelFacts
    data: DataFacts
    method: Method
    engine: str
    engine_version: str
    engine_options: Mapping[str, Any]
    software: Mapping[str, str]
    code: str = ""
    repeatable: bool = True
    carried: tuple[str, ...] | None = None
    files: tuple[str, ...] = ()
    format_versions: Mapping[str, str] = field(default_factory=dict)

    def identity(self, dtype: str | None = None) -> dict[str, Any]:
        """What of the scenario decides a trial's outcome: fingerprints and versions, no names or paths.

        dtype: of the trial; None: of all of them.
        """
        of_format = self.format_versions.get(dtype or "")
        version = f"{self.engine_version}, {of_format}" if of_format else self.engine_version
        decides: dict[str, Any] = {
            "model": self.model.fingerprint,
            "data": self.data.fingerprint,
            "evaluation": self.data.evaluation_fingerprint,
            "engine": self.engine.rpartition(":")[2],
            "engine_version": version,
            "software": dict(self.software),
            **self.method.identity(),
        }
        if self.data.score is not None:
            decides["score"] = self.data.score.identity()
        if self.data.reading:
            decides["reading"] = dict(self.data.reading)
        if self.code:
            return {**decides, "code": self.code}
        return {**decides, "ends": list(self.model.ends)} if self.model.ends else decides

    @property
    def servable(self) -> bool:
        """Whether it is known what values found here hold for: only then are they served to anybody."""
        return bool(self.model.hidden_size) and self.method.trains is not None

    def engine_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Of a trial's settings those that the engine hears of; a script's others are its own."""
        return {name: settings[name] for name in settings if self.carried is None or name in self.carried}

    @property
    def name(self) -> str:
        """The scenario's name as people read it; the MLflow experiment is called so."""
        return f"{self.model.name} | {self.data.name} | {self.method.name}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for plan.json and for workers."""
        values = asdict(self)
        if self.data.score is None:  # as before there were scores
            del values["data"]["score"]
        else:
            values["data"]["score"] = self.data.score.to_dict()
        if self.data.preference is None:
            del values["data"]["preference"]
        for later in ("reading", "told", "eval_why"):
            if not values["data"][later]:
                del values["data"][later]
        for part in ("model", "data"):
            if not values[part]["hub"]:
                del values[part]["hub"]
        if not self.format_versions:
            del values["format_versions"]
        files = values.pop("files")
        return {**values, **self.method.to_dict(), "files": files}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scenario:
        """Inverse of `to_dict`."""
        own = {name: value for name, value in values.items() if name not in ("trains", "objective")}
        return from_fields(cls, {**own, "method": values})
