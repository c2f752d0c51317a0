"""Large data files: the same examples, sides and counts as of small ones, in memory that does not grow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.engines.training import kept, stored
from bios_sweep.engines.training.counts import tokens_of
from bios_sweep.engines.training.data import DataSet, keep_dataset, open_dataset, read_dataset
from bios_sweep.engines.training.engine import LoraEngine
from bios_sweep.engines.training.jsonl import jsonl_examples
from bios_sweep.engines.training.stored import StoredExamples
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialSpec
from tests.engines.training.test_conversations import LONG_TALK

TALK = {"messages": [{"role": role, "content": text} for role, text in LONG_TALK]}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    kept.kept_root.cache_clear()
    yield folder
    kept.kept_root.cache_clear()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is a large one."""
    monkeypatch.setattr(stored, "SMALL_BYTES", -1)
    monkeypatch.setattr(stored, "BLOCK", 7)


def rows(count: int, word: str = "answer") -> list[dict]:
    plain = [{"prompt": f"question {n % 40}", "completion": f"{word} {n % 40}"} for n in range(count)]
    odd = {"prompt": "tab\there", "completion": "and \u2028"}
    return [*plain, odd, {"prompt": "c", "completion": "d", "cluster": "é"}]


def write(path: Path, *lines: dict) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def told(data: DataSet) -> tuple:
    sides = (data.train, data.evaluation)
    return (
        data.fingerprint, data.evaluation_fingerprint, data.eval_clusters, data.kinds.tolist(),
        [[(one, one.origin) for one in side] for side in sides],
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eval_fraction": 0.4},
        {"eval_examples": 9},
        {"eval_path": 1},
        {"eval_path": 1, "eval_examples": 3},
    ],
)
def test_a_large_file_has_the_sides_of_a_small_one(tmp_path, monkeypatch, options):
    path = write(tmp_path / "a.jsonl", *rows(60))
    if "eval_path" in options:
        options = {**options, "eval_path": write(tmp_path / "b.jsonl", *rows(9, "other")[:-2])}
    small = jsonl_examples(path, **options)
    monkeypatch.setattr(stored, "SMALL_BYTES", -1)
    monkeypatch.setattr(stored, "BLOCK", 7)
    for _ in range(2):
        found = jsonl_examples(path, **options)
        assert isinstance(found.train, StoredExamples)
        assert told(found) == told(small)
        assert tuple(found.evaluation[1:3]) == small.evaluation[1:3]
        assert found.evaluation[-1] == small.evaluation[-1]
    for name, data in (("small", small), ("large", found)):
        keep_dataset(data, tmp_path / name)
    assert (tmp_path / "small").read_bytes() == (tmp_path / "large").read_bytes()
    assert told(read_dataset(tmp_path / "large")) == told(small)


def test_tokens_of_a_large_file_are_counted_once_and_as_of_a_small_one(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "a.jsonl", *rows(30))
    small = tokens_of(jsonl_examples(path, eval_examples=4), base_model_path())
    monkeypatch.setattr(stored, "SMALL_BYTES", -1)
    for _ in range(2):
        found = tokens_of(jsonl_examples(path, eval_examples=4), base_model_path())
        assert found.cuts([8, 100], 100) == small.cuts([8, 100], 100)
        assert (found.auto_length(None), found.ends) == (small.auto_length(None), small.ends)
        facts = sorted(own_cache.glob("bios_sweep/counts/*/facts.json"))
        stamps = {file: file.stat().st_mtime_ns for file in facts}
    assert len(facts) == 2
    assert stamps == {file: file.stat().st_mtime_ns for file in facts}


@pytest.mark.usefixtures("large")
def test_what_reading_found_is_whole_as_soon_as_the_examples_are(tmp_path, own_cache):
    path = write(tmp_path / "a.jsonl", *rows(30))
    first = jsonl_examples(path)
    (facts,) = own_cache.glob("bios_sweep/examples/*/facts.json")
    assert json.loads(facts.read_text())["found"]["records"] == 32
    for value in set(facts.parent.glob("*.json")) - {facts}:  # as after a kill right behind the examples
        value.unlink()
    assert jsonl_examples(path).told == first.told


@pytest.mark.usefixtures("large")
def test_a_large_file_that_changes_is_read_again(tmp_path):
    path = write(tmp_path / "a.jsonl", *rows(30))
    before = jsonl_examples(path)
    path.write_text(path.read_text().replace("answer", "anszer"))
    after = jsonl_examples(path)
    assert after.fingerprint != before.fingerprint
    assert {one.completion.partition(" ")[0] for one in after.train} <= {"anszer", "and", "d"}


def test_the_memory_of_reading_does_not_grow_with_the_file(tmp_path):
    text = "word" * 500
    lines = (json.dumps({"prompt": f"{n}", "completion": f"{text}{n}"}) + "\n" for n in range(12_000))
    path = tmp_path / "a.jsonl"
    with path.open("w") as file:
        file.writelines(lines)
    assert path.stat().st_size > 20e6
    tracemalloc.start()
    data = jsonl_examples(path, eval_examples=50)
    keep_dataset(data, tmp_path / "kept")
    open_dataset(tmp_path / "kept").verified()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data.train) == 11_950
    assert peak < 16e6, f"{peak / 1e6:.0f} MB, of a file of {path.stat().st_size / 1e6:.0f} MB"


def test_a_data_file_of_the_version_before_is_read(tmp_path):
    talks = [{"messages": TALK["messages"][: 2 * n]} for n in (1, 2, 3)]
    data = jsonl_examples(write(tmp_path / "a.jsonl", *talks), eval_examples=1)
    keep_dataset(data, tmp_path / "now")
    header, *lines = (tmp_path / "now").read_text().split("\n")[:-1]
    before = [
        json.dumps({**json.loads(content), "origin": json.loads(origin)})
        for content, origin in (line.split("\t") for line in lines)
    ]
    (tmp_path / "before").write_text("\n".join([header.replace("data set 2", "data set 1"), *before, ""]))
    assert told(read_dataset(tmp_path / "before")) == told(data)


MAKER = """
import sys
from bios_sweep.engines.training.table import prepared
from bios_sweep.engines.training.tokens import TokenizedExample

def make():
    print("begun", flush=True)
    for number in range(12_000):
        if number == 11_000:
            sys.stdin.readline()
        yield TokenizedExample(input_ids=(number, 1, 2), prompt_length=1, completion_bytes=2, cluster="c")

table = prepared({"data": "d"}, 2**17, make)
print(len(table), int(table[11_999].input_ids[0]), flush=True)
"""


def maker() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def test_a_kill_in_the_middle_leaves_no_half_table_and_two_at_once_make_one(own_cache):
    tables = own_cache / "bios_sweep" / "tokens"
    killed = maker()
    assert killed.stdout.readline() == "begun\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not list(tables.glob("*/facts.json"))
    both = [maker(), maker()]
    for process in both:
        process.stdin.write("go on\n")
        process.stdin.flush()
    said = [process.communicate()[0].splitlines() for process in both]
    assert sorted(said, key=len) == [["12000 11999"], ["begun", "12000 11999"]]
    assert [path.suffix for path in sorted(tables.iterdir())] == ["", ".lock"]


WORKER = """
import json, sys
from pathlib import Path
from tests.engines.training.test_stored import trained

print(trained(json.loads(sys.argv[1]), Path(sys.argv[2])))
"""


def trained(options: dict, folder: Path) -> float:
    """The loss that a worker comes to, with an engine of its own."""
    settings = TrainingSettings(learning_rate=2e-3, batch_size=8, lora_rank=4, max_steps=2, max_length=64)
    trial = TrialSpec(key="k", arm="baseline", seed=0, settings=settings)
    *_, result = LoraEngine(options).run(trial, folder)
    return result.final["eval_loss"]


def births(cache: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of writing of every file of tokens."""
    files = cache.glob("bios_sweep/tokens/*/*")
    return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def test_two_workers_of_a_node_tokenise_once_and_a_third_only_reads(tmp_path, own_cache):
    data = jsonl_examples(write(tmp_path / "a.jsonl", *rows(60)), eval_examples=8)
    keep_dataset(data, tmp_path / "data")
    options = {
        "model_path": "embedded:base_model", "data_file": str(tmp_path / "data"),
        "data_fingerprint": data.fingerprint, "measurements": 1,
    }  # fmt: skip
    words = [sys.executable, "-c", WORKER, json.dumps(options), str(tmp_path / "other")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        losses = [trained(options, tmp_path / "first"), float(other.communicate()[0])]
    made = births(own_cache)
    assert len({Path(file).parent for file in made}) == 2, "training and evaluation, once each"
    losses.append(trained(options, tmp_path / "third"))
    assert births(own_cache) == made
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
