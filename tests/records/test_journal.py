"""The journal on disk and what it adds up to."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bios_sweep.decision.costs import Timing
from bios_sweep.errors import StorageError
from bios_sweep.own_settings import Own
from bios_sweep.ports import ENDED, MEASURED, RETRIED, STARTED, TrialEvent
from bios_sweep.records.chain import CHAIN, end_file
from bios_sweep.records.journal import Journal
from bios_sweep.records.lines import planned_fields, planned_trials
from bios_sweep.records.reading import JournalTail, read_journal, read_state
from bios_sweep.records.replay import replay
from bios_sweep.records.sweep_state import PLANNED, RUNNING, sweep_facts
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Failure, Status
from tests.damage import FLIPS, bind, flipped
from tests.records.plans import make_plan


def point(step: int, loss: float = 2.0) -> Measurement:
    return Measurement(
        step=step,
        fraction=step / 10,
        examples=8 * step,
        tokens=80 * step,
        eval_loss=loss,
        wall_seconds=0.5 * step,
    )


def result(key: str, status: str = Status.COMPLETED, **changes) -> TrialResult:
    whole = TrialResult(
        key=key,
        status=status,
        curve=(point(0, 3.0), point(5, 2.5), point(10, 2.0)),
        final={"eval_loss": 2.0},
        wall_seconds=5.0,
        tokens=800,
    )
    return dataclasses.replace(whole, **changes)


def texts_of(path: Path) -> list[str]:
    """The entries of a journal as JSON, without what binds them."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        json.dumps({name: entry[name] for name in entry if name != CHAIN}, separators=(",", ":"))
        for entry in entries
    ]


PLAN = make_plan()
KEYS = [trial.key for trial in PLAN.trials]
TIMING = Timing(
    arms=("baseline", "batch_size=4"), seconds=((0.2, 0.1), (0.8, 0.4)), hardware="a cpu, 1 thread"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sweeps" / "demo" / "journal.jsonl"


@pytest.fixture
def journal(path: Path):
    with Journal(path) as journal:
        journal.opened(sweep_facts(PLAN))
        journal.planned(PLAN.trials)
        yield journal


def test_an_empty_journal_adds_up_to_nothing_planned(path):
    with Journal(path) as journal:
        assert journal.state.counts["planned"] == 0
    assert read_journal(path) == ()


def test_the_facts_hold_no_paths_and_no_engine_options():
    assert "/models" not in json.dumps(sweep_facts(PLAN))
    assert "/home" not in json.dumps(sweep_facts(PLAN))


def test_entries_are_numbered_dated_and_on_disk_at_once(journal, path):
    journal.started(KEYS[0], worker="here")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert [line["kind"] for line in lines] == ["opened", "planned", "started"]
    assert all(line["time"].endswith("Z") for line in lines)
    assert lines[2]["worker"] == "here"


def test_a_line_that_counts_is_flushed_at_once_and_one_that_is_said_again_may_wait(journal, monkeypatch):
    flushed = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(journal.state.seq) or sync(file))
    journal.noted("the clock starts here")
    journal.started(KEYS[0])
    journal.measured(KEYS[0], point(0))
    assert len(flushed) == 1
    journal.ended(result(KEYS[0]))
    assert len(flushed) == 2
    monkeypatch.setattr("bios_sweep.records.journal.FLUSH_SECONDS", 0.0)
    journal.started(KEYS[1])
    journal.measured(KEYS[1], point(0))
    assert len(flushed) == 4


def test_an_earlier_state_stays_as_it_was_while_the_journal_goes_on(journal, path):
    earlier = []
    for step in range(100):
        earlier.append((journal.state, dict(journal.state.trials)))
        journal.measured(KEYS[step % len(KEYS)], point(step % 11, 3.0 - step / 100))
    for state, trials in earlier:
        assert dict(state.trials) == trials
    assert list(journal.state.trials) == KEYS
    assert journal.state == replay(read_journal(path))


def test_a_reopened_journal_goes_on_where_it_was(journal, path):
    journal.started(KEYS[0])
    journal.measured(KEYS[0], point(0))
    with Journal(path) as again:
        assert again.state == journal.state
        again.measured(KEYS[0], point(5))
    assert [entry.seq for entry in read_journal(path)] == [1, 2, 3, 4, 5]


def test_the_counts_always_add_up(journal):
    journal.ended(result(KEYS[0]))
    journal.reused(result(KEYS[1]))
    journal.ended(result(KEYS[2], Status.DIVERGED, cause="loss is not a number"))
    journal.ended(result(KEYS[3], Status.FAILED, curve=(), final={}, cause="out of memory"))
    journal.started(KEYS[4])
    counts = journal.state.counts
    assert counts == {
        "planned": 6,
        "completed": 2,
        "diverged": 1,
        "failed": 1,
        "unfinished": 2,
        "running": 1,
    }
    assert counts["planned"] == sum(
        counts[name] for name in ("completed", "diverged", "failed", "unfinished")
    )
    assert set(journal.state.results) == set(KEYS[:4])


def test_an_executor_s_events_become_a_trial_s_story(journal):
    key = KEYS[0]
    journal.record(TrialEvent(kind=STARTED, key=key, worker="one"))
    journal.record(TrialEvent(kind=MEASURED, key=key, measurement=point(0, 3.0)))
    journal.record(TrialEvent(kind=RETRIED, key=key, attempt=2, cause="worker died"))
    journal.record(TrialEvent(kind=STARTED, key=key, attempt=2, worker="two"))
    for step, loss in ((0, 3.0), (5, 2.5), (10, 2.0)):
        journal.record(TrialEvent(kind=MEASURED, key=key, attempt=2, measurement=point(step, loss)))
    assert journal.state.trials[key].status == RUNNING
    journal.record(TrialEvent(kind=ENDED, key=key, attempt=2, result=result(key, attempts=2)))
    trial = journal.state.trials[key]
    assert (trial.status, trial.attempts, trial.curve) == (Status.COMPLETED, 2, result(key).curve)
    assert trial.times == tuple(sorted(trial.times))
    with pytest.raises(StorageError, match="event 'measured'"):
        journal.record(TrialEvent(kind=MEASURED, key=key))


def test_a_trial_taken_up_by_a_later_driver_counts_its_attempts(journal, path):
    journal.started(KEYS[0])
    with Journal(path) as later:
        later.started(KEYS[0])
        assert later.state.trials[KEYS[0]].attempts == 2


def test_a_failed_trial_that_is_run_again_leaves_the_failed(journal):
    journal.started(KEYS[0])
    journal.ended(result(KEYS[0], Status.FAILED, curve=(), final={}, cause="no space"))
    journal.started(KEYS[0])
    assert journal.state.counts["failed"] == 0
    assert KEYS[0] not in journal.state.results
    journal.ended(result(KEYS[0]))
    assert journal.state.counts["completed"] == 1


def test_closing_leaves_running_trials_at_their_checkpoint(journal):
    journal.started(KEYS[0])
    journal.measured(KEYS[0], point(0))
    journal.closed("stopped")
    trial = journal.state.trials[KEYS[0]]
    assert (trial.status, trial.curve) == (PLANNED, (point(0),))
    assert journal.state.closed == "stopped"
    journal.started(KEYS[0])
    assert journal.state.closed == ""


def test_saying_the_same_again_writes_nothing(journal, path):
    def story():
        journal.opened(sweep_facts(PLAN))
        journal.planned(PLAN.trials)
        journal.reused(result(KEYS[0], final={"eval_loss": math.nan}))
        journal.noted("screening: look at 2 seeds")
        journal.timed(TIMING.to_dict())
        journal.verdict({"headline": "keep it", "verdicts": ({"effect_percent": math.nan},)})
        journal.adapter_kept(KEYS[0], Path("trials") / KEYS[0] / "adapter")
        report = path.parent / "report.md"
        report.write_text("# report")
        journal.reported([report])
        journal.closed("done")

    story()
    once = path.read_bytes()
    story()
    assert path.read_bytes() == once
    (path.parent / "report.md").write_text("# changed")
    journal.reported([path.parent / "report.md"])
    assert path.read_bytes() != once


def test_the_latest_timing_stays_and_comes_back_as_it_was(journal, path):
    assert journal.state.timing is None
    journal.timed(TIMING.to_dict())
    again = dataclasses.replace(TIMING, hardware="another cpu")
    journal.timed(again.to_dict())
    assert [entry.kind for entry in read_journal(path)][-2:] == ["timed", "timed"]
    assert Timing.from_dict(replay(read_journal(path)).timing) == again


def test_a_journal_from_before_there_were_timings_has_none(journal, path):
    journal.ended(result(KEYS[0]))
    assert replay(read_journal(path)).timing is None


def test_values_that_json_lacks_come_back_as_not_a_number(journal, path):
    journal.started(KEYS[0])
    journal.measured(KEYS[0], point(0, math.inf))
    journal.measured(KEYS[0], point(0, math.inf))
    journal.ended(
        result(KEYS[0], Status.DIVERGED, curve=(point(0, math.nan),), final={"eval_loss": math.nan})
    )
    assert "NaN" not in path.read_text()
    assert "Infinity" not in path.read_text()
    trial = replay(read_journal(path)).trials[KEYS[0]]
    assert math.isnan(trial.curve[0].eval_loss)
    assert len(read_journal(path)) == 5


def test_the_mean_of_an_arm_waits_for_all_its_seeds(journal):
    baseline = [trial.key for trial in PLAN.trials if trial.arm == "baseline"]
    journal.ended(result(baseline[0], final={"eval_loss": 2.0}))
    journal.verdict({"headline": "too early"})
    journal.ended(result(baseline[1], final={"eval_loss": 3.0}))
    journal.verdict({"headline": "now"})
    assert [verdict.arm_means for verdict in journal.state.verdicts] == [{}, {"baseline": 2.5}]
    assert journal.state.verdict == {"headline": "now"}


@pytest.mark.parametrize("torn", [b"{", b'{"seq": 3, "time"', b'{"seq": 3}', b"\x00" * 5000, b"\xff"])
def test_a_torn_last_line_is_cut_off(journal, path, torn):
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert len(read_journal(path)) == 2
    assert path.read_bytes() == whole + torn, "a reader must leave the file alone"
    with Journal(path) as again:
        again.started(KEYS[0])
    assert [entry.kind for entry in read_journal(path)] == ["opened", "planned", "started"]
    assert path.read_bytes().endswith(b"}\n"), "nothing torn is left behind the new line"


@pytest.mark.parametrize("position", range(0, 400, 37))
def test_a_journal_cut_anywhere_is_read_up_to_its_last_whole_line(journal, path, position):
    journal.ended(result(KEYS[0]))
    whole = path.read_bytes()
    cut = len(whole) - 1 - position
    path.write_bytes(whole[:cut])
    assert len(read_journal(path)) == whole[:cut].count(b"\n")


@pytest.mark.parametrize(
    "line, problem",
    [
        ("nonsense}", "no journal entry"),
        ('{"seq": 3, "time": "now", "kind": "noted", "text": ""}', "no journal entry"),
        (
            '{"seq": 7, "time": "2026-01-01T00:00:00.000Z", "kind": "noted", "text": ""}',
            "entry 7 where 3 belongs",
        ),
        ("[1, 2]}", "no journal entry"),
    ],
)
def test_damage_elsewhere_is_refused_with_file_and_line(journal, path, line, problem):
    bind(path, [*texts_of(path), line])
    for read in (read_journal, Journal):
        with pytest.raises(StorageError, match=f"{path}:3: {problem}.*; restore"):
            read(path)


@pytest.mark.parametrize(
    "old, new",
    [
        ('"train_loss"', '"train_losw"'),
        ('"result"', '"resulu"'),
        ('"kind":"ended"', '"kind":"endec"'),
    ],
)
def test_an_entry_without_what_its_kind_holds_is_refused_with_the_file(journal, path, old, new):
    journal.ended(result(KEYS[0]))
    assert old in path.read_text()
    bind(path, [text.replace(old, new) for text in texts_of(path)])
    for read in (read_state, Journal):
        with pytest.raises(StorageError, match=rf"^{path}: journal entry 3: .*; restore .* or move it away"):
            read(path)


def test_an_entry_that_makes_no_sense_is_refused_before_it_is_written(journal, path):
    before = path.read_bytes()
    with pytest.raises(StorageError, match="trial nobody was never planned"):
        journal.started("nobody")
    assert path.read_bytes() == before
    assert journal.state.seq == 2


def test_an_entry_of_a_newer_version_is_named(path, journal):
    bind(path, [*texts_of(path), '{"seq":3,"time":"2026-01-01T00:00:00.000Z","kind":"danced"}'])
    with pytest.raises(StorageError, match="journal entry 3: unknown kind 'danced'"):
        Journal(path)


def test_a_missing_journal_is_named(path):
    with pytest.raises(StorageError, match=f"{path}: no journal"):
        read_journal(path)


def test_a_full_disk_leaves_whole_lines_and_a_journal_that_goes_on(path):
    script = (
        "import resource, signal, sys, pathlib\n"
        "from bios_sweep.errors import StorageError\n"
        "from bios_sweep.records.journal import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "journal.noted('first')\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, hard))\n"
        "try:\n"
        "    journal.noted('second')\n"
        "except StorageError as error:\n"
        "    assert 'free the disk' in str(error), error\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))\n"
        "    journal.noted('third')\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert [entry.fields["text"] for entry in read_journal(path)] == ["first", "third"]


def test_a_tail_sees_each_entry_once_and_only_whole(journal, path):
    tail = JournalTail(path)
    assert [entry.kind for entry in tail.read()] == ["opened", "planned"]
    assert tail.read() == ()
    before = path.read_bytes()
    journal.noted("late")
    late = path.read_bytes()
    path.write_bytes(late[: len(before) + 50])
    assert tail.read() == ()
    path.write_bytes(late)
    assert [entry.fields for entry in tail.read()] == [{"text": "late"}]
    assert JournalTail(path.parent / "absent.jsonl").read() == ()


def test_a_writer_killed_at_any_time_leaves_a_journal_that_goes_on(path):
    script = (
        "import sys, pathlib\n"
        "from bios_sweep.records.journal import Journal\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    journal.noted(f'{journal.state.seq}')\n"
        "    print(journal.state.seq, flush=True)\n"
    )
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        told = [int(writer.stdout.readline()) for _ in range(20)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        assert len(read_journal(path)) >= told, "what was said to be written is there"
        Journal(path).noted(f"after {told}")


def test_proposals_and_importance_come_back_as_they_were_and_are_written_once(journal, path):
    first = [{"number": number, "values": {"learning_rate": 1e-3 * (number + 1)}} for number in range(2)]
    more = {"number": 2, "values": {"learning_rate": 5e-4}}
    journal.proposed(first)
    journal.proposed([*first, more])
    journal.searched({"learning_rate": 1.0})
    before = path.read_bytes()
    journal.proposed([more])
    journal.searched({"learning_rate": 1.0})
    assert path.read_bytes() == before
    state = replay(read_journal(path))
    assert list(state.proposals) == [*first, more]
    assert state.importance == {"learning_rate": 1.0}


def test_a_cause_is_written_without_secrets_whoever_gave_it(journal, path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI=")
    specs = make_plan().trials
    journal.planned(specs)
    journal.retried(specs[0].key, "signed with wJalr/XUtn+FEMI=", Failure.STORAGE)
    journal.ended(
        result(specs[0].key, Status.FAILED, cause="signed with wJalr/XUtn+FEMI=", failure=Failure.STORAGE)
    )
    text = path.read_text()
    assert text.count("signed with ***") == 2
    assert "XUtn" not in text


def test_a_trial_that_ends_as_it_was_measured_has_its_curve_once(journal, path):
    """Half of what a journal was; readers see no difference."""
    whole = result(KEYS[0])
    for one in whole.curve:
        journal.measured(KEYS[0], one)
    journal.ended(whole)
    journal.ended(result(KEYS[1]))  # whose measurements nobody wrote down
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert ["curve" in line["result"] for line in lines if line["kind"] == "ended"] == [False, True]
    assert read_state(path).results == {KEYS[0]: whole, KEYS[1]: result(KEYS[1])}


def test_a_curve_that_ends_otherwise_than_it_was_measured_is_written_down(journal, path):
    journal.measured(KEYS[0], point(0, 9.0))
    journal.ended(result(KEYS[0]))
    assert read_state(path).results[KEYS[0]] == result(KEYS[0])


def test_planned_trials_have_their_common_settings_once(path):
    with Journal(path) as journal:
        journal.planned(PLAN.trials)
    [line] = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(set(trial["settings"]) <= {"learning_rate", "batch_size"} for trial in line["trials"])
    assert [trial.spec for trial in read_state(path).trials.values()] == list(PLAN.trials)


def test_equal_values_of_several_kinds_come_back_each_as_it_was():
    """1, 1.0 and true are equal, and a script's own setting may be any of them."""
    spec = PLAN.trials[0]
    settings = [
        dataclasses.replace(spec.settings, own=Own({"gamma": one})) for one in (1, 1.0, True, -0.0, 0)
    ]
    specs = [dataclasses.replace(spec, key=str(place), settings=one) for place, one in enumerate(settings)]
    for pair in itertools.permutations(specs, 2):
        back = planned_trials(json.loads(json.dumps(planned_fields(pair))))
        assert [repr(one.settings.own["gamma"]) for one in back] == [
            repr(one.settings.own["gamma"]) for one in pair
        ]


def test_a_journal_of_before_which_says_all_of_it_reads_the_same(journal, path):
    journal.measured(KEYS[0], point(0, 3.0))
    journal.ended(result(KEYS[0], curve=(point(0, 3.0),)))
    long = [json.loads(line) for line in path.read_text().splitlines()]
    shared = long[1].pop("settings")
    long[1]["trials"] = [spec.to_dict() for spec in PLAN.trials]
    long[-1]["result"] = journal.state.results[KEYS[0]].to_dict()
    assert set(shared) <= set(long[1]["trials"][0]["settings"])
    before = path.with_name("before.jsonl")
    before.write_text("".join(json.dumps(line) + "\n" for line in long))
    assert read_state(before) == read_state(path)


def closed(path: Path) -> bytes:
    """A journal of a sweep that was closed; its bytes."""
    with Journal(path) as journal:
        journal.planned(PLAN.trials)
        journal.ended(result(KEYS[0]))
        journal.closed("done")
    return path.read_bytes()


def test_no_flipped_bit_of_a_closed_journal_is_taken_silently(path):
    whole = closed(path)
    for damaged in flipped(whole, seed=11, flips=FLIPS):
        path.write_bytes(damaged)
        with pytest.raises(StorageError, match=f"{path}.*restore the file from a copy, or move it away"):
            read_state(path)


def test_a_closed_journal_that_lost_its_end_is_named_also_at_the_end_of_a_line(path):
    whole = closed(path)
    for size in (0, 1, len(whole) - 1, *(place + 1 for place in range(len(whole) - 1) if whole[place] == 10)):
        path.write_bytes(whole[:size])
        for read in (read_state, Journal):
            with pytest.raises(StorageError, match=r"is cut off: it has . whole lines, and had 3"):
                read(path)
            assert path.stat().st_size == size, "nothing is made worse"


def test_a_line_that_is_gone_or_in_another_place_is_damage(path):
    first, second, third = closed(path).splitlines(keepends=True)
    for lines in ((first, third), (second, third), (first, third, second), (first, second, second, third)):
        path.write_bytes(b"".join(lines))
        with pytest.raises(StorageError, match="does not match its checksum"):
            read_state(path)


def test_a_closed_journal_that_is_gone_is_named_and_begins_anew_when_its_sweep_runs(path):
    closed(path)
    path.unlink()
    with pytest.raises(StorageError, match=f"{path}: is gone; restore"):
        read_state(path)
    with Journal(path) as journal:
        journal.closed("stopped")
    assert read_state(path).closed == "stopped"


def test_a_journal_that_begins_anew_and_dies_at_once_can_be_read_and_goes_on(path):
    closed(path)
    path.unlink()
    with Journal(path) as journal:
        journal.noted("begun anew")
        assert read_state(path).notes == ("begun anew",), "while it is written too"
    with Journal(path) as journal:
        journal.noted("gone on")
    assert read_state(path).notes == ("begun anew", "gone on")


def test_a_journal_with_other_line_ends_is_damaged_and_has_not_lost_its_checksums(path):
    whole = closed(path)
    end_file(path).unlink()
    path.write_bytes(whole.replace(b"\n", b"\r\n"))
    with pytest.raises(StorageError, match=r":1: its line end was changed; restore the file"):
        read_state(path)


def test_a_damaged_mark_of_a_journals_end_is_told_and_changes_nothing(path, caplog):
    closed(path)
    before = read_state(path)
    for damaged in flipped(end_file(path).read_bytes(), seed=5, flips=50):
        end_file(path).write_bytes(damaged)
        caplog.clear()
        assert read_state(path) == before
        assert f"{end_file(path)}: " in caplog.text


def test_the_lines_of_an_earlier_version_are_bound_by_the_first_line_that_follows(path):
    closed(path)
    end_file(path).unlink()
    bind(path, texts_of(path)[:2], bound=False)
    before = path.read_bytes()
    with Journal(path) as journal:
        journal.noted("gone on")
    after = path.read_bytes()
    assert after.startswith(before)
    for damaged in flipped(before, seed=3, flips=50):
        path.write_bytes(damaged + after[len(before) :])
        with pytest.raises(StorageError):
            read_state(path)
