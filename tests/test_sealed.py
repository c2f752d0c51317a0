"""Sealed files: whatever happens to a byte, a reader says so; and what has no seal is known for it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bios_sweep.atomic import write_atomically
from bios_sweep.sealed import (
    DamagedError,
    digests_of,
    file_digest,
    is_sealed,
    opened_bytes,
    opened_json,
    sealed_bytes,
    sealed_json,
    unlike,
)

VALUES = {
    "key": "k1",
    "rate": 1e-05,
    "name": "größer \x7f",
    "curve": [{"step": 0, "loss": None}],
    "files": {},
}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_sealed_object_comes_back_and_no_flipped_bit_of_it_does(indent):
    raw = sealed_json(VALUES, "result of k1", indent=indent).encode()
    assert opened_json(raw, "result of k1", indent=indent) == (VALUES, True)
    every = [flip for place in range(len(raw)) for flip in bits(raw, place)]
    assert len(every) == 8 * len(raw)
    for content in every:
        with pytest.raises(DamagedError):
            opened_json(content, "result of k1", indent=indent)


def bits(raw: bytes, place: int) -> list[bytes]:
    return [raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :] for bit in range(8)]


def test_an_object_of_another_owner_an_edited_and_a_rewritten_one_are_damaged():
    raw = sealed_json(VALUES, "result of k1").encode()
    edited = json.dumps({**json.loads(raw), "rate": 2e-05}).encode() + b"\n"
    for content in (
        edited,
        raw[:-1],
        raw + b"\n",
        json.dumps(json.loads(raw), indent=1).encode(),
        b"",
        b"[]",
    ):
        with pytest.raises(DamagedError):
            opened_json(content, "result of k1")
    with pytest.raises(DamagedError, match="does not match its checksum"):
        opened_json(raw, "result of k2")


def test_an_object_of_an_earlier_version_is_told_apart():
    assert opened_json(json.dumps(VALUES).encode(), "result of k1") == (VALUES, False)


def test_sealed_bytes_come_back_and_no_flipped_bit_of_them_does():
    content = random.Random(1).randbytes(500) + b"\nPK"
    raw = b"".join(sealed_bytes(content, "checkpoint of k1"))
    assert is_sealed(raw)
    assert opened_bytes(raw, "checkpoint of k1") == content
    for damaged in [flip for place in range(len(raw)) for flip in bits(raw, place)]:
        with pytest.raises(DamagedError):
            opened_bytes(damaged, "checkpoint of k1")
    for damaged in (b"", raw[:-1], raw + b"x", raw[:40], content):
        with pytest.raises(DamagedError, match="does not match"):
            opened_bytes(damaged, "checkpoint of k1")
    with pytest.raises(DamagedError, match="the checkpoint of k1, not the checkpoint of k2"):
        opened_bytes(raw, "checkpoint of k2")


def test_files_beside_are_known_by_their_digests(tmp_path: Path):
    write_atomically(tmp_path / "eval.npz", [b"losses"])
    write_atomically(tmp_path / "adapter" / "weights", [b"w" * 1000])
    digests = digests_of(tmp_path, ("eval.npz", "adapter", "absent"))
    assert list(digests) == ["adapter/weights", "eval.npz"]
    assert unlike(tmp_path, digests) is None
    for content in (b"", b"w" * 999, b"w" * 999 + b"v"):
        (tmp_path / "adapter" / "weights").write_bytes(content)
        assert unlike(tmp_path, digests) == ("adapter/weights", "does not match its checksum")
    (tmp_path / "adapter" / "weights").unlink()
    assert unlike(tmp_path, digests) == ("adapter/weights", "is gone")


def test_a_file_that_changes_again_within_a_tick_of_the_clock_is_read_again(tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"aa")
    seen = set()
    for content in (b"ab", b"ac", b"ad", b"ab"):
        with file.open("r+b") as open_file:
            open_file.write(content)
        seen.add(file_digest(file))
    assert len(seen) == 3
