"""Nothing is decided by the words of a reason or a sentence; text is made where it is told.

Reasons are checked soundly: they have no text to look into (`str` makes one), and mypy refuses to try. Of
sentences, which are text, the syntax is checked: whatever bears one of the `TOLD` names is not searched, cut
or compared with a phrase outside the rooms that render.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bios_sweep.decision.finding import EDGE

PACKAGE = Path(__file__).resolve().parents[1] / "bios_sweep"
RENDERS = ("report/text", "report/figures")
TOLD = {
    "sentence", "sentences", "reason", "reasons", "withheld", "headline", "caveats", "notes", "warnings",
    "advice", "doubt", "doubts", "settle", "supports", "not_supported", "cause", "title",
}  # fmt: skip
READS = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split",
         "rsplit", "find", "index", "count"}  # fmt: skip


def name_of(node):
    """The name under which a value is read: of an attribute, a key or a variable, also through `str`."""
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Subscript(value=inner) | ast.Call(func=ast.Name(id="str"), args=[inner]):
            return name_of(inner)
    return ""


def is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def readings(tree):
    """Every place where a told text is looked into."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=told, attr=method)) if method in READS:
                found = name_of(told) in TOLD
            case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[told]):
                found = is_text(left) and name_of(told) in TOLD
            case ast.Compare(left=told, ops=[ast.Eq() | ast.NotEq()], comparators=[text]):
                found = is_text(text) and getattr(text, "value", "") != "" and name_of(told) in TOLD
            case _:
                found = False
        if found:
            yield node


def test_no_told_text_decides_anything():
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.relative_to(PACKAGE).as_posix().startswith(RENDERS)
        for node in readings(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'verdict.sentence.startswith("use")',
        'any("between" in reason for reason in verdict.reasons)',
        'str(reason).partition(": ")[0]',
        'row["sentence"].split(" @ ")',
        'summary.headline == "nothing to say"',
        'f"{name} ends" not in finding.reasons[0]',
    ],
)
def test_a_text_that_is_read_is_found(code):
    assert len(list(readings(ast.parse(code)))) == 1


def test_a_reason_has_no_text_to_look_into():
    reason = EDGE(level=4)
    assert not isinstance(reason, str)
    assert not READS & {*dir(reason)}
    with pytest.raises(TypeError):
        _ = "edge" in reason
