"""Reads documented names from the running CPython's standard library: real text, no download.

Files are parsed with `ast` and never imported: importing a module can open windows, start threads
or fail on this platform, while its source is plain text everywhere.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bios_sweep.errors import DataError

# Test suites and vendored tools describe themselves, not the library; site-packages is not CPython.
EXCLUDED_FOLDERS = frozenset({"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages"})
EVALUATION_SHARE = 0.31  # of the modules; chosen: 126 of 360 documented ones on CPython 3.11
SPLIT_SALT = "bios_sweep evaluation modules 22"  # chosen: gives about 4 000 and 1 500 pairs
MAX_SIGNATURE = 120  # characters; chosen: longer ones are lists of defaults and only cost time
SUMMARY_LENGTHS = (12, 200)  # characters; chosen: shorter says nothing, longer is no summary

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, kw_only=True)
class ModuleFile:
    """One source file of the standard library and the dotted name it is imported by."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A qualified signature and the summary its author wrote for it."""

    module: str
    signature: str
    summary: str


def module_files() -> tuple[ModuleFile, ...]:
    """All source files of the running CPython's library in the order of their names.

    Raises:
        DataError: this Python ships no library sources (a frozen or zipped installation).
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = [ModuleFile(name=_module_name(path, root), path=path) for path in _source_paths(root)]
    if not found:
        raise DataError(f"{root}: no standard-library sources here; use data=jsonl with your own file")
    return tuple(sorted(found, key=lambda file: file.name))


def is_evaluation_module(name: str) -> bool:
    """Whether a module is held out. A hash of the name decides, so a new module moves no other."""
    digest = hashlib.sha256(f"{SPLIT_SALT}\n{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < EVALUATION_SHARE * 2**64


def parse(file: ModuleFile) -> ast.Module | None:
    """The syntax tree, or None for the few files that are meant not to parse (templates, bad syntax)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old modules hold invalid escapes; not ours to report
            return ast.parse(file.path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return None


def documented_pairs(file: ModuleFile) -> Iterator[Pair]:
    """Signature and summary of every class, function and method of a module that has both."""
    tree = parse(file)
    for scope, node in documented_nodes(tree) if tree else ():
        summary = summarise(ast.get_docstring(node) or "")
        if SUMMARY_LENGTHS[0] <= len(summary) <= SUMMARY_LENGTHS[1]:
            signature = _signature(f"{file.name}.{scope}{node.name}", node)
            yield Pair(module=file.name, signature=signature, summary=summary)


def documented_nodes(tree: ast.AST, scope: str = "") -> Iterator[tuple[str, Documented]]:
    """Classes and functions with a docstring, each with its enclosing classes as `Outer.`.

    Functions inside functions are left out: nobody can call them by a qualified name.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Documented):
            if ast.get_docstring(node):
                yield scope, node
            if isinstance(node, ast.ClassDef):
                yield from documented_nodes(node, f"{scope}{node.name}.")
        elif isinstance(node, ast.stmt | ast.excepthandler):
            yield from documented_nodes(node, scope)


def summarise(docstring: str) -> str:
    """The first sentence of the first paragraph, on one line."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    head, separator, tail = paragraph.partition(". ")
    ends_sentence = separator and tail[:1].isupper() and not head.endswith(("e.g", "i.e", "etc", "vs"))
    return f"{head}." if ends_sentence else paragraph


def _signature(qualified: str, node: Documented) -> str:
    if isinstance(node, ast.ClassDef):
        inside = ", ".join(ast.unparse(base) for base in node.bases)
        text = f"class {qualified}({inside})" if inside else f"class {qualified}"
    else:
        keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        text = f"{keyword} {qualified}({ast.unparse(node.args)})"
    return text if len(text) <= MAX_SIGNATURE else f"{text[: MAX_SIGNATURE - 4]}...)"


def _source_paths(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name.isidentifier() and name not in EXCLUDED_FOLDERS]
        yield from (Path(folder, name) for name in names if name.endswith(".py") and name[:-3].isidentifier())


def _module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
