"""The embedded data: signature -> summary pairs of the standard library of the CPython that is running us.

Real instruction-style text that every machine already has. Whole modules are held out, so that an
evaluation example never shares its module with a training example, and no summary is on both sides. Files
are parsed with `ast` and never imported: importing a module can open windows, start threads or fail on this
platform, while its source is plain text everywhere.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache
from pathlib import Path

from bios_sweep.engines.training.cache import cache_folder, read_json_cache, write_json_cache
from bios_sweep.engines.training.data import DataSet, Example
from bios_sweep.errors import DataError

MOST_PER_MODULE = 60  # pairs; chosen: tkinter alone has 458 and would be a tenth of the data
CACHE_VERSION = 3  # raise it when other pairs are chosen from the same files, or in another order
QUESTION = "Explain"
PAIRS_ARE = "pairs are made of the embedded examples: a summary is preferred to itself with two words swapped"
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


def embedded_pairs(limit_evaluation: int | None = None) -> DataSet:
    """The same examples as preference pairs: a summary is preferred to itself with two neighbours swapped.

    A hash of the summary chooses the two words, so that they are the same everywhere. Both answers are
    equally long and all but alike, so that nothing but the order of words tells them apart.

    Raises:
        DataError: as `embedded_examples`.
    """
    whole = embedded_examples()
    evaluation = tuple(_preferring(whole.evaluation))
    _require_as_many(limit_evaluation, len(evaluation))
    return replace(
        whole,
        name="embedded pairs",
        train=tuple(_preferring(whole.train)),
        evaluation=evaluation[:limit_evaluation],
        told=(PAIRS_ARE,),
    )


def _preferring(examples: Sequence[Example]) -> Iterator[Example]:
    for example in examples:
        words = example.completion.split(" ")
        places = [place for place in range(len(words) - 1) if words[place] != words[place + 1]]
        if places:
            at = places[
                int.from_bytes(hashlib.sha256(example.completion.encode()).digest()[:8]) % len(places)
            ]
            swapped = [*words[:at], words[at + 1], words[at], *words[at + 2 :]]
            yield replace(example, rejected=" ".join(swapped))


def embedded_examples(limit_evaluation: int | None = None) -> DataSet:
    """About 4 000 training and 1 500 evaluation pairs of the running CPython, `cluster` = module.

    Both sides are in the order of a hash of the example, so that the first `limit_evaluation`
    evaluation examples are a fair sample of all of them and contain every smaller sample.

    Raises:
        DataError: the limit is not positive or more than there is, or this Python has no sources.
    """
    examples = [
        Example(
            prompt=f"{QUESTION} {pair.signature}\n",
            completion=pair.summary,
            cluster=pair.module,
            origin=pair.signature,
        )
        for pair in chosen_pairs()
    ]
    train = tuple(one for one in examples if not is_evaluation_module(one.cluster))
    evaluation = tuple(one for one in examples if is_evaluation_module(one.cluster))
    _require_as_many(limit_evaluation, len(evaluation))
    return DataSet(
        name="embedded",
        train=train,
        evaluation=evaluation[:limit_evaluation],
        source=f"standard library of CPython {platform.python_version()}",
    )


def _by_content(pair: Pair) -> bytes:
    return hashlib.sha256(f"{pair.module}\n{pair.signature}\n{pair.summary}".encode()).digest()


def _require_as_many(asked: int | None, there: int) -> None:
    if asked is not None and not 1 <= asked <= there:
        raise DataError(
            f"data.eval_examples: {asked} asked of the embedded data, which has {there}; choose 1 to {there}"
        )


def chosen_pairs() -> tuple[Pair, ...]:
    """The pairs that become examples, each summary once, from the cache where it is current.

    Parsing 600 files takes some seconds on a slow machine; each `plan` would pay them again. They are in the
    order of a hash of the content: independent of file order, and any prefix is a fair sample.
    """
    files = module_files()
    digest = hashlib.sha256(f"{CACHE_VERSION} {platform.python_version()}".encode())
    for file in files:
        stat = file.path.stat()
        digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    folder = cache_folder()
    kept = folder / f"stdlib-{digest.hexdigest()[:16]}.json" if folder else None
    try:
        rows = read_json_cache(kept)
        return tuple(Pair(module=str(m), signature=str(s), summary=str(t)) for m, s, t in rows)
    except (ValueError, TypeError):  # none there, or damaged, which only costs a rebuild
        pairs = _capped(_distinct(sorted(_pairs_of(files), key=_by_content)))
        write_json_cache(kept, [astuple(pair) for pair in pairs])
        return tuple(pairs)


def read_pairs() -> tuple[Pair, ...]:
    """Every pair of the running library, duplicates included."""
    return tuple(_pairs_of(module_files()))


def _pairs_of(files: Iterable[ModuleFile]) -> Iterator[Pair]:
    return (pair for file in files for pair in documented_pairs(file))


def module_files() -> tuple[ModuleFile, ...]:
    """All source files of the running CPython's library in the order of their names.

    Raises:
        DataError: this Python ships no library sources (a frozen or zipped installation).
    """
    root = Path(sysconfig.get_path("stdlib"))
    found = []
    for folder, subfolders, names in os.walk(root):
        inside = Path(folder).relative_to(root).parts
        subfolders[:] = [name for name in subfolders if name.isidentifier() and name not in EXCLUDED_FOLDERS]
        for name in names:
            if name.endswith(".py") and name[:-3].isidentifier():
                parts = (*inside, name.removesuffix(".py"))
                module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found.append(ModuleFile(name=module, path=Path(folder, name)))
    if not found:
        raise DataError(f"{root}: no standard-library sources here; use data=file with your own file")
    return tuple(sorted(found, key=lambda file: file.name))


@cache
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


def _distinct(pairs: Iterable[Pair]) -> list[Pair]:
    """The first pair of every summary, training modules first.

    A model pretrained on the training modules knows their summaries: none may be evaluated on.
    """
    first: dict[str, Pair] = {}
    for pair in sorted(pairs, key=lambda pair: is_evaluation_module(pair.module)):
        first.setdefault(" ".join(pair.summary.casefold().split()), pair)
    return list(first.values())


def _capped(pairs: Iterable[Pair]) -> list[Pair]:
    taken: Counter[str] = Counter()
    kept = []
    for pair in pairs:
        taken[pair.module] += 1
        if taken[pair.module] <= MOST_PER_MODULE:
            kept.append(pair)
    return kept


def _signature(qualified: str, node: Documented) -> str:
    if isinstance(node, ast.ClassDef):
        inside = ", ".join(ast.unparse(base) for base in node.bases)
        text = f"class {qualified}({inside})" if inside else f"class {qualified}"
    else:
        keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        text = f"{keyword} {qualified}({ast.unparse(node.args)})"
    return text if len(text) <= MAX_SIGNATURE else f"{text[: MAX_SIGNATURE - 4]}...)"
