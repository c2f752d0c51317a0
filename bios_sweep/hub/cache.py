"""The hub's cache on this machine: which commits of a repository are there. Standard library only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODEL, DATASET = "model", "dataset"
MAIN = "main"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
YES = frozenset({"1", "on", "yes", "true"})  # as huggingface_hub reads its switches
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


UNREACHED = "cannot be reached ({}); check the network, or bring the cache from elsewhere"


@dataclass(frozen=True)
class Repository:
    """A repository of the hub. kind: `model` or `dataset`. name: `ORG/NAME`."""

    kind: str
    name: str

    @property
    def folder(self) -> Path:
        """Where the hub's clients keep it; need not be there."""
        return hub_cache() / f"{self.kind}s--{self.name.replace('/', '--')}"

    def commit_of(self, revision: str) -> str | None:
        """The commit that a branch or tag had when it was downloaded; None where it never was."""
        if COMMIT.fullmatch(revision):
            return revision
        reference = self.folder / "refs" / revision
        try:
            return reference.read_text(encoding="utf-8").strip() or None
        except (OSError, ValueError):
            return None

    def snapshot(self, commit: str) -> Path | None:
        """The files of a commit, not all of which need be there; None where none is."""
        folder = self.folder / "snapshots" / commit
        return folder.absolute() if folder.is_dir() else None

    def __str__(self) -> str:
        return f"{self.kind if self.kind == MODEL else 'data set'} {self.name}"


def pinned(name: str, commit: str) -> str:
    """A repository at a commit as one word, which means the same on every node."""
    return f"{name}@{commit}"


def unpinned(text: str) -> tuple[str, str | None]:
    """The repository and the commit of `pinned`; None where the text names none."""
    name, at, commit = text.rpartition("@")
    return (name, commit) if at and HUB_ID.fullmatch(name) and COMMIT.fullmatch(commit) else (text, None)


def hub_cache() -> Path:
    """Where the hub's clients keep repositories, by their own environment variables."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    return hub_home() / "hub"


def hub_home() -> Path:
    """The folder of everything that the hub's clients keep."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("HF_HOME") or caches / "huggingface").expanduser()


def hub_access(environ: Mapping[str, str]) -> dict[str, str]:
    """What a process on another node needs to ask the hub as this one does; the token is a secret."""
    found = {name: environ[name] for name in ("HF_ENDPOINT", "HF_TOKEN") if environ.get(name)}
    file = Path(environ.get("HF_TOKEN_PATH") or hub_home() / "token").expanduser()
    if "HF_TOKEN" not in found and file.is_file():
        found["HF_TOKEN"] = file.read_text(encoding="utf-8").strip()
    return found


def offline_switches() -> tuple[str, ...]:
    """The variables that are set and forbid to ask the hub."""
    return tuple(name for name in OFFLINE if os.environ.get(name, "").casefold() in YES)
