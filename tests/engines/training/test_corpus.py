"""The embedded data: what it is made of, its split, its cache."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bios_sweep.engines.training.cache import write_json_cache
from bios_sweep.engines.training.corpus import (
    EXCLUDED_FOLDERS,
    MAX_SIGNATURE,
    MOST_PER_MODULE,
    ModuleFile,
    cache_folder,
    chosen_pairs,
    documented_pairs,
    embedded_examples,
    is_evaluation_module,
    module_files,
    read_pairs,
    summarise,
)
from bios_sweep.engines.training.data import DataSet
from bios_sweep.errors import DataError


@pytest.fixture(scope="module")
def data() -> DataSet:
    return embedded_examples()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bios_sweep"


def pairs_of(tmp_path: Path, source: str) -> list[tuple[str, str]]:
    path = tmp_path / "sample.py"
    path.write_text(source, encoding="utf-8")
    return [
        (pair.signature, pair.summary) for pair in documented_pairs(ModuleFile(name="pkg.sample", path=path))
    ]


def test_there_are_about_4000_training_and_1500_evaluation_examples(data: DataSet) -> None:
    assert 3500 <= len(data.train) <= 4500
    assert 1200 <= len(data.evaluation) <= 1800


def test_at_least_100_modules_are_held_out_and_none_is_on_both_sides(data: DataSet) -> None:
    held_out = {example.cluster for example in data.evaluation}
    assert len(held_out) >= 100
    assert held_out.isdisjoint(example.cluster for example in data.train)
    assert all(is_evaluation_module(name) for name in held_out)


def test_every_completion_occurs_once_over_both_sides(data: DataSet) -> None:
    completions = [" ".join(e.completion.casefold().split()) for e in (*data.train, *data.evaluation)]
    assert len(set(completions)) == len(completions)


def test_a_summary_of_a_training_module_is_never_an_evaluation_completion(data: DataSet) -> None:
    known = {pair.summary.casefold() for pair in read_pairs() if not is_evaluation_module(pair.module)}
    assert not [e for e in data.evaluation if e.completion.casefold() in known]


def test_no_module_has_more_than_its_share(data: DataSet) -> None:
    counts = Counter(example.cluster for example in (*data.train, *data.evaluation))
    assert max(counts.values()) == MOST_PER_MODULE


def test_tests_and_foreign_packages_are_left_out() -> None:
    names = [file.name for file in module_files()]
    assert "json.decoder" in names
    assert not [name for name in names if EXCLUDED_FOLDERS & set(name.split("."))]


def test_a_smaller_evaluation_set_is_contained_in_a_larger_one_and_spread_over_modules(data: DataSet) -> None:
    small = embedded_examples(500)
    assert small.evaluation == data.evaluation[:500]
    assert small.train == data.train
    assert len({example.cluster for example in small.evaluation}) >= 80


def test_evaluation_limit_beyond_the_data_is_refused_with_the_number_there_is(data: DataSet) -> None:
    with pytest.raises(DataError, match=rf"100000 asked .* has {len(data.evaluation)}; choose 1 to"):
        embedded_examples(100_000)
    with pytest.raises(DataError, match=r"data\.eval_examples: 0 asked"):
        embedded_examples(0)


def test_the_same_python_gives_the_same_fingerprint_with_and_without_cache(
    data: DataSet, empty_cache: Path
) -> None:
    fresh = embedded_examples()
    assert len(list(empty_cache.iterdir())) == 1
    assert data.fingerprint == fresh.fingerprint
    assert data.evaluation_fingerprint == fresh.evaluation_fingerprint


def test_the_cache_is_what_is_read_the_second_time(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bios_sweep.engines.training.corpus.module_files", lambda: module_files()[:40])
    chosen_pairs()
    (cache,) = empty_cache.iterdir()
    write_json_cache(cache, [["m", "def m.f()", "Say something."]])
    assert [pair.signature for pair in chosen_pairs()] == ["def m.f()"]


@pytest.mark.parametrize("damage", ["", "[[1]]", '{"a": 1}', "[[", "7"])
def test_a_damaged_cache_is_rebuilt(empty_cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setattr("bios_sweep.engines.training.corpus.module_files", lambda: module_files()[:40])
    pairs = chosen_pairs()
    (cache,) = empty_cache.iterdir()
    cache.write_text(damage, encoding="utf-8")
    assert chosen_pairs() == pairs


def test_a_cache_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("bios_sweep.engines.training.corpus.module_files", lambda: module_files()[:40])
    assert chosen_pairs()


def test_a_relative_cache_home_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "bios_sweep"


def test_reading_the_library_imports_neither_its_modules_nor_a_framework() -> None:
    probe = (
        "import sys; from bios_sweep.engines.training.corpus import embedded_examples; embedded_examples();"
        "heavy = set(sys.modules) & {'torch', 'transformers', 'tokenizers', 'turtle', 'this', 'mailbox'};"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_signatures_are_qualified_and_summaries_are_one_sentence(tmp_path: Path) -> None:
    source = (
        "class A(Base):\n    '''Holds some values. And more.'''\n"
        "    async def f(self, x: int = 1, *, y):\n        '''Return x\n        and y.\n\n        Long.'''\n"
        "        def inner():\n            '''Nobody can call this.'''\n"
        "if True:\n    def g(): '''Do the thing.'''\n"
        "def undocumented(): pass\n"
        "def h(): '''Short.'''\n"
    )
    assert pairs_of(tmp_path, source) == [
        ("class pkg.sample.A(Base)", "Holds some values."),
        ("async def pkg.sample.A.f(self, x: int=1, *, y)", "Return x and y."),
        ("def pkg.sample.g()", "Do the thing."),
    ]


def test_a_long_signature_is_cut(tmp_path: Path) -> None:
    arguments = ", ".join(f"argument_{number}=None" for number in range(40))
    ((signature, _),) = pairs_of(tmp_path, f"def f({arguments}): '''Take many arguments.'''")
    assert len(signature) == MAX_SIGNATURE
    assert signature.endswith("...)")


def test_a_file_that_does_not_parse_is_passed_over(tmp_path: Path) -> None:
    assert pairs_of(tmp_path, "def broken(:") == []


@pytest.mark.parametrize(
    "docstring, summary",
    [
        ("One line", "One line"),
        ("First one. Second one.", "First one."),
        ("See e.g. This one.", "See e.g. This one."),
        ("Version 3.5 is old", "Version 3.5 is old"),
        ("", ""),
    ],
)
def test_summary_is_the_first_sentence(docstring: str, summary: str) -> None:
    assert summarise(docstring) == summary


def test_python_without_library_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(DataError, match="no standard-library sources here; use data=file"):
        module_files()
