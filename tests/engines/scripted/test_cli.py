"""Sweeps of a user's own script through the command line's own entry: real processes, real verdicts."""

from __future__ import annotations

import json
import os
import select
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bios_sweep import defaults
from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.config.compose import compose_config
from bios_sweep.config.typed import read_words
from bios_sweep.records.workspace import Workspace

COMMAND = (
    f"{sys.executable} -S train.py --lr {{learning_rate}} --rank {{lora_rank}} --seed {{seed}} "
    "--out {trial_dir}"
)
SCRIPT = """
import argparse, json, math, random, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--rank", type=int)
parser.add_argument("--seed", type=int)
parser.add_argument("--out")
args = parser.parse_args()
chance = random.Random(SEED)
noise = chance.gauss(0, 0.02) + random.Random(f"{SEED} {args.lr} {args.rank}").gauss(0, 0.001)
worse = abs(math.log2(args.lr / OPTIMUM))
EXTRA
for step, left in ((0, 1.0), (500, 0.5), (1000, 0.0)):
    print(json.dumps({"step": step, "eval_loss": 2.0 + noise + 0.05 * worse + left}))
"""
SWEEP = ("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.5,2]", "seeds=[0,1,2]")
HERE = ("cluster=inline", "tracking=none", "method=command", "baseline.learning_rate=1e-3")


class Shell:
    """Verbs in a folder of the user's, with what they printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.workspace = Workspace(folder / "runs")
        self._capsys = capsys
        self.sweep = SWEEP
        self.err = ""

    def write(self, *, optimum: float = 1e-3, seed: str = "args.seed", extra: str = "") -> None:
        text = SCRIPT.replace("OPTIMUM", str(optimum)).replace("SEED", seed).replace("EXTRA", extra)
        (self.folder / "train.py").write_text(text)

    def __call__(self, verb: str, *words: str, code: int = 0) -> dict[str, Any]:
        """The answer in JSON; nothing but a message where it was refused."""
        chosen = [*self.sweep, *HERE, f"method.command={COMMAND}", f"workspace={self.workspace.root}", *words]
        assert main([verb, *chosen, "--json"]) == code, self._capsys.readouterr().err
        out, self.err = self._capsys.readouterr()
        return json.loads(out) if out else {}

    def refuses(self, *words: str) -> str:
        self("plan", *words, code=2)
        assert not self.workspace.root.exists()
        return self.err


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    built = Shell(tmp_path, capsys)
    built.write()
    return built


def caveat(answer: dict[str, Any], begin: str) -> str:
    return next(line for line in answer["caveats"] if line.startswith(begin))


def test_a_script_reaches_its_verdict_and_is_said_to_honour_the_seed(shell):
    answer = shell("run")
    [verdict] = answer["verdicts"]
    assert (verdict["factor"], verdict["verdict"], verdict["seeds"]) == (
        "learning_rate",
        "confirm",
        [0, 1, 2],
    )
    assert answer["counts"] == {"planned": 10, "completed": 10, "diverged": 0, "failed": 0, "waiting": 0}
    assert answer["metric"] == {"name": "eval_loss", "unit": "nats per token", "direction": "minimize"}
    assert "gave the same eval_loss" in caveat(answer, "the script honours the seed")
    assert caveat(answer, "the script is told learning_rate, lora_rank and the seed")
    assert set(answer["baseline"]) == {"learning_rate", "lora_rank"}
    assert answer["scenario"] == "train.py | train.py | command"
    folder = shell.workspace.sweep_dir(answer["sweep_id"])
    assert (folder / "report.html").exists()
    assert not (folder / "bios_defaults.json").exists()  # without a model they would hold for nothing
    assert shell("run")["counts"]["completed"] == 10  # and again: nothing runs twice
    assert shell("plan")["to_run"] == 0


@pytest.mark.slow
def test_a_wrong_default_is_refined_on_fresh_seeds_and_a_changed_script_is_another_trial(shell):
    shell.write(optimum=2e-3)
    wide = "sweeps.factors.learning_rate.multiply=[0.5,2,4]"
    own = (wide, "decision.confirmation_seeds=3", "model=embedded", "method.trains=lora")
    answer = shell("run", *own)
    [verdict] = answer["verdicts"]
    assert (verdict["verdict"], verdict["best_level"]) == ("refine", 2e-3)
    tuned = json.loads((shell.workspace.sweep_dir(answer["sweep_id"]) / "bios_defaults.json").read_text())
    assert tuned["values"] == {"learning_rate": 0.002}
    assert tuned["told"] == ["learning_rate", "lora_rank"]
    assert shell("plan", *own)["to_run"] == 0
    shell.write(optimum=2e-3, extra="pass  # the same numbers, but who knows")
    assert shell("plan", *own)["reused"] == 0


@pytest.mark.parametrize(
    "seed, begin, verdict",
    [
        pytest.param(
            "None",
            "the script does not honour the seed: the baseline, run twice at seed 0",
            None,
            marks=pytest.mark.slow,
        ),
        ("7", "the script ignores the seed: all that the baseline told is the same at all", "inconclusive"),
    ],
)
def test_a_script_that_ignores_the_seed_is_found_out(shell, seed, begin, verdict):
    shell.write(seed=seed)
    one = "sweeps.factors.learning_rate.multiply=[0.5]"
    answer = shell("run", one, "decision.confirmation_seeds=0")
    assert caveat(answer, begin)
    assert answer["counts"]["completed"] == answer["counts"]["planned"] == 7
    if verdict:
        assert answer["verdicts"][0]["verdict"] == verdict
        assert answer["verdicts"][0]["reasons"][0].startswith(begin)


def test_levels_that_change_nothing_confirm_nothing(shell):
    shell.write(extra="noise = random.Random(args.seed).gauss(0, 0.02)")  # whatever the rank
    shell.sweep = ("sweeps=capacity", "sweeps.factors.lora_rank.values=[8]", "seeds=[0,1,2]")
    answer = shell("run", "decision.confirmation_seeds=0")
    line = "lora_rank=8: exactly the baseline's eval_loss at every seed; does the script use lora_rank?"
    assert caveat(answer, line)
    [verdict] = answer["verdicts"]
    assert verdict["verdict"] == "inconclusive"
    assert answer["served"] == {}


def test_trials_that_fail_are_counted_told_apart_and_run_again(shell):
    shell.write(extra=(
        "if args.lr < 1e-3 and args.seed == 1: sys.exit('the disk is gone')\n"
        "if args.lr > 1e-3 and args.seed == 2: print(json.dumps({'loss': 1})); sys.exit(0)\n"
        "if args.lr > 1e-3: print(json.dumps({'step': 500, 'eval_loss': float('nan')})); sys.exit(0)\n"
    ))  # fmt: skip
    answer = shell("run", code=3)
    assert answer["counts"] == {"planned": 10, "completed": 6, "diverged": 2, "failed": 2, "waiting": 0}
    causes = {(f["arm"], f["seed"], f["status"]): f["cause"] for f in answer["failures"]}
    assert causes == {
        ("learning_rate x0.5", 1, "failed"): "the script crashed with exit status 1: the disk is gone",
        ("learning_rate x2", 0, "diverged"): "eval_loss is not a finite number (nan) at step 500",
        ("learning_rate x2", 1, "diverged"): "eval_loss is not a finite number (nan) at step 500",
        ("learning_rate x2", 2, "failed"): "the script ended well but its output has no eval_loss; "
        "there are loss (method.metric chooses one)",
    }
    assert shell("plan")["to_run"] == 2


CRASHES_UNTIL_MENDED = "import os\nif not os.path.exists('mended'): sys.exit('no module named torchh')\n"


@pytest.mark.parametrize("where", [
    "cluster=inline",
    pytest.param("cluster=ray", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_broken_script_is_not_run_for_every_trial_and_the_same_command_goes_on(shell, where, request):
    on_ray = where == "cluster=ray"
    if on_ray:
        request.getfixturevalue("ray_session")
    shell.write(extra=CRASHES_UNTIL_MENDED)
    words = (where, *(["cluster.num_cpus=2"] if on_ray else []))
    answer = shell("run", *words, code=3)
    counts = answer["counts"]
    assert 2 <= counts["failed"] <= (4 if on_ray else 2)
    assert (counts["completed"], counts["waiting"]) == (0, 10 - counts["failed"])
    log = f"bios-sweep logs {answer['failures'][0]['key']} workspace={shell.workspace.root}"
    told = (
        f"ended early, {counts['failed']} trials of 10 failed and none has an outcome; the baseline: the "
        f"script crashed with exit status 1: no module named torchh; its log: `{log}`; the same command goes "
        "on once this is mended"
    )
    assert answer["broken"] == told
    assert shell.err.splitlines()[-1] == f"bios-sweep: {told}"
    journal = shell.workspace.journal_file(answer["sweep_id"])
    *_, noted, closed = map(json.loads, journal.read_text().splitlines())
    assert (noted["text"], closed["kind"], closed["reason"]) == (told, "closed", "broken")
    assert not list(journal.parent.glob("report.*"))
    status = shell("status")
    assert (status["failed"], status["planned"], status["completed"]) == (counts["failed"], 10, 0)
    assert status["broken"] == told
    assert shell("plan")["to_run"] == 10

    (shell.folder / "mended").touch()  # by something that is no part of a trial's identity
    answer = shell("run", *words)
    assert answer["counts"] == {"planned": 10, "completed": 10, "diverged": 0, "failed": 0, "waiting": 0}
    assert "broken" not in answer
    assert shell("status")["broken"] is None


def test_a_script_that_is_edited_while_it_is_swept_is_not_mixed_with_its_former_self(shell):
    shell.write(extra="open('train.py', 'a').write('# edited')")
    answer = shell("run", "sweeps.factors.learning_rate.multiply=[0.5]", code=3)
    assert (answer["counts"]["completed"], answer["counts"]["failed"]) == (1, 6)
    assert "train.py on" in answer["failures"][0]["cause"]
    assert (
        "is not the file that was planned with; run the same command again" in answer["failures"][0]["cause"]
    )
    assert answer["verdicts"][0]["verdict"] == "inconclusive"


@pytest.mark.slow
def test_a_twin_that_fails_says_that_the_seed_was_not_checked(shell):
    (shell.folder / "once").touch()
    shell.write(extra=(
        "import os\n"
        "if args.lr == 1e-3 and args.seed == 0:\n"
        "    if not os.path.exists('once'): sys.exit('the second time')\n"
        "    os.remove('once')\n"
    ))  # fmt: skip
    answer = shell("run", code=3)
    assert (
        "could not be checked: of the baseline's two runs at seed 0 one is completed, the other failed"
        in (caveat(answer, "whether the script honours the seed"))
    )
    assert answer["counts"]["failed"] == 1
    assert answer["verdicts"][0]["verdict"] == "confirm"  # the twin is no part of any comparison


@pytest.mark.slow
def test_a_metric_that_is_better_when_larger(shell):
    (shell.folder / "mine.py").write_text(
        "import random\n"
        "def trial(settings, seed, report):\n"
        "    score = 0.7 + random.Random(seed).random() / 100\n"
        "    report(0.2, step=0)\n"
        "    return {'accuracy': score - 0.1 * (settings.lora_rank < 32), 'forgetting': 0.1}\n"
    )
    chosen = [
        "sweeps=capacity", "sweeps.factors.lora_rank.values=[8,64]", "seeds=[0,1,2]", "cluster=inline",
        "tracking=none", "method=python", "method.callable=mine:trial", "method.metric=accuracy",
        "method.direction=maximize", "decision.guardrails={forgetting: 5}", "baseline.learning_rate=1e-3",
        f"workspace={shell.workspace.root}", "--json",
    ]  # fmt: skip
    assert main(["run", *chosen]) == 0
    answer = json.loads(shell._capsys.readouterr().out)
    arms = {arm["arm"]: arm["mean"] for arm in answer["arms"]}
    assert arms["lora_rank=8"] < arms["baseline"] == arms["lora_rank=64"]
    assert answer["metric"] == {"name": "accuracy", "unit": "", "direction": "maximize"}
    assert answer["curves"]["baseline"][0][0]["value"] == 0.2
    assert "gave the same accuracy" in caveat(answer, "the script honours the seed")


@pytest.mark.parametrize(
    "words, message",
    [
        (["method.command=python t.py {nope} {seed}"], "{nope} is no placeholder; allowed are learning_rate"),
        (["method.command=python t.py --rank {lora_rank} {seed}"], "learning_rate x0.5: method.command"),
        (["method.command=python t.py --lr {learning_rate}"], "has no {seed}, so every replicate"),
        (["method.command=no-such-program {learning_rate} {seed}"], "there is no program 'no-such-program'"),
        (["method.command=null"], "method.command: missing; for example"),
        (["method.command=python t.py {learning_rate} {seed} {train_examples}"], "there is no value for"),
        (["method.command=python t.py {learning_rate} {seed} --api-key sk-4711471147114711"], "holds a"),
        (["baseline.learning_rate=auto"], "auto computes it from a model, and this script's is not known"),
        (["method.inputs=[nowhere.jsonl]"], "'nowhere.jsonl' is no file in"),
        (["method.metrics_file=metrics.json"], "begins with {trial_dir}/"),
        (["method.metrics_file={trial_dir}/m", "method.trainer_state=true"], "are both given; choose one"),
        (["method.metric=null"], "method.metric: None is not allowed; the name of a metric"),
        (["method.direction=up"], "choose from minimize, maximize"),
        (["method.time_limit_seconds=0"], "a number above 0, at most 1e+09, or null"),
        (["method.time_limit_seconds=1e30"], "a number above 0, at most 1e+09, or null"),
        (["method.shell=maybe"], "true or false"),
        (["~method.inputs"], "method.inputs: is missing; method=command needs it"),
        (["method.trains=ia3"], "choose from lora, dora, qlora, full, or null"),
        (["data=jsonl"], "a script reads its own data"),
        (["model=planted"], "choose from named, local, embedded"),
        (["decision.scope=distribution"], "needs losses by document"),
        (["method=lora", "model=named"], ""),
        (["method=python"], ""),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_starts(shell, words, message):
    (shell.folder / "t.py").write_text("")
    err = shell.refuses(*words)
    assert message in err
    assert err.startswith("bios-sweep: ")
    assert err.count("\n") == 1


@pytest.mark.slow
def test_the_same_sweep_on_ray_with_mlflow_gives_the_same_numbers(shell, ray_session):
    here = shell("run")
    shutil.rmtree(shell.workspace.root)
    there = shell(
        "run", "cluster=ray", "cluster.num_cpus=2", "tracking=sqlite", "method.time_limit_seconds=60"
    )
    assert [arm["finals"] for arm in there["arms"]] == [arm["finals"] for arm in here["arms"]]
    assert there["verdicts"][0]["verdict"] == here["verdicts"][0]["verdict"] == "confirm"
    with sqlite3.connect(shell.workspace.store) as store:
        runs = store.execute("select status, count(*) from runs group by status").fetchall()
        names = {name for (name,) in store.execute("select distinct key from params")}
        finals = store.execute("select count(*) from latest_metrics where key = 'eval_loss'").fetchone()
    assert runs == [("FINISHED", 11)]  # ten trials and the sweep
    assert {"learning_rate", "lora_rank", "seed"} <= names
    assert "weight_decay" not in names  # the script was not told
    assert finals == (10,)


@pytest.mark.slow
def test_a_driver_killed_in_the_middle_leaves_no_script_and_the_same_command_goes_on(shell):
    undisturbed = shell("run")
    shutil.rmtree(shell.workspace.root)
    os.mkfifo("told")
    (shell.folder / "first").touch()
    hanging = (  # before its first metric, the first time
        "import os, time\n"
        "if args.lr > 1e-3 and os.path.exists('first'):\n"
        "    os.remove('first')\n"
        "    open('told', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    shell.write(extra=hanging)
    words = [*shell.sweep, *HERE, f"method.command={COMMAND}", f"workspace={shell.workspace.root}"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "bios_sweep", "run", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    script = os.pidfd_open(int(Path("told").read_text()))
    driver.kill()
    driver.wait()
    assert select.select([script], [], [], 20.0)[0]  # it ended with its driver
    os.close(script)
    again = shell("run")
    assert again["counts"] == undisturbed["counts"]
    assert [arm["finals"] for arm in again["arms"]] == [arm["finals"] for arm in undisturbed["arms"]]


@pytest.mark.parametrize(
    "command",
    [
        "python train.py --lr {learning_rate} --seed={seed}",
        "it's = {seed}, [1] (2) \"three\" 'four' $HOME ${FIVE} \\${SIX} \\",
        r"""sh -c 'echo "\'" {seed} \\'""",
    ],
)
def test_a_command_needs_no_quoting_for_hydra(command):
    config = compose_config(["sweeps=learning_rate", "method=command", f"method.command={command}"])
    assert config.values["method"]["command"] == command
    assert config.overrides[-1] == f"method.command={command}"


def test_a_command_quoted_for_hydra_means_the_same(shell):
    as_it_is = ["method.command='python {seed}'", "seeds=[0,1]"]
    assert read_words(as_it_is) == as_it_is
    config = compose_config(["sweeps=learning_rate", "method=command", "method.command='python {seed}'"])
    assert config.values["method"]["command"] == "python {seed}"
    assert (config.values["model"]["kind"], config.values["data"]["kind"]) == ("named", "named")
    config = compose_config(
        ["sweeps=learning_rate", "method=command", "model=local", "method.trainer_state=true"]
    )
    assert config.values["model"]["kind"] == "local"
    assert config.values["method"]["trainer_state"] is True


def test_a_script_that_trains_in_full_has_no_adapter_and_no_rank_to_vary(shell):
    own = ("model=embedded", "method.trains=full", "baseline.learning_rate=auto")
    err = shell.refuses(*own)
    assert "baseline: there is no value for {lora_rank} of method.command" in err
    lean = COMMAND.replace(" --rank {lora_rank}", "")
    answer = shell("plan", *own, f"method.command={lean}")
    assert answer["baseline"]["learning_rate"] == pytest.approx(rate_in_full())
    assert set(answer["baseline"]) == {"learning_rate"}
    rank = ("~sweeps.factors.learning_rate", "+sweeps.factors.lora_rank.values=[8]")
    assert "factor lora_rank: it is an adapter's" in shell.refuses(*own, *rank)


def rate_in_full() -> float:
    """The rate of full fine-tuning for the embedded model."""
    shape = defaults.model_shape(base_model_path())
    return defaults.recommend(family=shape.family, hidden_size=shape.hidden_size, method="full").learning_rate
