"""A function of a person's own that was handed over as it is: what identifies it, and how it travels."""

from __future__ import annotations

import base64
import pickle
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.contents import Contents
from bios_sweep.engines.scripted.imports import own_files, versions_of
from bios_sweep.errors import ConfigError, MissingExtraError


@dataclass(frozen=True, kw_only=True)
class OwnFunction:
    """A function and what decides its numbers.

    content: plain values, of its source and of all that it reaches, or the version that was given.
    files: own modules that it imports, by name. packages: versions of those that it reaches. by_value: own
    modules that no other process could import.
    """

    call: Callable[..., Any]
    name: str
    content: Any
    files: Mapping[str, Path]
    packages: Mapping[str, str]
    by_value: frozenset[str] = frozenset()

    def packed(self) -> str:
        """As text for a worker, where `unpacked` makes the function of it. Kept nowhere: it may hold secrets.

        Raises:
            ConfigError: it holds what cannot leave this process.
            MissingExtraError: there is no cloudpickle.
        """
        try:
            import cloudpickle  # type: ignore[import-untyped]  # needed by a run only
        except ImportError as error:
            raise MissingExtraError(
                "a function of one's own needs cloudpickle; install it with pip install 'bios-sweep[run]'"
            ) from error
        modules = [sys.modules[name] for name in sorted(self.by_value)]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            pickled = cloudpickle.dumps(self.call)
        except Exception as error:  # any object decides for itself what it raises
            raise ConfigError(
                f"{self.name}: cannot be sent to a worker ({error}); make inside the function what it needs"
            ) from error
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)
        return base64.b64encode(pickle.dumps({"path": sys.path, "function": pickled})).decode()


def unpacked(text: str) -> Callable[..., Any]:
    """The function, in another process, which then finds modules where its own process did."""
    found = pickle.loads(base64.b64decode(text))
    sys.path += [place for place in found["path"] if place not in sys.path]
    function: Callable[..., Any] = pickle.loads(found["function"])
    return function


def own_function(call: Callable[..., Any], version: str | None = None) -> OwnFunction:
    """What a function is, for the identity of its trials.

    version: stands for the content where that cannot be told; the person vouches for it.

    Raises:
        ConfigError: what it holds cannot be hashed, and no version is given.
    """
    if not callable(call):
        raise ConfigError(
            f"{call!r} is no function; give one that is called as train(settings, seed, report)"
        )
    name = getattr(call, "__name__", type(call).__name__)
    name = name if name.isidentifier() else "function"  # a lambda
    if version is not None:
        content = ["version", getattr(call, "__qualname__", name), str(version)]
        return OwnFunction(call=call, name=name, content=content, files={}, packages={})
    contents = Contents(name)
    content = contents.read(call, "the function")
    files, others = own_files(contents.modules, sys.path)
    return OwnFunction(
        call=call,
        name=name,
        content=content,
        files=files,
        packages=versions_of(others),
        by_value=frozenset(contents.by_value),
    )
