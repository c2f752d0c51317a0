"""The base model that a configuration names: that of the package, a folder, or one of the hub at a commit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.assets import base_model_path
from bios_sweep.checks import not_allowed, one_of, require
from bios_sweep.engines.training.facts import (
    EMBEDDED,
    describe_hub_model,
    describe_model,
    is_complete,
    portable_model,
)
from bios_sweep.errors import ConfigError
from bios_sweep.hub.cache import HUB_ID, MODEL, unpinned
from bios_sweep.hub.models import fetched, find_model, known_cost
from bios_sweep.paths import expanded
from bios_sweep.study.scenario import ModelFacts, Scenario

MODEL_KINDS = ("embedded", "local", "planted", "named")
SCRIPTS_ONLY = "goes with method=command and method=python only, whose script reads its own"
REVISION, DOWNLOAD = "model.revision", "model.download"


def read_model(values: Mapping[str, Any], pins: Mapping[str, str]) -> ModelFacts:
    """The facts of the configured base model.

    values: of the group `model`. pins: the commits that the workspace began with, see `hub.pins`.

    Raises:
        InputError: it is not there, cannot be trained, or the hub did not give it.
    """
    one_of("model.kind", values["kind"], MODEL_KINDS)
    name, revision, download = values["name"], values.get("revision"), values.get("download")
    for key, value in (("model.name", name), (REVISION, revision)):
        require(value is None or isinstance(value, str), key, value, "give a text, or null")
    if download not in (None, False, True):
        raise not_allowed(DOWNLOAD, download, "true or false")
    if values["kind"] == "embedded":
        return describe_model(str(base_model_path()), name)
    if values["kind"] == "named":
        raise ConfigError(f"model=named {SCRIPTS_ONLY}")
    if not values["path"]:
        raise ConfigError("model.path: missing; give a folder with config.json, or a Hugging Face id")
    path = str(values["path"])
    if expanded(path).exists() or not HUB_ID.fullmatch(path):
        if revision is not None:
            raise ConfigError(
                f"{REVISION}: {path} is not of the hub; leave it out, or give model.path=ORG/NAME"
            )
        return describe_model(path, name)
    first = pins.get(f"{MODEL} {path}")
    found = find_model(path, revision, download=bool(download), first=first, is_complete=is_complete)
    return describe_hub_model(found, name)


def model_options(values: Mapping[str, Any], model: ModelFacts) -> dict[str, Any]:
    """What the engine is told: a name that means the same on every node, and whether it may download."""
    if values["kind"] == "embedded":
        return {"model_path": EMBEDDED}
    path = model.hub or portable_model(str(values["path"]))
    return {"model_path": path, **({"model_download": True} if model.hub and values.get("download") else {})}


def download_notes(scenario: Scenario) -> tuple[str, ...]:
    """What a run would download first; nothing where the model is here."""
    name, commit = unpinned(scenario.model.hub)
    if commit is None or not downloads(scenario):
        return ()
    return tuple(filter(None, (known_cost(name, commit, is_complete),)))


def downloads(scenario: Scenario) -> bool:
    """Whether a node may download the model."""
    return bool(scenario.engine_options.get("model_download"))


def bring_model(scenario: Scenario) -> None:
    """See that the model's weights are on this machine before anything starts.

    Raises:
        HubError: the hub did not give them.
    """
    name, commit = unpinned(scenario.model.hub)
    if commit is not None and downloads(scenario):
        fetched(name, commit, is_complete)
