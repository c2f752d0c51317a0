"""What needs pyarrow, asked of a process of its own, which streams its answer: no plan loads the library."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from importlib import util
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from bios_sweep.errors import DataError
from bios_sweep.interpreter import python, with_package
from bios_sweep.secrecy import masked

PROGRAM = "bios_sweep.containers.columns_child"
MARK = "bios-sweep: "  # before the sentence on standard error, for libraries print there too


def installed(package: str) -> bool:
    """Whether it could be loaded; it is not."""
    return util.find_spec(package) is not None


def require(package: str, path: object, what: str) -> None:
    """Refuse what needs a package that is not installed: a `DataError`."""
    if not installed(package):
        raise DataError(
            f"{path}: is {what}, which needs {package}; pip install 'bios-sweep[run]', or give JSON lines"
        )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, with this package findable."""
    return {**with_package(), **(more or {})}


def start(
    module: str,
    words: Sequence[str],
    more: Mapping[str, str] | None = None,
    errors: IO[bytes] | int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """A module of ours in its own process.

    It ends as soon as its answer is written: threads of the libraries now and then abort an interpreter that
    shuts down, and what was done would pass for a failure. errors: a file for standard error where nobody
    reads it meanwhile: a pipe that is full stops the process.
    """
    call = (
        f"import os, sys; from {module} import main; code = main(sys.argv[1:]); "
        "sys.stdout.flush(); sys.stderr.flush(); os._exit(code)"
    )
    return subprocess.Popen(
        python("-c", call, *words),
        env=environment(more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
    )


def sentence_of(process: subprocess.Popen[bytes], errors: bytes) -> str:
    """Why it failed: its own sentence, else the last thing it said."""
    lines = errors.decode(errors="replace").strip().splitlines()
    own = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    if own:
        return masked(own[-1])
    code = process.returncode
    last = lines[-1] if lines else "no message"
    return masked(f"ended by signal {-code}" if code < 0 else last)


def _of_file(process: subprocess.Popen[bytes], errors: bytes, path: str) -> str:
    """The same about a file, also where the process crashed."""
    said = sentence_of(process, errors)
    return said if said.startswith(path) else f"{path}: cannot be read ({said}); is it damaged?"


def rows(module: str, words: Sequence[str], more: Mapping[str, str] | None = None) -> Iterator[Any]:
    """The JSON values that a module writes, one a line, as they come.

    Raises:
        DataError: its sentence, where it ends with another code than 0.
    """
    with TemporaryFile() as errors:
        process = start(module, words, more, errors)
        assert process.stdout is not None  # a pipe
        finished = False
        try:
            for line in process.stdout:
                yield json.loads(line)
            finished = True
        finally:
            if not finished:
                process.kill()
            process.stdout.close()
            process.wait()
        if process.returncode:
            raise DataError(_of_file(process, _all_of(errors), words[-1]))


def _all_of(errors: IO[bytes]) -> bytes:
    errors.seek(0)
    return errors.read()


class _Piped(io.RawIOBase):
    """Standard output of a process; its failure is raised where its bytes end."""

    def __init__(self, packing: str, path: Path) -> None:
        self._path, self._errors = path, TemporaryFile()  # noqa: SIM115 - closed with the stream
        self._process = start(
            PROGRAM, ["unpack", packing, str(path.absolute()), str(path)], errors=self._errors
        )

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        assert self._process.stdout is not None
        view = memoryview(buffer)  # type: ignore[arg-type]  # a writable buffer, by the protocol
        found = self._process.stdout.read(len(view))
        view[: len(found)] = found
        if not found and self._process.wait():
            raise DataError(_of_file(self._process, _all_of(self._errors), str(self._path)))
        return len(found)

    def close(self) -> None:
        if not self.closed:
            self._process.kill()
            self._process.communicate()
            self._errors.close()
        super().close()


def bytes_of(path: Path, packing: str) -> IO[bytes]:
    """The plain bytes of a file in a packing that pyarrow knows and the standard library does not."""
    require("pyarrow", path, f"packed with {packing}")
    return io.BufferedReader(_Piped(packing, path))
