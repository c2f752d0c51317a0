"""The first hour with a stopwatch: from a wheel and a file of rows to tuned defaults in another tool's words.

Nothing is typed but what an earlier step printed; only the first command and what `init` cannot guess (the
model, the file, a study small enough for a test) come from outside. `pytest -m slow -s` prints the table.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_STEP = 300.0  # seconds; chosen for two busy cores
ROWS = [
    {"instruction": f"What is {a} and {b}?", "output": f"It is {a + b}."}
    for a in range(25)
    for b in range(25)
]
KNOWN_TO_THE_USER = "--model embedded --data rows.json --hardware inline budget.max_steps=3 seeds=[0,1,2]"

pytestmark = pytest.mark.slow


@dataclass(kw_only=True)
class Walk:
    """Somebody at a shell in a folder, with a stopwatch. bin: of the environment that was made for this."""

    folder: Path
    bin: Path
    steps: list[tuple[str, float]] = field(default_factory=list)

    def type(self, command: str) -> str:
        """What a command prints, once it has ended well."""
        begun = time.monotonic()
        done = subprocess.run(
            self._words(command),
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=LONGEST_STEP,
            check=False,
        )
        self.steps.append((command, time.monotonic() - begun))
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def watch(self, command: str) -> Iterator[str]:
        """The first line of a command that goes on, which counts for as long as it takes to come."""
        begun = time.monotonic()
        with subprocess.Popen(
            self._words(command),
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                self.steps.append((command, time.monotonic() - begun))
                yield line
            finally:
                process.send_signal(signal.SIGTERM)

    def table(self) -> str:
        """Commands and seconds."""
        rows = [f"{seconds:8.1f} s  {command}" for command, seconds in self.steps]
        return "\n".join([*rows, f"{sum(seconds for _, seconds in self.steps):8.1f} s  in all"])

    def _words(self, command: str) -> list[str]:
        name, *words = shlex.split(command)
        return [str(self.bin / name), *words]

    def _environment(self) -> dict[str, str]:
        """A new user's: nothing is in the cache, and no path leads to the clone."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**kept, "XDG_CACHE_HOME": str(self.folder.parent / "cache"), "COLUMNS": "80"}


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    """An empty folder and an empty environment.

    Libraries come from the one that the tests run in: what a registry takes to send them is told in
    docs/install.md. Its own copy of this package is an address in a `.pth` file, which is not followed.
    """
    (tmp_path / "work").mkdir()
    made = tmp_path / "environment"
    venv.create(made, with_pip=True)
    [site] = made.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Walk(folder=tmp_path / "work", bin=made / "bin")


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [file] = (tmp_path / "dist").glob("*.whl")
    return file


def after(words: str, said: str) -> str:
    """The command that stands behind these words in what was printed, as it can be typed."""
    [line] = [line for line in said.splitlines() if words in line]
    command = line.partition(words)[2].strip()
    return command.split("`")[1] if command.startswith(("`", "start `")) else command


def alone(verb: str, said: str) -> str:
    """A command that stands on a line of its own."""
    [line] = [line for line in said.splitlines() if line.startswith(f"    bios-sweep {verb} ")]
    return line.strip()


def test_every_step_prints_the_next_one_from_a_wheel_to_another_tool_s_settings(walk, wheel):
    (walk.folder / "rows.json").write_text(json.dumps(ROWS))
    walk.type(f"pip install --quiet --no-index --no-deps --ignore-installed {wheel}")

    ready = walk.type("bios-sweep doctor")
    first = walk.type(f"{after('next: ', ready)} {KNOWN_TO_THE_USER}")
    result = walk.type(alone("run", first))
    assert "learning_rate  CHANGE (refine)" in result

    with walk.watch(after("MLflow: ", result)) as said:
        [link] = re.findall(r"http\S+", said)
        assert b"MLflow" in urllib.request.urlopen(link.partition("#")[0], timeout=30).read()
    settings = walk.type(after("use them: ", result))
    assert re.search(r"^ *learning_rate: 0\.0107\d*$", settings, re.MULTILINE), settings
    print(f"\n{walk.table()}")
