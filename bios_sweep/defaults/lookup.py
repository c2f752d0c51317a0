"""Find tuned defaults for a model: which place has them, and how near their key is.

A verdict holds for the family, the method, the objective and the alpha rule it was made with, and a
look-up never crosses one of them (who ran the training, bios-sweep or a script, it does). Of these, an
entry of the model's own size is taken wherever it lies; only if no place has one, the nearest size, with
a warning. The size is the hidden size, by which the learning-rate rule goes; between entries of one
hidden size the parameters decide, where they are given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import le
from pathlib import Path
from typing import Any

from bios_sweep.defaults.model_config import model_shape
from bios_sweep.defaults.places import Place, places
from bios_sweep.defaults.rules import family_of
from bios_sweep.defaults.tuned import TunedDefaults, TunedKey, method_words
from bios_sweep.defaults.tuned_file import read_entries
from bios_sweep.errors import DefaultsError, NotTunedError
from bios_sweep.method import Objective
from bios_sweep.settings import ALPHA_RULES, COUNT

NEVER_CROSSED = ("family", "method", "objective", "alpha_rule")
# beyond these ratios nothing is near: of hidden sizes, and of parameters as a model of twice the width and
# twice the depth has; chosen, not measured
FARTHEST = (math.log(2.0), math.log(8.0))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What tuned defaults are wanted for. parameters: of the base model, None where unknown."""

    family: str
    hidden_size: int
    method: str
    alpha_rule: str
    parameters: int | None = None
    objective: str = Objective.SFT.value

    @property
    def words(self) -> str:
        """The key in a sentence."""
        method = method_words(self.method, self.objective)
        return f"{self.family}, hidden size {self.hidden_size}, {method}, {self.alpha_rule}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Tuned defaults and the place that won. searched: the places looked through to find them, in words.

    exact: whether they were made on a model of the same size; `warning` says what is different. distance:
    which distance decided, in words.
    """

    tuned: TunedDefaults
    wanted: Wanted
    source: str
    path: Path
    searched: tuple[str, ...]
    exact: bool
    distance: str
    warning: str = ""


def lookup(
    model: str | os.PathLike[str] | TunedKey | None = None,
    *,
    family: str | None = None,
    hidden_size: int | None = None,
    parameters: int | None = None,
    method: str = "lora",
    alpha_rule: str = ALPHA_RULES[0],
    path: str | os.PathLike[str] | None = None,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
    objective: str = Objective.SFT.value,
) -> Found:
    """Tuned defaults for a model or a key, from the first place that has them.

    model: a folder, an id or a `TunedKey`; or family and hidden_size. objective: `sft` or `dpo`. path,
    start, environment: as in `places`. Places in order: the explicit path, BIOS_DEFAULTS, the project's
    pyproject.toml, entry points, shipped. A file that is bad or missing is refused when its turn comes, not
    passed over.

    Raises:
        NotTunedError: no place has any; the message names every place.
        DefaultsError: a bad file, or facts that are missing.
        ModelError: the model cannot be found.
    """
    more = {"parameters": parameters, "method": method, "alpha_rule": alpha_rule, "objective": objective}
    wanted = _wanted(model, family, hidden_size, **more)
    searched: list[str] = []
    near: list[tuple[Place, list[TunedDefaults]]] = []
    for place in places(path, start=start, environment=environment):
        searched.append(place.words)
        entries = _entries(place, wanted)
        exact = [entry for entry in entries if _apart(entry.key, wanted) == (0.0, 0.0)]
        if exact:
            return _found(place, exact, wanted, tuple(searched), exact=True)
        close = [entry for entry in entries if all(map(le, _apart(entry.key, wanted), FARTHEST))]
        near += [(place, close)] if close else []
    if near:
        return _found(*near[0], wanted, tuple(searched), exact=False)
    message = f"no tuned defaults for {wanted.words}; searched {'; '.join(searched)}"
    raise NotTunedError(message, tuple(searched))


def _entries(place: Place, wanted: Wanted) -> list[TunedDefaults]:
    """What a place has for the family, method, objective and alpha rule, of whatever size."""
    if place.path is None:
        return []
    try:
        entries = [entry for entry in read_entries(place.path) if entry.tells]
    except DefaultsError as error:
        raise DefaultsError(f"{place.name}: {error}") from error
    same = [getattr(wanted, name) for name in NEVER_CROSSED]
    return [entry for entry in entries if [getattr(entry.key, name) for name in NEVER_CROSSED] == same]


def _found(
    place: Place, entries: list[TunedDefaults], wanted: Wanted, searched: tuple[str, ...], *, exact: bool
) -> Found:
    """The entry nearest in hidden size, then in parameters; of equals the latest."""
    assert place.path is not None  # it had entries
    latest = sorted(entries, key=lambda entry: entry.provenance.date, reverse=True)
    tuned = min(latest, key=lambda one: _apart(one.key, wanted))
    distance = distance_words(tuned.key, wanted)
    warning = f"tuned on another size: {distance}; an extrapolation, check it with sweeps=learning_rate"
    return Found(
        tuned=tuned,
        wanted=wanted,
        source=place.words,
        path=place.path,
        searched=searched,
        exact=exact,
        distance=distance,
        warning="" if exact else warning,
    )


def _wanted(
    model: str | os.PathLike[str] | TunedKey | None, family: str | None, hidden_size: int | None, **more: Any
) -> Wanted:
    """The key to look for: a key as it is, else the model's shape, corrected by what is given."""
    if isinstance(model, TunedKey):
        return Wanted(**{field.name: getattr(model, field.name) for field in fields(Wanted)})
    if family is None or hidden_size is None:
        if model is None:
            raise DefaultsError("lookup needs a model (folder or id), a key, or both family and hidden_size")
        shape = model_shape(model)
        family = shape.family if family is None else family
        hidden_size = shape.hidden_size if hidden_size is None else hidden_size
    COUNT.require("hidden_size", hidden_size, DefaultsError)
    return Wanted(family=family_of(family), hidden_size=hidden_size, **more)


def distance_words(key: TunedKey, wanted: Wanted) -> str:
    """How far a key is from what is wanted, and by which measure."""
    if key.hidden_size != wanted.hidden_size:
        words = f"by hidden size, {key.hidden_size} against {wanted.hidden_size}"
    else:
        words = f"hidden size {key.hidden_size} is the same"
    if key.parameters is None or wanted.parameters is None:
        return f"{words}; parameters not compared"
    if key.parameters == wanted.parameters:
        return f"{words}, parameters too" if key.hidden_size == wanted.hidden_size else words
    by = "" if key.hidden_size != wanted.hidden_size else "by parameters, "
    return f"{words}; {by}{key.parameters} against {wanted.parameters}"


def _apart(key: TunedKey, wanted: Wanted) -> tuple[float, float]:
    """Ratios of hidden sizes and of parameters, as logarithms; unknown parameters may be the same, 0."""
    sizes = abs(math.log(key.hidden_size / wanted.hidden_size))
    if key.parameters is None or wanted.parameters is None:
        return sizes, 0.0
    return sizes, abs(math.log(key.parameters / wanted.parameters))
