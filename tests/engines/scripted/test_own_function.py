"""What a function of one's own is: the same where it computes the same, refused where that cannot be told."""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bios_sweep.engines.scripted.function import own_function, unpacked
from bios_sweep.errors import ConfigError

CELLS = itertools.count()


def cell(source: str, name: str = "train", **values: Any) -> Callable[..., Any]:
    """A function as a notebook defines it: of a cell, in the main module. values: of earlier cells."""
    return _defined(source, [source], name, values)


def cell_of_ipython(source: str, name: str = "train") -> Callable[..., Any]:
    """The same, compiled as IPython does it: each statement alone."""
    return _defined(source, [ast.Module([one], []) for one in ast.parse(source).body], name, {})


def _defined(source: str, units: list[Any], name: str, values: dict[str, Any]) -> Callable[..., Any]:
    file = f"<cell {next(CELLS)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = {"__name__": "__main__", **values}
    for unit in units:
        exec(compile(unit, file, "exec"), space)
    return space[name]


PLAIN = "def train(settings, seed, report):\n    return settings.learning_rate * {}\n"


def content(function: Callable[..., Any]) -> Any:
    return own_function(function).content


def test_the_same_text_in_another_cell_is_the_same_function():
    assert content(cell(PLAIN.format(2))) == content(cell("\n\n" + PLAIN.format(2)))


def test_a_cell_that_imports_what_its_function_calls_is_the_same_however_it_was_compiled():
    source = (
        "import math\n\ndef train(settings, seed, report):\n    return math.log(settings.learning_rate)\n"
    )
    assert content(cell_of_ipython(source)) == content(cell(source))


# Sources with a hole for a number that decides what the function computes.
REACHED = {
    "body": "def train(s, seed, r):\n    return seed * §\n",
    "default": "def train(s, seed, r, k=§):\n    return k\n",
    "keyword default": "def train(s, seed, r, *, k=§):\n    return k\n",
    "global": "K = §\ndef train(s, seed, r):\n    return K\n",
    "function": "def f(x):\n    return x / §\ndef train(s, seed, r):\n    return f(seed)\n",
    "closure": """
def made(k):
    def train(s, seed, r):
        return k
    return train
train = made(§)
""",
    "method": """
class Net:
    size = 3
    def f(self):
        return §
def train(s, seed, r):
    return Net().f()
""",
    "class attribute": "class Net:\n    size = §\ndef train(s, seed, r):\n    return Net.size\n",
    "lambda": "f = lambda x: x * §\ndef train(s, seed, r):\n    return f(seed)\n",
    "global of an inner function": """
D = {'a': [1, (2, §)]}
def train(s, seed, r):
    def inner():
        return D
    return inner()
""",
    "instance": """
from dataclasses import dataclass, field
@dataclass
class C:
    a: int = 1
    b: list = field(default_factory=lambda: [3])
c = C(a=§)
def train(s, seed, r):
    return c.a
""",
    "default of a field": """
from dataclasses import dataclass, field
@dataclass
class C:
    b: list = field(default_factory=lambda: [§])
def train(s, seed, r):
    return C().b
""",
    "member": """
import enum
class E(enum.Enum):
    A = §
def train(s, seed, r):
    return E.A.value
""",
}


@pytest.mark.parametrize("source", REACHED.values(), ids=REACHED)
def test_what_computes_something_else_is_another_function(source):
    one, two = source.replace("§", "1"), source.replace("§", "2")
    assert content(cell(one)) == content(cell(one))
    assert content(cell(one)) != content(cell(two))


def test_a_value_that_the_function_does_not_reach_does_not_count():
    assert content(cell(PLAIN.format(2), other=open)) == content(cell(PLAIN.format(2)))


def test_arrays_count_by_their_numbers_and_kind():
    source = "def train(s, seed, r):\n    return W.sum()\n"
    arrays = np.array([1.0, 2.0]), np.array([1.0, 3.0]), np.array([1, 2], dtype="f4")
    first, *others = (content(cell(source, W=array)) for array in arrays)
    assert first == content(cell(source, W=np.array([1.0, 2.0])))
    assert first not in others


def test_functions_that_call_each_other_are_read_once():
    source = """
def train(s, n, r):
    return other(n)
def other(n):
    return train({}, n - §, None) if n else 0
"""
    one, two = source.replace("§", "1"), source.replace("§", "2")
    assert content(cell(one)) == content(cell(one))
    assert content(cell(one)) != content(cell(two))


def test_a_partial_counts_its_arguments():
    train = cell("def train(k, s, seed, r):\n    return k\n")
    assert content(functools.partial(train, 1)) != content(functools.partial(train, 2))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (iter([1]), "the global value held is of the type list_iterator"),
        ([object()], r"the global value held\[0\] is of the type object"),
        ((loop := [], loop.append(loop))[0], r"the global value held\[0\] holds itself"),
    ],
)
def test_what_cannot_be_hashed_is_refused_with_the_way_out(value, told):
    train = cell("def train(s, seed, r):\n    return held\n", held=value)
    refused = f"^train: {told}, and what it holds cannot be hashed; .*version='1'"
    with pytest.raises(ConfigError, match=refused):
        own_function(train)
    assert own_function(train, version="1").content == ["version", "train", "1"]


def test_a_function_without_a_source_is_refused():
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(PLAIN.format(2), "<nowhere>", "exec"), space)
    with pytest.raises(ConfigError, match=r"train: the function has no source .* give version='1'"):
        own_function(space["train"])


def test_a_function_that_was_edited_since_it_was_loaded_is_refused(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(PLAIN.format(2))
    space = {"__name__": "__main__"}
    exec(compile(file.read_text(), str(file), "exec"), space)
    own_function(space["train"])
    file.write_text(PLAIN.format(30))
    with pytest.raises(
        ConfigError, match=rf"is not what {re.escape(str(file))} says by now; start Python again"
    ):
        own_function(space["train"])


def test_modules_of_ones_own_count_by_their_files_and_installed_ones_by_version(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helpers_of_mine.py").write_text("import deeper_of_mine\ndef f():\n    return 1\n")
    (tmp_path / "deeper_of_mine.py").write_text("X = 1\n")
    source = """
import numpy as np
def train(s, seed, r):
    import helpers_of_mine
    return np.sum(helpers_of_mine.f())
"""
    found = own_function(cell(source))
    assert {name: path.parent for name, path in found.files.items()} == dict.fromkeys(
        ["helpers_of_mine", "deeper_of_mine"], tmp_path
    )
    assert found.packages == {"numpy": np.__version__}


def test_a_function_of_a_module_counts_by_that_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "module_of_mine.py").write_text("K = 1\n" + PLAIN.format(2))
    import module_of_mine  # type: ignore[import-not-found]

    found = own_function(module_of_mine.train)
    assert (found.content, list(found.files)) == (["named", "module_of_mine", "train"], ["module_of_mine"])


def test_a_function_travels_to_another_process_with_what_it_reaches():
    source = """
K = 20
class Box:
    def get(self):
        return K
def train(s, seed, r):
    return Box().get() + seed
"""
    text = own_function(cell(source)).packed()
    code = "import sys; from bios_sweep.engines.scripted.function import unpacked as u"
    words = [sys.executable, "-c", f"{code}; print(u(sys.stdin.read())(0, 3, 0))"]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
    assert done.stdout == "23\n"
    assert unpacked(text)(0, 1, 0) == 21


def test_what_cannot_travel_is_refused_before_anything_starts():
    import threading

    train = cell("def train(s, seed, r):\n    return held\n", held=threading.Lock())
    with pytest.raises(ConfigError, match=r"train: cannot be sent to a worker .* make inside the function"):
        own_function(train, version="1").packed()


def test_only_a_function_is_taken():
    with pytest.raises(ConfigError, match=r"3 is no function; give one that is called as train\(settings"):
        own_function(3)  # type: ignore[arg-type]


def test_the_files_of_this_test_are_own_files():
    found = own_function(cell)
    assert Path(__file__).resolve() in {path.resolve() for path in found.files.values()}
