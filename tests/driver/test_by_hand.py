"""Arms stopped by hand and runs that are held, through the command line."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.driver.by_hand import Hands
from bios_sweep.records.ledger import read_ledger
from bios_sweep.records.reading import read_state
from bios_sweep.records.requests import ArmRequest, arm_requests, request_arm
from bios_sweep.records.workspace import Workspace

RIVAL = "learning_rate x2"
SWEEP = (
    "sweeps=learning_rate",
    "model=planted",
    "tracking=none",
    "seeds=[0,1,2,3,4]",
    "decision.looks=[2,5]",
    "budget.max_steps=1000",
    "baseline.learning_rate=5e-4",
    "model.planted.truth.learning_rate.optimum=5e-4",
    "model.planted.noise_percent=0.4",
    "model.planted.pause_seconds=0.06",  # per measurement, so that something can be asked meanwhile
)
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Place:
    """A workspace, and what is done in it."""

    root: Path
    cluster: str = "inline"

    def run(self, *words: str) -> int:
        return main(["run", *SWEEP, f"cluster={self.cluster}", f"workspace={self.root}", *words])

    def ask(self, *words: str) -> int:
        return main([*words, f"workspace={self.root}"])

    @property
    def view(self):
        return bios_sweep.open(self.root)

    @property
    def verdict(self):
        (verdict,) = self.view.verdicts
        return verdict

    def journal(self):
        (sweep_id, *_) = Workspace(self.root).sweeps()
        return read_state(Workspace(self.root).journal_file(sweep_id))

    def trials(self, arm: str) -> list[str]:
        return [trial.status for trial in self.journal().trials.values() if trial.spec.arm == arm]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "runs")


class Meanwhile:
    """Does something in this process while the driver runs, once a trial has ended."""

    def __init__(self, place: Place, act, after: int = 1) -> None:
        self._place, self._act, self._after = place, act, after
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._thread.join(PATIENCE_SECONDS)

    def _watch(self):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended = sum(
                b'"kind":"ended"' in line
                for path in self._place.root.glob("sweeps/*/journal.jsonl")
                for line in path.read_bytes().splitlines()
            )
            if ended >= self._after:
                self._act()
                return
            time.sleep(0.02)  # waiting for the driver, not for luck


def told(verdict) -> str:
    return "; ".join(map(str, verdict.reasons))


def interrupted(place: Place, after: int) -> None:
    """Leave the sweep with so many trials, as a graceful stop does."""
    with Meanwhile(place, lambda: place.ask("stop"), after=after):
        assert place.run() == 128 + signal.SIGTERM


def test_an_arm_that_is_stopped_on_the_way_leaves_its_factor_open_and_runs_no_more(place, capsys):
    with Meanwhile(place, lambda: place.ask("stop", RIVAL), after=2):
        assert place.run() == 0
    assert "asked process" in capsys.readouterr().out
    assert place.verdict.verdict == "inconclusive"
    assert "x2 was stopped by hand before a look" in told(place.verdict)
    assert place.trials(RIVAL).count("completed") <= 1
    assert place.view.summary.counts.waiting == 0, "what was called off is no trial that is missing"
    assert f"bios-sweep resume '{RIVAL}'" in " ".join(place.view.summary.caveats)
    assert place.verdict.now.step.command == f"bios-sweep resume '{RIVAL}' workspace={place.root}"
    (look,) = [entry.look for entry in read_ledger(Workspace(place.root).ledger_file)]
    assert (list(look.stopped), look.counts, look.word) == ([RIVAL], True, "inconclusive")


@pytest.mark.slow
def test_an_arm_that_a_look_had_excluded_takes_no_word_away(place):
    assert place.run("model.planted.noise_percent=0.6") == 0
    whole = place.verdict
    assert whole.verdict == "confirm"
    early = next(row for row in whole.levels if row.seeds == 2)
    stopped = Place(place.root.parent / "stopped")
    with Meanwhile(stopped, lambda: stopped.ask("stop", early.arm), after=10):
        assert stopped.run("model.planted.noise_percent=0.6") == 0
    assert stopped.journal().stopped == {early.arm}
    assert (stopped.verdict.verdict, stopped.verdict.upper) == (whole.verdict, whole.upper)
    assert "by hand" not in told(stopped.verdict)


def test_the_same_command_leaves_an_arm_stopped_until_it_is_taken_up(place, capsys):
    interrupted(place, after=2)
    assert place.ask("stop", "x2") == 0
    assert f"{RIVAL} of {place.view.sweep_id} is stopped" in capsys.readouterr().out
    assert place.run() == 0
    assert place.verdict.verdict == "inconclusive"
    assert place.ask("status") == 0
    assert f"stopped by hand: {RIVAL}" in capsys.readouterr().out
    assert place.ask("resume", RIVAL) == 0
    assert place.run() == 0
    assert place.verdict.verdict == "confirm"
    undisturbed = Place(place.root.parent / "undisturbed")
    assert undisturbed.run() == 0
    assert place.verdict.upper == undisturbed.verdict.upper
    assert len(read_ledger(Workspace(place.root).ledger_file)) == 2, "finished again, with another word"


@pytest.mark.slow
def test_a_larger_study_of_the_question_leaves_it_stopped_too(place, capsys):
    interrupted(place, after=2)
    place.ask("stop", RIVAL)
    place.run()
    first = place.view.sweep_id
    larger = ("seeds=[0,1,2,3,4,5,6]", "decision.looks=[7]")
    assert main(["plan", *SWEEP, "cluster=inline", f"workspace={place.root}", *larger]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{RIVAL} was stopped by hand in {first}, and stays stopped" in said
    assert place.run(*larger) == 0
    assert place.view.sweep_id != first
    assert place.verdict.verdict == "inconclusive"
    assert place.ask("resume", RIVAL) == 0
    assert place.run(*larger) == 0
    assert place.verdict.verdict == "confirm"


@pytest.mark.slow
def test_a_candidate_that_is_stopped_on_its_fresh_seeds_is_not_refined(place):
    better = ("model.planted.truth.learning_rate.optimum=1e-3",)
    with Meanwhile(place, lambda: place.ask("stop", RIVAL), after=21):
        assert place.run(*better) == 0
    assert place.verdict.verdict == "inconclusive"
    assert "before it had run on all fresh seeds" in told(place.verdict)
    (look,) = [entry.look for entry in read_ledger(Workspace(place.root).ledger_file)]
    assert look.fresh, "fresh seeds that were seen are no longer fresh"


def test_a_pause_starts_nothing_and_a_resume_goes_on(place, capsys):
    seen = []

    def hold():
        place.ask("pause")
        time.sleep(1.5)  # longer than the disk is not looked at
        place.ask("status", "--json")
        seen.append(len(place.journal().results))
        time.sleep(1.0)
        seen.append(len(place.journal().results))
        assert place.ask("resume") == 0

    with Meanwhile(place, hold, after=2):
        assert place.run() == 0
    assert seen[0] == seen[1] < 10
    said = capsys.readouterr().out
    assert '"paused": "20' in said
    assert "paused: running trials end" in said
    assert "\ngoes on\n" in said
    assert place.verdict.verdict == "confirm"


def test_a_run_elsewhere_is_watched_until_it_ends(place, capsys):
    seen: list[int] = []
    with Meanwhile(place, lambda: seen.append(place.ask("status", "--watch")), after=2):
        assert place.run() == 0
    said = capsys.readouterr().out
    assert seen == [0]
    told = [line for line in said.splitlines() if line.startswith("[16/16]")]
    assert len(told) == 2, "by the run, and by who watches it"
    assert "no driver is running" in said
    assert "confirm" in str(place.verdict.verdict)


@pytest.mark.slow
def test_a_pause_is_ended_by_a_stop_and_forgotten_by_the_next_run(place):
    def hold():
        place.ask("pause")
        time.sleep(1.0)
        place.ask("stop")

    with Meanwhile(place, hold, after=2):
        assert place.run() == 128 + signal.SIGTERM
    assert place.run() == 0
    assert place.verdict.verdict == "confirm"


@pytest.mark.parametrize(
    "text",
    ["{", "null", "[1]", '{"sweep_id": 1, "arm": "x", "stopped": true}', "\udcff"],
)
def test_a_request_that_nobody_understands_is_set_aside(text, place, caplog):
    folder = Workspace(place.root).root / "asked"
    folder.mkdir(parents=True)
    (folder / "1-1.json").write_bytes(text.encode(errors="surrogateescape"))
    hands = Hands(Workspace(place.root), "demo")
    request_arm(Workspace(place.root), ArmRequest(sweep_id="demo", arm=RIVAL, stopped=True))
    assert [request.arm for request in hands.asked()] == [RIVAL]
    assert [path.name for path in folder.iterdir()] == ["1-1.broken"]
    assert "is no request about an arm" in caplog.text


def test_what_a_dead_driver_did_not_hear_is_overtaken_by_what_is_asked_later(place, capsys):
    interrupted(place, after=2)
    workspace, sweep_id = Workspace(place.root), place.view.sweep_id
    request_arm(workspace, ArmRequest(sweep_id=sweep_id, arm=RIVAL, stopped=True))
    assert place.ask("stop", RIVAL) == 2
    assert "is stopped by hand already" in capsys.readouterr().err
    assert place.ask("resume", RIVAL) == 0
    assert list(arm_requests(workspace)) == []
    assert place.journal().stopped == frozenset()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("stop", "x3"), "no arm 'x3'; there are learning_rate x0.25"),
        (("stop", "baseline"), "every arm is compared with it"),
        (("stop", RIVAL), "is done, so nothing of it runs any more"),
        (("stop", RIVAL, "--now"), "leave --now out"),
        (("resume", RIVAL), "was not stopped by hand; arms that were: none"),
        (("resume",), "no sweep is running there"),
        (("pause",), "no sweep is running there"),
        (("stop", "--sweep", "demo"), "goes with an arm"),
        (("status", "--watch", "--json"), "leave one out"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(words, sentence, done, capsys):
    assert done.ask(*words) == 2
    assert sentence in capsys.readouterr().err


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("done") / "runs")
    assert place.run() == 0
    return place


def test_an_arm_is_stopped_and_a_run_is_held_on_ray(place, ray_session):
    ray = replace(place, cluster="ray")

    def act():
        ray.ask("stop", RIVAL)
        ray.ask("pause")
        time.sleep(1.0)
        ray.ask("resume")

    with Meanwhile(ray, act, after=2):
        assert ray.run("cluster.num_cpus=2") == 0
    assert ray.verdict.verdict == "inconclusive"
    assert "x2 was stopped by hand" in told(ray.verdict)
    assert "running" not in ray.trials(RIVAL)
    assert ray.journal().closed == "done"


@pytest.mark.slow
def test_a_trial_that_runs_on_ray_is_left_at_its_next_measurement_and_goes_on_when_it_is_taken_up(
    place, ray_session
):
    ray = replace(place, cluster="ray")
    words = ("cluster.num_cpus=2", "seeds=[0,1]", "decision.looks=[2]", "model.planted.pause_seconds=2.5")

    def act():
        running = [trial for trial in ray.journal().trials.values() if trial.status == "running"]
        others = [trial for trial in running if trial.spec.arm != "baseline"]
        arms.append(min(others, key=lambda trial: len(trial.curve)).spec.arm)  # another may end before
        ray.ask("stop", arms[0])
        deadline = time.monotonic() + PATIENCE_SECONDS
        while b'"kind":"left"' not in next(ray.root.glob("sweeps/*/journal.jsonl")).read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.1)  # waiting for a worker, not for luck
        ray.ask("resume", arms[0])

    arms: list[str] = []
    with Meanwhile(ray, act, after=1):
        assert ray.run(*words) == 0
    assert ray.trials(arms[0]) == ["completed", "completed"]
    assert ray.verdict.verdict != "inconclusive" or "by hand" not in told(ray.verdict)
