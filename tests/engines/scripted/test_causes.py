"""Why a script crashed: its own exception, whatever its libraries and launchers write behind it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.engines.scripted.engine import CommandEngine
from bios_sweep.engines.scripted.last_words import why
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure
from tests.engines.scripted.trials import TRIAL

TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 6, in <module>\n    train()\n'
CAUSE = "ValueError: Asking to pad but the tokenizer does not have a padding token."
CRASH = TRACEBACK + CAUSE + "\n"
LAUNCHED = (  # torchrun's own end
    "E1129 00:10:00.123000 99 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: 1)\n"
    'Traceback (most recent call last):\n  File "/bin/torchrun", line 8, in <module>\n    sys.exit(main())\n'
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n" + "=" * 60 + "\n"
    "train.py FAILED\n" + "-" * 60 + "\nFailures:\n  <NO_OTHER_FAILURES>\n" + "-" * 60 + "\n"
    "Root Cause (first observed failure):\n[0]:\n  time      : 2026-11-29_00:10:00\n  host      : node\n"
    "  rank      : 0 (local_rank: 0)\n  exitcode  : 1 (pid: 99)\n  error_file: <N/A>\n"
    "  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html\n" + "=" * 60
)
DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"
DIRECT = "\nThe above exception was the direct cause of the following exception:\n\n"

GOODBYES = {
    "tqdm": "\r  3%|3         | 3/100 [00:00<00:00, 310.67it/s]\n",
    "tqdm without a total": "\rMap: 12it [00:01,  9.12it/s, loss=2.3]\n",
    "rich": "train ━━━╺━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━  10% -:--:--\n",
    "hydra": "\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n",
    "wandb": "wandb: \nwandb: \N{ROCKET} View run lr-sweep at: https://example.invalid/p/runs/abc\n"
    "wandb: Find logs at: ./wandb/run-20260101_101010-abc/logs\n",
    "wandb in colour": "\x1b[1;34mwandb\x1b[0m: Find logs at: \x1b[1;35mwandb/run-2026/logs\x1b[0m\n",
    "nccl": "[W1129 00:10:00.123456789 ProcessGroupNCCL.cpp:1479] Warning: WARNING: "
    "destroy_process_group() was not called before program exit, which can leak resources. For more info, "
    "please see https://pytorch.org/docs/stable/distributed.html#shutdown (function operator())\n",
    "c10d of a rank": "[rank0]:[W1129 00:10:00.1 ProcessGroupGloo.cpp:1] Warning: leaks\n",
    "resource_tracker": "/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: "
    "resource_tracker: There appear to be 1 leaked semaphore objects to clean up at shutdown\n"
    "  warnings.warn('resource_tracker: There appear to be %d '\n",
    "torchrun": LAUNCHED,
    "accelerate": TRACEBACK + "subprocess.CalledProcessError: Command '['python', 'train.py']' returned "
    "non-zero exit status 1.\n",
    "deepspeed": "[2026-11-29 00:10:00,123] [INFO] [launch.py:316:sigkill_handler] Killing subprocess 99\n"
    "[2026-11-29 00:10:00,123] [ERROR] [launch.py:325:sigkill_handler] exits with return code = 1\n",
    "a destructor": "Exception ignored in: <function Pool.__del__ at 0x7f>\n" + TRACEBACK + "TypeError: no\n",
    "a handler at exit": "Error in atexit._run_exitfuncs:\n" + TRACEBACK + "ZeroDivisionError: by zero\n",
    "a thread": "Exception in thread Thread-3 (flush):\n" + TRACEBACK + "OSError: socket is closed\n",
    "a task": "Task exception was never retrieved\nfuture: <Task finished>\n" + TRACEBACK + "OSError: shut\n",
    "slurm": "srun: error: node1: task 0: Exited with exit code 1\n",
    "a step of slurm": "srun: Job step aborted: Waiting up to 32 seconds for job step to finish.\n"
    "slurmstepd: error: *** STEP 12.0 ON node1 CANCELLED AT 2026-11-29T00:10:00 ***\n"
    "srun: Terminating StepId=12.0\n",
    "mpirun": "-" * 74 + "\nPrimary job  terminated normally, but 1 process returned\na non-zero exit code. "
    "Per user-direction, the job has been aborted.\n" + "-" * 74 + "\nmpirun detected that one or more "
    "processes exited with non-zero status, thus causing\nthe job to be terminated. The first process to do "
    "so was:\n\n  Process name: [[123,1],0]\n  Exit code:    1\n",
    "clearml": "ClearML Task: created new task id=1\nClearML results page: https://example.invalid/1\n",
    "tokenizers": "huggingface/tokenizers: The current process just got forked, after parallelism has "
    "already been used. Disabling parallelism...\nTo disable this warning, you can either:\n"
    "\t- Avoid using `tokenizers` before the fork if possible\n",
    "a logger": "2026-11-29 00:10:00,123 - INFO - trainer - 3 checkpoints kept\nWARNING:root:bye\n",
}


def lines(text: str) -> list[str]:
    """As they are kept."""
    return text.replace("\r", "\n").split("\n")


@pytest.mark.parametrize("behind", GOODBYES)
def test_what_others_write_behind_the_exception_is_not_the_cause(behind):
    assert why(lines(CRASH + GOODBYES[behind]), ()).text == CAUSE


def test_all_of_it_together_hides_no_cause():
    assert why(lines(CRASH + "".join(GOODBYES.values())), ()).text == CAUSE
    assert why(lines("no data: give --data\n" + "".join(GOODBYES.values())), ()).text != ""


@pytest.mark.parametrize("behind", [name for name in GOODBYES if name not in ("a thread", "a task")])
def test_nor_does_it_stand_for_what_was_said_without_an_exception(behind):
    """As `sys.exit("...")` says it."""
    assert why(lines("no data: give --data\n" + GOODBYES[behind]), ()).text == "no data: give --data"


@pytest.mark.parametrize(
    "text, cause",
    [
        (TRACEBACK + "KeyError: 'label'\n" + DIRECT + CRASH, "KeyError: 'label'; it led to " + CAUSE),
        (TRACEBACK + "KeyError: 'label'\n" + DURING + CRASH, "KeyError: 'label'; it led to " + CAUSE),
        (TRACEBACK + "KeyError: 'a'\n" + DURING + TRACEBACK + "KeyError: 'b'\n" + DIRECT + CRASH,
         "KeyError: 'a'; it led to " + CAUSE),
        (TRACEBACK + "OSError: tried again\nstep 3\n" + CRASH, CAUSE),
        (TRACEBACK + CAUSE + "\n" + DURING + TRACEBACK + "KeyboardInterrupt\n", CAUSE),
        ('multiprocessing.pool.RemoteTraceback: \n"""\n' + CRASH + '"""\n' + DIRECT + CRASH, CAUSE),
        (TRACEBACK + "ValueError: Caught ValueError in DataLoader worker process 0.\nOriginal " + CRASH,
         CAUSE),
        (TRACEBACK + "ray.exceptions.RayTaskError(ValueError): \x1b[36mray::f()\x1b[39m (pid=9)\n"
         '  File "train.py", line 4, in f\n    raise bad\n' + CAUSE, CAUSE),
        ("\x1b[36m(f pid=9)\x1b[0m ".join(["", *CRASH.splitlines(keepends=True)]), CAUSE),
        (TRACEBACK + "torch.multiprocessing.spawn.ProcessRaisedException: \n\n-- Process 1 terminated with "
         "the following error:\n" + CRASH, CAUSE),
        ("Process Process-1:\n" + CRASH + TRACEBACK + "EOFError\n", CAUSE),
        ('  File "train.py", line 3\n    foo(\n       ^\nSyntaxError: \'(\' was never closed\n',
         "SyntaxError: '(' was never closed"),
        ("  + Exception Group Traceback (most recent call last):\n  |   File \"t.py\", line 6, in <module>\n"
         "  | ExceptionGroup: all of them (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n"
         "    | Traceback (most recent call last):\n    |   File \"t.py\", line 2, in f\n"
         "    | KeyError: 'a'\n"
         "    +---------------- 2 ----------------\n    | Traceback (most recent call last):\n"
         "    |   File \"t.py\", line 3, in g\n    | ValueError: b\n    +------------------\n",
         "KeyError: 'a'; it led to ExceptionGroup: all of them (2 sub-exceptions)"),
        (TRACEBACK + "RuntimeError: Error(s) in loading state_dict for Net:\n\tMissing key(s): \"0.bias\". \n"
         "\tsize mismatch for 0.weight: (2, 2) from checkpoint, (4, 3) here.\nwandb: bye\n",
         'RuntimeError: Error(s) in loading state_dict for Net: Missing key(s): "0.bias". '
         "size mismatch for 0.weight: (2, 2) from checkpoint, (4, 3) here."),
        (TRACEBACK + "RuntimeError: CUDA error: device-side assert triggered\nCUDA kernel errors might be "
         "asynchronously reported at some other API call.\nFor debugging consider passing "
         "CUDA_LAUNCH_BLOCKING=1\n", "RuntimeError: CUDA error: device-side assert triggered"),
        (TRACEBACK + "train.BadRow\n", "train.BadRow"),
        (TRACEBACK + "KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("  0%|          | 0/100 [00:00<?, ?it/s]" + CRASH, CAUSE),
        ("2026-11-29 00:10:00 ERROR trainer: " + CRASH, CAUSE),
        (TRACEBACK.replace("\n", "\x1b[0m\n") + "\x1b[1;35mValueError\x1b[0m: \x1b[35mbad\x1b[0m",
         "ValueError: bad"),
        (TRACEBACK + "jax.errors.SimplifiedTraceback: For simplicity, JAX has removed its internal frames\n"
         + DIRECT + CRASH, CAUSE),
        ("\u256d\u2500\u2500 Traceback (most recent call last) \u2500\u2500\u256e\n\u2502 train.py:3 in main "
         "\u2502\n\u2570\u2500\u2500\u256f\n" + CAUSE, CAUSE),
    ],
)  # fmt: skip
def test_the_innermost_exception_is_told_and_what_it_led_to(text, cause):
    assert why(lines(text), ()).text == cause


def test_of_several_ranks_the_one_that_failed_first_is_told_not_those_that_missed_it():
    def rank(number, ending):
        return [f"[rank{number}]: {line}" for line in (*TRACEBACK.splitlines(), ending)]

    first, second = rank(1, CAUSE), rank(0, "RuntimeError: [gloo] Connection closed by peer [127.0.0.1]:1")
    both = [line for pair in zip(second, first, strict=True) for line in pair]
    assert why([*both, *lines(LAUNCHED)], ()).text == f"[rank1]: {CAUSE}"
    assert why([*rank(0, CAUSE), *rank(1, "KeyError: 2")], ()).text == f"[rank0]: {CAUSE}"
    unmarked = [line for line in (*CRASH.splitlines(),) for _ in range(2)]  # two ranks, line by line
    assert why([*unmarked, *lines(LAUNCHED)], ()).text == CAUSE


@pytest.mark.parametrize(
    "text, cause",
    [
        ("usage: t.py [-h] --lr LR\nt.py: error: unrecognized arguments: --learning_rate 3\n",
         "t.py: error: unrecognized arguments: --learning_rate 3"),
        ("train.sh: line 3: torchrn: command not found\n", "train.sh: line 3: torchrn: command not found"),
        ("sh: 1: torchrn: not found\nbye\n", "sh: 1: torchrn: not found"),
        ("train.sh: line 1: 99 Killed                  python train.py\n",
         "train.sh: line 1: 99 Killed                  python train.py"),
        ("train.sh: line 1:    99 Segmentation fault      (core dumped) python train.py\nbye",
         "train.sh: line 1:    99 Segmentation fault      (core dumped) python train.py"),
        ("terminate called after throwing an instance of 'std::runtime_error'\n  what():  bad shard\n"
         "Aborted (core dumped)\n",
         "terminate called after throwing an instance of 'std::runtime_error' what():  bad shard"),
        ("Fatal Python error: Segmentation fault\n\nCurrent thread 0x7f (most recent call first):\n"
         '  File "t.py", line 1 in f\n\nExtension modules: numpy.core (total: 1)\n',
         "Fatal Python error: Segmentation fault"),
        ("ERROR: LoadError: UndefVarError: `x` not defined\nStacktrace:\n [1] top-level scope\n"
         "in expression starting at /x.jl:1\n", "ERROR: LoadError: UndefVarError: `x` not defined"),
        ("Error in f(x) : object 'y' not found\nCalls: f\nExecution halted\n",
         "Error in f(x) : object 'y' not found"),
        ("Error in call to target 'train.net':\nKeyError('labels')\nfull_key: model\n",
         "Error in call to target 'train.net': KeyError('labels')"),
        ("Could not override 'foo.bar'.\nTo append to your config use +foo.bar=3\nKey 'foo' is not in "
         "struct\n    full_key: foo\n    object_type=dict\n" + GOODBYES["hydra"],
         "Could not override 'foo.bar'."),
        ("Usage: t.py [OPTIONS]\nTry 't.py --help' for help.\n\u256d\u2500 Error \u2500\u2500\u256e\n"
         "\u2502 No such option: --x  \u2502\n\u2570\u2500\u2500\u256f\n", "No such option: --x"),
        ("thread 'main' panicked at src/main.rs:2:5:\nbad shard\nnote: run with `RUST_BACKTRACE=1`\n",
         "thread 'main' panicked at src/main.rs:2:5: bad shard"),
        ("[rank0]:[E1129 00:10:00.1 ProcessGroupNCCL.cpp:632] [Rank 0] Watchdog caught collective operation "
         "timeout\n[rank0]:[E1129 00:10:00.1 ProcessGroupNCCL.cpp:700] [Rank 0] To avoid data inconsistency, "
         "we are taking the entire process down.\n",
         "[rank0]:[E1129 00:10:00.1 ProcessGroupNCCL.cpp:632] [Rank 0] Watchdog caught collective operation "
         "timeout"),
        ('{"event": "no shard", "level": "error"}\n{"event": "bye", "level": "info"}\n',
         '{"event": "no shard", "level": "error"}'),
        (LAUNCHED.replace("To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html",
         "Traceback (most recent call last):\n    File \"train.py\", line 3, in main\n      row['x']\n"
         "  KeyError: 'x'\n"), "KeyError: 'x'"),
        ("step 30\nslurmstepd: error: *** JOB 1 ON n7 CANCELLED AT 2026-11-29T10:00 DUE TO TIME LIMIT ***\n",
         "slurmstepd: error: *** JOB 1 ON n7 CANCELLED AT 2026-11-29T10:00 DUE TO TIME LIMIT ***"),
        ("WARNING: nothing but this\n", "WARNING: nothing but this"),
        ("  0%|          | 0/100 [00:00<?, ?it/s]\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_without_an_exception_an_error_is_told_before_the_last_words(text, cause):
    assert why(lines(text), ()).text == cause


def test_what_was_cancelled_from_outside_says_by_whom():
    step = "slurmstepd: error: *** STEP 1.0 ON n7 CANCELLED AT 2026-11-29T10:00:00 ***"
    said = lines(f"step 30\nsrun: Job step aborted: Waiting up to 32 seconds\n{step}\nbye\n")
    assert why(said, (), killed=True).text == step
    assert why(said, ()).text == "bye"


def test_a_traceback_on_standard_output_counts_where_standard_error_has_none():
    assert why(lines(GOODBYES["tqdm"]), lines("step 3\n" + CRASH + "cleaning up\n")).text == CAUSE
    assert why(lines(LAUNCHED), lines(CRASH)).text == CAUSE
    assert why(lines(CRASH), lines(TRACEBACK + "KeyError: 'caught'\n")).text == CAUSE
    assert why((), lines("ERROR: no shard\n")).text == "ERROR: no shard"
    assert why((), lines('{"eval_loss": 2}\n')).text == ""


OOM = TRACEBACK + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\n"


@pytest.mark.parametrize(
    "errors, output, memory",
    [
        (OOM + GOODBYES["wandb"], "", True),
        ("", OOM, True),
        (OOM + DURING + CRASH, "", True),
        (OOM + "half the batch then\n" + CRASH, "", False),
        ("CUDA out of memory, half the batch then\n" + CRASH, "", False),
        (TRACEBACK + "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling it\n", "", True),
        (TRACEBACK + "RuntimeError: DataLoader worker (pid 9) is killed by signal: Killed. \n", "", True),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=9.0. Some of the step tasks have been OOM "
         "Killed.\nsrun: error: node1: task 0: Exited with exit code 1\n", "", True),
        (CRASH + LAUNCHED.replace("exitcode  : 1", "exitcode  : -9").replace(
            "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html",
            "Signal 9 (SIGKILL) received by PID 99"), "", True),
    ],
)  # fmt: skip
def test_memory_is_the_kind_only_where_it_is_the_cause(errors, output, memory):
    assert why(lines(errors), lines(output)).memory == memory


def test_reading_the_words_takes_no_long_time_whatever_they_are():
    for line in (" " * 300 + "1%" * 100 + "[" * 600, "1" * 9000, "aWarning" * 900, "[|: " * 999):
        assert not why([line] * 200, [line] * 200).memory


def ended(folder: Path, text: str) -> TrialResult:
    (folder / "train.py").write_text(text)
    command = f"{shlex.quote(sys.executable)} train.py {{learning_rate}}"
    engine = CommandEngine({"run": command, "cwd": str(folder), "metric": "eval_loss"})
    *_, result = engine.run(TRIAL, folder / "t")
    return result


@pytest.mark.parametrize(
    "text",
    [
        f"from tqdm import tqdm\nbar = tqdm(total=100)\nbar.update(3)\nraise ValueError({CAUSE[12:]!r})",
        "import sys\nsys.argv[1:] = ['hydra.run.dir=out']\nimport hydra\n"
        "@hydra.main(version_base=None)\n"
        f"def main(cfg):\n    raise ValueError({CAUSE[12:]!r})\nmain()",
        "import logging, sys\nlogging.basicConfig(stream=sys.stdout)\n"
        f"try: raise ValueError({CAUSE[12:]!r})\n"
        "except ValueError: logging.exception('training failed')\nsys.exit(1)",
        "import threading, weakref\n"
        "class Held:\n    def __del__(self): raise TypeError('gone')\n"
        "held = Held()\n"
        "thread = threading.Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()\n"
        f"raise ValueError({CAUSE[12:]!r})",
        "from multiprocessing import get_context\n"
        f"def f(_): raise ValueError({CAUSE[12:]!r})\n"
        "if __name__ == '__main__': get_context('fork').Pool(1).map(f, [1])",
    ],
    ids=["tqdm", "hydra", "logged to stdout", "thread and destructor", "pool"],
)
def test_the_real_libraries_words_hide_no_cause(tmp_path, text):
    result = ended(tmp_path, text)
    assert (result.failure, result.cause) == (Failure.CODE, f"the script crashed with exit status 1: {CAUSE}")


def test_a_script_that_logs_its_lack_of_memory_to_stdout_ran_out_of_memory(tmp_path):
    text = "import traceback, sys\ntry: raise MemoryError('CUDA out of memory')\n"
    result = ended(tmp_path, text + "except MemoryError: traceback.print_exc(file=sys.stdout); sys.exit(1)")
    assert (result.failure, result.cause) == (
        Failure.OUT_OF_MEMORY,
        "the script crashed with exit status 1: MemoryError: CUDA out of memory",
    )


@pytest.mark.slow
def test_a_trainers_progress_bar_is_not_its_cause(tmp_path):
    text = (
        "import torch\nfrom transformers import AutoModelForCausalLM, Trainer, TrainingArguments\n"
        "class Data(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 64\n"
        "    def __getitem__(self, row):\n"
        "        if row == 37: raise KeyError('labels: row 37 has none')\n"
        "        return {'input_ids': torch.zeros(8, dtype=torch.long), 'labels': torch.zeros(8).long()}\n"
        f"model = AutoModelForCausalLM.from_pretrained({str(base_model_path())!r})\n"
        "arguments = TrainingArguments('out', max_steps=20, use_cpu=True, report_to=[], save_strategy='no')\n"
        "Trainer(model=model, args=arguments, train_dataset=Data()).train()\n"
    )
    assert ended(tmp_path, text).cause.endswith(": KeyError: 'labels: row 37 has none'")
