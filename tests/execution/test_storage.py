from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path

import pytest

from bios_sweep.errors import StorageError
from bios_sweep.execution.transfer.node_options import bring_data, send_data
from bios_sweep.execution.transfer.storage import LIST, TrialFiles, files_below


@pytest.fixture(params=["folder", "file", "memory"])
def uri(request, tmp_path) -> str:
    kinds = {
        "folder": str(tmp_path / "store"),
        "file": (tmp_path / "store").as_uri(),
        "memory": f"memory://{tmp_path.name}",
    }
    return kinds[request.param]


def folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        file = path / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


def content(path: Path) -> dict[str, str]:
    return {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()}


def test_a_trial_goes_on_elsewhere_with_exactly_the_files_that_were_pushed(uri, tmp_path):
    here = folder(tmp_path / "here", checkpoint="step 1", curve="1\n")
    files = TrialFiles(uri)
    files.push("abc", files_below(here))
    folder(here, checkpoint="step 2", curve="1\n2\n")
    files.push("abc", files_below(here))
    there = tmp_path / "there"
    TrialFiles(uri).fetch("abc", there)
    assert content(there) == {"checkpoint": "step 2", "curve": "1\n2\n"}


def test_what_a_finished_trial_removed_is_removed_from_the_store_too(uri, tmp_path):
    here = folder(tmp_path / "here", checkpoint="step 1")
    files = TrialFiles(uri)
    files.push("abc", files_below(here))
    (here / "checkpoint").unlink()
    folder(here, adapter__weights="final")
    files.push("abc", files_below(here))
    there = tmp_path / "there"
    files.fetch("abc", there)
    assert content(there) == {"adapter/weights": "final"}
    left = [name.rpartition("/")[2].partition(".")[0] for name in files._store.find(files._at("abc"))]
    assert sorted(left) == ["files", "weights"]


def test_a_store_on_a_disk_holds_the_latest_contents_and_their_list_only(tmp_path):
    here = folder(tmp_path / "here", checkpoint="step 1")
    files = TrialFiles(str(tmp_path / "store"))
    for step in range(2, 5):
        files.push("abc", files_below(here))
        folder(here, checkpoint=f"step {step}")
    files.push("abc", files_below(here))
    names = sorted(path.name.partition(".")[0] for path in (tmp_path / "store" / "abc").iterdir())
    assert names == ["checkpoint", "files"]


def test_nothing_was_pushed_so_nothing_is_fetched(uri, tmp_path):
    TrialFiles(uri).fetch("abc", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_files_of_the_workspace_survive_a_fetch(uri, tmp_path):
    TrialFiles(uri).push("abc", files_below(folder(tmp_path / "here", checkpoint="from the node")))
    there = folder(tmp_path / "there", checkpoint="old", result="kept")
    TrialFiles(uri).fetch("abc", there)
    assert content(there) == {"checkpoint": "from the node", "result": "kept"}


def push_and_die(store: str, here: Path, monkeypatch, *, at_call: int) -> None:
    """In a process of its own, which ends without a word just before the given call to the file system."""
    files, calls = TrialFiles(store), itertools.count(1)

    def dying(function):
        def wrapped(*arguments):
            if next(calls) == at_call:
                os._exit(9)
            return function(*arguments)

        return wrapped

    for name in ("put_file", "pipe_file", "rm_file"):
        monkeypatch.setattr(files._store, name, dying(getattr(files._store, name)))
    monkeypatch.setattr(Path, "replace", dying(Path.replace))
    files.push("abc", files_below(here))
    os._exit(0)


def test_a_push_that_is_killed_anywhere_leaves_one_moment_of_the_trial(tmp_path, monkeypatch):
    store, here, seen = str(tmp_path / "store"), tmp_path / "here", set()
    for at_call in itertools.count(1):
        TrialFiles(store).push("abc", files_below(folder(here, one="old", two="old")))
        folder(here, one="new", two="new")
        child = os.fork()
        if not child:
            push_and_die(store, here, monkeypatch, at_call=at_call)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        there = tmp_path / f"there-{at_call}"
        TrialFiles(store).fetch("abc", there)
        found = content(there)
        assert found in ({"one": "old", "two": "old"}, {"one": "new", "two": "new"}), at_call
        seen.add(found["one"])
        if not died:
            break
    assert seen == {"old", "new"}
    assert at_call == 9  # two contents and a list, each written and renamed, two removed, and none of them


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-9],
        lambda text: "[]",
        lambda text: text.replace('"one"', '"../../one"'),
        lambda text: text.replace('"one"', '"two"'),
    ],
)
def test_a_damaged_list_counts_as_absent_and_says_so(tmp_path, caplog, damage):
    files = TrialFiles(str(tmp_path / "store"))
    files.push("abc", files_below(folder(tmp_path / "here", one="1")))
    listed = tmp_path / "store" / "abc" / LIST
    listed.write_text(damage(listed.read_text()))
    assert not files.fetch("abc", tmp_path / "a" / "b" / "there")
    assert not (tmp_path / "a").exists()
    assert "cannot be understood" in caplog.text


def test_damaged_contents_start_the_trial_again_instead_of_training_from_them(tmp_path, caplog):
    files = TrialFiles(str(tmp_path / "store"))
    files.push("abc", files_below(folder(tmp_path / "here", one="1", two="2")))
    (damaged,) = (tmp_path / "store" / "abc").glob("two.*")
    damaged.write_text("3")
    files.fetch("abc", tmp_path / "there")
    assert content(tmp_path / "there") == {}
    assert "two is gone or damaged; the trial starts again" in caplog.text


def test_a_file_that_changes_while_it_is_pushed_stays_as_it_was_pushed_last(tmp_path):
    here = folder(tmp_path / "here", log="1\n")
    files = TrialFiles(str(tmp_path / "store"))
    files.push("abc", files_below(here))
    put = files._store.put_file

    def put_while_written(source, target):
        put(source, target)
        with Path(source).open("a") as file:
            file.write("3\n")

    files._store.put_file = put_while_written
    folder(here, log="1\n2\n")
    files.push("abc", files_below(here))
    files._store.put_file = put
    files.fetch("abc", tmp_path / "there")
    assert content(tmp_path / "there") == {"log": "1\n"}
    files.push("abc", files_below(here))
    files.fetch("abc", tmp_path / "there")
    assert content(tmp_path / "there") == {"log": "1\n2\n3\n"}


def test_readers_beside_a_writer_see_whole_moments(tmp_path):
    here, store = folder(tmp_path / "here", one="0", two="0"), str(tmp_path / "store")
    writer = TrialFiles(store)
    writer.push("abc", files_below(here))
    done = threading.Event()

    def write() -> None:
        for step in range(1, 40):
            folder(here, one=str(step), two=str(step))
            writer.push("abc", files_below(here))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not done.is_set():
        there = tmp_path / f"there-{len(list(tmp_path.iterdir()))}"
        TrialFiles(store).fetch("abc", there)
        found = content(there)  # empty where the contents went between list and fetch: as if absent
        assert not found or found["one"] == found["two"]
        seen.update(found.values())
    thread.join()
    assert len(seen) > 1


def test_removing_forgets_the_trial_and_no_other(uri, tmp_path):
    files = TrialFiles(uri)
    files.push("abc", files_below(folder(tmp_path / "here", one="1")))
    files.push("def", files_below(folder(tmp_path / "here", one="1")))
    files.remove("abc")
    files.fetch("abc", tmp_path / "abc")
    files.fetch("def", tmp_path / "def")
    assert not (tmp_path / "abc").exists()
    assert content(tmp_path / "def") == {"one": "1"}


def test_a_store_that_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / "store").mkdir()
    TrialFiles(str(tmp_path / "store")).check()
    assert list((tmp_path / "store").iterdir()) == []


def test_a_store_that_cannot_be_written_says_so_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError, match=r"^cluster.storage: .*/file/store failed \(NotADirectoryError: "
    ) as e:
        TrialFiles(str(tmp_path / "file" / "store")).check()
    assert "\n" not in str(e.value)


def test_an_address_of_an_unknown_kind_is_refused():
    with pytest.raises(StorageError, match=r"^cluster.storage: nosuch://x cannot be opened \(ValueError: "):
        TrialFiles("nosuch://x")


def test_examples_reach_a_node_that_does_not_see_the_drivers_disk(uri, tmp_path):
    driver = folder(tmp_path / "driver", **{"examples.jsonl": "{}\n"})
    options = {"data_file": str(driver / "examples.jsonl"), "threads": 1}
    send_data(options, uri)
    assert bring_data(options, uri, tmp_path / "node") == options  # the file is here
    (driver / "examples.jsonl").unlink()
    brought = bring_data(options, uri, tmp_path / "node")
    assert brought == {"data_file": str(tmp_path / "node" / "examples.jsonl"), "threads": 1}
    assert Path(brought["data_file"]).read_text() == "{}\n"


def test_an_engine_without_a_data_file_and_a_run_without_storage_need_nothing(tmp_path):
    send_data({"threads": 1}, str(tmp_path / "store"))
    assert bring_data({"threads": 1}, str(tmp_path / "store"), tmp_path) == {"threads": 1}
    assert bring_data({"data_file": "/nowhere"}, None, tmp_path) == {"data_file": "/nowhere"}
    assert list(tmp_path.iterdir()) == []


def test_what_a_store_s_library_says_is_told_without_secrets(tmp_path, monkeypatch):
    secret = "wJalr/XUtn+FEMI="
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    class Talkative:
        def pipe_file(self, *_):
            raise PermissionError(f"403 for https://b.example/x?Signature=abcdef with {secret}")

    files = TrialFiles(f"memory://{tmp_path.name}")
    files._store = Talkative()
    with pytest.raises(StorageError, match="PermissionError: 403 for") as failed:
        files.leave("x", b"1")
    assert secret not in str(failed.value)
    assert "abcdef" not in str(failed.value)
