"""Tuned defaults: what a study settled for one model, method and data, with the evidence for each factor.

Pure values. Only a confirmed default or a refined level becomes a value; everything else a study
found out stays beside it as evidence, so that nobody takes an open question for an answer.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bios_sweep.checks import one_of
from bios_sweep.claims import claim_named
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import LEFT_OUT, OPTIONAL, to_json
from bios_sweep.method import Objective
from bios_sweep.settings import TrainingSettings, setting_names
from bios_sweep.units import Scale, kept_scale
from bios_sweep.vocabulary import Goal, Word

VERDICTS = (Word.CONFIRM, Word.REFINE, Word.UNCONFIRMED, Word.INCONCLUSIVE, Word.SCREENING_ONLY)
BOUNDS = ("effect_percent", "lower", "upper", "margin")
REPEAT = "repeat"  # the A/A control: it has evidence, but it is no setting and has no value
SEARCH = "search"  # evidence of a joint search: its levels are whole settings, not values of one
PROFILES = tuple(Goal)
BETTER = {"minimize": "smaller is better", "maximize": "larger is better"}
SILENT = (
    "the tuned values do not say which metric they were judged on, nor which way it is better, for an older "
    "version wrote them; run their sweep again (no trial is repeated), or look into its report"
)


@dataclass(frozen=True, kw_only=True)
class TunedKey:
    """What the values hold for, and the size of the training that showed it.

    parameters: of the base model, None where unknown. method: what is trained. max_steps, batch_size,
    tokens_per_step: those of the study's baseline (tokens per optimizer step, None where unknown).
    runner: what trained where it was a script, `command` or `python`; None: bios-sweep itself, or a script
    in the file of an earlier version, which did not say.
    """

    family: str
    hidden_size: int
    parameters: int | None = None
    method: str
    alpha_rule: str
    max_steps: int
    batch_size: int
    tokens_per_step: float | None = None
    objective: str = Objective.SFT.value
    runner: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; without what earlier versions meant by saying nothing, so that their keys stay."""
        unsaid = [("objective", Objective.SFT), ("runner", None)]
        return {name: value for name, value in asdict(self).items() if (name, value) not in unsaid}

    @property
    def words(self) -> str:
        """The key in words, also the order of a collection."""
        size = "unknown" if self.parameters is None else str(self.parameters)
        tokens = "unknown" if self.tokens_per_step is None else f"{self.tokens_per_step:g}"
        method = method_words(self.method, self.objective) + (
            f", run by {self.runner}" if self.runner else ""
        )
        return (
            f"{self.family}, hidden size {self.hidden_size}, parameters {size}, {method}, {self.alpha_rule}, "
            f"{self.max_steps} steps of {self.batch_size} examples, tokens per step {tokens}"
        )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a study found about one factor: the verdict and what it stands on.

    effect_percent, lower, upper, margin: percent of the baseline's metric, positive = better; None
    where the study gives none. seeds: those the effect was measured on. levels: the values tested
    against `default`. scope: what the verdict may be said of. claim: what is claimed of `default`: the
    quality and speed claims are about levels of their own, not about the baseline's. unit, per_percent: of a
    score, in what texts tell the numbers, and what one percent is in it; None: percent.
    """

    factor: str = field(metadata=LEFT_OUT)  # the key that the evidence stands under says it
    verdict: str
    default: Any
    best_level: Any
    effect_percent: float | None
    lower: float | None
    upper: float | None
    margin: float | None
    seeds: tuple[int, ...]
    levels: tuple[Any, ...]
    scope: str
    role: str = ""
    claim: str = ""
    hold: str = ""
    stage: str = ""
    sentence: str = ""
    reasons: tuple[str, ...] = ()
    unit: str | None = field(default=None, metadata=OPTIONAL)
    per_percent: float | None = field(default=None, metadata=OPTIONAL)

    @property
    def scale(self) -> Scale:
        """How its gain, bounds and margin are told."""
        return kept_scale(self.unit, self.per_percent)

    @property
    def decided(self) -> bool:
        """Whether the verdict gives a value that may be served."""
        return self.verdict in (Word.CONFIRM, Word.REFINE)

    @property
    def for_everyone(self) -> bool:
        """Whether its value holds whatever matters most; an old file does not say the claim."""
        return not self.claim or claim_named(self.claim).for_everyone

    @property
    def value(self) -> Any:
        """The value a decided verdict stands for: the refined level, or the confirmed default."""
        return self.best_level if self.verdict == Word.REFINE else self.default


@dataclass(frozen=True, kw_only=True)
class TunedMetric:
    """What the values were judged on, and which way it is better.

    words: both for people, as the report has them. doubt: a warning that the study made of it, to be served
    with the values; empty where there was none. beside: what the variations did to metrics that did not
    decide, as `report --json` has it; None where there were none.
    """

    name: str = "eval_loss"
    direction: str = "minimize"
    words: str = "eval_loss, smaller is better"
    doubt: str = ""
    beside: tuple[Mapping[str, Any], ...] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """Why a file serves a value no more that it served once. by: the study whose word counts instead."""

    by: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the evidence was made. tracking_url never holds credentials; date is ISO 8601."""

    versions: Mapping[str, str]
    data_fingerprint: str
    tracking_url: str
    date: str
    model: str = ""
    data: str = ""
    sweep: str = ""


@dataclass(frozen=True, kw_only=True)
class TunedDefaults:
    """The content of `bios_defaults.json`: settings by canonical name, and why they may be believed.

    values: what is served unless something else matters most. profiles: where `quality` or `speed`
    want another value, that value. evidence: by factor, further claims of a factor as `factor (claim)`.
    told: the settings that the trials heard of, where a script was told some alone; None: all of them.
    metric: what they were judged on; None in the files of older versions, which may have taken the worst for
    the best of an accuracy. withdrawn: factor -> why none of its values is served any more, though its
    evidence is kept; None where nothing was. damaged: what of the evidence was found damaged since, until its
    trials have run again; None where nothing was.
    """

    key: TunedKey
    values: Mapping[str, Any]
    evidence: Mapping[str, Evidence]
    provenance: Provenance
    baseline: Mapping[str, Any] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    told: tuple[str, ...] | None = field(default=None, metadata=OPTIONAL)
    metric: TunedMetric | None = field(default=None, metadata=OPTIONAL)
    withdrawn: Mapping[str, Withdrawn] | None = field(default=None, metadata=OPTIONAL)
    damaged: str | None = field(default=None, metadata=OPTIONAL)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, lists instead of tuples; without the parts that say nothing here."""
        return {**to_json(self), "key": self.key.to_dict()}

    def served(self, profile: str) -> dict[str, Any]:
        """Setting -> value for what matters most."""
        return {**self.values, **self.profiles.get(profile, {})}

    @property
    def all_served(self) -> set[str]:
        """The settings that have a value, be it for one profile alone."""
        return {*self.values, *(name for values in self.profiles.values() for name in values)}

    def about(self, factor: str) -> list[Evidence]:
        """All evidence of a factor, that of its first claim first."""
        return [item for item in self.evidence.values() if item.factor == factor]

    def without(self, factors: Collection[str]) -> TunedDefaults:
        """The same without a word, or a value, of some factors."""
        if not factors:
            return self
        gone = {name: one for name, one in (self.withdrawn or {}).items() if name not in factors}
        return replace(
            self._unserved(factors),
            evidence={name: item for name, item in self.evidence.items() if item.factor not in factors},
            withdrawn=gone or None,
        )

    def withdrawing(self, why: Mapping[str, Withdrawn]) -> TunedDefaults:
        """The same without the values of some factors; their evidence stays, with why it serves none."""
        before = self.withdrawn or {}
        known = {name: one for name, one in why.items() if name in self.all_served or name in before}
        together = {**before, **known}  # the study that counts by now
        return replace(self._unserved(known), withdrawn=together or None)

    def _unserved(self, factors: Collection[str]) -> TunedDefaults:
        def kept(values: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in values.items() if name not in factors}

        profiles = {profile: kept(values) for profile, values in self.profiles.items()}
        return replace(
            self,
            values=kept(self.values),
            profiles={profile: values for profile, values in profiles.items() if values},
        )

    @property
    def won(self) -> Mapping[str, Any]:
        """The settings of a joint search's winner that was refined as a whole; none without one."""
        search = self.evidence.get(SEARCH)
        whole = search.best_level if search is not None and search.verdict == Word.REFINE else None
        return whole if isinstance(whole, Mapping) else {}

    @property
    def judged_on(self) -> str:
        """`eval_accuracy, larger is better`; empty where the file does not say."""
        return self.metric.words if self.metric else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be said with the values: which are gone, what is damaged, which way may be better."""
        doubt = SILENT if self.metric is None else self.metric.doubt
        return (*self.withdrawals, *filter(None, (self.damaged, doubt)))

    @property
    def withdrawals(self) -> tuple[str, ...]:
        """A sentence per factor whose values were withdrawn."""
        return tuple(
            f"{name}: what {self.provenance.sweep or 'the study'} found is withdrawn, "
            f"for {one.by} {one.why}; take the tuned defaults of {one.by}"
            for name, one in (self.withdrawn or {}).items()
        )

    @property
    def tells(self) -> bool:
        """Whether there is a word about any setting; a control alone has none, and tunes nothing."""
        return any(item.factor != REPEAT for item in self.evidence.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Every setting that the file may speak of: the known ones and those of the script's own."""
        return (*setting_names(), *self.baseline.get("own", ()))

    @property
    def untold(self) -> tuple[str, ...]:
        """Settings that the trials never heard of: the baseline's value for them was nobody's."""
        return tuple(name for name in self.names if self.told is not None and name not in self.told)

    def settings(self, start: TrainingSettings, profile: str = Goal.BALANCED) -> TrainingSettings:
        """`start` with the tuned values in place of its own, for what matters most.

        Batch sizes were compared at equal examples, so another batch size changes the steps with it
        (unless steps were held equal). Tuned steps are those of the batch size they were measured at.

        Raises:
            DefaultsError: an unknown profile.
        """
        one_of("profile", profile, PROFILES, DefaultsError)
        return settings_for(
            start,
            self.values,
            self.profiles.get(profile, {}),
            measured_batch=int(self.baseline.get("batch_size", self.key.batch_size)),
            measured_steps=self.baseline.get("max_steps", self.key.max_steps),
            holds_steps=self.holds_steps,
        )

    @property
    def holds_steps(self) -> bool:
        """Whether batch sizes were compared at equal steps, not at equal examples."""
        return any(item.hold == "steps" for item in self.about("batch_size"))


def settings_for(
    start: TrainingSettings,
    values: Mapping[str, Any],
    own: Mapping[str, Any],
    *,
    measured_batch: int,
    measured_steps: int,
    holds_steps: bool,
) -> TrainingSettings:
    """`start` with what is served to everyone and what one profile wants otherwise (`own`) in place.

    measured_batch, measured_steps: of the study's baseline. Steps are those of the batch size that they
    belong to, start's own or that of their measurement; another batch size changes them, unless steps were
    held equal. Steps and a batch size that were both refined were tried together, as they are.
    """
    tuned = start.changed({**values, **own})
    judged = {"batch_size", "max_steps"}
    together = judged <= set(values) and not judged & set(own) and tuned.max_steps != measured_steps
    belongs = tuned.batch_size if together else measured_batch
    at = belongs if "max_steps" in {**values, **own} else start.batch_size
    if tuned.batch_size == at or holds_steps:
        return tuned
    return replace(tuned, max_steps=math.ceil(tuned.max_steps * at / tuned.batch_size))


def method_words(method: str, objective: str) -> str:
    """What is trained, with the objective where it is not the usual one."""
    return method if objective == Objective.SFT else f"{method} by {objective}"
