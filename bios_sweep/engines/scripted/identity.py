"""Which files decide what a script does, as far as they can be named, without running any of it.

A changed script is another trial.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.command import shell_words
from bios_sweep.engines.scripted.imports import imports_of, module_spec, own_files
from bios_sweep.errors import ConfigError

SCRIPT_MARK = b"#!"  # how a program that is a text file begins
READ_AGAIN_BYTES = 16_000_000  # chosen: scripts and small data; read in a hundredth of a second
MODULE_FLAG = "-m"
PYTHON_FILE, SHELL_FILE = ".py", ".sh"
SEARCHED = "PYTHONPATH"


def command_files(words: Sequence[str], cwd: Path) -> dict[str, Path]:
    """Files that a command names, as it spells them: scripts, data, and the module of `python -m`.

    What a shell script among them names belongs to them, as far as it is spelled out.
    """
    named = _named_by(words, cwd)
    waiting = list(named.values())
    while waiting:
        file = waiting.pop()
        if file.suffix == SHELL_FILE and file.stat().st_size <= READ_AGAIN_BYTES:
            more = _named_by(["", *shell_words(file.read_text(encoding="utf-8", errors="replace"))], cwd)
            waiting += (path for path in more.values() if path not in named.values())
            named |= more
    return named


def _named_by(words: Sequence[str], cwd: Path) -> dict[str, Path]:
    """`--data=train.jsonl` and `CONFIG=a.yaml` name a file behind their first `=`.

    A word with spaces is itself a command, as in `bash -c "python train.py"`. The program counts only if it
    is a script: an interpreter is no part of what a trial is.
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
            named |= _named_by(inner, cwd)
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


def imported_files(named: Mapping[str, Path], words: Iterable[str], cwd: Path) -> dict[str, Path]:
    """Own modules that the named Python files import, and those that these import, by name.

    They are looked for where Python would: beside a script, for a module in `cwd` and where this Python finds
    its own, and in the folders of PYTHONPATH, this process's or the one that the command sets.
    """
    set_by_words = (word.partition("=")[2] for word in words if word.startswith(f"{SEARCHED}="))
    searched = os.pathsep.join((*set_by_words, os.environ.get(SEARCHED, ""))).split(os.pathsep)
    found: dict[str, Path] = {}
    for name, file in named.items():
        if file.suffix == PYTHON_FILE:
            is_module = file != cwd / name  # `package.train` of `python -m`, `package.train:function`
            package = name.partition(":")[0].rpartition(".")[0] if is_module else ""
            first = (str(cwd), *sys.path) if is_module else (str(file.parent),)
            path = (*first, *(str(cwd / folder) for folder in searched if folder))
            found |= own_files(imports_of(file, package), path)[0]
    return {name: file for name, file in found.items() if file not in named.values()}


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
