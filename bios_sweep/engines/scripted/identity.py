"""Which files and modules decide what a script does, as far as they can be named, without running any of it.

A changed script is another trial.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from itertools import pairwise
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.command import shell_words
from bios_sweep.errors import ConfigError

SCRIPT_MARK = b"#!"  # how a program that is a text file begins
READ_AGAIN_BYTES = 16_000_000  # chosen: scripts and small data; read in a hundredth of a second
MODULE_FLAG = "-m"
OURS = "bios_sweep"
INSTALLED = tuple(
    Path(folder).resolve()
    for name, folder in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
PACKAGES = ("site-packages", "dist-packages")  # names of folders that pip installs into


def command_files(words: Sequence[str], cwd: Path) -> dict[str, Path]:
    """Files that a command names, as it spells them: scripts, data, and the module of `python -m`.

    `--data=train.jsonl` and `CONFIG=a.yaml` name a file behind their first `=`; a word with spaces is itself
    a command, as in `bash -c "python train.py"`. The program counts only if it is a script: an interpreter is
    no part of what a trial is.
    """
    parts = [part for word in words[1:] for part in (word, word.partition("=")[2]) if part]
    named = {part: cwd / part for part in parts if is_file(cwd / part)}
    program = cwd / words[0]
    if "/" in words[0] and is_file(program) and _is_script(program):
        named[words[0]] = program
    for module in (word for flag, word in pairwise(words) if flag == MODULE_FLAG):
        base = cwd.joinpath(*module.split("."))
        found = [path for path in (base.with_suffix(".py"), base / "__main__.py") if is_file(path)]
        if found:
            named[module] = found[0]
    for word in words[1:]:
        inner = shell_words(word) if word != words[0] and any(map(str.isspace, word)) else []
        if len(inner) > 1:
            named |= command_files(inner, cwd)
    return named


def callable_file(name: str, cwd: Path) -> Path:
    """The file of the module of `package.module:function`, found without running any of it.

    Raises:
        ConfigError: no import path, no such module, or a module without that function.
    """
    module, _, function = name.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"method.callable: {name!r} is no import path; write it as package.module:function")
    spec = module_spec(module, [str(cwd), *sys.path])
    if spec is None:
        raise ConfigError(f"method.callable: there is no module {module!r}, neither in {cwd} nor installed")
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(f"method.callable: module {module!r} is no Python file")
    _require_function(Path(spec.origin), module, function)
    return Path(spec.origin)


def input_files(named: Sequence[object], cwd: Path) -> dict[str, Path]:
    """The files of `method.inputs`.

    Raises:
        ConfigError: one is no file.
    """
    for name in named:
        if not isinstance(name, str) or not is_file(cwd / name):
            raise ConfigError(f"method.inputs: {name!r} is no file in {cwd}; name files, not folders")
    return {str(name): cwd / str(name) for name in named}


def digests_of(files: Iterable[Path]) -> dict[str, str]:
    """Absolute path -> sha256 of every file that is small enough to be read again before each trial."""
    small = [path for path in files if path.stat().st_size <= READ_AGAIN_BYTES]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in small}


def changed_file(digests: Mapping[str, str]) -> str | None:
    """A file that is no longer, or not here, what the plan was made with."""
    for name, digest in digests.items():
        path = Path(name)
        if not is_file(path) or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return name
    return None


def fingerprint(options: Mapping[str, Any]) -> str:
    """Of the files that the script was planned with, from an engine's options."""
    return hashlib.sha256(json.dumps(options["digests"], sort_keys=True).encode()).hexdigest()


def look(options: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What a node has of what a script needs; called there by the preflight, by import string.

    `script`: the fingerprint where the planned files are all here, else `error`, a sentence. Files above
    `READ_AGAIN_BYTES` are not looked at.
    """
    if not Path(options["cwd"]).is_dir():
        return {"script": {"error": f"there is no folder {options['cwd']}"}}
    changed = changed_file(options["digests"])
    if changed is not None:
        return {"script": {"error": f"{changed} is missing or another file"}}
    return {"script": {"found": fingerprint(options)}}


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
    inside = [folder for folder in INSTALLED if file.resolve().is_relative_to(folder)]
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
            waiting += imported_by(ast.parse(file.read_bytes(), str(file)), package)
    return files, others


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


def _require_function(path: Path, module: str, function: str) -> None:
    """Read the module's text; a name that a star import may bring is let through."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"method.callable: {path} cannot be read as Python ({error})") from error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in node.names}
    if function not in names and "*" not in names:
        raise ConfigError(f"method.callable: module {module!r} ({path}) has no {function!r}")


def is_file(path: Path) -> bool:
    """Whether there is a file of that name, be the name what it may."""
    return os.path.isfile(path)  # noqa: PTH113 - a word may be anything, and too long a one is no error here


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SCRIPT_MARK)) == SCRIPT_MARK


def _version(top: str) -> str:
    with suppress(PackageNotFoundError):
        return version(top)
    distributions: Mapping[str, Sequence[str]] = packages_distributions()
    with suppress(PackageNotFoundError, LookupError):
        return version(distributions[top][0])
    return str(getattr(sys.modules.get(top), "__version__", ""))
