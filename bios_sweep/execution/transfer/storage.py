"""Trial files where every node reaches them: a shared folder, or any store that fsspec knows.

A trial's folder is local to the worker that trains it. After each measurement its files are *pushed*
here, so that another node can *fetch* them and go on. A store may lose its writer at any moment, hence
the order: contents first, each under a name that holds its digest, then one list (`files.json`) that
names them. A reader follows the list and sees one moment of the trial, never parts of two.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem

from bios_sweep.errors import StorageError
from bios_sweep.execution.attempts import describe
from bios_sweep.sealed import DamagedError, opened_json, sealed_json
from bios_sweep.secrecy import masked

LIST = "files.json"
DIGEST_LETTERS = 12  # of the sha256, in names: 48 bits; the whole digest is in the list and is compared
TEMPORARY = re.compile(r"\..+\.\d+-\d+")  # what `atomic.write_atomically` leaves when it is killed

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file as the store keeps it. content: its name there. size: bytes."""

    content: str
    sha256: str
    size: int


class TrialFiles:
    """The files of all trials below one address.

    uri: an absolute folder, `file:///folder`, or an fsspec address such as `s3://bucket/folder`
    (its package, here s3fs, must be installed on every node; credentials come from the environment).
    Keys are trial keys, or other plain names for what trials share.

    Every method raises `StorageError`, in one sentence, when the store does not do as told.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        try:
            self._store, self._root = fsspec.core.url_to_fs(self.uri)
        except Exception as error:
            raise StorageError(f"cluster.storage: {self.uri} cannot be opened ({describe(error)})") from error
        self._digests: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def check(self) -> None:
        """Write, read and remove a small file."""
        name, content = f"check-{uuid.uuid4().hex}", b"bios-sweep"
        self.leave(name, content)
        if self.read(name) != content:
            raise StorageError(f"cluster.storage: {self.uri} does not give back what was written there")
        self.drop(name)

    def leave(self, name: str, content: bytes) -> None:
        """Write a small file at once; readers see the old one or the new one."""
        self._put(name, lambda target: self._store.pipe_file(target, content))

    def read(self, name: str) -> bytes | None:
        """A small file's content, None where there is none."""
        with self._if_there():
            return bytes(self._store.cat_file(self._at(name)))
        return None

    def drop(self, name: str) -> None:
        """Remove a file that may be there."""
        with self._if_there():
            self._store.rm_file(self._at(name))

    def push(self, key: str, files: Mapping[str, Path]) -> None:
        """Make the store hold these files, and no others, under `key`; one writer per key at a time.

        files: by the names they shall have there. One that changes meanwhile stays as it was pushed last.
        """
        before = self._listed(key) or {}
        stored = {name: self._push_file(key, name, path, before.get(name)) for name, path in files.items()}
        now = {name: file for name, file in stored.items() if file is not None}
        if before != now:
            listed = {name: asdict(file) for name, file in now.items()}
            self.leave(f"{key}/{LIST}", sealed_json({"files": listed}, _label(key)).encode())
        for content in {file.content for file in before.values()} - {file.content for file in now.values()}:
            self.drop(f"{key}/{content}")

    def fetch(self, key: str, directory: Path, wanted: Callable[[], bool] = lambda: True) -> bool:
        """Bring what was pushed under `key`, if anything was; other files in `directory` stay.

        A damaged list, or contents that are gone or damaged, count as absent, with a warning: the trial
        then starts again, and gives the same numbers. wanted: asked once all contents are here, before the
        first file is put in its place. Returns False where contents are gone or damaged.
        """
        files = self._listed(key)
        if files is None:
            return False
        fetched: dict[str, Path] = {}
        for name, stored in files.items():
            path = directory / name
            alike = path.is_file() and path.stat().st_size == stored.size
            if not alike or self._digest(path) != stored.sha256:
                fetched[name] = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            for name, temporary in fetched.items():
                temporary.parent.mkdir(parents=True, exist_ok=True)
                if not self._fetch_file(f"{key}/{files[name].content}", temporary, files[name].sha256):
                    _log.warning("%s/%s: %s is gone or damaged; the trial starts again", self.uri, key, name)
                    return False
            if not wanted():
                return True
            for name, temporary in fetched.items():
                temporary.replace(directory / name)
            return True
        except OSError as error:
            raise StorageError(f"{directory}: cannot be written ({error.strerror or error})") from error
        finally:
            for temporary in fetched.values():
                temporary.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """Forget all that was pushed under `key`: its result and files are safe elsewhere.

        What a push that was killed left unlisted goes too, and on a disk the emptied folders.
        """
        self.drop(f"{key}/{LIST}")
        with self._if_there():
            for name in self._store.find(self._at(key)):
                self._store.rm_file(name)
        if isinstance(self._store, LocalFileSystem):
            shutil.rmtree(self._at(key), ignore_errors=True)

    def _listed(self, key: str) -> dict[str, StoredFile] | None:
        """The files pushed under `key`, by name; none where the list is absent, None where it is damaged."""
        text = self.read(f"{key}/{LIST}")
        if text is None:
            return {}
        try:
            values = opened_json(text, _label(key))[0]
            return {_inside(name): StoredFile(**stored) for name, stored in values["files"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, DamagedError) as error:
            _log.warning("%s/%s/%s: cannot be understood (%s)", self.uri, key, LIST, error)
            return None

    def _push_file(self, key: str, name: str, path: Path, before: StoredFile | None) -> StoredFile | None:
        """What the store keeps of a file now: None where it was gone, `before` where it changes or goes."""
        try:
            stamp = _stamp(path)
            sha256 = self._digest(path)
        except FileNotFoundError:
            return None
        stored = StoredFile(content=f"{name}.{sha256[:DIGEST_LETTERS]}", sha256=sha256, size=stamp[0])
        if stored == before:
            return stored
        try:
            self._put(f"{key}/{stored.content}", lambda target: self._store.put_file(str(path), target))
        except StorageError:
            if _is_still(path, stamp):
                raise
        return stored if _is_still(path, stamp) else before

    def _put(self, name: str, write: Callable[[str], None]) -> None:
        """Have `write` make a whole file; an object store shows an object only when it is whole."""
        target = self._at(name)
        part = Path(f"{target}.{uuid.uuid4().hex}.part")
        try:
            if not isinstance(self._store, LocalFileSystem):
                write(target)
                return
            part.parent.mkdir(parents=True, exist_ok=True)
            try:
                write(str(part))
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except Exception as error:
            raise self._failed(error) from error

    def _fetch_file(self, name: str, path: Path, sha256: str) -> bool:
        with self._if_there():
            self._store.get_file(self._at(name), str(path))
        return path.is_file() and _sha256(path) == sha256

    def _digest(self, path: Path) -> str:
        """Sha256 of a file's bytes, remembered while it stays the same file."""
        stamp = _stamp(path)
        if self._digests.get(path, (None, ""))[0] != stamp:
            self._digests[path] = (stamp, _sha256(path))
        return self._digests[path][1]

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _if_there(self) -> Iterator[None]:
        """Errors of the store in our words; a file that is not there ends the block and is no error."""
        try:
            yield
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StorageError:
        return StorageError(masked(f"cluster.storage: {self.uri} failed ({describe(error)})"))


def files_below(directory: Path) -> dict[str, Path]:
    """Relative name -> file, of all that is worth keeping; sorted. Folders may vanish while they are read."""
    named = (Path(folder) / name for folder, _, names in os.walk(directory) for name in names)
    found = sorted(path for path in named if path.is_file())
    return {
        path.relative_to(directory).as_posix(): path for path in found if not TEMPORARY.fullmatch(path.name)
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _label(key: str) -> str:
    return f"files of {key}"


def _is_still(path: Path, stamp: tuple[int, int, int]) -> bool:
    with suppress(FileNotFoundError):
        return _stamp(path) == stamp
    return False


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _inside(name: str) -> str:
    """A name that stays below its folder, whatever the list says."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the trial's folder")
    return name
