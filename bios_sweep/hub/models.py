"""A model by its name on the hub: at which commit, whether it is here, and what it would cost to bring it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import ModelError
from bios_sweep.hub.asking import alone, ask, brought
from bios_sweep.hub.cache import MAIN, MODEL, Repository, hub_cache, hub_home, pinned

GIB = 2**30
Complete = Callable[[Path], bool]


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model of the hub at a commit.

    folder: its files in the cache, without the weights where `weights` lists them. weights: sha256 by name of
    those that are not here yet. parameters: of all, where that is known without them.
    """

    name: str
    commit: str
    folder: Path
    weights: Mapping[str, str] = field(default_factory=dict)
    parameters: int | None = None

    @property
    def pinned(self) -> str:
        """`ORG/NAME@COMMIT`."""
        return pinned(self.name, self.commit)


def known_cost(name: str, commit: str, is_complete: Complete) -> str:
    """`HubModel.cost` of what was looked at before; empty where nothing is to be downloaded. Asks nobody."""
    repository = Repository(MODEL, name)
    folder, kept = repository.snapshot(commit), _kept(repository, commit)
    if folder is None or kept is None or is_complete(folder):
        return ""
    size = sum(int(one["bytes"]) for one in kept["weights"].values())
    return f"model {name} at {commit[:8]}: run downloads {size / GIB:.3g} GiB into {hub_cache()}"


def find_model(
    name: str, revision: str | None, *, download: bool, first: str | None, is_complete: Complete
) -> HubModel:
    """The model at a revision, from the cache; else, where that is allowed, by what the hub says.

    revision: a branch, tag or commit; None: `first`, the commit that this workspace began with, else main.
    is_complete: whether a folder has all that loading reads.

    Raises:
        ModelError: it is not here and must not be downloaded.
        HubError: the hub did not give it.
    """
    repository = Repository(MODEL, name)
    asked = revision or first or MAIN
    commit = repository.commit_of(asked)
    folder = repository.snapshot(commit) if commit else None
    if commit and folder and is_complete(folder):
        return HubModel(name=name, commit=commit, folder=folder)
    if not download:
        begun = " without its weights" if folder else ""
        at = f" at {asked}" if asked != MAIN else ""
        raise ModelError(
            f"model {name}{at}: {'is' if begun else 'neither a folder nor'} in the Hugging Face cache "
            f"{hub_cache()}{begun}; add model.download=true, or download it first: hf download {name}"
            f"{f' --revision {asked}' if at else ''}"
        )
    return _looked_at(repository, asked, commit)


def _looked_at(repository: Repository, asked: str, commit: str | None) -> HubModel:
    """By what an earlier look left, so that a second plan asks nothing."""
    kept = None if commit is None else _kept(repository, commit)
    if kept is None:
        with alone(repository):
            kept = ask("look", repository, asked)
        write_atomically(_memory(repository, kept["commit"]), json.dumps(kept))
    folder = repository.snapshot(kept["commit"])
    if folder is None:
        raise ModelError(
            f"model {repository.name}: was removed from {hub_cache()} while it was read; try again"
        )
    weights = kept["weights"]
    return HubModel(
        name=repository.name,
        commit=kept["commit"],
        folder=folder,
        weights={name: str(one["sha256"]) for name, one in weights.items()},
        parameters=int(kept["parameters"]),
    )


def _memory(repository: Repository, commit: str) -> Path:
    return hub_home() / "bios_sweep" / f"{repository.folder.name}--{commit}.json"


def _kept(repository: Repository, commit: str) -> dict[str, Any] | None:
    try:
        kept = json.loads(_memory(repository, commit).read_text(encoding="utf-8"))
        return kept if repository.snapshot(commit) and kept["commit"] == commit and kept["weights"] else None
    except (OSError, ValueError, KeyError, TypeError):  # none, or damaged: it is asked again
        return None


def fetched(name: str, commit: str, is_complete: Complete) -> Path:
    """The folder of a model with all its files, downloaded once per node where they are not there.

    Raises:
        HubError: the hub did not give it.
    """
    repository = Repository(MODEL, name)

    def is_there() -> bool:
        folder = repository.snapshot(commit)
        return folder is not None and is_complete(folder)

    brought(repository, is_there, "fetch", commit)
    folder = repository.snapshot(commit)
    if folder is None:
        raise ModelError(f"model {name}: was removed from {hub_cache()} while it was read; try again")
    return folder
