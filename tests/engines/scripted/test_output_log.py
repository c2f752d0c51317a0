"""A stream as a file: drawn-over lines as they were last, no control characters, and no more than fits."""

from __future__ import annotations

from bios_sweep.engines.scripted import output_log
from bios_sweep.engines.scripted.output_log import OutputLog


def written(path, *chunks, clock=lambda: 0.0):
    log = OutputLog(path, clock)
    lines = [line for chunk in (*chunks, b"") for line in log.feed(chunk)]
    log.close()
    return lines, path.read_text(encoding="utf-8"), log.tail


def test_of_a_bar_the_log_keeps_what_stood_there_last_and_the_reader_hears_all(tmp_path):
    chunks = (b"start\r\n 10%\r", b" 50%\r 100%\n", b"{'eval_loss': 2}\n 1%\r 2%\r")
    lines, text, tail = written(tmp_path / "o", *chunks)
    assert text == "start\n 100%\n{'eval_loss': 2}\n 2%\n"
    assert tail == text.splitlines()
    assert [line for line in lines if line] == [
        "start", " 10%", " 50%", " 100%", "{'eval_loss': 2}", " 1%", " 2%",
    ]  # fmt: skip


def test_a_bar_that_goes_on_and_on_is_kept_now_and_then(tmp_path):
    times = iter(range(0, 1000, 6))
    bar = [f"{step}%\r".encode() for step in range(10)]
    text = written(tmp_path / "o", *bar, clock=lambda: float(next(times)))[1]
    assert 3 <= len(text.splitlines()) < 10
    assert text.endswith("9%\n")


def test_binary_junk_and_escapes_do_no_harm(tmp_path):
    junk = bytes(range(256)) + b"\n\x1b[31mred\x1b[0m \x1b]0;title\x07text\ttab\x00\n"
    _, text, _ = written(tmp_path / "o", junk[:200], junk[200:])
    assert text.endswith("red text\ttab\n")
    assert not {char for char in text if ord(char) < 32} - {"\n", "\t"}


def test_of_what_never_ends_head_and_tail_are_kept_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(output_log, "MOST_BYTES", 1000)
    monkeypatch.setattr(output_log, "TAIL_LINES", 5)
    monkeypatch.setattr(output_log, "TAIL_CHARACTERS", 300)
    chunks = [f"line {number}\n".encode() for number in range(5000)]
    _, text, tail = written(tmp_path / "o", *chunks)
    assert text.startswith("line 0\nline 1\n")
    assert "lines are left out here; the stream had 48,890 bytes)" in text
    assert text.endswith("line 4998\nline 4999\n")
    assert len(text) < 1200
    assert len(tail) == 5
    assert written(tmp_path / "p", b"x" * 200_000, b"\n")[1].count("x") <= 200_000  # a line without an end


def test_a_stream_that_was_cut_by_little_has_each_line_once(tmp_path, monkeypatch):
    monkeypatch.setattr(output_log, "MOST_BYTES", 60)
    lines = [f"line {number}" for number in range(12)]
    _, text, _ = written(tmp_path / "o", "\n".join(lines).encode())
    assert text.splitlines() == lines
