"""What the longer entries of a journal hold: nothing that the journal says elsewhere. Pure.

Settings that all trials of an entry share stand once. Of a measurement, what its step and the trial's
settings tell is left out. The curve of a trial that ended is not written again where its measurements are
lines of their own. Entries of before say all of it, and are read as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec, canonical_json, plain
from bios_sweep.vocabulary import Stage

MISSING = object()
ONE_TEXT = frozenset({str, int, bool, type(None)})  # equal values of one such type are one text
USUAL: dict[str, Any] = {"repeat": 0, "stage": str(Stage.SCREENING)}
USUAL_RESULT: dict[str, Any] = {"attempts": 1, "cause": "", "failure": ""}


def planned_fields(specs: Sequence[TrialSpec]) -> dict[str, Any]:
    """The fields of an entry that plans these trials; at least one."""
    trials: list[dict[str, Any]] = [plain(spec.to_dict()) for spec in specs]
    first, *others = [trial["settings"] for trial in trials]
    shared = {
        name: value
        for name, value in first.items()
        if all(_same(other.get(name, MISSING), value) for other in others)
    }
    return {"settings": shared, "trials": [_short(trial, shared) for trial in trials]}


def planned_trials(fields: Mapping[str, Any]) -> list[TrialSpec]:
    """The trials that an entry plans; those of one arm share their settings, which are checked once."""
    shared, made = fields.get("settings", {}), dict[str, TrainingSettings]()
    for trial in fields["trials"]:
        own = canonical_json(trial["settings"])
        if own not in made:
            made[own] = TrainingSettings.from_dict({**shared, **trial["settings"]})
    return [
        TrialSpec(**{**trial, "settings": made[canonical_json(trial["settings"])]})
        for trial in fields["trials"]
    ]


def measured_fields(spec: TrialSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an entry that measures. values: of the measurement, plain."""
    return {"key": spec.key, "measurement": _without(values, _told_by(spec, values["step"]))}


def measured_point(spec: TrialSpec, fields: Mapping[str, Any]) -> Measurement:
    """The measurement that such an entry holds."""
    values = fields["measurement"]
    return Measurement.from_dict({**_told_by(spec, values["step"]), **values})


def ended_fields(result: TrialResult, seen: Sequence[Measurement]) -> dict[str, Any]:
    """The fields of an entry that ends a trial. seen: the points of its curve that the journal has."""
    values = _without(result.to_dict(), USUAL_RESULT)
    key = values.pop("key")
    if _same(values["curve"], [plain(point.to_dict()) for point in seen]):
        del values["curve"]
    return {"key": key, "result": values}


def ended_result(fields: Mapping[str, Any], seen: Sequence[Measurement]) -> TrialResult:
    """The result that such an entry holds."""
    values = {"key": fields["key"], **fields["result"]}
    if "curve" in values:
        return TrialResult.from_dict(values)
    return replace(TrialResult.from_dict({**values, "curve": ()}), curve=tuple(seen))


def _told_by(spec: TrialSpec, step: int) -> dict[str, Any]:
    """What a step of a trial is where its steps are its batches; `train_loss` is None before the first."""
    steps, batch = spec.settings.max_steps, spec.settings.batch_size
    return {"fraction": step / steps, "examples": step * batch, "train_loss": None}


def _short(trial: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in trial["settings"].items() if name not in shared}
    return {**_without(trial, USUAL), "settings": own}


def _without(values: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if not _same(usual.get(name, MISSING), value)}


def _same(one: Any, other: Any) -> bool:
    """Whether both are written alike: 1, 1.0 and true are equal, and would come back as one of them."""
    if one != other:
        return False
    return (type(one) is type(other) and type(one) in ONE_TEXT) or canonical_json(one) == canonical_json(
        other
    )
