"""A user's own script as an engine: real child processes, told what they need, read, and surely ended."""

from __future__ import annotations

import json
import math
import os
import select
import shlex
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bios_sweep.engines.scripted.command import CommandTemplate, require_carried, values_of, written
from bios_sweep.engines.scripted.engine import CallableEngine, CommandEngine
from bios_sweep.engines.scripted.identity import callable_file, command_files, input_files
from bios_sweep.engines.scripted.lines import LineReader
from bios_sweep.engines.scripted.values import STATE_PATTERN, script_of
from bios_sweep.errors import BiosSweepError, ConfigError, NoClockError
from bios_sweep.method import PRESETS, Method
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status
from tests.engines.scripted.trials import SETTINGS, TRIAL

METRIC_LINE = "import json, sys, os\nprint(json.dumps({'step': 10, 'eval_loss': 2.5}))\n"


@pytest.fixture
def script(tmp_path):
    """Writes a script and gives an engine that runs it."""

    def engine(text: str, words: str = "", **options: object) -> CommandEngine:
        (tmp_path / "train.py").write_text(text)
        run = f"{sys.executable} -S train.py {words}"
        return CommandEngine({"run": run, "cwd": str(tmp_path), "metric": "eval_loss", **options})

    return engine


def ended(engine: CommandEngine, folder: Path, trial: TrialSpec = TRIAL) -> TrialResult:
    last = list(engine.run(trial, folder))[-1]
    assert isinstance(last, TrialResult)
    return last


def gone(pid: int, seconds: float = 20.0) -> bool:
    """Whether a process ends, waited for."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def test_a_value_is_one_word_whatever_is_in_it():
    values = written(values_of(SETTINGS, 3, "/tmp/a b; rm -rf '$HOME'"))
    command = CommandTemplate(text="python 'my train.py' --lr {learning_rate} --out={trial_dir} {{x}}")
    assert command.argv(values) == [
        "python", "my train.py", "--lr", "1e-05", "--out=/tmp/a b; rm -rf '$HOME'", "{x}",
    ]  # fmt: skip


def test_a_shell_gets_its_values_quoted():
    folder = "/tmp/a b; echo '$HOME'"
    command = CommandTemplate(text="printf %s {trial_dir}", shell=True)
    answer = subprocess.run(
        command.argv(written(values_of(SETTINGS, 3, folder))), capture_output=True, check=True
    )
    assert answer.stdout.decode() == folder


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "python t.py {lr}",
            r"\{lr\} is no placeholder \(did you mean \{learning_rate\}\?\); allowed are .*trial_dir",
        ),
        ("python t.py {seed:d}", r"\{seed:...\} has a format; write \{seed\}"),
        ("python t.py {seed", "a literal brace is written"),
        ("python 't.py", "no closing quotation"),
        ("  ", "method.command: missing"),
    ],
)
def test_a_command_that_cannot_be_filled_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        CommandTemplate(text=text)


def test_a_variation_that_no_placeholder_carries_is_refused():
    with pytest.raises(
        ConfigError, match=r"rank=4: method.command has no \{lora_rank\}.*would change nothing"
    ):
        require_carried({"baseline": [], "rank=4": ["lora_rank"]}, ["learning_rate"], hold="examples")
    with pytest.raises(ConfigError, match=r"no \{max_steps\}.*to hold examples equal; or budget.hold=steps"):
        require_carried({"batch": ["batch_size", "max_steps"]}, ["batch_size"], hold="examples")
    require_carried({"rank=4": ["lora_rank"]}, ["lora_rank"], hold="examples")


def test_files_that_a_command_names_are_part_of_what_it_is(tmp_path):
    (tmp_path / "job").mkdir()
    for name in ("train.py", "data.jsonl", "job/__main__.py", "run.sh", "tool"):
        (tmp_path / name).write_text("#!/bin/sh\n" if name == "run.sh" else "x")
    assert set(command_files(["python", "train.py", "--data", "data.jsonl", "--lr", "1"], tmp_path)) == {
        "train.py",
        "data.jsonl",
    }
    assert command_files(["python", "-m", "job"], tmp_path) == {"job": tmp_path / "job/__main__.py"}
    assert set(command_files(["./run.sh"], tmp_path)) == {"./run.sh"}
    assert command_files(["./tool", "x" * 5000], tmp_path) == {}  # a program is no script, a word no file


@pytest.mark.parametrize(
    "text",
    [
        "python train.py --data=my.jsonl",
        "env DATA=my.jsonl python train.py",
        "bash -c 'python train.py --data=my.jsonl'",
    ],
)
def test_a_file_behind_an_equals_sign_or_inside_a_word_counts(tmp_path, text):
    for name in ("train.py", "my.jsonl"):
        (tmp_path / name).write_text("x")
    assert set(command_files(shlex.split(text), tmp_path)) == {"train.py", "my.jsonl"}


@pytest.mark.parametrize(
    "text",
    [
        "python 'my train.py' --data=\"a.jsonl\" {seed}; echo",
        "cd . && (python 'my train.py'<a.jsonl|tee log) {seed}",
        "python it's \n 'my train.py' a.jsonl; {seed}",  # an open quotation mark: split at spaces
    ],
)
def test_files_that_a_shell_reads_count_too(tmp_path, text):
    method = {
        "runner": "command", "command": text, "shell": True, "metric": "eval_loss", "direction": "minimize",
        "inputs": [], "time_limit_seconds": None, "resumes": False,
    }  # fmt: skip
    for name in ("my train.py", "a.jsonl"):
        (tmp_path / name).write_text("x")
    expected = {"a.jsonl"} if "it's" in text else {"my train.py", "a.jsonl"}
    assert set(script_of(method, tmp_path).files) == expected


def command_of(text: str, **other: object) -> dict[str, object]:
    return {
        "runner": "command", "command": text, "metric": "eval_loss", "direction": "minimize", "inputs": [],
        "time_limit_seconds": None, "resumes": False, **other,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text, shell, refused",
    [
        ("python3 trian.py {seed}", False, "'trian.py'"),
        ("env X=1 nice -n 5 timeout 60 python3 -u ./trian.py {seed}", False, "'./trian.py'"),
        ("sh run.sh {seed}", False, "'run.sh'"),
        ("X=1 python3 trian.py {seed} | tee log", True, "'trian.py'"),
        ("python3 train.py {seed} --save later.py", False, None),
        ("python3 -m json.tool later.py {seed}", False, None),
        ("bash -lc 'python3 trian.py {seed}.py'", False, None),
        ("python3 {trial_dir}/x.py {seed}", False, None),
        ("cd .. && python3 trian.py {seed}", True, None),
        ("env -C .. python3 trian.py {seed}", False, None),
        ("env -S 'python3 trian.py' {seed}", False, None),
        ("echo docker run image python3 trian.py {seed}", False, None),
    ],
)
def test_a_script_whose_name_is_mistyped_is_refused_with_the_one_that_is_there(
    tmp_path, text, shell, refused
):
    (tmp_path / "train.py").write_text("")
    method = command_of(text, shell=shell)
    if refused is None:
        script_of(method, tmp_path)
        return
    with pytest.raises(ConfigError, match=f"there is no file {refused} in ") as raised:
        script_of(method, tmp_path)
    assert str(raised.value).endswith("; did you mean train.py?") == ("trian" in text)


def test_a_missing_program_is_refused_with_what_may_be_meant(tmp_path, monkeypatch):
    (tmp_path / "t.py").write_text("")
    (tmp_path / "env").write_text("#!/bin/sh\n")
    (tmp_path / "env").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for text in ("python t.py {seed}", "env X=1 python t.py {seed}"):
        with pytest.raises(ConfigError, match=f"no program 'python' here .*; write {sys.executable}$"):
            script_of(command_of(text), tmp_path)
    with pytest.raises(
        ConfigError, match=r"no program 'X=1' here .*; write env X=1 ..., or method.shell=true"
    ):
        script_of(command_of("X=1 python t.py {seed}"), tmp_path)
    (tmp_path / "python3").symlink_to(sys.executable)
    with pytest.raises(ConfigError, match=r"; write python3$"):
        script_of(command_of("python t.py {seed}"), tmp_path)


@pytest.mark.parametrize(
    "text, shell",
    [
        ("{python} t.py {{seed}}", False),
        ("env X=1 {python} t.py {{seed}}", False),
        ("env -u HOME X=1 nice -n 5 timeout -k 1 60 {python} t.py {{seed}}", False),
        ("X=1 {python} t.py {{seed}}", True),
        ("export X=1; {python} t.py {{seed}}", True),
    ],
)
def test_our_interpreter_is_seen_behind_what_starts_it(tmp_path, text, shell):
    (tmp_path / "t.py").write_text("")
    for program, ours in ((sys.executable, True), ("/bin/sh", False)):
        found = script_of(command_of(text.format(python=program), shell=shell), tmp_path)
        assert found.in_our_environment is ours


def test_a_callable_is_found_without_running_its_module(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "mine/train.py").write_text("raise RuntimeError('imported')\ndef trial(): ...\n")
    assert callable_file("mine.train:trial", tmp_path) == tmp_path / "mine/train.py"
    for name, message in (
        ("mine.train", "is no import path"),
        ("mine.nowhere:trial", "there is no module 'mine.nowhere'"),
        ("mine.train:other", "has no 'other'"),
    ):
        with pytest.raises(ConfigError, match=message):
            callable_file(name, tmp_path)
    with pytest.raises(ConfigError, match=r"method.inputs: 'mine' is no file .* not folders"):
        input_files(["mine"], tmp_path)


@pytest.mark.parametrize(
    "line, step, values",
    [
        ('{"step": 10, "eval_loss": 2.31}', 10, {"eval_loss": 2.31}),
        (' {"eval_loss": "nan", "name": "x", "ok": true}\n', None, {"eval_loss": math.nan}),
        ('{"step": 2.0, "eval_loss": null, "lists": [1]}', None, None),
        ('{"step": 2.0, "eval_loss": null, "loss": 3}', 2, {"loss": 3.0}),
        ('{"eval_loss": NaN}', None, {"eval_loss": math.nan}),
        (f'{{"up": 1{"0" * 400}, "down": -1{"0" * 400}}}', None, {"up": math.inf, "down": -math.inf}),
        ('{"step": 3}', None, None),
        ("{'eval_loss': 2.3}", None, {"eval_loss": 2.3}),
        ("eval_loss 2.3", None, {"eval_loss": 2.3}),
        ("[1, 2]", None, None),
    ],
)
def test_a_line_of_output_is_a_reading_or_none(line, step, values):
    said = LineReader("eval_loss").read(line)
    reading = None if said is None else said.reading
    if values is None:
        assert reading is None
    else:
        assert (reading.step, repr(reading.values)) == (step, repr(values))


def test_measurements_come_as_lines_and_the_last_one_counts(script, tmp_path):
    text = (
        "import json\n"
        "for step, loss in ((0, 3.0), (5, 2.5), (10, 2.25)):\n"
        "    print('a progress bar', end='\\r')\n"
        "    print(json.dumps({'step': step, 'eval_loss': loss, 'forgetting': 0.5, 'speed': 9}))\n"
    )
    items = list(script(text, watched=["forgetting"]).run(TRIAL, tmp_path / "t"))
    result = items.pop()
    assert [(point.step, point.fraction, point.examples) for point in items] == [
        (0, 0, 0),
        (5, 0.5, 20),
        (10, 1, 40),
    ]
    assert [dict(point.metrics) for point in items] == [{"forgetting": 0.5}] * 3
    assert result.status == Status.COMPLETED
    assert result.final == {"eval_loss": 2.25, "forgetting": 0.5, "speed": 9}
    assert result.curve == tuple(items)
    back = TrialResult.from_dict(json.loads(json.dumps(result.to_dict())))
    assert back.curve[1].value("forgetting") == 0.5
    assert back.curve[1].value("accuracy") is None


def test_the_script_gets_settings_seed_folder_and_the_environment(script, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    text = (
        "import json, os, sys\n"
        "open(os.path.join(sys.argv[3], 'adapter.bin'), 'w').close()\n"
        "print(json.dumps({'eval_loss': float(sys.argv[1]), 'seed': int(sys.argv[2]),\n"
        "                  'gpu': int(os.environ['CUDA_VISIBLE_DEVICES']), 'here': len(os.getcwd())}))\n"
    )
    engine = script(text, "{learning_rate} {seed} {trial_dir}")
    result = ended(engine, tmp_path / "a folder")
    assert result.final == {"eval_loss": 1e-5, "seed": 3, "gpu": 5, "here": len(str(tmp_path))}
    assert (tmp_path / "a folder/output/adapter.bin").exists()


@pytest.mark.parametrize(
    "text, status, failure, cause",
    [
        ("print('{\"loss\": 2, \"step\": 1}')", Status.FAILED, Failure.NO_METRIC,
         "the script ended well but its output has no eval_loss; there are loss (method.metric chooses one)"),
        ("print('done')", Status.FAILED, Failure.NO_METRIC,
         'the script ended well but its output has no eval_loss; print a JSON line such as '
         '{"step": 10, "eval_loss": 2.31}, or let method.pattern find it'),
        ("def f(): raise ValueError('bad batch')\nf()", Status.FAILED, Failure.CODE,
         "the script crashed with exit status 1: ValueError: bad batch"),
        ("raise SystemExit(7)", Status.FAILED, Failure.CODE,
         "the script crashed with exit status 7: nothing on its standard error"),
        ("raise MemoryError('CUDA out of memory. Tried to allocate')", Status.FAILED, Failure.OUT_OF_MEMORY,
         "the script crashed with exit status 1: MemoryError: CUDA out of memory. Tried to allocate"),
        ("import os; os.kill(os.getpid(), 9)", Status.FAILED, Failure.OUT_OF_MEMORY,
         "the script was killed by SIGKILL: as the kernel does when memory runs out; "
         "nothing on its standard error"),
        ("import os; os.kill(os.getpid(), 11)", Status.FAILED, Failure.CODE,
         "the script was killed by SIGSEGV: nothing on its standard error"),
        ("import os; os.kill(os.getpid(), 15)", Status.FAILED, Failure.WORKER_LOST,
         "the script was killed by SIGTERM: nothing on its standard error"),
        ("raise SystemExit(143)", Status.FAILED, Failure.WORKER_LOST,
         "the script crashed with exit status 143: nothing on its standard error"),
        ("print('{\"step\": 4, \"eval_loss\": NaN}')", Status.DIVERGED, "",
         "eval_loss is not a finite number (nan) at step 4"),
        ("print('{\"eval_loss\": NaN}')\nprint('{\"eval_loss\": 2.0}')", Status.COMPLETED, "", ""),
    ],
)  # fmt: skip
def test_every_way_to_end_has_its_own_sentence(script, tmp_path, text, status, failure, cause):
    result = ended(script(text), tmp_path / "t")
    assert (result.status, result.failure, result.cause) == (status, failure, cause)
    assert (tmp_path / "t/stderr.txt").exists()
    assert bool(result.final) == (status != Status.FAILED)


TORCHRUN = "\n".join((  # the frame of torch.distributed.elastic's ChildFailedError
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ", "=" * 60, "train.py FAILED",
    "-" * 60, "Root Cause (first observed failure):", "[0]:", "  exitcode  : {} (pid: 99)",
    "  traceback : {}", "=" * 60,
))  # fmt: skip


@pytest.mark.parametrize(
    "said, failure, cause",
    [
        ("[rank0]: ValueError: bad alpha\n" + TORCHRUN.format(1, "To enable traceback see: https://x"),
         Failure.CODE, "[rank0]: ValueError: bad alpha"),
        ("KeyError: 'loss'\nTraceback (most recent call last):\n  File \"accelerate\", line 3\n"
         "subprocess.CalledProcessError: Command '['python']' returned non-zero exit status 1.",
         Failure.CODE, "KeyError: 'loss'"),
        (TORCHRUN.format(-9, "Signal 9 (SIGKILL) received by PID 99"),
         Failure.OUT_OF_MEMORY, "traceback : Signal 9 (SIGKILL) received by PID 99"),
        ("ConnectionError: tried again\nno data: give --data", Failure.CODE, "no data: give --data"),
    ],
)  # fmt: skip
def test_behind_a_launchers_words_the_scripts_own_error_is_told(script, tmp_path, said, failure, cause):
    (tmp_path / "said").write_text(said)
    result = ended(script("import sys; sys.exit(open('said').read())"), tmp_path / "t")
    assert (result.failure, result.cause) == (failure, f"the script crashed with exit status 1: {cause}")


def test_last_words_are_read_though_the_worker_stood_still_while_they_came(script, tmp_path, monkeypatch):
    monkeypatch.setattr("bios_sweep.engines.scripted.child.LOOK_SECONDS", 0.01)
    asked = subprocess.Popen.poll

    def stalled(process: subprocess.Popen[bytes]) -> int | None:
        process.wait()  # the script writes its metric and ends between two steps of the worker
        return asked(process)

    monkeypatch.setattr(subprocess.Popen, "poll", stalled)
    assert (
        ended(script("import time; time.sleep(0.3)\n" + METRIC_LINE), tmp_path / "t").status
        == Status.COMPLETED
    )


def test_a_script_that_prints_its_metric_at_every_step_leaves_a_curve_of_bearable_length(script, tmp_path):
    text = 'for i in range(20_001): print(\'{"step": %d, "eval_loss": %d}\' % (i, i))'
    *points, result = script(text).run(TRIAL, tmp_path / "t")
    steps = [point.step for point in points]
    assert (len(points) < 5_000, steps[:1000], steps[-1]) == (True, list(range(1000)), 20_000)
    assert (result.curve, result.final) == (tuple(points), {"eval_loss": 20_000.0})


def test_a_script_that_hangs_is_ended_with_what_it_started(script, tmp_path, monkeypatch):
    monkeypatch.setattr("bios_sweep.engines.scripted.child.GRACE_SECONDS", 0.2)
    text = METRIC_LINE + (
        "import subprocess, signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\n"
        "child.wait()\n"
    )
    result = ended(script(text, time_limit_seconds=1.5), tmp_path / "t")
    assert (result.status, result.failure) == (Status.FAILED, Failure.TIME_LIMIT)
    assert result.cause == (
        "the script was still running after 1.5 s (method.time_limit_seconds) and was ended; "
        "the last eval_loss was 2.5 at step 10"
    )
    for pid in (tmp_path / "pids").read_text().split():
        assert gone(int(pid))


def test_a_script_that_leaves_a_process_behind_is_not_waited_for(script, tmp_path):
    text = METRIC_LINE + (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
        "open('pids', 'w').write(str(child.pid))\n"
    )
    assert ended(script(text), tmp_path / "t").status == Status.COMPLETED
    assert gone(int((tmp_path / "pids").read_text()))


AWAY = METRIC_LINE + (  # one process in a session of its own, one that its parent left behind as well
    "import subprocess\n"
    "sleeper = [sys.executable, '-S', '-c', 'import time; time.sleep(600)']\n"
    "left = ('import subprocess, sys\\n'\n"
    "        'print(subprocess.Popen(sys.argv[1:], stdout=2, start_new_session=True).pid)')\n"
    "alone = subprocess.Popen(sleeper, start_new_session=True).pid\n"
    "daemon = int(subprocess.check_output([sys.executable, '-S', '-c', left, *sleeper]))\n"
    "print(json.dumps({'step': 10, 'eval_loss': 2.5, 'alone': alone, 'daemon': daemon}), flush=True)\n"
)


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "import time; time.sleep(600)"])
def test_what_left_the_scripts_session_ends_with_it(script, tmp_path, end):
    engine = script(AWAY + end, watched=["alone", "daemon"])
    with closing(engine.run(TRIAL, tmp_path / "t")) as items:
        point = [next(items), next(items)][1]
        pids = [int(point.metrics[name]) for name in ("alone", "daemon")]
        if "sleep" not in end:
            assert list(items)[-1].status == (Status.FAILED if end else Status.COMPLETED)
    assert all(gone(pid, 0.1) for pid in pids)


def test_the_request_to_end_reaches_what_left_the_scripts_session(script, tmp_path):
    text = METRIC_LINE + (
        "import signal, subprocess\n"
        'worker = \'import signal, sys; print(1, flush=True); signal.sigwait([15]); open("saved", "w")\'\n'
        "signal.pthread_sigmask(signal.SIG_BLOCK, [15])\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', worker], stdout=-1, start_new_session=True)\n"
        "child.stdout.readline()\n"
        "print(json.dumps({'step': 10, 'eval_loss': 2.5}), flush=True)\n"
        "child.wait()\n"
    )
    with closing(script(text).run(TRIAL, tmp_path / "t")) as items:
        assert [next(items), next(items)]
    assert (tmp_path / "saved").exists()


def test_streams_that_a_stranger_writes_on_are_not_read_for_ever(script, tmp_path):
    os.mkfifo(tmp_path / "go")
    text = (
        "import json, os\nprint(json.dumps({'eval_loss': 2.5, 'own': os.getpid()}), flush=True)\n"
        "open('go').read()\n"
    )
    engine = script(text, watched=["own"], time_limit_seconds=15)
    with closing(engine.run(TRIAL, tmp_path / "t")) as items:
        own = int(next(items).metrics["own"])
        with Path(f"/proc/{own}/fd/1").open("w") as theirs:
            stranger = subprocess.Popen(["yes"], stdout=theirs)
        try:
            (tmp_path / "go").write_text("")
            assert list(items)[-1].status == Status.COMPLETED
        finally:
            stranger.kill()
            stranger.wait()


WAITING = METRIC_LINE + (
    "import subprocess, time\n"
    "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
    "print(json.dumps({'step': 10, 'eval_loss': 2.5, 'own': os.getpid(), 'its': child.pid}), flush=True)\n"
    "time.sleep(600)\n"
)


def test_closing_the_iterator_ends_the_script_and_all_it_started(script, tmp_path):
    engine = script(WAITING, watched=["own", "its"])
    with closing(engine.run(TRIAL, tmp_path / "t")) as items:
        next(items)
        point = next(items)
        assert isinstance(point, Measurement)
        pids = [int(point.metrics[name]) for name in ("own", "its")]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert all(map(gone, pids))


def test_killing_the_worker_leaves_no_orphan(script, tmp_path):
    script(WAITING)
    options = {
        "run": f"{sys.executable} -S train.py",
        "cwd": str(tmp_path),
        "metric": "eval_loss",
        "watched": ["own", "its"],
    }
    worker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, json; from pathlib import Path\n"
            "from bios_sweep.engines.scripted.engine import CommandEngine\n"
            "from bios_sweep.study.trials import TrialSpec\n"
            "trial = TrialSpec.from_dict(json.loads(sys.argv[2]))\n"
            "for point in CommandEngine(json.loads(sys.argv[1])).run(trial, Path('t')):\n"
            "    if point.metrics: print(json.dumps(dict(point.metrics)), flush=True)\n",
            json.dumps(options),
            json.dumps(TRIAL.to_dict()),
        ],
        stdout=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert worker.stdout is not None
    pids = json.loads(worker.stdout.readline())
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert all(gone(int(pid)) for pid in pids.values())
    worker.stdout.close()


def test_a_script_ends_also_when_its_guard_is_killed(script, tmp_path):
    engine = script(
        METRIC_LINE
        + "import time\nprint(json.dumps({'step': 10, 'eval_loss': 2.5, 'own': os.getpid(), "
        + "'guard': os.getppid()}), flush=True)\ntime.sleep(600)\n",
        watched=["own", "guard"],
    )
    with closing(engine.run(TRIAL, tmp_path / "t")) as items:
        found = [next(items), next(items)][1].metrics
        os.kill(int(found["guard"]), signal.SIGKILL)
        assert list(items)[-1].status == Status.FAILED
        assert gone(int(found["own"]), 5.0)


def test_secrets_of_the_environment_are_not_written_down(script, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "planted-secret-4711")
    text = (
        "import os, sys\n"
        "print('stdout has', os.environ['MY_API_KEY'])\n"
        "sys.exit('the server refused ' + os.environ['MY_API_KEY'])\n"
    )
    result = ended(script(text), tmp_path / "t")
    assert result.cause == "the script crashed with exit status 1: the server refused ***"
    for path in (tmp_path / "t").rglob("*"):
        assert path.is_dir() or b"planted-secret" not in path.read_bytes()


@pytest.mark.parametrize(
    "pattern, written_as, losses",
    [
        ("{trial_dir}/m.jsonl", '{"step": 0, "eval_loss": 3}\n{"step": 10, "eval_loss": 2}\n', [3.0, 2.0]),
        ("{trial_dir}/all_results.json", '{\n "eval_loss": 2.5, "epoch": 1\n}', [2.5]),
        (
            STATE_PATTERN,
            json.dumps({"log_history": [{"step": 5, "loss": 3}, {"step": 10, "eval_loss": 2.0}]}),
            [2.0],
        ),
    ],
)
def test_metrics_may_lie_in_a_file(script, tmp_path, pattern, written_as, losses):
    name = {"{trial_dir}/m.jsonl": "m.jsonl", "{trial_dir}/all_results.json": "all_results.json"}.get(
        pattern, "checkpoint-10/trainer_state.json"
    )
    text = (
        "import os, sys\n"
        f"path = os.path.join(sys.argv[1], {name!r})\n"
        "os.makedirs(os.path.dirname(path), exist_ok=True)\n"
        f"open(path, 'w').write({written_as!r})\n"
        "print('{\"eval_loss\": 99}')\n"
    )
    items = list(script(text, "{trial_dir}", metrics_file=pattern).run(TRIAL, tmp_path / "[odd] name"))
    assert items[-1].status == Status.COMPLETED, items[-1].cause
    assert [point.eval_loss for point in items[:-1]] == losses


def test_what_an_earlier_attempt_left_is_no_result(script, tmp_path):
    text = "import sys\nopen(sys.argv[1] + '/m.json', 'w').write('{\"eval_loss\": 1}')"
    first = script(text, "{trial_dir}", metrics_file="{trial_dir}/m.json")
    assert ended(first, tmp_path / "t").status == Status.COMPLETED
    for resumes in (False, True):
        again = script("pass", metrics_file="{trial_dir}/m.json", resumes=resumes)
        result = ended(again, tmp_path / "t")
        assert (result.failure, result.cause) == (
            Failure.NO_METRIC,
            f"the script ended well but it left no file {tmp_path / 't/output/m.json'}",
        )


def test_a_script_that_resumes_keeps_its_checkpoints_and_is_not_judged_by_them(script, tmp_path):
    old = tmp_path / "t/output/checkpoint-5/trainer_state.json"
    old.parent.mkdir(parents=True)
    old.write_text('{"log_history": [{"step": 5, "eval_loss": 9}]}')
    os.utime(old, (1e9, 1e9))
    options = {"metrics_file": STATE_PATTERN, "resumes": True}
    idle = ended(script("pass", **options), tmp_path / "t")
    assert idle.failure == Failure.NO_METRIC
    assert "checkpoint-5/trainer_state.json is an earlier attempt's" in idle.cause
    text = (
        "import sys\n"
        "open(sys.argv[1] + '/trainer_state.json', 'w').write("
        "open(sys.argv[1] + '/checkpoint-5/trainer_state.json').read().replace('9', '2'))\n"
    )
    result = ended(script(text, "{trial_dir}", **options), tmp_path / "t")
    assert (result.final, old.exists()) == ({"eval_loss": 2.0}, True)


def test_a_link_that_leads_out_of_the_trials_folder_is_not_followed(script, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/trainer_state.json").write_text('{"eval_loss": 1}')
    text = "import os, sys\nos.symlink(os.path.abspath('theirs'), sys.argv[1] + '/theirs')"
    for _ in range(2):  # and what it leads to is not deleted by the next start
        result = ended(
            script(text, "{trial_dir}", metrics_file="{trial_dir}/*/trainer_state.json"), tmp_path / "t"
        )
        assert result.failure == Failure.NO_METRIC
    assert (tmp_path / "theirs/trainer_state.json").exists()


def test_without_a_metric_it_is_said_what_was_missing(script, tmp_path):
    text = "import sys\nopen(sys.argv[1] + '/m.json', 'w').truncate(200_000_000)"
    result = ended(script(text, "{trial_dir}", metrics_file="{trial_dir}/m.json"), tmp_path / "t")
    assert result.cause == (
        f"the script ended well but its file {tmp_path / 't/output/m.json'} cannot be read "
        "(m.json has more than 100000000 bytes)"
    )
    (tmp_path / "mine.py").write_text("def trial(settings, seed, report): pass\n")
    engine = CallableEngine({"run": "mine:trial", "cwd": str(tmp_path), "metric": "eval_loss"})
    assert ended(engine, tmp_path / "c").cause == (
        "the function returned None and reported nothing; return the eval_loss, or call "
        "report(eval_loss=2.31, step=10)"
    )


def test_a_script_that_resumes_finds_what_it_left(script, tmp_path):
    text = (
        "import json, os, sys\n"
        "path = sys.argv[1] + '/state'\n"
        "found = os.path.exists(path)\n"
        "open(path, 'w').close()\n"
        "print(json.dumps({'eval_loss': 1.0 if found else 2.0}))\n"
    )
    for resumes, second in ((False, 2.0), (True, 1.0)):
        engine = script(text, "{trial_dir}", resumes=resumes)
        folder = tmp_path / str(resumes)
        assert [ended(engine, folder).final["eval_loss"] for _ in range(2)] == [2.0, second]


def test_a_flood_of_output_is_cut_and_its_end_kept(script, tmp_path, monkeypatch):
    monkeypatch.setattr("bios_sweep.engines.scripted.output_log.MOST_BYTES", 30_000)
    monkeypatch.setattr("bios_sweep.engines.scripted.output_log.TAIL_LINES", 3)
    text = (
        "import sys\n"
        "for number in range(15):\n"
        "    sys.stderr.write('x' * 10_000 + '\\n')\n"
        "print('{\"eval_loss\": 1}')\n"
        "sys.exit('the end')\n"
    )
    result = ended(script(text), tmp_path / "t")
    assert result.cause.endswith(": the end")
    kept = (tmp_path / "t/stderr.txt").read_bytes()
    assert b"... (10 lines are left out here; the stream had 150,023 bytes)" in kept
    assert kept.endswith(b"xx\nthe end\n")
    assert len(kept) < 60_000


def test_a_program_that_is_not_there_says_so(tmp_path):
    engine = CommandEngine({"run": "/no/such/program", "cwd": str(tmp_path), "metric": "eval_loss"})
    result = ended(engine, tmp_path / "t")
    assert result.cause == (
        "the script crashed with exit status 127: cannot start /no/such/program: No such file or directory"
    )
    lost = CommandEngine({"run": "true", "cwd": str(tmp_path / "nowhere"), "metric": "eval_loss"})
    with pytest.raises(BiosSweepError, match="every node needs the folder that the sweep was started in"):
        ended(lost, tmp_path / "t")


def test_a_script_has_no_clock(script):
    with pytest.raises(NoClockError, match="cannot be timed alone"):
        script("pass").time_steps([SETTINGS], 5)


def test_a_callable_reports_and_returns_its_metric(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def trial(settings, seed, report):\n"
        "    print('noise on the way')\n"
        "    report(3.0, step=0)\n"
        "    report(step=5, eval_loss=2.5, forgetting=0.1)\n"
        "    (report.directory / 'note').write_text(str(seed))\n"
        "    if seed == 9: return {'eval_loss': float('nan')}\n"
        "    if seed == 8: raise KeyError('lost')\n"
        "    return settings.learning_rate + settings.lora_rank\n"
    )
    engine = CallableEngine({"run": "mine:trial", "cwd": str(tmp_path), "metric": "eval_loss"})
    items = list(engine.run(TRIAL, tmp_path / "t"))
    assert [(point.step, point.eval_loss) for point in items[:-1]] == [(0, 3.0), (5, 2.5), (10, 8 + 1e-5)]
    assert items[-1].final == {"eval_loss": 8 + 1e-5, "forgetting": 0.1}
    assert (tmp_path / "t/output/note").read_text() == "3"
    assert ended(engine, tmp_path / "t", replace(TRIAL, seed=9)).status == Status.DIVERGED
    crashed = ended(engine, tmp_path / "t", replace(TRIAL, seed=8))
    assert crashed.cause == "the script crashed with exit status 1: KeyError: 'lost'"


def test_only_a_script_has_code_in_its_identity():
    facts = {"name": "m", "fingerprint": "f"}
    scenario = Scenario(
        model=ModelFacts(**facts, path="", family="llama", hidden_size=64),
        data=DataFacts(**facts, file="", evaluation_fingerprint="e", train_examples=1, eval_examples=1),
        method=Method(),
        engine="module:Engine",
        engine_version="1",
        engine_options={},
        software={},
    )
    assert "code" not in scenario.identity()  # finished trials of our own engines keep their keys
    assert scenario.engine_settings({"lora_rank": 8}) == {"lora_rank": 8}
    script = replace(scenario, code="abc", carried=("batch_size",), files=("train.py",))
    assert script.identity() == replace(script, files=()).identity()  # their content is in the code
    assert script.identity()["code"] == "abc"
    assert script.engine_settings({"lora_rank": 8, "batch_size": 4}) == {"batch_size": 4}
    assert script.servable
    assert not replace(script, method=PRESETS["command"]).servable
    assert not replace(script, model=replace(script.model, hidden_size=0)).servable
    assert Scenario.from_dict(json.loads(json.dumps(script.to_dict()))) == script
