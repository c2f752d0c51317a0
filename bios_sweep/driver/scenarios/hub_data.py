"""The data set of the hub that a configuration names, split as configured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from bios_sweep.checks import not_allowed, require
from bios_sweep.containers.files import TRAIN
from bios_sweep.containers.source import Source
from bios_sweep.hub.cache import DATASET, HUB_ID
from bios_sweep.hub.data import find_data

TEXTS = ("subset", "split", "train_split", "eval_split", "revision")


def hub_source(
    values: Mapping[str, Any], pins: Mapping[str, str], rules: Collection[str] = ()
) -> tuple[Source, str]:
    """The records, and `ORG/NAME@COMMIT`.

    values: of the group `data`. pins: the commits that the workspace began with, see `hub.pins`.
    rules: words of `data.split` that say how to hold out; any other is the split that is trained on.

    Raises:
        InputError: it is not there, has no such split, or the hub did not give it.
    """
    name = values.get("name")
    if not isinstance(name, str) or not HUB_ID.fullmatch(name):
        raise not_allowed("data.name", name, "a data set of the hub, such as data.name=ORG/NAME")
    for key in TEXTS:
        value = values.get(key)
        require(value is None or isinstance(value, str), f"data.{key}", value, "give a text, or null")
    if not isinstance(values.get("download", False), bool):
        raise not_allowed("data.download", values["download"], "true or false")
    found = find_data(
        name,
        revision=values.get("revision"),
        subset=values.get("subset"),
        first=pins.get(f"{DATASET} {name}"),
        download=bool(values.get("download")),
    )
    named = None if values.get("split") in rules else values.get("split")
    train = values.get("train_split") or named or TRAIN
    return found.source(train, values.get("eval_split")), found.pinned
