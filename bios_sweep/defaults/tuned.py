"""Tuned defaults: what a study settled for one model, method and data, with the evidence for each factor.

Pure values. Only a confirmed default or a refined level becomes a value; everything else a study
found out stays beside it as evidence, so that nobody takes an open question for an answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from bios_sweep.errors import DefaultsError
from bios_sweep.settings import TrainingSettings, setting_names

CONFIRM = "confirm"
REFINE = "refine"
VERDICTS = (CONFIRM, REFINE, "refine (unconfirmed)", "inconclusive", "screening only")
OPTIONAL_TEXTS = ("role", "claim", "hold", "stage", "sentence")
REPEAT = "repeat"  # the A/A control: it has evidence, but it is no setting and has no value
SEARCH = "search"  # evidence of a joint search: its levels are whole settings, not values of one
PROFILES = ("quality", "balanced", "speed")
OTHER_LEVELS = ("quality", "speed", "minimum")  # claims about a level of their own
EVERY_PROFILE = ("optimum", "balanced", "enough", "")  # claims whose value holds whatever matters most


@dataclass(frozen=True, kw_only=True)
class TunedKey:
    """What the values hold for, and the size of the training that showed it.

    parameters: of the base model, None where unknown. max_steps, batch_size, tokens_per_step: those
    of the study's baseline (tokens per optimizer step, None where unknown).
    """

    family: str
    hidden_size: int
    parameters: int | None = None
    method: str
    alpha_rule: str
    max_steps: int
    batch_size: int
    tokens_per_step: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a study found about one factor: the verdict and what it stands on.

    effect_percent, lower, upper, margin: percent of the baseline's metric, positive = better; None
    where the study gives none. seeds: those the effect was measured on. levels: the values tested
    against `default`. scope: what the verdict may be said of. claim: what is claimed of `default`: the
    quality and speed claims are about levels of their own, not about the baseline's.
    """

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

    @property
    def decided(self) -> bool:
        """Whether the verdict gives a value that may be served."""
        return self.verdict in (CONFIRM, REFINE)

    @property
    def value(self) -> Any:
        """The value a decided verdict stands for: the refined level, or the confirmed default."""
        return self.best_level if self.verdict == REFINE else self.default

    @classmethod
    def from_verdict(cls, verdict: Mapping[str, Any]) -> Evidence:
        """Take over one entry of `report --json`. Bounds that are not finite become None.

        Raises:
            DefaultsError: a field of the contract is missing, or the verdict is no known word.
        """
        rest: dict[str, Any] = {name: verdict.get(name, "") for name in OPTIONAL_TEXTS}
        try:
            rest |= {name: _finite(verdict[name]) for name in ("effect_percent", "lower", "upper", "margin")}
            evidence = cls(
                verdict=verdict["verdict"],
                default=verdict["default"],
                best_level=verdict["best_level"],
                seeds=tuple(verdict["seeds"]),
                levels=tuple(record["level"] for record in verdict["levels"]),
                scope=verdict["scope"],
                reasons=tuple(verdict["reasons"]),
                **rest,
            )
        except KeyError as error:
            raise DefaultsError(f"a verdict lacks {error.args[0]!r}, which its evidence needs") from error
        _require_word(evidence.verdict)
        return evidence


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
    """

    key: TunedKey
    values: Mapping[str, Any]
    evidence: Mapping[str, Evidence]
    provenance: Provenance
    baseline: Mapping[str, Any] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    told: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, lists instead of tuples; without `told` where all settings were."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain if self.told is not None else {name: plain[name] for name in plain if name != "told"}

    @property
    def untold(self) -> tuple[str, ...]:
        """Settings that the trials never heard of: the baseline's value for them was nobody's."""
        return tuple(name for name in setting_names() if self.told is not None and name not in self.told)

    def settings(self, start: TrainingSettings, profile: str = "balanced") -> TrainingSettings:
        """`start` with the tuned values in place of its own, for what matters most.

        Batch sizes were compared at equal examples, so another batch size changes the steps with it
        (unless steps were held equal). Tuned steps are those of the batch size they were measured at.

        Raises:
            DefaultsError: an unknown profile.
        """
        if profile not in PROFILES:
            raise DefaultsError(f"profile: {profile!r} is not allowed; choose from {', '.join(PROFILES)}")
        tuned = replace(start, **{**self.values, **self.profiles.get(profile, {})})
        measured_at = self._steps_batch(start, tuned, profile)
        if tuned.batch_size == measured_at or self.holds_steps:
            return tuned
        return replace(tuned, max_steps=math.ceil(tuned.max_steps * measured_at / tuned.batch_size))

    @property
    def holds_steps(self) -> bool:
        """Whether batch sizes were compared at equal steps, not at equal examples."""
        return "steps" in {
            item.hold for name, item in self.evidence.items() if factor_of(name) == "batch_size"
        }

    def _steps_batch(self, start: TrainingSettings, tuned: TrainingSettings, profile: str) -> int:
        """The batch size that the steps in `tuned` belong to: start's own, or that of their measurement.

        Steps and a batch size that were both refined were tried together, as they are.
        """
        own = self.profiles.get(profile, {})
        if "max_steps" not in {**self.values, **own}:
            return start.batch_size
        measured_at = int(self.baseline.get("batch_size", self.key.batch_size))
        steps = self.baseline.get("max_steps", self.key.max_steps)
        refined = {"batch_size", "max_steps"} <= set(self.values) and not {"batch_size", "max_steps"} & set(
            own
        )
        return tuned.batch_size if refined and tuned.max_steps != steps else measured_at


def build_tuned(
    *,
    key: TunedKey,
    verdicts: Sequence[Mapping[str, Any]],
    baseline: TrainingSettings,
    provenance: Provenance,
    served: Mapping[str, Any] | None = None,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
    told: Sequence[str] | None = None,
) -> TunedDefaults:
    """Turn a study's verdicts (entries of `report --json`) into tuned defaults.

    served: setting -> value to serve, where the caller knows better than the single verdicts: with two
    or more refined factors only their confirmed combination, or the best of them, may be served.
    Without it every decided factor is served. profiles: profile -> setting -> value, where it differs.
    told: the settings that the trials heard of; None: all.

    Raises:
        DefaultsError: a value that no confirmed or refined verdict stands for, two refined factors
            without `served`, a factor judged twice, a default that is not the baseline's, or evidence about a
            setting that the trials never heard of.
    """
    evidence = _evidence(verdicts, baseline)
    values = decided_values(evidence) if served is None else dict(served)
    for name, value in values.items():
        require_served(name, value, evidence)
    for profile, differing in (profiles or {}).items():
        for name, value in differing.items():
            require_served(name, value, evidence, profile)
    refined = [
        name
        for name in evidence
        if evidence[name].verdict == REFINE and name in setting_names() and _holds_everywhere(evidence[name])
    ]
    if served is None and len(refined) > 1:
        raise DefaultsError(
            f"{' and '.join(refined)} are refined one by one; say in `served` which of them hold together"
        )
    tuned = TunedDefaults(
        key=key,
        values={name: values[name] for name in setting_names() if name in values},
        profiles={name: dict(differing) for name, differing in (profiles or {}).items() if differing},
        evidence=evidence,
        provenance=replace(provenance, tracking_url=without_credentials(provenance.tracking_url)),
        baseline=baseline.to_dict(),
        told=None if told is None else tuple(name for name in setting_names() if name in told),
    )
    require_told(tuned)
    return tuned


def decided_values(evidence: Mapping[str, Evidence]) -> dict[str, Any]:
    """Setting -> value for every confirmed or refined factor; controls and further claims give none."""
    return {
        name: item.value
        for name, item in evidence.items()
        if item.decided and name in setting_names() and _holds_everywhere(item)
    }


def _holds_everywhere(item: Evidence) -> bool:
    return item.claim in EVERY_PROFILE


def factor_of(name: str) -> str:
    """The factor that a key of the evidence is about: `batch_size (quality)` is about batch_size."""
    return name.partition(" (")[0]


def require_served(
    name: str, value: Any, evidence: Mapping[str, Evidence], profile: str = "balanced"
) -> None:
    """Refuse a value that its evidence does not stand for.

    Raises:
        DefaultsError: no setting, no evidence, an open verdict, or another value than the verdict's.
    """
    if name not in setting_names():
        raise DefaultsError(f"{name!r} is no setting and cannot be served")
    if profile not in PROFILES:
        raise DefaultsError(f"profiles: {profile!r} is not allowed; choose from {', '.join(PROFILES)}")
    items = [item for key, item in evidence.items() if factor_of(key) == name]
    if not items:
        raise DefaultsError(f"{name}: a value without evidence cannot be served")
    claims = EVERY_PROFILE if profile == "balanced" else (*EVERY_PROFILE, profile)
    meant = [item for item in items if item.claim in claims or item.claim == "identical"] or items
    if _searched(name, value, evidence):
        return
    decided = [item for item in meant if item.decided]
    if not decided:
        raise DefaultsError(
            f"{name}: the verdict is {meant[0].verdict!r}; only {CONFIRM} and {REFINE} give a value to serve"
        )
    if all(value != item.value for item in decided):
        raise DefaultsError(f"{name}: {value!r} is not what its verdict stands for ({decided[0].value!r})")


def require_told(tuned: TunedDefaults) -> None:
    """Refuse values and evidence about settings that the trials never heard of.

    Raises:
        DefaultsError: no list of settings, or the first such setting.
    """
    for name in tuned.told or ():
        if name not in setting_names():
            raise DefaultsError(f"told: {name!r} is no setting")
    claimed = [factor_of(name) for name in tuned.evidence]
    for values in (tuned.values, *tuned.profiles.values()):
        claimed += values
    for name in claimed:
        if name in tuned.untold:
            raise DefaultsError(f"{name}: the trials were never told it, so that nothing is known of it")


def _searched(name: str, value: Any, evidence: Mapping[str, Evidence]) -> bool:
    """Whether a joint search's winner, refined as a whole, stands for the value."""
    item = evidence.get(SEARCH)
    if item is None or item.verdict != REFINE or not isinstance(item.best_level, Mapping):
        return False
    return name in item.best_level and item.best_level[name] == value


def without_credentials(url: str) -> str:
    """A tracking URL that may be written down: no user, no password, no query (tokens travel there).

    A `#/...` link keeps its fragment. Where an unescaped character hides where a secret ends, only the
    scheme is left.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    if rest.startswith("/"):  # sqlite:////folder/file.db and file:///folder: a path, no host
        return url.partition("?")[0]
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses text, which is a password cut short by `/`, `?` or `#`
    except ValueError:
        return f"{scheme}://"
    if "@" in parts.path + parts.query + parts.fragment:
        return f"{scheme}://"
    return urlunsplit((scheme, parts.netloc.rpartition("@")[2], parts.path, "", parts.fragment))


def _evidence(verdicts: Sequence[Mapping[str, Any]], baseline: TrainingSettings) -> dict[str, Evidence]:
    """By factor; a factor's further claims as `factor (claim)`. Other cells of a crossed study stay out."""
    evidence: dict[str, Evidence] = {}
    for verdict in verdicts:
        name = verdict.get("factor")
        if name not in (*setting_names(), REPEAT, SEARCH):
            raise DefaultsError(f"a verdict is about {name!r}, which is no setting")
        item = Evidence.from_verdict(verdict)
        key = f"{name} ({item.claim})" if name in evidence and item.claim else name
        if key in evidence or (name in evidence and evidence[name].claim == item.claim):
            raise DefaultsError(f"{name}: two verdicts for one factor; one study gives one")
        own = name in setting_names() and item.claim not in OTHER_LEVELS
        if own and item.default != getattr(baseline, name):
            raise DefaultsError(
                f"{name}: the verdict is about the default {item.default!r}, "
                f"the baseline has {getattr(baseline, name)!r}"
            )
        evidence[key] = item
    return evidence


def _require_word(verdict: Any) -> None:
    if verdict not in VERDICTS:
        raise DefaultsError(f"verdict {verdict!r} is not allowed; choose from {', '.join(VERDICTS)}")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
