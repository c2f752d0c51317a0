"""A study written as the sweep file that composes to it, and the command that runs it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.settings import HEURISTIC, KNOWN, key_of
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor

PER_LINE = 108  # characters of a comment line; the project's line length


def changed_values(old: Study, new: Study) -> dict[str, Any]:
    """Configuration keys that the new study sets otherwise than the old one, by their dotted path.

    A new baseline is written whole: a value left `auto` would follow the batch size.
    """
    values: dict[str, Any] = {"seeds": list(new.seeds), "decision.looks": list(new.decision.looks)}
    if new.decision.confirmation_seeds != old.decision.confirmation_seeds:
        values["decision.confirmation_seeds"] = new.decision.confirmation_seeds
    if new.decision.refine != old.decision.refine:
        values["decision.refine"] = new.decision.refine
    if new.baseline != old.baseline:
        moved = [name for name in new.baseline.differing(old.baseline) if name in KNOWN]
        off = {name for name in HEURISTIC if KNOWN[name].silent and getattr(new.baseline, name) is None}
        written = dict.fromkeys((*(name for name in HEURISTIC if name not in off), *moved))
        values |= {key_of(name): getattr(new.baseline, name) for name in written}
        if new.baseline.own != old.baseline.own:
            values["method.settings"] = dict(new.baseline.own)
    return values


def sweep_text(study: Study, values: Mapping[str, Any], comments: Sequence[str]) -> str:
    """The file: `sweeps` from the study, other keys by their dotted path. comments: one sentence each."""
    lines = [line for comment in comments for line in _wrapped(comment)]
    factors = {factor.name: _factor(factor) for factor in study.factors}
    nested: dict[str, Any] = {"sweeps": {"question": study.question, "factors": factors}}
    if study.cross:
        nested["sweeps"]["cross"] = {moderator.setting: list(moderator.values) for moderator in study.cross}
    for path, value in values.items():
        *groups, key = path.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    body = yaml.safe_dump(
        nested, default_flow_style=None, sort_keys=False, allow_unicode=True, width=PER_LINE
    )
    return f"# @package _global_\n{''.join(f'# {line}{chr(10)}' for line in lines)}{body}"


def differing(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of every value of `after` that `before` lacks or has otherwise."""
    for key, value in after.items():
        there = before.get(key)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            yield from differing(there, value, f"{path}{key}.")
        elif key not in before or there != value:
            yield f"{path}{key}", value


def key_set_by(override: str) -> str:
    """The key or group that an override sets."""
    return override.partition("=")[0].lstrip("+~")


def without(overrides: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Overrides that set none of the keys, nor anything inside one of them."""
    return [
        override
        for override in overrides
        if not any(key_set_by(override) == key or key_set_by(override).startswith(f"{key}.") for key in keys)
    ]


def next_name(name: str) -> str:
    """`rate` -> `rate_2` -> `rate_3`."""
    numbered = re.fullmatch(r"(.+)_(\d+)", name)
    return f"{numbered[1]}_{int(numbered[2]) + 1}" if numbered else f"{name}_2"


def _factor(factor: Factor) -> dict[str, Any]:
    values: dict[str, Any] = {
        kind: list(listed) for kind in ("multiply", "values", "claims") if (listed := getattr(factor, kind))
    }
    if nuisance := factor.nuisance:
        how = {"scale": nuisance.scale} if nuisance.scale else {"multiply": list(nuisance.multiply)}
        values["nuisance"] = {nuisance.setting: how}
    return values


def _wrapped(text: str) -> list[str]:
    """One comment as lines; control characters would end the comment."""
    words = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", " ", text).split()
    lines = textwrap.TextWrapper(
        PER_LINE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return lines.wrap(" ".join(words)) or [""]
