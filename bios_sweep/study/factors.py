"""What varies in a study: factors, what is re-tuned inside their levels, what they are crossed with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import is_number, is_positive, one_of
from bios_sweep.claims import CLAIMS, OPTIMUM, REPEAT, Claim, claims_of, possible_claims, role_of
from bios_sweep.errors import PlanError
from bios_sweep.own_settings import near
from bios_sweep.settings import FULL, KNOWN, LORA_SETTINGS, TrainingSettings, allowed_range, is_whole

SCALES = {"sqrt": 0.5, "linear": 1.0}  # power of (level / default) that a nuisance setting grows with

MOST_LEVELS = 200  # of a factor; chosen: a sweep compares a handful


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """A setting re-tuned inside every level of a factor, so that levels are compared at their best.

    multiply: a ladder around the baseline's value, the same at every level, the default's included.
    scale: instead of a ladder, grow with a power of level / default (`sqrt`, `linear`). Exactly one.
    """

    setting: str = "learning_rate"
    multiply: tuple[float, ...] = ()
    scale: str | None = None

    def __post_init__(self) -> None:
        if self.setting not in KNOWN or is_whole(self.setting):
            raise PlanError(f"nuisance {self.setting!r} is not allowed; use learning_rate")
        if bool(self.multiply) == bool(self.scale):
            raise PlanError(
                f"nuisance {self.setting}: give either multiply: [0.5, 1, 2] or scale: sqrt, not both or none"
            )
        if self.scale is not None:
            one_of(f"nuisance {self.setting}: scale", self.scale, tuple(SCALES), PlanError)
        if len(self.multiply) > MOST_LEVELS:
            raise PlanError(
                f"nuisance {self.setting}: {len(self.multiply):,} levels are too many; at most {MOST_LEVELS}"
            )
        for number in self.multiply:
            if not is_positive(number):
                raise PlanError(f"nuisance {self.setting}: {number!r} is not a finite number above 0")

    def rungs(self, level: Any, default: Any) -> tuple[float, ...]:
        """Multiples of the baseline's value to run at a level, 1.0 (the value unchanged) first."""
        if self.scale is None:
            return tuple(dict.fromkeys((1.0, *map(float, self.multiply))))
        if not (is_number(level) and is_number(default)):
            raise PlanError(
                f"nuisance {self.setting}: scale {self.scale} needs levels that are numbers, not {level!r}"
            )
        return tuple(dict.fromkeys((1.0, float((level / default) ** SCALES[self.scale]))))


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A setting that varies and its tested values; exactly one of `multiply` and `values` is given.

    multiply: factors times the baseline's value (rounded for whole-number settings).
    values: the levels themselves. The baseline's own level is implied and may be listed.
    claims: what the default is judged to be; empty: see `judged_claims`.
    nuisance: a setting re-tuned inside every level.
    """

    name: str
    multiply: tuple[float, ...] = ()
    values: tuple[Any, ...] = ()
    claims: tuple[str, ...] = ()
    nuisance: Nuisance | None = None

    def __post_init__(self) -> None:
        if bool(self.multiply) == bool(self.values):
            raise PlanError(
                f"factor {self.name}: give either multiply or values, for example {{multiply: [0.5, 2]}}"
            )
        if self.name == REPEAT and self.multiply:
            raise PlanError("factor repeat: it has no value to multiply; use values, for example [1]")
        if len(self.multiply) + len(self.values) > MOST_LEVELS:
            raise PlanError(
                f"factor {self.name}: {len(self.multiply) + len(self.values):,} levels are too many; at most "
                f"{MOST_LEVELS} are compared"
            )
        for number in self.multiply:
            if not is_positive(number):
                raise PlanError(f"factor {self.name}: multiply {number!r} is not a finite number above 0")
        possible = [claim.name for claim in possible_claims(self.name)]
        for name in self.claims:
            if name not in possible:
                raise PlanError(
                    f"factor {self.name}: claim {name!r} is not allowed; choose from {', '.join(possible)}"
                )
        if self.nuisance is not None and self.nuisance.setting == self.name:
            raise PlanError(f"factor {self.name}: it cannot be its own nuisance")
        together = [name for name in self.claims if CLAIMS[name].for_everyone]
        if len(together) > 1:
            raise PlanError(
                f"factor {self.name}: claims {' and '.join(together)} would serve two values; choose one"
            )
        for name in self.claims if self.nuisance is not None else ():
            if not CLAIMS[name].retuned:
                raise PlanError(
                    f"factor {self.name}: the claim {name!r} cannot be judged with a nuisance; "
                    f"choose from {', '.join(claim.name for claim in CLAIMS.values() if claim.retuned)}"
                )

    def judged_claims(self, baseline: TrainingSettings) -> tuple[Claim, ...]:
        """The claims given, else those of the setting's role whose claimed level is tested.

        The levels of a nuisance-aware factor are compared at their best: as balance, or as optimum.
        """
        if self.claims:
            return tuple(CLAIMS[name] for name in self.claims)
        if self.nuisance is not None:
            return (next((claim for claim in possible_claims(self.name) if claim.retuned), OPTIMUM),)
        tested = [value for _, value in self.levels(baseline)]
        default = None if self.name == REPEAT else getattr(baseline, self.name)
        return tuple(
            claim
            for claim in claims_of(self.name)
            if not claim.of_another_level or claim.claimed(default) in tested
        )

    @property
    def role(self) -> str:
        """What kind of default this is: optimum, trade-off, enough."""
        return role_of(self.name)

    def levels(self, baseline: TrainingSettings) -> tuple[tuple[str, Any], ...]:
        """(label, value) per level, in the given order. Labels name arms: `x0.5` or the value itself."""
        if baseline.method == FULL and self.name in LORA_SETTINGS:
            raise PlanError(f"factor {self.name}: it is an adapter's, and full fine-tuning has none; drop it")
        if self.values:
            own = baseline.own if self.name in baseline.own else None
            typed = self.values if own is None else [own.typed(self.name, value) for value in self.values]
            return tuple((_label(value), value) for value in typed)
        start = getattr(baseline, self.name)
        if not is_number(start):
            raise PlanError(f"factor {self.name}: {start!r} cannot be multiplied; use values")
        whole = baseline.counts(self.name)
        return tuple(
            (f"x{number:g}", max(1, round(start * number)) if whole else start * number)
            for number in self.multiply
        )


def require_setting(kind: str, name: str, baseline: TrainingSettings) -> None:
    """Refuse a factor or a moderator that is no setting of the baseline.

    Raises:
        PlanError: with the nearest names, and all of them.
    """
    allowed = (*baseline.names, *((REPEAT,) if kind == "factor" else ()))
    if name not in allowed:
        meant = [known for known in KNOWN if name in KNOWN[known].aliases]
        hint = f" (did you mean {meant[0]}?)" if meant else near(name, allowed)
        own = "a script's own settings are named in method.settings"
        raise PlanError(f"{kind} {name!r} is no setting{hint}; choose from {', '.join(allowed)}; {own}")


def natural_ends(name: str, examples: int | None = None) -> tuple[float, ...]:
    """Levels of a setting beyond which nothing can be tested: its own least value, and all of the data.

    A best level there may be the best of all, so it needs no level beyond it. examples: how many the data
    has for training, where known.
    """
    least, most = allowed_range(name)
    most = examples if name == "train_examples" and examples else most
    return tuple(end for end in (least, most) if end is not None)


@dataclass(frozen=True, kw_only=True)
class Cross:
    """A moderator: the whole study is asked again at each of its values (a setting, the data size)."""

    setting: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise PlanError(f"cross {self.setting}: give at least two different values, such as [500, 4000]")


def _label(value: Any) -> str:
    """Whole numbers in full (1000001 is not 1e+06), others with six significant digits."""
    return f"{value:g}" if isinstance(value, float) else str(value)
