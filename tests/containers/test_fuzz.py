"""Damaged files of every container: records, or one sentence that begins with the file; nothing else."""

from __future__ import annotations

import random

import pytest

from bios_sweep.containers.read import records
from bios_sweep.errors import DataError
from tests.containers.files import CONTAINERS, REFUSED, ROWS

WHOLE = {name: write(ROWS) for name, write in CONTAINERS.items()}
WHOLE |= {name: content for name, (content, _) in REFUSED.items() if name != "deep.json"}
CHILDS = (".parquet", ".arrow", ".zst", ".lz4", "called.jsonl")
IN_A_CHILD = tuple(name for name in WHOLE if name.endswith(CHILDS))
BITS = b'{}[],:"\\\n\r\t\0\xff\xfe\xef\xbb\xbf;|\x1f\x8bPK'


def damaged(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(data) or 1)
        match chance.randrange(6):
            case 0:
                del data[place:]
            case 1:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 2:
                data[place:place] = bytes(chance.choices(BITS, k=chance.randint(1, 5)))
            case 3:
                del data[place : place + chance.randint(1, 200)]
            case 4:
                data += data[place:]
            case 5:
                data = data[: chance.randrange(400)] + chance.choice(list(WHOLE.values()))[:4000]
    return bytes(data)


def told(folder, number: int, names) -> None:
    chance = random.Random(number)
    name = chance.choice(names)
    path = folder / f"{number}-{name}"
    path.write_bytes(damaged(WHOLE[name], chance))
    try:
        for place, row in records(path):
            assert place.startswith(f"{path}:")
            assert isinstance(row, dict) or str(row).startswith(place)
        sentence = f"{path}:"
    except DataError as error:
        sentence = str(error)
    assert sentence.startswith(f"{path}:"), sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    path.unlink()


def test_a_damaged_file_gives_records_or_a_sentence(tmp_path):
    here = [name for name in WHOLE if name not in IN_A_CHILD]
    for number in range(60):
        told(tmp_path, number, here)
    for number in range(2):
        told(tmp_path, number, IN_A_CHILD)


@pytest.mark.slow
def test_a_damaged_file_gives_records_or_a_sentence_two_thousand_times(tmp_path):
    here = [name for name in WHOLE if name not in IN_A_CHILD]
    for number in range(60, 2060):
        told(tmp_path, number, here)
    for number in range(2, 202):
        told(tmp_path, number, IN_A_CHILD)
