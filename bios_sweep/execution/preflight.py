"""What every node must have before the first trial: `inspect` looks on a node, `judge` compares. No Ray.

A wrong node would otherwise be found trial by trial, after hours, or never: another version of a package
trains without an error and gives other numbers.
"""

from __future__ import annotations

import hashlib
import importlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
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
    return found | {package: _version(package) for package in packages}


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
        "material": _tried(lambda: _see_material(facts)) if facts["looker"] else {},
        "gpus": _tried(lambda: {"found": _imported(facts["gpu_looker"])()}) if facts["gpu_looker"] else {},
    }


def judge(answers: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> tuple[PreflightLine, ...]:
    """One line per node and thing looked at.

    answers: of `inspect`, each with `node`; or `node` and `error` where the node could not answer.
    wanted: `versions` (package -> version), `material` (name -> fingerprint), `gpu_count` and `gpu_bytes`
    (GPUs a trial takes, free bytes that each must have), `files` (the address, for people).
    """
    lines: list[PreflightLine] = []
    for answer in answers:
        if "error" in answer:
            lines.append(_unanswered(answer))
            continue
        lines += [*_versions(answer, wanted), _files(answer, wanted), *_material(answer, wanted)]
        lines += _gpus(answer, wanted) if wanted["gpu_count"] else []
    return tuple(line if line.red else replace(line, way_out="") for line in lines)


def _unanswered(answer: Mapping[str, Any]) -> PreflightLine:
    missing = "bios_sweep" in answer["error"] and "No module" in answer["error"]
    return PreflightLine(
        node=answer["node"],
        check="answer",
        wanted="an answer",
        found=answer["error"],
        red=True,
        way_out="install bios-sweep there, or leave cluster.preinstalled=false"
        if missing
        else "see the node's Ray logs, or take the node out of the cluster",
    )


def _versions(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[PreflightLine]:
    return [
        PreflightLine(
            node=answer["node"],
            check=package,
            wanted=version,
            found=answer["versions"].get(package, ABSENT),
            red=not _same_version(package, answer["versions"].get(package, ABSENT), version),
            way_out=_install(package, version),
        )
        for package, version in wanted["versions"].items()
    ]


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


def _files(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> PreflightLine:
    seen = answer["files"]
    return PreflightLine(
        node=answer["node"],
        check="trial files",
        wanted=f"writable, shared: {wanted['files']}",
        found=seen.get("error") or "writable, shared",
        red="error" in seen,
        way_out="give cluster.storage a folder or an address that every node can write, such as s3://BUCKET/DIR",
    )


def _material(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[PreflightLine]:
    seen, lines = answer["material"], []
    for name, fingerprint in wanted["material"].items():
        entry = seen if "error" in seen else seen[name]
        lines.append(
            PreflightLine(
                node=answer["node"],
                check=name,
                wanted=fingerprint[:DIGEST_LETTERS],
                found=entry.get("error") or entry["found"][:DIGEST_LETTERS],
                red=entry.get("found") != fingerprint,
                way_out=wanted["ways_out"].get(name, ""),
            )
        )
    return lines


def _gpus(answer: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[PreflightLine]:
    """Ray may give a trial any GPU of the node, so the fullest one decides."""
    seen, count, needed = answer["gpus"], wanted["gpu_count"], wanted["gpu_bytes"]
    gpus = seen.get("found", [])
    visible = PreflightLine(
        node=answer["node"],
        check="GPUs",
        wanted=f"{count} or more",
        found=seen.get("error") or _named(gpus),
        red=len(gpus) < count,
        way_out="check the driver and the torch build there, or start its Ray with --num-gpus=0",
    )
    if not gpus or not needed:
        return [visible]
    least = min(gpu["free"] for gpu in gpus)
    free = PreflightLine(
        node=answer["node"],
        check="free GPU memory",
        wanted=f"{needed / GIB:.1f} GiB on each",
        found=f"{least / GIB:.1f} GiB on the fullest",
        red=least < needed,
        way_out="end what else runs on the GPU, or raise cluster.gpus_per_trial",
    )
    return [visible, free]


def _named(gpus: Sequence[Mapping[str, Any]]) -> str:
    return f"{len(gpus)}: {', '.join(sorted({str(gpu['name']) for gpu in gpus}))}" if gpus else "none"


def _see_files(uri: str, place: str, content: str) -> dict[str, str]:
    """Whether what the driver left is here, and whether something can be left here."""
    files = TrialFiles(uri)
    if files.read(place) != content.encode():
        return {"error": "not what the driver sees there"}
    files.check()
    return {}


def _see_material(facts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _imported(facts["looker"])(bring_data(facts["options"], facts["files"]))
    return found


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return look()
    except BiosSweepError as error:
        return {"error": masked(str(error))}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was found
        return {"error": describe(error)}


def _imported(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ABSENT


def _code_digest() -> str:
    """Over names and contents of this package's modules."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:8]
