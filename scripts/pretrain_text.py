"""The text that the base model is pretrained on: this Python's reference and its library's prose.

Three kinds of documents: the topics of `pydoc_data`, the docstrings of the library's training
modules, and their comment blocks. Nothing comes from a module that the embedded data evaluates on,
and no paragraph may quote an evaluation answer; otherwise a sweep would measure memory.
"""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from bios_sweep.engines.training.corpus import (
    ModuleFile,
    embedded_examples,
    is_evaluation_module,
    module_files,
    parse,
)

VALIDATION_SHARE = 0.08  # of the modules and topics; chosen: some 150 kB are enough to four digits
SHORTEST_DOCUMENT = 30  # characters; chosen: shorter comments are labels and rulers
TOPICS_MODULE = "pydoc_data.topics"


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text and the unit (module or topic) it comes from; a unit is never split between sides."""

    unit: str
    text: str


def pretraining_documents() -> tuple[Document, ...]:
    """Every document once, in the order of the units, free of evaluation modules and answers."""
    files = [file for file in module_files() if not is_evaluation_module(file.name)]
    answers = [_flat(example.completion) for example in embedded_examples().evaluation]
    unique: dict[str, Document] = {}
    for document in (found for file in files for found in _documents(file)):
        cleaned = _without_answers(document, answers)
        if len(cleaned.text) >= SHORTEST_DOCUMENT:
            unique.setdefault(_flat(cleaned.text), cleaned)
    return tuple(unique.values())


def is_validation_unit(unit: str) -> bool:
    """Whether a unit is kept from pretraining, to measure what the model learned beyond its text."""
    digest = hashlib.sha256(f"bios_sweep pretraining validation\n{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < VALIDATION_SHARE * 2**64


def text_hash(documents: Iterable[Document]) -> str:
    """sha256 (hex) of the documents' texts, each closed by a zero byte."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(document.text.encode() + b"\0")
    return digest.hexdigest()


def _documents(file: ModuleFile) -> Iterator[Document]:
    tree = parse(file)
    if tree is None:
        return
    if file.name == TOPICS_MODULE:
        yield from _topics(tree)
        return
    for text in (*_docstrings(tree), *_comment_blocks(file)):
        yield Document(unit=file.name, text=text)


def _topics(tree: ast.Module) -> Iterator[Document]:
    """The one dict literal of `pydoc_data.topics`: topic -> text."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for name, text in ast.literal_eval(node.value).items():
                yield Document(unit=f"{TOPICS_MODULE}:{name}", text=text.strip())


def _docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield (ast.get_docstring(node) or "").strip()


def _comment_blocks(file: ModuleFile) -> Iterator[str]:
    """Comments that stand on lines of their own; consecutive lines are one block."""
    block: list[str] = []
    last_line = -1
    for line, text in _comments(file):
        if line != last_line + 1 and block:
            yield "\n".join(block)
            block = []
        block.append(text)
        last_line = line
    yield "\n".join(block)


def _comments(file: ModuleFile) -> Iterator[tuple[int, str]]:
    tokens = tokenize.tokenize(io.BytesIO(file.path.read_bytes()).readline)
    for token in tokens:
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            text = token.string.lstrip("#!").strip()
            if any(character.isalpha() for character in text):  # rulers of dashes are no prose
                yield token.start[0], text


def _without_answers(document: Document, answers: list[str]) -> Document:
    """The document without the paragraphs that quote an evaluation answer, also one across two of them."""
    paragraphs = [text for text in document.text.split("\n\n") if text.strip()]
    flat = [_flat(text) for text in paragraphs]
    whole = " ".join(flat)
    spans = [span for answer in answers if answer in whole for span in _occurrences(answer, whole)]
    if not spans:
        return document
    starts = [0, *accumulate(len(text) + 1 for text in flat)]
    kept = [
        text
        for text, start, end in zip(paragraphs, starts, starts[1:], strict=False)
        if not any(first < end and start < last for first, last in spans)
    ]
    return Document(unit=document.unit, text="\n\n".join(kept).strip())


def _occurrences(part: str, whole: str) -> Iterator[tuple[int, int]]:
    start = whole.find(part)
    while start >= 0:
        yield start, start + len(part)
        start = whole.find(part, start + 1)


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
