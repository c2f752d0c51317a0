"""What an installation is made of: a lock file with hashes, a bill of materials, the licences.

    python -m scripts.supply lock > locks/linux-x86_64-cp311-cpu.txt
    python -m scripts.supply sbom > sbom.json
    python -m scripts.supply licences

The lock is of what pip would install here for the extras [run,dev] under constraints.txt; the other two are
of what is installed. A bill of materials is CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "bios-sweep"
EXTRAS = ("run", "dev")
ROOT = Path(__file__).resolve().parents[1]
# Of packages whose metadata name no licence: what their LICENSE file says.
READ_BY_HAND = {"huey": "MIT", "skops": "MIT"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """An installed distribution. licence: an SPDX expression, or the words of its metadata."""

    name: str
    version: str
    licence: str

    @property
    def address(self) -> str:
        """Its package URL (https://github.com/package-url/purl-spec)."""
        return f"pkg:pypi/{self.name}@{self.version}"


def parts(extras: Iterable[str] = EXTRAS) -> list[Part]:
    """Everything that the project needs with these extras, by name; itself left out."""
    followed: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(PROJECT, tuple(extras))]
    while waiting:
        one = waiting.pop()
        if one not in followed:
            followed.add(one)
            waiting += _needed(distribution(one[0]), one[1])
    return [_part(name) for name in sorted({name for name, _ in followed} - {PROJECT})]


def _needed(one: Distribution, extras: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for text in one.requires or ():
        required = Requirement(text)
        marker = required.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(required.name), tuple(sorted(required.extras))


def _part(name: str) -> Part:
    one = distribution(name)
    return Part(name=name, version=one.version, licence=READ_BY_HAND.get(name) or _licence(one))


def _licence(one: Distribution) -> str:
    """As its metadata say it: an SPDX expression, else classifiers, else the first line of a text."""
    told = one.metadata.json
    expression, text = told.get("license_expression"), str(told.get("license", "")).strip()
    classes = [name for name in told.get("classifier", ()) if name.startswith("License ::")]
    ends = [end for name in classes if (end := name.rpartition("::")[2].strip()) != "OSI Approved"]
    return str(expression or "") or ", ".join(ends) or text.partition("\n")[0]


def sbom(found: Sequence[Part]) -> dict[str, Any]:
    """A bill of materials, the same for the same parts: no date and no serial number."""
    own = distribution(PROJECT)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": PROJECT, "version": own.version}},
        "components": [
            {
                "type": "library",
                "bom-ref": part.address,
                "name": part.name,
                "version": part.version,
                "purl": part.address,
                "licenses": [{"license": {"name": part.licence}}],
            }
            for part in found
        ],
    }


def lock() -> str:
    """What pip would install here, each file with its SHA-256: for `pip install --require-hashes -r`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        wanted = f".[{','.join(EXTRAS)}]"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*pip, "--report", str(report), "-c", "constraints.txt", wanted], cwd=ROOT, check=True)
        return locked(json.loads(report.read_text(encoding="utf-8"))["install"])


def locked(installed: Iterable[Any]) -> str:
    """The lines of a lock file from those of pip's report."""
    lines = {}
    for one in installed:
        name = canonicalize_name(one["metadata"]["name"])
        hashes = one["download_info"].get("archive_info", {}).get("hashes", {})
        if name != PROJECT:
            version = re.sub(r"\+.*", "", one["metadata"]["version"])  # `2.13.0+cpu` is of another index
            lines[name] = f"{name}=={version} --hash=sha256:{hashes['sha256']}\n"
    return "".join(lines[name] for name in sorted(lines))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.supply", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["lock", "sbom", "licences"])
    what = parser.parse_args(arguments).what
    if what == "lock":
        print(lock(), end="")
    elif what == "sbom":
        print(json.dumps(sbom(parts()), indent=2))
    else:
        print("\n".join(f"{part.name} {part.version}: {part.licence}" for part in parts()))


if __name__ == "__main__":
    main()
