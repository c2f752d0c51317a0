"""Files that tell whether they still hold what was written there: a checksum over content and owner.

Disks flip bits, copies are cut short, people edit and swap files; most readers (`torch.load`, JSON) take
the result without a word. What a word of ours rests on is therefore sealed where it is written and checked
where it is read. A seal binds the content to a *label*, which says whose file it is and of which kind, so
that the whole file of one trial is no whole file of another. It is no signature: it finds damage, not fraud.

Three forms: a JSON object that ends with its own seal, bytes behind a line that holds it, and digests of
files that are kept in a sealed object beside them (for files whose format is others', `eval.npz` and PEFT's).
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from bios_sweep.atomic import replaced
from bios_sweep.errors import StorageError
from bios_sweep.paths import open_regular

SEAL = "seal"
PREFIX = "sha256:"  # 0.11 s of one core per 100 MB here, blake2b 0.14 s
HEAD = b"bios-sweep sealed 1 "
YOUNG_SECONDS = 2.0  # chosen: far above the grain of any file system's clock, see `file_digest`
FOR_PEOPLE = ".md"  # a model card may be edited and stays the adapter's
LONGEST_HEAD = 2**12  # bytes of the first line of a sealed file; chosen: labels have some tens
READ_BYTES = 2**22  # at once, of a file that is checked; chosen
REMEMBERED = 4096  # digests; chosen: more files than a sweep has


class DamagedError(StorageError):
    """A file does not hold what was written there; the message is what is wrong with it, without its name."""


def digest(chunks: Iterable[bytes]) -> str:
    """Of bytes at hand, in one piece or several, as `file_digest` gives it for a file of them."""
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
    return PREFIX + sha256.hexdigest()


def file_digest(path: Path) -> str:
    """Of a file's bytes, whatever its size.

    Remembered while the file's size and times stay. A file that was changed a moment ago could be changed
    again within the same tick of its clock, so it is read each time.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    young = max(status.st_mtime, status.st_ctime) > time.time() - YOUNG_SECONDS
    return _read_digest(path) if young else _remembered_digest(path, stamp)


def sealed_json(values: Mapping[str, Any], label: str, *, indent: int | None = None) -> str:
    """A JSON object with its seal as the last key, and a line end. values: has no key `seal`."""
    body = json.dumps(values, allow_nan=False)
    return json.dumps({**values, SEAL: _seal(label, body.encode())}, allow_nan=False, indent=indent) + "\n"


def opened_json(content: bytes, label: str, *, indent: int | None = None) -> tuple[dict[str, Any], bool]:
    """The values of a JSON object, and whether a seal vouches for them; the versions before wrote none.

    Every byte is checked: what has a seal is what `sealed_json` writes, or it is damaged.

    Raises:
        DamagedError: it is no JSON object, or its seal does not match content and label.
    """
    try:
        values = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"cannot be understood ({error})") from error
    if not isinstance(values, dict):
        raise DamagedError("cannot be understood (it holds no JSON object)")
    if SEAL not in values:
        if any(isinstance(value, str) and value.startswith(PREFIX) for value in values.values()):
            raise DamagedError("does not match its checksum")  # the seal is there, under a damaged name
        return values, False
    found = values.pop(SEAL)
    written = (
        _resealed(content, label) if indent is None else sealed_json(values, label, indent=indent).encode()
    )
    if written != content:
        raise DamagedError(f"does not match its checksum ({str(found)[:14]}...)")
    return values, True


def _resealed(content: bytes, label: str) -> bytes:
    """What `sealed_json` made of these values, by their text: they need not be written again."""
    body = content.rpartition(f', "{SEAL}": '.encode())[0] + b"}"
    return body[:-1] + f', "{SEAL}": "{_seal(label, body)}"}}\n'.encode()


def is_sealed_json(content: bytes) -> bool:
    """Whether what `opened_json` took has a seal."""
    return SEAL in json.loads(content)


def sealed_bytes(content: bytes, label: str) -> list[bytes]:
    """A line with label and seal, then the content; for `atomic.write_atomically`."""
    return [HEAD, f"{_seal(label, content)} {label}\n".encode(), content]


def opened_bytes(raw: bytes, label: str) -> bytes:
    """The content that `sealed_bytes` wrote under this label.

    Raises:
        DamagedError: it belongs to another label, or is not what was written.
    """
    head, _, content = raw.partition(b"\n")
    seal, _, owner = head.removeprefix(HEAD).decode(errors="replace").partition(" ")
    if not head.startswith(HEAD) or seal != _seal(owner, content):
        raise DamagedError("does not match its checksum")
    if owner != label:
        raise DamagedError(f"belongs to another: it is the {owner}, not the {label}")
    return content


def write_sealed(path: Path, label: str, write: Callable[[BinaryIO], None]) -> None:
    """As `sealed_bytes` and `atomic.write_atomically`, for content that is never whole in memory.

    write: is given a file to write the content to, from its beginning to its end.

    Raises:
        StorageError: the file cannot be written.
    """
    unknown = PREFIX + "0" * 64
    with replaced(path) as file:
        file.writelines([HEAD, f"{unknown} {label}\n".encode()])
        hashing = _Hashing(file, label)
        write(cast(BinaryIO, hashing))
        file.seek(len(HEAD))
        file.write(hashing.seal.encode())


@contextmanager
def opened_file(path: Path, label: str) -> Iterator[BinaryIO]:
    """The content that `write_sealed` or `sealed_bytes` wrote, as a file that begins with it.

    Raises:
        DamagedError: it belongs to another label, or is not what was written.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        owner, start = _whole(file)
        if owner != label:
            raise DamagedError(f"belongs to another: it is the {owner}, not the {label}")
        yield cast(BinaryIO, _Behind(file, start))


def require_whole(path: Path) -> None:
    """Hold a file that `write_sealed` or `sealed_bytes` wrote against its seal, whoever's it is.

    Raises:
        DamagedError: it is not what was written.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        _whole(file)


def _whole(file: BinaryIO) -> tuple[str, int]:
    """Label and start of the content of a sealed file, all of which is read."""
    head = file.readline(LONGEST_HEAD)
    seal, _, owner = head.removeprefix(HEAD).removesuffix(b"\n").decode(errors="replace").partition(" ")
    sha256 = hashlib.sha256(f"{owner}\n".encode())
    while chunk := file.read(READ_BYTES):
        sha256.update(chunk)
    if not (head.startswith(HEAD) and head.endswith(b"\n")) or seal != PREFIX + sha256.hexdigest():
        raise DamagedError("does not match its checksum")
    return owner, len(head)


class _Hashing:
    """A file that is only written to, and the seal of what was."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file, self._sha256 = file, hashlib.sha256(f"{label}\n".encode())

    @property
    def seal(self) -> str:
        return PREFIX + self._sha256.hexdigest()

    def write(self, content: Any) -> int:
        self._sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


class _Behind:
    """The part of a file behind its first bytes, as a file."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file, self._start = file, start
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)  # type: ignore[attr-defined,no-any-return]

    def readline(self, size: int = -1) -> bytes:
        return self._file.readline(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        moved = offset + self._start if whence == io.SEEK_SET else offset
        return self._file.seek(moved, whence) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start


def is_sealed(raw: bytes) -> bool:
    """Whether bytes begin as `sealed_bytes` does. One flipped bit makes them no other format's."""
    return raw.startswith(HEAD)


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Name -> digest of those files, and of all below those folders but texts for people; sorted by name."""
    found: dict[str, str] = {}
    for name in names:
        top = folder / name
        files = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        kept = [path for path in files if path.suffix != FOR_PEOPLE]
        found |= {path.relative_to(folder).as_posix(): file_digest(path) for path in kept}
    return dict(sorted(found.items()))


def unlike(folder: Path, digests: Mapping[str, str]) -> tuple[str, str] | None:
    """The first file that is not as its digest says, and what is wrong with it; None where all are."""
    for name, wanted in digests.items():
        try:
            found = file_digest(folder / name)
        except FileNotFoundError:
            return name, "is gone"
        except OSError as error:
            return name, f"cannot be read ({error.strerror})"
        if found != wanted:
            return name, "does not match its checksum"
    return None


def _seal(label: str, content: bytes) -> str:
    return digest([f"{label}\n".encode(), content])


def _read_digest(path: Path) -> str:
    with open_regular(path) as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=REMEMBERED)
def _remembered_digest(path: Path, stamp: tuple[int, ...]) -> str:
    """Of the file at that path as long as it has that stamp."""
    return _read_digest(path)
