"""Several Ray nodes on this machine, in a process of their own that knows nothing of our environment.

Run as a script it keeps the nodes and obeys one line of JSON after another on its standard input; the
class `Nodes` is its remote control. Nodes have logical CPUs, working directories of their own, and an
environment of `PATH` and `HOME`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

OBJECT_STORE_BYTES = 80_000_000
# Ray's workers give way to all other processes (nice 15): beside other work a test would wait for minutes
AS_EAGER = {"RAY_worker_niceness": "0"}


def bare_environment() -> dict[str, str]:
    """What a node that somebody else started would have."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


class Nodes:
    """A head without CPUs for trials, and workers `0`, `1`, ... that can be killed and added."""

    def __init__(self, folder: Path, *, cpus: list[int], system: Mapping[str, Any] | None = None) -> None:
        self._session = tempfile.mkdtemp(prefix="nodes-", dir="/tmp")  # Ray's sockets: at most 107 characters
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(folder), self._session],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "nodes.log").open("w"),
            text=True,
            env={**bare_environment(), **AS_EAGER},
            start_new_session=True,
        )
        self.address = str(self._ask("head", system=dict(system or {})))
        for count in cpus:
            self.add(count)

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # nodes are in its process group
        self._process.wait()
        shutil.rmtree(self._session, ignore_errors=True)

    def add(self, cpus: int, *, gpus: int = 0, environment: Mapping[str, str] | None = None) -> None:
        """One more worker node. gpus: logical ones. environment: what this node has beyond the bare one."""
        self._ask("add", cpus=cpus, gpus=gpus, environment=dict(environment or {}))

    def kill(self, node: int) -> None:
        """End a worker node without grace: its raylet and all that it started."""
        self._ask("kill", node=node)

    def kill_head(self) -> None:
        """End the head without grace."""
        self._ask("kill_head")

    def raylet(self, node: int) -> int:
        """Process id of a worker node's raylet."""
        return int(self._ask("raylet", node=node))

    def _ask(self, verb: str, **values: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"verb": verb, **values}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the nodes are gone"}')
        assert "error" not in answer, answer["error"]
        return answer["value"]


class _Keeper:
    """In the other process: does what the lines say."""

    def __init__(self, folder: Path, session: str) -> None:
        self._folder = folder
        self._session = session
        self._nodes: list[Any] = []

    def head(self, system: dict[str, Any]) -> str:
        from ray.cluster_utils import Cluster

        self._go_to("head")
        arguments = {"_system_config": system} if system else {}
        self._cluster = Cluster()
        self._cluster.add_node(
            num_cpus=0,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            temp_dir=self._session,
            **arguments,
        )
        return str(self._cluster.address)

    def add(self, cpus: int, gpus: int, environment: dict[str, str]) -> None:
        self._go_to(f"node-{len(self._nodes)}")
        self._nodes.append(
            self._cluster.add_node(
                num_cpus=cpus,
                num_gpus=gpus,
                env_vars=environment,
                object_store_memory=OBJECT_STORE_BYTES,
                temp_dir=self._session,
            )
        )

    def kill(self, node: int) -> None:
        self._cluster.remove_node(self._nodes[node], allow_graceful=False)

    def kill_head(self) -> None:
        self._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)

    def raylet(self, node: int) -> int:
        return int(self._nodes[node].all_processes["raylet"][0].process.pid)

    def _go_to(self, name: str) -> None:
        folder = self._folder / name
        folder.mkdir()
        os.chdir(folder)


def _obey(folder: Path, session: str) -> None:
    keeper = _Keeper(folder, session)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Ray prints is no answer
    for line in sys.stdin:
        values = json.loads(line)
        try:
            answer = {"value": getattr(keeper, values.pop("verb"))(**values)}
        except Exception as error:  # noqa: BLE001 - told to the test
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    _obey(Path(sys.argv[1]), sys.argv[2])
