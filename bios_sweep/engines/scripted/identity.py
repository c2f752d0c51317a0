"""Which files decide what a script does, as far as they can be named: a changed script is another trial."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import PathFinder
from itertools import pairwise
from pathlib import Path

from bios_sweep.engines.scripted.words import shell_words
from bios_sweep.errors import ConfigError

SCRIPT_MARK = b"#!"  # how a program that is a text file begins
READ_AGAIN_BYTES = 16_000_000  # chosen: scripts and small data; read in a hundredth of a second
MODULE_FLAG = "-m"


def command_files(words: Sequence[str], cwd: Path) -> dict[str, Path]:
    """Files that a command names, as it spells them: scripts, data, and the module of `python -m`.

    `--data=train.jsonl` and `CONFIG=a.yaml` name a file behind their first `=`; a word with spaces is itself
    a command, as in `bash -c "python train.py"`. The program counts only if it is a script: an interpreter is
    no part of what a trial is.
    """
    named = {name: cwd / name for word in words[1:] for name in _names_in(word) if _is_file(cwd / name)}
    program = cwd / words[0]
    if "/" in words[0] and _is_file(program) and _is_script(program):
        named[words[0]] = program
    for flag, module in pairwise(words):
        path = _module_below(cwd, module) if flag == MODULE_FLAG else None
        if path is not None:
            named[module] = path
    for word in words[1:]:
        inner = shell_words(word) if word != words[0] and any(map(str.isspace, word)) else []
        if len(inner) > 1:
            named |= command_files(inner, cwd)
    return named


def _names_in(word: str) -> tuple[str, ...]:
    """What of a word may name a file: all of it, or what is behind its first `=`."""
    _, _, value = word.partition("=")
    return (word, value) if value else (word,)


def callable_file(name: str, cwd: Path) -> Path:
    """The file of the module of `package.module:function`, found without running any of it.

    Raises:
        ConfigError: no import path, no such module, or a module without that function.
    """
    module, _, function = name.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(f"method.callable: {name!r} is no import path; write it as package.module:function")
    path: Sequence[str] | None = [str(cwd), *sys.path]
    origin = None
    for place in range(len(module.split("."))):
        spec = PathFinder.find_spec(".".join(module.split(".")[: place + 1]), path)
        if spec is None:
            raise ConfigError(
                f"method.callable: there is no module {module!r}, neither in {cwd} nor installed"
            )
        origin, path = spec.origin, spec.submodule_search_locations
    if origin is None or not origin.endswith(".py"):
        raise ConfigError(f"method.callable: module {module!r} is no Python file")
    _require_function(Path(origin), module, function)
    return Path(origin)


def input_files(named: Sequence[object], cwd: Path) -> dict[str, Path]:
    """The files of `method.inputs`.

    Raises:
        ConfigError: one is no file.
    """
    for name in named:
        if not isinstance(name, str) or not _is_file(cwd / name):
            raise ConfigError(f"method.inputs: {name!r} is no file in {cwd}; name files, not folders")
    return {str(name): cwd / str(name) for name in named}


def digests_of(files: Iterable[Path]) -> dict[str, str]:
    """Absolute path -> sha256 of every file that is small enough to be read again before each trial."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.stat().st_size <= READ_AGAIN_BYTES
    }


def changed_file(digests: Mapping[str, str]) -> str | None:
    """A file that is no longer, or not here, what the plan was made with."""
    for name, digest in digests.items():
        path = Path(name)
        if not _is_file(path) or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return name
    return None


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


def _module_below(cwd: Path, module: str) -> Path | None:
    base = cwd.joinpath(*module.split("."))
    found = [path for path in (base.with_suffix(".py"), base / "__main__.py") if _is_file(path)]
    return found[0] if found else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a word may be anything, also too long for a name
        return False


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(SCRIPT_MARK)) == SCRIPT_MARK
