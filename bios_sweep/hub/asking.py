"""The hub is asked from a process of its own, which loads the client; what it cannot give is one sentence."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bios_sweep.containers import child
from bios_sweep.defaults.hub import ENDPOINT
from bios_sweep.errors import InputError
from bios_sweep.hub.cache import UNREACHED, Repository, hub_cache, offline_switches

PROGRAM = "bios_sweep.hub.client_child"
PORTS = {"http": 80, "https": 443}
PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
REACH_SECONDS = 10.0  # chosen, not measured
QUIET = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1"}


class HubError(InputError):
    """What the hub did not give, and the way out."""


def ask(task: str, repository: Repository, *words: str, program: str = PROGRAM) -> Any:
    """What a task of the child answers about a repository.

    Raises:
        HubError: it is forbidden to ask, the client is not installed, or what the hub said.
    """
    switches = offline_switches()
    if switches:
        raise HubError(
            f"{repository}: is to be downloaded, but {switches[0]} is set; unset it, or download it "
            f"elsewhere into {hub_cache()}"
        )
    if not child.installed("huggingface_hub"):
        raise HubError(f"{repository}: downloading needs huggingface_hub; pip install 'bios-sweep[run]'")
    _require_reached(repository)
    process = child.start(program, [task, repository.kind, repository.name, *words], QUIET)
    output, errors = process.communicate()
    if process.returncode:
        raise HubError(f"{repository}: {child.sentence_of(process, errors)}")
    return json.loads(output.splitlines()[-1])


def _require_reached(repository: Repository) -> None:
    """The client tries a hub that nobody reaches again and again; behind a proxy only the client can tell."""
    endpoint = os.environ.get("HF_ENDPOINT") or ENDPOINT
    address = urlsplit(endpoint)
    if address.scheme not in PORTS or not address.hostname:
        raise HubError(f"{repository}: HF_ENDPOINT {endpoint!r} is no http address; mend it, or unset it")
    if any(map(os.environ.get, PROXIES)):
        return
    try:
        where = (address.hostname, address.port or PORTS[address.scheme])
        socket.create_connection(where, timeout=REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        raise HubError(f"{repository}: {endpoint} {UNREACHED.format(error)}") from error


@contextmanager
def alone(repository: Repository) -> Iterator[None]:
    """One process of this node at a time: a second one waits, and finds what the first has brought."""
    folder = hub_cache() / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"bios_sweep--{repository.folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # ends with the process, however it ends
        yield


def brought(repository: Repository, is_there: Callable[[], bool], task: str, *words: str) -> None:
    """See that something is there: asks the hub once per node where it is not.

    Raises:
        HubError: the hub did not give it.
    """
    if is_there():
        return
    with alone(repository):
        if not is_there():
            ask(task, repository, *words)
