"""What a trial wrote down: kept for every attempt, followed as it grows, put together and cut."""

from __future__ import annotations

from bios_sweep.records import trial_logs
from bios_sweep.records.trial_logs import LogTail, logs_in, set_aside, text_of


def test_each_attempts_files_are_set_aside_and_the_latest_attempts_stay(tmp_path):
    for attempt in range(1, 9):
        set_aside(tmp_path)
        (tmp_path / "stderr.txt").write_text(f"attempt {attempt}\n")
        (tmp_path / "stdout.txt").write_text("")
    found = logs_in(tmp_path)
    assert [log.attempt for log in found] == [3, 4, 5, 6, 7, 8]  # five before the latest
    assert [log.path.read_text() for log in found] == [f"attempt {n}\n" for n in range(3, 9)]
    assert {log.name for log in found} == {"stderr.txt"}  # the other one is empty


def test_a_log_is_followed_in_whole_lines_over_the_begin_of_another_attempt(tmp_path):
    tail = LogTail(tmp_path)
    log = tmp_path / "stdout.txt"
    log.write_bytes("first\nhalf: \u00e4".encode()[:-1])
    assert [text for _, text in tail.news()] == ["first\n"]
    assert [text for _, text in tail.news()] == []
    with log.open("ab") as file:
        file.write("\u00e4\n".encode()[1:])
    set_aside(tmp_path)
    log.write_text("second\nno end")
    told = [(log.attempt, text) for log, text in tail.news()]
    assert told == [(1, "half: \u00e4\n"), (2, "second\n")]
    assert [text for _, text in tail.news(last=True)] == ["no end"]


def test_of_a_long_log_trackers_get_the_beginning_and_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_logs, "HEAD_BYTES", 20)
    monkeypatch.setattr(trial_logs, "TAIL_BYTES", 10)
    monkeypatch.setenv("HF_TOKEN", "a-secret-that-nobody-sees")
    (tmp_path / "error.log").write_text("Traceback: a-secret-that-nobody-sees")
    (tmp_path / "stdout.txt").write_bytes(b"begin\n" + b"\xff" * 100 + b"\nthe end\n")
    text = text_of(tmp_path)
    assert text.startswith("==> stdout.txt, attempt 1 <==\nbegin\n")
    assert "... (85 bytes are left out here; all of it is in " in text
    assert "the end\n\n==> error.log, attempt 1 <==" in text
    assert "nobody-sees" not in text


def test_a_log_longer_than_a_chunk_is_cut_at_lines_and_a_longer_line_at_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_logs, "CHUNK", 8)
    tail, text = LogTail(tmp_path), "abc\ndefghi\n" + "ä€😀" * 9 + "\nend\nhalf"
    (tmp_path / "stdout.txt").write_text(text, encoding="utf-8")
    told = [part for _, part in tail.news()]
    assert told[:2] == ["abc\n", "defghi\n"]
    assert "".join(told) == text.removesuffix("half")
    assert [part for _, part in tail.news(last=True)] == ["half"]
