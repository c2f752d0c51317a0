"""Where tuned defaults may lie, in the order in which they are believed.

An explicit path, the environment's BIOS_DEFAULTS, the project's pyproject.toml, installed packages that
announce a file, and what this package ships. Every place is data: nothing found there is executed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bios_sweep.defaults.tuned_file import FILE_NAME
from bios_sweep.errors import DefaultsError
from bios_sweep.paths import expanded, resolved

VARIABLE = "BIOS_DEFAULTS"
GROUP = "bios_sweep.defaults"  # of the entry points
ENTRY = "defaults"  # of [tool.bios_sweep]
SHIPPED = Path(__file__).with_name("shipped_defaults.json")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place: its name for people, and the file; `missing` says why there is none."""

    name: str
    path: Path | None = None
    missing: str = ""

    @property
    def words(self) -> str:
        """The place in a sentence."""
        return f"{self.name} ({self.missing or self.path})"


def places(
    path: str | os.PathLike[str] | None = None,
    *,
    start: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Place]:
    """Every place, best first; those without a file too, for a miss names them all.

    path: given explicitly. start: the folder from which pyproject.toml is looked for, upwards; the
    current one by default. environment: that of the process by default.

    Raises:
        DefaultsError: a pyproject.toml or an entry point that names no usable file.
    """
    known = os.environ if environment is None else environment
    yield _named("explicit path", path, "not given")
    yield _named(VARIABLE, known.get(VARIABLE), "not set")
    yield _project(Path.cwd() if start is None else start)
    yield from _announced()
    yield Place(name="shipped with bios_sweep", path=SHIPPED)


def _named(name: str, path: str | os.PathLike[str] | None, missing: str) -> Place:
    if path is None or not os.fspath(path):
        return Place(name=name, missing=missing)
    return Place(name=name, path=expanded(path))


def _project(start: Path) -> Place:
    """The nearest pyproject.toml at or above `start` that has `[tool.bios_sweep] defaults = "FILE"`."""
    folder = resolved(start)
    for candidate in (folder, *folder.parents):
        file = candidate / "pyproject.toml"
        table = _table(file) if file.is_file() else {}
        if ENTRY in table:
            return Place(name=f"{file} [tool.bios_sweep]", path=_inside(candidate, table[ENTRY], file))
    return Place(name="pyproject.toml", missing=f"none with [tool.bios_sweep] defaults at or above {folder}")


def _table(file: Path) -> Mapping[str, Any]:
    """`[tool.bios_sweep]`, empty where there is none.

    Other projects' files need not be ours to judge, but one that mentions us must be readable.
    """
    import tomllib  # 8 ms that only a look-up needs

    text = file.read_text(encoding="utf-8", errors="replace")
    if "bios_sweep" not in text:
        return {}
    try:
        table = tomllib.loads(text).get("tool", {}).get("bios_sweep", {})
    except tomllib.TOMLDecodeError as error:
        raise DefaultsError(f"{file}: is not TOML ({error})") from error
    if not isinstance(table, dict):
        raise DefaultsError(f"{file}: tool.bios_sweep is {table!r}; it must be a table")
    unknown = sorted(set(table) - {ENTRY})
    if unknown:  # a misspelt `defaults` must not pass for none
        raise DefaultsError(f"{file}: [tool.bios_sweep] {unknown[0]!r} is unknown; allowed is {ENTRY}")
    return table


def _inside(folder: Path, value: Any, where: Path | str) -> Path:
    """A file under `folder`; a path that leads out of it is refused, for a project describes only itself."""
    if not isinstance(value, str) or not value:
        raise DefaultsError(f"{where}: defaults is {value!r}; it must be a file's path")
    target = resolved(folder / value)
    if Path(value).is_absolute() or not target.is_relative_to(resolved(folder)):
        raise DefaultsError(
            f"{where}: defaults {value!r} leads out of {folder}; name a file inside it, "
            f"or set {VARIABLE} for one elsewhere"
        )
    return target


def _announced() -> Iterator[Place]:
    """Files that installed packages announce: `name = "package"` or `"package:file.json"`, by name."""
    from importlib.metadata import entry_points  # 25 ms that only a look-up needs

    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if not found:
        yield Place(name=f"entry points {GROUP}", missing="no installed package announces any")
    for point in found:
        name = f"entry point {GROUP} {point.name}"
        package, _, file = point.value.partition(":")
        yield Place(name=name, path=_inside(_folder(package.strip(), name), file.strip() or FILE_NAME, name))


def _folder(package: str, where: str) -> Path:
    """The folder of an installed package, found without importing it."""
    from importlib.util import find_spec  # together with the above

    top, *rest = package.split(".")
    spec = find_spec(top) if MODULE.fullmatch(package) else None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise DefaultsError(f"{where}: {package!r} is no installed package")
    return Path(locations[0], *rest)
