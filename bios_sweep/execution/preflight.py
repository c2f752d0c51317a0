"""What every node must have before the first trial: `inspect` looks on a node, `judge` compares. No Ray.

A wrong node would otherwise be found trial by trial, after hours, or never: another version of a package
trains without an error and gives other numbers.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from bios_sweep.errors import BiosSweepError
from bios_sweep.execution.attempts import describe
from bios_sweep.execution.transfer.node_options import bring_data
from bios_sweep.execution.transfer.storage import TrialFiles
from bios_sweep.ports import PreflightLine
from bios_sweep.secrecy import masked
from bios_sweep.version import __version__

ABSENT = "absent"
ALWAYS = ("python", "bios_sweep")
DIGEST_LETTERS = 12  # of a sha256, for people; the whole digests are compared
GIB = 1024**3


def own_versions(packages: Sequence[str]) -> dict[str, str]:
    """Version per package on this node, `absent` where there is none; those of `ALWAYS` are always in.

    `bios_sweep` comes with a digest of its code: a node with other code of the same number is found too.
    """
    found = {"python": platform.python_version(), "bios_sweep": f"{__version__} ({_code_digest()})"}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = ABSENT
    return found


def inspect(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Look at this node. Plain values both ways; what cannot be looked at is told, never raised.

    facts: `packages` (names); `files` (the address where trial files are kept), `place` and `content` (of a
    file that the driver left there); `looker`, `options` (an import string and an engine's options: gives
    `found` or `error` per name); `gpu_looker` (an import string: name, free and total bytes per GPU). A
    looker may be empty.
    """
    return {
        "versions": own_versions(facts["packages"]),
        "files": _tried(lambda: _see_files(facts["files"], facts["place"], facts["content"])),
        "material": _tried(
            lambda: resolve_name(facts["looker"])(bring_data(facts["options"], facts["files"]))
        )
        if facts["looker"]
        else {},
        "gpus": _tried(lambda: {"found": resolve_name(facts["gpu_looker"])()}) if facts["gpu_looker"] else {},
    }


def judge(answers: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> tuple[PreflightLine, ...]:
    """One line per node and thing looked at.

    answers: of `inspect`, each with `node`; or `node` and `error` where the node could not answer.
    wanted: `versions` (package -> version), `material` (name -> fingerprint), `gpu_count` and `gpu_bytes`
    (GPUs a trial takes, free bytes that each must have), `files` (the address, for people).
    """
    lines = [line for answer in answers for line in _lines(answer, wanted)]
    return tuple(line if line.red else replace(line, way_out="") for line in lines)


def _lines(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[PreflightLine]:
    line = partial(PreflightLine, node=answer["node"])
    if "error" in answer:
        missing = "bios_sweep" in answer["error"] and "No module" in answer["error"]
        way_out = (
            "install bios-sweep there, or leave cluster.preinstalled=false"
            if missing
            else "see the node's Ray logs, or take the node out of the cluster"
        )
        yield line(check="answer", wanted="an answer", found=answer["error"], red=True, way_out=way_out)
        return
    for package, version in wanted["versions"].items():
        found = answer["versions"].get(package, ABSENT)
        red, way_out = not _same_version(package, found, version), _install(package, version)
        yield line(check=package, wanted=version, found=found, red=red, way_out=way_out)
    seen = answer["files"]
    yield line(
        check="trial files",
        wanted=f"writable, shared: {wanted['files']}",
        found=seen.get("error") or "writable, shared",
        red="error" in seen,
        way_out="give cluster.storage a folder or an address that every node can write, such as s3://BUCKET/DIR",
    )
    material = answer["material"]
    for name, fingerprint in wanted["material"].items():
        entry = material if "error" in material else material[name]
        yield line(
            check=name,
            wanted=fingerprint[:DIGEST_LETTERS],
            found=entry.get("error") or entry["found"][:DIGEST_LETTERS],
            red=entry.get("found") != fingerprint,
            way_out=wanted["ways_out"].get(name, ""),
        )
    if wanted["gpu_count"]:
        yield from _gpus(line, answer["gpus"], wanted["gpu_count"], wanted["gpu_bytes"])


def _same_version(package: str, found: str, wanted: str) -> bool:
    """Python is compared to the minor version, as Ray does: a patch changes no number."""
    if package == "python":
        return found.split(".")[:2] == wanted.split(".")[:2]
    return found == wanted


def _install(package: str, version: str) -> str:
    if package == "python":
        return f"start the node's Ray with Python {version}"
    if package == "bios_sweep":
        return "install the driver's bios-sweep there, or leave cluster.preinstalled=false so that it travels"
    return f"pip install {package}=={version} there"


def _gpus(
    line: Callable[..., PreflightLine], seen: Mapping[str, Any], count: int, needed: int
) -> Iterator[PreflightLine]:
    """Ray may give a trial any GPU of the node, so the fullest one decides."""
    gpus = seen.get("found", [])
    names = ", ".join(sorted({str(gpu["name"]) for gpu in gpus}))
    yield line(
        check="GPUs",
        wanted=f"{count} or more",
        found=seen.get("error") or (f"{len(gpus)}: {names}" if gpus else "none"),
        red=len(gpus) < count,
        way_out="check the driver and the torch build there, or start its Ray with --num-gpus=0",
    )
    if gpus and needed:
        least = min(gpu["free"] for gpu in gpus)
        yield line(
            check="free GPU memory",
            wanted=f"{needed / GIB:.1f} GiB on each",
            found=f"{least / GIB:.1f} GiB on the fullest",
            red=least < needed,
            way_out="end what else runs on the GPU, or raise cluster.gpus_per_trial",
        )


def _see_files(uri: str, place: str, content: str) -> dict[str, str]:
    """Whether what the driver left is here, and whether something can be left here."""
    files = TrialFiles(uri)
    if files.read(place) != content.encode():
        return {"error": "not what the driver sees there"}
    files.check()
    return {}


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return look()
    except BiosSweepError as error:
        return {"error": masked(str(error))}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was found
        return {"error": describe(error)}


def _code_digest() -> str:
    """Over names and contents of this package's modules."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:8]
