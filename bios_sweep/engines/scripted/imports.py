"""Which modules a source text imports, where they lie, and which are a person's own; none of it is run."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from bios_sweep.paths import resolved

OURS = "bios_sweep"
INSTALLED = tuple(
    Path(folder).resolve()
    for name, folder in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
PACKAGES = ("site-packages", "dist-packages")  # names of folders that pip installs into


def module_spec(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """Where a module would be imported from; None where it is not there. Nothing is run."""
    spec, parts = None, name.split(".")
    look: Sequence[str] | None = path
    for place in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: place + 1]), look)
        if spec is None:
            return None
        look = spec.submodule_search_locations
    return spec


def module_file(name: str, path: Sequence[str]) -> Path | None:
    """The file of a module that would be imported; None where it has none, or is not there."""
    with suppress(ImportError, ValueError):
        spec = module_spec(name, path)
        return Path(spec.origin) if spec and spec.origin is not None else None
    return None


def is_own(name: str, path: Sequence[str]) -> bool:
    """Whether a module is a person's own: not of Python, not installed, not of this package."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in (OURS, ""):
        return False
    loaded_from = getattr(sys.modules.get(name), "__file__", None)  # maybe where no path leads
    file = module_file(name, path) or (loaded_from and Path(loaded_from))
    if not file:
        return False
    inside = [folder for folder in INSTALLED if resolved(file).is_relative_to(folder)]
    return not inside and not set(PACKAGES) & set(file.parts)


def own_files(names: Iterable[str], path: Sequence[str]) -> tuple[dict[str, Path], set[str]]:
    """Own modules that are imported by these names or by one another -> their files; and all other names."""
    files: dict[str, Path] = {}
    others: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in files or name in others:
            continue
        file = module_file(name, path) if is_own(name, path) else None
        if file is None:
            others.add(name)
            continue
        files[name] = file
        waiting += filter(None, (name.rpartition(".")[0],))  # importing a.b runs a
        if file.suffix == ".py":
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            waiting += imports_of(file, package)
    return files, others


def imports_of(file: Path, package: str = "") -> tuple[str, ...]:
    """The same of a file; none of one that is no Python of ours, which its own interpreter will tell."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return tuple(imported_by(ast.parse(file.read_bytes(), str(file)), package))
    return ()


def imported_by(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Names that may be modules, of all imports in a source text, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (above, node.module)))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Version by installed package, of modules that are neither Python's nor ours."""
    tops = {name.partition(".")[0] for name in names} - {OURS, "", "__main__"}
    found = {top: _version(top) for top in sorted(tops - sys.stdlib_module_names)}
    return {top: number for top, number in found.items() if number}


def _version(top: str) -> str:
    with suppress(PackageNotFoundError):
        return version(top)
    distributions: Mapping[str, Sequence[str]] = packages_distributions()
    with suppress(PackageNotFoundError, LookupError):
        return version(distributions[top][0])
    return str(getattr(sys.modules.get(top), "__version__", ""))
