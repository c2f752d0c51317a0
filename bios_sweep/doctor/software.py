"""Python and the packages that a run stands on, against the versions that are supported and tested."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.version import __version__

DISTRIBUTION, EXTRA = "bios-sweep", "run"
INSTALL = "pip install 'bios-sweep[run]'"
TESTED = "constraints.txt"
PACKAGE = Path(__file__).resolve().parents[1]


def installed_versions(names: Iterator[str] | tuple[str, ...]) -> dict[str, str | None]:
    """Version per package, None where there is none."""
    return {name: _installed(name) for name in names}


def requirements() -> dict[str, SpecifierSet]:
    """What a run needs -> which versions, by the package's own metadata; a clone's are its pyproject.toml."""
    try:
        texts = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        texts = [*project["dependencies"], *project["optional-dependencies"][EXTRA]]
    needed = [Requirement(text) for text in texts]
    wanted = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": EXTRA})]
    return {one.name: one.specifier for one in sorted(wanted, key=lambda one: one.name)}


def pinned_versions() -> dict[str, str]:
    """Package -> the version that the tests ran with."""
    folders = (PACKAGE, PACKAGE.parent)
    file = next((folder / TESTED for folder in folders if (folder / TESTED).is_file()), None)
    lines = file.read_text(encoding="utf-8").splitlines() if file is not None else []
    return {name: version for name, given, version in (line.partition("==") for line in lines) if given}


def software_lines(
    versions: Mapping[str, str | None], needed: Mapping[str, SpecifierSet], tested: Mapping[str, str]
) -> Iterator[Line]:
    """Python, then what is missing, too old or newer than anything tested; the rest in one line."""
    yield _python()
    missing = [name for name in needed if versions[name] is None]
    if missing:
        yield red("packages", f"missing: {', '.join(missing)}", INSTALL)
    right = []
    for name, specifier in needed.items():
        version = versions[name]
        if version is None:
            continue
        line = _judged(name, version, specifier, tested.get(name))
        if line is None:
            right.append(f"{name} {version}")
        else:
            yield line
    if right:
        yield ok("versions", ", ".join(right))


def _python() -> Line:
    version = platform.python_version()
    found = f"{version}, bios_sweep {__version__}"
    if platform.system() != "Linux":
        way_out = "run the sweep on Linux; reports and defaults can be read anywhere"
        return warning("Python", f"{found}, {platform.system()}: only Linux is tested", way_out)
    return ok("Python", found)


def _judged(name: str, version: str, specifier: SpecifierSet, tested: str | None) -> Line | None:
    """None where a package is as it should be."""
    try:
        here = Version(version)
    except InvalidVersion:
        return warning(name, f"{version!r} is no version", f"pip install '{name}{specifier}'")
    if not specifier.contains(here, prereleases=True):
        return red(name, f"{version}; supported is {specifier}", f"pip install '{name}{specifier}'")
    if tested is not None and here.major > Version(tested).major:
        way_out = f"where something fails that should not: pip install '{name}=={tested}'"
        return warning(name, f"{version}; a later major version than the tested {tested}", way_out)
    return None


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
