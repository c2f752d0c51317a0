"""A composed configuration, as values. Light: to have one that is known needs no Hydra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.study.margins import BEFORE

# keys of groups that earlier versions did not have, with what they mean where a user's own file lacks them
CAME_LATER: dict[str, dict[str, Any]] = {
    "budget": {"epochs": None, "checkpoint_minutes": None, "least_free_gb": 0.1},
    "data": {
        "score": None,
        "score_pattern": None,
        "score_items": None,
        "score_tokens": None,
        "score_stop": None,
        "train_on": None,
        "chat_date": None,
        "eval_share": 0.1,
        "weights": None,
        "shape": None,
        "columns": None,
        "on_bad": None,
        "max_bad": None,
        "cluster": None,
        "split": None,
        "chunk_tokens": None,
    },
    "model": {"revision": None, "download": False},
    "decision": {
        "purpose": BEFORE,
        "margin_absolute": None,
        "margin_points": None,
        "metrics": None,
        "undecidable": "refuse",
    },
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """A composed configuration as plain values; `sweep` is the chosen sweep file's name, or None.

    members: group -> its chosen member. chooser: group -> who chose it, `command line` or a config file,
    where that matters (see `config.groups`); a group whose member is that of config.yaml is not in it.
    notes: what was chosen for the user, as sentences. composed_of: the words that Hydra was given.
    variables: of the environment, whose values stand in it.
    """

    values: Mapping[str, Any]
    sweep: str | None
    overrides: tuple[str, ...]
    composed_of: tuple[str, ...] = ()
    members: Mapping[str, str] = field(default_factory=dict)
    chooser: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


def with_later_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the keys that a user's own group file cannot have, for it is older than they are."""
    later = {group: keys for group, keys in CAME_LATER.items() if isinstance(values.get(group), Mapping)}
    return {**values, **{group: {**keys, **values[group]} for group, keys in later.items()}}
