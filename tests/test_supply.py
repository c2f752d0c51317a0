"""What an installation is made of: pinned, locked in step, and under licences that may be used."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from scripts.supply import locked, parts, sbom

ROOT = Path(__file__).resolve().parents[1]
USABLE = re.compile(
    r"MIT|BSD|Apache|ISC|MPL|Mozilla Public|PSF|Python Software Foundation|HPND|Zlib|0BSD|CNRI"
)


@pytest.fixture(scope="module")
def found():
    return parts()


def pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {
        canonicalize_name(line.partition("==")[0]): line.partition("==")[2].strip() for line in lines if line
    }


def test_every_part_has_a_licence_that_may_be_used_and_none_is_the_gpl(found):
    assert len(found) > 100
    assert [part for part in found if not USABLE.search(part.licence) or "GPL" in part.licence] == []


def test_every_part_is_pinned(found):
    assert [part.name for part in found if part.name not in pinned()] == []


def test_each_lock_has_one_hash_for_every_part_at_the_version_that_is_pinned(found):
    for lock in (ROOT / "locks").glob("*.txt"):
        lines = lock.read_text(encoding="utf-8").splitlines()
        lines = [re.fullmatch(r"(\S+)==(\S+) --hash=sha256:[0-9a-f]{64}", line).groups() for line in lines]
        assert dict(lines) == {name: pinned()[name] for name, _ in lines}
        assert {part.name for part in found} <= set(dict(lines))


def test_a_lock_leaves_out_the_project_and_what_another_index_adds_to_a_version():
    report = [
        {"metadata": {"name": "bios-sweep", "version": "0"}, "download_info": {}},
        {
            "metadata": {"name": "Torch", "version": "2.0+cpu"},
            "download_info": {"archive_info": {"hashes": {"sha256": "a" * 64}}},
        },
    ]
    assert locked(report) == f"torch==2.0 --hash=sha256:{'a' * 64}\n"


def test_the_bill_of_materials_names_each_part_once_by_its_address(found):
    bill = sbom(found)
    addresses = [one["purl"] for one in bill["components"]]
    assert len(set(addresses)) == len(addresses)
    assert f"pkg:pypi/numpy@{version('numpy')}" in addresses
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
