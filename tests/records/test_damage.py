"""Damage in a workspace: it is named, its trial is trained again, and no word rests on it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from bios_sweep.cli.main import main
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.loop import run_trials
from bios_sweep.driver.prepare import prepare
from bios_sweep.driver.sweep import Sweep, open_journal, take_in_finished
from bios_sweep.driver.view import open_sweep
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.ports import ENDED, TrialEvent
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.records.earlier import known_of
from bios_sweep.records.results import StoredResults, as_arrived
from bios_sweep.records.retention import ALL, RECOMMENDED, keep_adapters
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import digests_of
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import EVIDENCE, Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Stage, Status
from tests.damage import FLIPS, flipped, rewritten

CLUSTERS = ("model.planted.clusters=40", "model.planted.cluster_noise_percent=0.5")
SWEEP = ("sweeps=learning_rate", "model=planted", "budget=demo", *CLUSTERS)
FILES = ("result.json", "eval.npz", "adapter/adapter_model.safetensors", "adapter/adapter_config.json")
AGAIN = "counts as not run, and `bios-sweep run` trains it again"


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Of a sweep whose trials leave evaluations by document."""
    return prepare(Invocation(overrides=tuple(SWEEP))).plan


@pytest.fixture(scope="module")
def finished(plan, tmp_path_factory) -> Path:
    """A workspace where that sweep ran."""
    root = tmp_path_factory.mktemp("finished") / "runs"
    assert run(plan, root) == 25
    return root


@pytest.fixture
def root(finished, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "300")
    return Path(shutil.copytree(finished, tmp_path / "runs"))


class Silent:
    """A view that counts what ended."""

    ended = 0

    def stage(self, *_: object) -> None:
        pass

    def event(self, event: TrialEvent, _: TrialSpec) -> None:
        self.ended += event.kind == ENDED


def run(plan: Plan, root: Path) -> int:
    """As `run` does up to the verdicts; how many trials were trained."""
    sweep, view = Sweep(plan=plan, workspace=Workspace(root), invocation=Invocation()), Silent()
    with open_journal(sweep) as journal:
        source = ProcedureSource(plan, known=known_of(plan, sweep.workspace))
        take_in_finished(sweep, source, journal)
        run_trials(sweep, source, journal, InlineExecutor(), view)
        assert source.state.stage == Stage.DONE
        if journal.state.closed != "done":
            journal.closed("done")
    return view.ended


def first_trial(root: Path) -> Path:
    return Path(sorted((root / "trials").iterdir())[0])


def verdicts(root: Path) -> list[tuple]:
    told = open_sweep(root).verdicts
    return [(v.verdict, v.lower, v.upper, v.best_level, v.scope) for v in told]


def outcomes(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.glob("trials/*/*") if path.name in FILES}


def edit(path: Path, *, keep_seal: bool = True) -> None:
    """By hand: half as much again."""
    values = json.loads(path.read_text())
    values["final"]["eval_loss"] *= 1.5
    if not keep_seal:
        del values["seal"], values["files"]
    path.write_text(json.dumps(values))


def swap(path: Path) -> None:
    other = next(trial for trial in sorted(path.parents[1].iterdir()) if trial != path.parent)
    shutil.copyfile(other / path.name, path)


DAMAGE = {
    "result edited": ("result.json", edit),
    "result cut off": ("result.json", lambda path: path.write_bytes(path.read_bytes()[:-20])),
    "result emptied": ("result.json", lambda path: path.write_bytes(b"")),
    "result lost": ("result.json", Path.unlink),
    "result of another trial": ("result.json", swap),
    "result without its seal": ("result.json", lambda path: edit(path, keep_seal=False)),
    "evaluation lost": ("eval.npz", Path.unlink),
    "evaluation cut off": ("eval.npz", lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "evaluation emptied": ("eval.npz", lambda path: path.write_bytes(b"")),
    "evaluation of another trial": ("eval.npz", swap),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_damaged_is_named_not_counted_and_trained_again_to_the_same_bits(case, plan, root, caplog):
    name, damage = DAMAGE[case]
    path = first_trial(root) / name
    before, files = verdicts(root), outcomes(root)
    damage(path)
    view = open_sweep(root)
    (told,) = view.damaged
    assert told.startswith(f"{path}: ")
    assert told.endswith(AGAIN)
    assert view.summary.counts.waiting == 1
    caplog.clear()
    assert run(plan, root) == 1
    assert f"{path}: " in caplog.text
    assert verdicts(root) == before
    assert outcomes(root) == files
    assert open_sweep(root).damaged == ()


def test_every_reader_names_what_is_damaged(root, capsys):
    path = first_trial(root) / "result.json"
    edit(path)
    for verb, where in (("report", "out"), ("status", "out"), ("plan", "out")):
        for words in ((), ("--json",)):
            capsys.readouterr()
            assert main([verb, *SWEEP, *words, f"workspace={root}"]) == 0
            printed = getattr(capsys.readouterr(), where)
            assert f"{path}: does not match its checksum" in printed
            if words:
                assert len(json.loads(printed)["damaged"]) == 1
    assert main(["plan", *SWEEP, "--json", f"workspace={root}"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["to_run"], plan["reused"]) == (1, 24)


def test_a_sealed_result_counts_against_a_journal_that_says_otherwise_and_both_are_told(plan, root, caplog):
    journal = next(root.glob("sweeps/*/journal.jsonl"))
    before, key = verdicts(root), first_trial(root).name

    def worse(entry: dict) -> None:
        if entry["kind"] == "ended" and entry["key"] == key:
            entry["result"]["final"]["eval_loss"] *= 1.5

    rewritten(journal, worse)
    assert "differs from its copy in the journal, and counts" in "".join(open_sweep(root).damaged)
    assert verdicts(root) == before
    assert run(plan, root) == 0
    assert "differs from its copy in the journal, and counts" in caplog.text
    assert verdicts(root) == before
    assert open_sweep(root).damaged == ()


def as_an_earlier_version_left_it(root: Path) -> None:
    """Without seals and digests."""
    for path in (*root.glob("trials/*/result.json"), *root.glob("sweeps/*/plan.json")):
        values = json.loads(path.read_text())
        values.pop("files", None)
        del values["seal"]
        path.write_text(json.dumps(values) + "\n")
    journal = next(root.glob("sweeps/*/journal.jsonl"))
    rewritten(journal, lambda entry: entry.get("result", {}).pop("files", None), bound=False)


def test_results_of_an_earlier_version_are_taken_once_with_a_note_and_sealed_then(plan, root, caplog):
    before = verdicts(root)
    as_an_earlier_version_left_it(root)
    assert (verdicts(root), open_sweep(root).damaged) == (before, ())
    assert run(plan, root) == 0
    assert "15 of the results that were there have no checksum" in caplog.text
    assert verdicts(root) == before
    caplog.clear()
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert run(plan, root) == 0
    assert caplog.text == ""
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == files
    (first_trial(root) / "eval.npz").unlink()
    assert len(open_sweep(root).damaged) == 1


@pytest.mark.parametrize(
    ("name", "damage", "what"),
    [
        ("result.json", edit, "differs from the copy in the journal"),
        ("eval.npz", Path.unlink, "is gone, and other trials of the sweep have theirs"),
        ("eval.npz", lambda path: path.write_bytes(path.read_bytes()[:99]), "cannot be read"),
    ],
)
def test_what_shows_in_an_earlier_versions_results_is_not_sealed(name, damage, what, plan, root, caplog):
    before = verdicts(root)
    as_an_earlier_version_left_it(root)
    damage(first_trial(root) / name)
    assert what in "".join(open_sweep(root).damaged)
    assert run(plan, root) == 1
    assert what in caplog.text
    assert verdicts(root) == before


def with_one_trial(root: Path) -> tuple[Workspace, TrialResult]:
    workspace, draw = Workspace(root), random.Random(3)
    folder = workspace.trial_dir("k1")
    (folder / "adapter").mkdir(parents=True)
    for name in FILES[1:]:
        (folder / name).write_bytes(draw.randbytes(2000))
    result = TrialResult(
        key="k1",
        status=Status.COMPLETED,
        curve=(Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=2.5),),
        final={"eval_loss": 2.5},
        files=digests_of(folder, EVIDENCE),
    )
    workspace.write_result(result)
    return workspace, result


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_is_taken_silently(name, tmp_path):
    workspace, result = with_one_trial(tmp_path)
    path = workspace.trial_dir("k1") / name
    whole = path.read_bytes()
    assert StoredResults(workspace)("k1") == result
    for damaged in flipped(whole, seed=7, flips=FLIPS):
        path.write_bytes(damaged)
        kept = StoredResults(workspace).look("k1")
        assert kept.result is None
        assert kept.damage.startswith(f"{path}: ")
    path.write_bytes(whole)
    assert StoredResults(workspace)("k1") == result


def test_an_adapter_that_the_policy_removed_is_no_damage_and_a_lost_one_is(tmp_path):
    workspace, result = with_one_trial(tmp_path)
    keep_adapters(workspace, "one", keys=["k1"], recommended=[], policy=RECOMMENDED)
    assert not (workspace.trial_dir("k1") / "adapter").exists()
    assert StoredResults(workspace)("k1") == result
    workspace, result = with_one_trial(tmp_path)  # trained again: it has one
    keep_adapters(workspace, "one", keys=["k1"], recommended=["k1"], policy=ALL)
    shutil.rmtree(workspace.trial_dir("k1") / "adapter")
    assert "adapter_config.json: is gone" in StoredResults(workspace).look("k1").damage


def test_half_an_adapter_that_was_being_removed_is_not_handed_on(tmp_path):
    workspace, _ = with_one_trial(tmp_path)
    keep_adapters(workspace, "one", keys=["k1"], recommended=[], policy=RECOMMENDED)
    (workspace.trial_dir("k1") / "adapter").mkdir()
    assert keep_adapters(workspace, "two", keys=["k1"], recommended=["k1"], policy=RECOMMENDED) == {}


def test_files_that_arrive_otherwise_than_they_were_written_are_no_outcome(tmp_path, caplog):
    workspace, result = with_one_trial(tmp_path)
    event = TrialEvent(kind=ENDED, key="k1", result=result)
    assert as_arrived(event, workspace) == event
    path = workspace.trial_dir("k1") / "eval.npz"
    path.write_bytes(path.read_bytes()[:-1])
    arrived = as_arrived(event, workspace).result
    assert arrived is not None
    assert (arrived.status, arrived.failure, arrived.final) == (Status.FAILED, Failure.STORAGE, {})
    assert f"{path}: does not match its checksum" in arrived.cause
    assert arrived.cause in caplog.text


@pytest.mark.slow
def test_a_report_that_is_not_as_it_was_written_is_written_again(tmp_path, caplog):
    words = ["run", *SWEEP, f"workspace={tmp_path / 'runs'}"]
    assert main(words) == 0
    path = next(tmp_path.glob("runs/sweeps/*/report.md"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"refine", b"confirm"))
    assert main(words) == 0
    assert path.read_bytes() == whole
    assert f"{path}: does not match its checksum; the report is written again" in caplog.text


def test_a_plan_that_is_not_as_it_was_written_is_refused_by_readers(plan, root, capsys):
    path = next(root.glob("sweeps/*/plan.json"))
    path.write_text(path.read_text().replace('"alpha": 0.05', '"alpha": 0.5'))
    assert main(["report", f"workspace={root}"]) == 4
    assert f"{path}: does not match its checksum" in capsys.readouterr().err
    assert run(plan, root) == 0
    assert main(["report", f"workspace={root}"]) == 0


@pytest.mark.parametrize("case", ["edited", "another's"])
def test_a_timing_that_is_not_as_it_was_written_is_taken_again(case, tmp_path, caplog):
    workspace = Workspace(tmp_path)
    for key, seconds in (("t1", 0.1), ("t2", 0.2)):
        workspace.write_timing(key, {"seconds": [[seconds]], "hardware": "a cpu"})
    path = workspace.timing_file("t1")
    if case == "edited":
        path.write_text(path.read_text().replace("0.1", "0.3"))
    else:
        shutil.copyfile(workspace.timing_file("t2"), path)
    assert workspace.read_timing("t1") is None
    assert f"{path}: does not match its checksum" in caplog.text
    for damaged in flipped(workspace.timing_file("t2").read_bytes(), seed=5, flips=FLIPS):
        workspace.timing_file("t2").write_bytes(damaged)
        assert workspace.read_timing("t2") is None


def test_tuned_defaults_of_before_trials_ran_again_are_said_to_be_of_before(tmp_path, capsys):
    place = f"workspace={tmp_path / 'runs'}"
    assert main(["run", "sweeps=learning_rate", "model=planted", "budget=demo", "seeds=[0]", place]) == 0
    (tuned,) = tmp_path.glob("runs/sweeps/*/bios_defaults.json")
    edit(first_trial(tmp_path / "runs") / "result.json")
    capsys.readouterr()
    assert main(["report", place]) == 0
    assert f"tuned defaults: {tuned}, as of before trials ran again" in capsys.readouterr().out
    tuned.unlink()
    assert main(["report", place]) == 0
    assert "tuned defaults" not in capsys.readouterr().out
