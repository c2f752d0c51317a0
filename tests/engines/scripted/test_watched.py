"""Metrics that a script writes to a file: taken while it runs, decided by the whole file at the end."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import pytest

from bios_sweep.engines.scripted.engine import CommandEngine
from bios_sweep.engines.scripted.metric_files import LONGEST_WATCHED
from bios_sweep.engines.scripted.values import STATE_PATTERN
from bios_sweep.engines.scripted.watched import WatchedFile
from bios_sweep.execution.attempts import attempt_trial
from bios_sweep.execution.transfer.attempt_files import AttemptFiles, FileTransfer
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

SETTINGS = TrainingSettings(learning_rate=1e-5, batch_size=4, lora_rank=8, max_steps=20)
TRIAL = TrialSpec(key="k", arm="baseline", seed=3, settings=SETTINGS)
START = """
import json, os, sys, time
folder = sys.argv[1]
def say(name, *readings, how="a"):
    with open(os.path.join(folder, name), how) as file:
        for step, loss in readings:
            print(json.dumps({"step": step, "eval_loss": loss}), file=file)
def wait():  # for the test, which makes this file
    while not os.path.exists("go"):
        time.sleep(0.01)
    os.remove("go")
"""


def line(step, loss):
    return json.dumps({"step": step, "eval_loss": loss}) + "\n"


@pytest.fixture
def running(tmp_path):
    """Runs a script; the test lets it go on where it waits."""

    def start(text, **options):
        (tmp_path / "train.py").write_text(START + text)
        engine = CommandEngine(
            {
                "run": f"{sys.executable} -S train.py {{trial_dir}}",
                "cwd": str(tmp_path),
                "metric": "eval_loss",
                "metrics_file": "{trial_dir}/m.jsonl",
                "time_limit_seconds": 20.0,
                **options,
            }
        )
        return closing(engine.run(TRIAL, tmp_path / "trial"))

    return start


def go(tmp_path):
    (tmp_path / "go").touch()


def test_a_file_that_grows_gives_measurements_while_the_script_runs(running, tmp_path):
    with running('say("m.jsonl", (0, 3)); wait(); say("m.jsonl", (10, 2.5)); wait()') as items:
        assert (first := next(items)).eval_loss == 3.0
        go(tmp_path)
        assert next(items).eval_loss == 2.5
        go(tmp_path)
        [result] = items
    assert (result.status, result.final) == (Status.COMPLETED, {"eval_loss": 2.5})
    assert [point.step for point in result.curve] == [0, 10]
    assert result.curve[0] == first
    assert 0 < first.wall_seconds < result.curve[1].wall_seconds <= result.wall_seconds


def test_what_the_file_says_in_the_end_decides(running, tmp_path):
    again = 'say("m.jsonl", (0, 3), (10, 9)); wait(); say("m.jsonl", (0, 3), (20, 2), how="w")'
    with running(again) as items:
        assert [next(items).eval_loss for _ in range(2)] == [3.0, 9.0]
        go(tmp_path)
        *points, result = items
    assert [(point.step, point.eval_loss) for point in result.curve] == [(0, 3.0), (20, 2.0)]
    assert points == list(result.curve)
    assert result.final == {"eval_loss": 2.0}


def test_a_file_that_is_gone_in_the_end_leaves_no_metric(running, tmp_path):
    with running('say("m.jsonl", (0, 3)); wait(); os.remove(folder + "/m.jsonl")') as items:
        next(items)
        go(tmp_path)
        [result] = items
    assert (result.failure, result.curve) == (Failure.NO_METRIC, ())
    assert "left no file" in result.cause


def test_a_script_that_runs_too_long_keeps_what_its_file_said(running):
    with running('say("m.jsonl", (0, 3)); time.sleep(60)', time_limit_seconds=1.0) as items:
        point, result = items
    assert (result.failure, result.curve) == (Failure.TIME_LIMIT, (point,))
    assert result.cause.endswith("the last eval_loss was 3 at step 0")


# the file by itself


@pytest.fixture
def file(tmp_path):
    return WatchedFile(str(tmp_path / "m"), inside=tmp_path)


def steps(readings):
    return [reading.step for reading in readings]


def test_only_what_is_new_is_taken_and_a_line_only_when_it_is_whole(file, tmp_path):
    (tmp_path / "m").write_text(line(0, 3.0) + line(5, float("nan")) + line(10, 2.0)[:9])
    assert steps(file.news()) == [0, 5]
    assert not file.news()
    (tmp_path / "m").write_text(line(0, 3.0) + line(5, float("nan")) + line(10, 2.0) + line(15, 1.0))
    assert steps(file.news()) == [10, 15]
    rest = file.rest()
    assert (rest.readings, rest.anew, rest.missing) == ([], False, "")


@pytest.mark.parametrize(
    "text",
    [
        '[\n{"step": 0, "eval_loss": 3},\n{"step": 10, "eval_loss": 2}\n',  # half a list
        '{\n"step": 0,\n"eval_loss": 3\n',  # half an object
        '{"eval_loss": 2.5}\n',  # the latest value, perhaps
        "epoch 1\n" + line(0, 3.0),  # no JSON lines: it may become anything
        line(0, 3.0) + " " * LONGEST_WATCHED,
        "",
    ],
)
def test_what_may_turn_out_otherwise_is_left_for_the_end(file, tmp_path, text):
    (tmp_path / "m").write_text(text)
    assert not file.news()


def test_a_file_that_takes_something_back_gives_nothing_until_the_end(file, tmp_path):
    (tmp_path / "m").write_text(line(0, 3.0) + line(10, 2.0))
    assert steps(file.news()) == [0, 10]
    for text in (line(0, 3.0), line(0, 3.0) + line(10, 2.5) + line(20, 1.0)):
        (tmp_path / "m").write_text(text)
        assert not file.news()
    rest = file.rest()
    assert (steps(rest.readings), rest.anew) == ([0, 10, 20], True)


def test_the_state_of_a_trainer_goes_on_in_the_next_checkpoint(tmp_path):
    file = WatchedFile(STATE_PATTERN.replace("{trial_dir}", str(tmp_path)), inside=tmp_path)
    log = [{"step": 0, "eval_loss": 3.0}]
    for step in (10, 20):
        log.append({"step": step, "eval_loss": 2.0})
        (tmp_path / f"checkpoint-{step}").mkdir()
        state = tmp_path / f"checkpoint-{step}" / "trainer_state.json"
        state.write_text(json.dumps({"log_history": log}))
        assert steps(file.news()) == ([0, 10] if step == 10 else [20])
    assert not file.rest().anew


def test_lines_of_output_mean_nothing_beside_a_file(running):
    with running('print(\'{"eval_loss": 99}\'); say("m.jsonl", (20, 2))') as items:
        point, result = items
    assert isinstance(result, TrialResult)
    assert (point.eval_loss, result.final) == (2.0, {"eval_loss": 2.0})


# on a cluster, where the folder follows the trial from node to node

GOES_ON = """
state = os.path.join(folder, "state")
if os.path.exists(state):
    say("m.jsonl", (20, 2.0))
else:
    open(state, "w").close()
    say("m.jsonl", (0, 3), (10, 2.5))
    wait()
"""


@pytest.mark.parametrize("resumes, second", [(True, [0, 10, 20]), (False, [0, 10])])
def test_a_lost_attempt_is_gone_on_from_if_the_script_can_and_else_nothing_is_carried(
    tmp_path, resumes, second
):
    (tmp_path / "train.py").write_text(START + GOES_ON)
    options = {"run": f"{sys.executable} -S train.py {{trial_dir}}", "cwd": str(tmp_path)}
    file = {"metric": "eval_loss", "metrics_file": "{trial_dir}/m.jsonl", "resumes": resumes}
    engine = CommandEngine({**options, **file})
    storage = tmp_path / "storage"
    transfer = FileTransfer(str(storage), tmp_path / "trials", run="run")

    def attempt(number):
        files = AttemptFiles(str(storage), "k", **transfer.places("k", number))
        items = attempt_trial(engine, TRIAL, files.directory, number)
        return files, closing(files.kept(items, always=engine.resumes))

    files, running = attempt(1)
    with running as items:
        assert [next(items).step for _ in range(2)] == [0, 10]
        transfer.reached("k", 1)
    files.discard()  # its node is gone
    assert storage.exists() == resumes

    files, running = attempt(2)
    go(tmp_path)
    with running as items:
        *points, result = items
    files.discard()
    assert [point.step for point in points] == second
    assert result.status == Status.COMPLETED
    transfer.bring("k", 2)  # at its end everything
    assert (tmp_path / "trials/k/output/state").exists()
    assert (tmp_path / "trials/k/stdout.txt").exists()
