from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from bios_sweep.errors import BiosSweepError, StorageError
from bios_sweep.execution.optuna_search import OptunaSearch, digest_file
from bios_sweep.ports import Searcher
from bios_sweep.study.search import KnownProposal, Proposal, SearchRange, SearchSpace
from bios_sweep.vocabulary import Status
from tests.damage import flipped

DEFAULT = {"learning_rate": 2.000123e-4, "lora_rank": 32}  # more digits than a proposal ever has
SPACE = SearchSpace(
    ranges=(SearchRange.within("learning_rate", 1e-4, 8e-4), SearchRange.within("lora_rank", 8, 64)),
    starts=(DEFAULT,),
)
UNTOUCHED = 5.0


def loss(values):
    """Lowest at learning rate 5e-4 and rank 24; the learning rate explains 94 % of the variance."""
    rate = math.log2(values["learning_rate"] / 5e-4)
    rank = math.log2(values["lora_rank"] / 24)
    return 2.0 + 0.4 * rate**2 + 0.1 * rank**2


def search_at(path, seed=0, space=SPACE, worst=(UNTOUCHED,), **options) -> Searcher:
    return OptunaSearch(path, name="demo-12345678", space=space, worst=worst, seed=seed, **options)


def step(search):
    """One proposal, tried and told."""
    (proposal,) = search.ask(1)
    search.tell(proposal.number, (loss(proposal.values),))
    return proposal


def trials(path):
    """Optuna's own view of the file, by its public way in."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name="demo-12345678", storage=storage).trials


def running(path):
    return [trial.number for trial in trials(path) if trial.state == TrialState.RUNNING]


def known(proposals, status=Status.COMPLETED):
    return [
        KnownProposal(
            proposal=one,
            status=status,
            objectives=(loss(one.values),) if status == Status.COMPLETED else None,
        )
        for one in proposals
    ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "optuna.journal"


@pytest.fixture
def loudness():
    """Optuna's level as it was, whatever a test does to it."""
    before = optuna.logging.get_verbosity()
    yield
    optuna.logging.set_verbosity(before)


# What is proposed


def test_the_same_asks_and_tells_give_the_same_proposals(tmp_path):
    one, other = search_at(tmp_path / "one"), search_at(None)
    assert [step(one) for _ in range(15)] == [step(other) for _ in range(15)]


def test_another_seed_gives_other_proposals():
    one, other = search_at(None), search_at(None, seed=1)
    first, second = [step(one) for _ in range(6)], [step(other) for _ in range(6)]
    assert first[0] == second[0]  # the default
    assert all(a.values != b.values for a, b in zip(first[1:], second[1:], strict=True))


def test_the_default_comes_first_to_its_last_digit():
    assert search_at(None).ask(3)[0] == Proposal(number=0, values=DEFAULT)


def test_a_default_outside_the_bracket_is_left_out():
    space = SearchSpace(ranges=(SearchRange.within("learning_rate", 4e-4, 8e-4),), starts=(DEFAULT,))
    (first,) = search_at(None, space=space).ask(1)
    assert first.number == 0
    assert first.values["learning_rate"] >= 4e-4


def test_proposals_are_readable_and_stay_in_their_ranges():
    for proposal in search_at(None).ask(1) + [step(search_at(None, seed=seed)) for seed in range(1, 9)]:
        assert set(proposal.values) == {"learning_rate", "lora_rank"}
    search = search_at(None)
    for proposal in [step(search) for _ in range(25)][1:]:
        rate, rank = proposal.values["learning_rate"], proposal.values["lora_rank"]
        assert 1e-4 <= rate <= 8e-4
        assert rate == float(f"{rate:.4g}")
        assert isinstance(rank, int)
        assert 8 <= rank <= 64


def test_a_batch_asked_at_once_is_spread_out():
    """In doublings, from each to its nearest: 0.65 on average, 0.20 without regard for what is under way."""
    nearest = []
    for seed in range(6):
        search = search_at(None, seed=seed)
        for _ in range(12):
            step(search)
        points = np.log2([list(one.values.values()) for one in search.ask(6)])
        distances = np.linalg.norm(points[:, None] - points[None], axis=2)
        nearest += list(np.sort(distances, axis=1)[:, 1])
    assert np.mean(nearest) > 0.4


def test_the_search_gets_nearer_to_the_planted_optimum_than_chance():
    """Means of the last 10 of 20 proposals over 8 searches; drawn evenly they lose 0.37 on average."""
    lost = []
    for seed in range(8):
        search = search_at(None, seed=seed)
        lost += [loss(step(search).values) - 2.0 for _ in range(20)][10:]
    even = np.random.default_rng(0).uniform(
        [math.log(1e-4), math.log(8)], [math.log(8e-4), math.log(64)], (4000, 2)
    )
    chance = [loss({"learning_rate": math.exp(a), "lora_rank": math.exp(b)}) - 2.0 for a, b in even]
    assert np.mean(lost) < np.mean(chance) / 2


def test_quality_and_cost_are_searched_together():
    """Gain up, cost down: the cost is the rank alone, so the cheap end of the front is the small rank."""
    search = search_at(None, worst=(-200.0, 8.0), directions=("maximize", "minimize"))
    ranks = []
    for _ in range(40):
        (proposal,) = search.ask(1)
        ranks.append(proposal.values["lora_rank"])
        search.tell(proposal.number, (-loss(proposal.values), ranks[-1] / 32))
    assert np.mean(ranks[20:]) < np.mean(ranks[:5])
    assert search.importance()["learning_rate"] > 0.5


# What is told


@pytest.mark.parametrize("direction, sign", [("minimize", 1.0), ("maximize", -1.0)])
def test_a_divergence_is_told_as_finite_and_worse_than_all_seen_and_than_the_untouched_model(
    path, direction, sign
):
    search = search_at(path, worst=(sign * UNTOUCHED,), directions=(direction,))
    numbers = [proposal.number for proposal in search.ask(5)]
    search.tell(numbers[0], None)
    search.tell(numbers[1], (sign * 2.0,))
    search.tell(numbers[2], (sign * 9.0,))
    search.tell(numbers[3], None)
    search.tell(numbers[4], (math.nan,))
    told = [sign * trial.value for trial in trials(path)]
    assert told == [10.0, 2.0, 9.0, 16.0, 16.0]  # past the worst by the spread; penalties do not add up


def test_a_wall_of_divergence_is_kept_away_from():
    """The best rate is 2e-4; rates from 4e-4 on diverge, a third of the range on its scale."""
    beyond = 0
    for seed in range(6):
        search = search_at(None, seed=seed)
        for index in range(20):
            (proposal,) = search.ask(1)
            diverged = proposal.values["learning_rate"] >= 4e-4
            distance = math.log2(proposal.values["learning_rate"] / 2e-4)
            search.tell(proposal.number, None if diverged else (2.0 + distance**2,))
            beyond += diverged and index >= 10
    assert beyond < 6 * 10 / 3 / 2  # half of what chance would send there


def test_telling_again_changes_nothing(path):
    search = search_at(path)
    proposal = step(search)
    search.tell(proposal.number, (1.0,))
    search.tell(proposal.number, None)
    search.drop(proposal.number)
    assert [trial.values for trial in trials(path)] == [[loss(DEFAULT)]]
    assert [trial.state for trial in trials(path)] == [TrialState.COMPLETE]


def test_a_dropped_proposal_teaches_nothing_and_is_not_proposed_again(path):
    search = search_at(path)
    first, second = search.ask(2)
    search.drop(first.number)
    search.drop(second.number)
    (third,) = search.ask(1)
    assert third.number == 2
    assert third.values not in (first.values, second.values)
    assert [trial.state for trial in trials(path)][:2] == [TrialState.FAIL] * 2


def test_what_cannot_be_told_is_refused():
    search = search_at(None)
    search.ask(1)
    for number in (-1, 1):
        with pytest.raises(BiosSweepError, match="never asked"):
            search.tell(number, (1.0,))
    with pytest.raises(BiosSweepError, match="2 objectives"):
        search.tell(0, (1.0, 2.0))


# Importance


def test_importance_needs_ten_results():
    search = search_at(None)
    for _ in range(9):
        step(search)
    search.ask(3)
    assert search.importance() == {}
    search.tell(9, (3.0,))
    assert set(search.importance()) == {"learning_rate", "lora_rank"}


@pytest.mark.parametrize("direction, sign", [("minimize", 1.0), ("maximize", -1.0)])
def test_importance_names_the_setting_that_matters(direction, sign):
    shares = []
    for seed in range(6):
        search = search_at(None, seed=seed, worst=(sign * UNTOUCHED,), directions=(direction,))
        for index in range(25):
            (proposal,) = search.ask(1)
            search.tell(proposal.number, None if index == 7 else (sign * loss(proposal.values),))
        shares.append(search.importance())
    assert all(sum(share.values()) == pytest.approx(1.0) for share in shares)
    assert np.mean([share["learning_rate"] for share in shares]) > 0.6


def test_importance_needs_no_scikit_learn():
    """It comes with other packages of the extra, but is none that the project asks for."""
    code = """
        import sys
        sys.modules["sklearn"] = None
        from bios_sweep.execution.optuna_search import OptunaSearch
        from bios_sweep.study.search import SearchRange, SearchSpace
        space = SearchSpace(ranges=(SearchRange.within("lora_rank", 8, 64),))
        search = OptunaSearch(None, name="x", space=space, worst=(100.0,))
        for proposal in search.ask(12):
            search.tell(proposal.number, (float(proposal.values["lora_rank"]),))
        assert search.importance() == {"lora_rank": 1.0}, search.importance()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# Resume


def test_a_new_search_on_the_file_goes_on_as_the_old_one_would_have(tmp_path):
    whole = search_at(tmp_path / "whole")
    expected = [step(whole) for _ in range(16)]
    assert [step(search_at(tmp_path / "parts")) for _ in range(16)] == expected


def test_a_batch_under_way_is_remembered_across_processes(tmp_path):
    whole, parts = search_at(tmp_path / "whole"), search_at(tmp_path / "parts")
    for search in (whole, parts):
        for proposal in search.ask(8)[:6]:
            search.tell(proposal.number, (loss(proposal.values),))
    assert whole.ask(3) == search_at(tmp_path / "parts").ask(3)


def test_proposals_the_journal_never_saw_are_given_up_and_proposed_again(path):
    search = search_at(path)
    done = [step(search) for _ in range(7)]
    lost = search.ask(3)
    again = search_at(path)
    again.reconcile(known(done))
    assert running(path) == []
    proposals = again.ask(3)
    assert [one.number for one in proposals] == [10, 11, 12]
    assert [one.values for one in proposals] == [one.values for one in lost]


def test_a_lost_default_is_proposed_again(path):
    search_at(path).ask(2)
    again = search_at(path)
    again.reconcile([])
    assert again.ask(1) == [Proposal(number=2, values=DEFAULT)]


def test_reconciling_tells_what_ended_and_leaves_open_what_is_still_to_run(path):
    proposals = search_at(path).ask(5)
    again = search_at(path)
    again.reconcile(
        known(proposals[:1])
        + known(proposals[1:2], Status.DIVERGED)
        + known(proposals[2:3], Status.FAILED)
        + known(proposals[3:4], None)
    )
    states = [trial.state for trial in trials(path)]
    assert states == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.FAIL,
        TrialState.RUNNING,
        TrialState.FAIL,
    ]
    assert trials(path)[1].value > UNTOUCHED
    again.tell(3, (2.5,))
    assert running(path) == []


def test_reconciling_twice_changes_nothing(path):
    search = search_at(path)
    done = [step(search) for _ in range(3)]
    search.ask(2)
    search.reconcile(known(done))
    content = path.read_bytes()
    search_at(path).reconcile(known(done))
    assert path.read_bytes() == content


def test_a_deleted_file_is_rebuilt_from_the_sweeps_journal(path):
    search = search_at(path)
    done = [step(search) for _ in range(12)]
    expected = search.ask(1)[0].values
    path.unlink()
    again = search_at(path)
    again.reconcile(known(done[:5]) + known(done[6:]))  # number 5 is a gap, lost in an earlier kill
    assert running(path) == []
    assert [trial.number for trial in trials(path) if trial.state == TrialState.FAIL] == [5]
    assert again.ask(1)[0].number == 12
    path.unlink()
    whole = search_at(path)
    whole.reconcile(known(done))
    resumed = whole.ask(1)[0].values
    assert resumed["lora_rank"] == pytest.approx(expected["lora_rank"], abs=2)
    assert resumed["learning_rate"] == pytest.approx(expected["learning_rate"], rel=0.02)  # rounded history


def test_a_file_cut_anywhere_is_survived(tmp_path):
    """A kill in the middle of a write leaves half a line; Optuna would append to it and fail later."""
    source = tmp_path / "source"
    search = search_at(source)
    done = [step(search) for _ in range(4)]
    content = source.read_bytes()
    for length in [*range(0, len(content), 61), *range(len(content) - 40, len(content) + 1)]:
        cut = tmp_path / "cut"
        cut.write_bytes(content[:length])
        again = search_at(cut)
        again.reconcile(known(done))
        assert again.ask(1)[0].number == 4
        assert [trial.state for trial in trials(cut)].count(TrialState.RUNNING) == 1  # the one just asked
        assert all(line.endswith("}") for line in cut.read_text().splitlines())
        told = [trial for trial in trials(cut) if trial.state == TrialState.COMPLETE]
        assert all(trial.params.keys() == DEFAULT.keys() for trial in told)


def test_a_lock_left_by_a_killed_driver_is_not_waited_for(path):
    """Optuna's own lock would wait half a minute before it takes over."""
    step(search_at(path))
    Path(f"{path}.lock").symlink_to(path)
    started = time.perf_counter()
    step(search_at(path))
    assert time.perf_counter() - started < 10


def test_damage_before_the_last_line_is_told_with_the_way_out(path):
    step(search_at(path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"{half\n", *lines[1:]]))
    digest_file(path).unlink()  # as a version without checksums left it
    with pytest.raises(StorageError, match="rebuilt from the sweep's journal"):
        search_at(path)


DRIVER = """
    import json, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from tests.execution.test_optuna_search import loss, search_at

    search = search_at(Path(sys.argv[1]))
    while True:
        for proposal in search.ask(3):
            print(json.dumps({**proposal.to_dict(), "loss": loss(proposal.values)}), flush=True)
            if proposal.number % 3:
                search.tell(proposal.number, (loss(proposal.values),))
"""


@pytest.mark.parametrize("lines", [2, 16])
def test_a_killed_driver_leaves_no_proposal_hanging(path, lines):
    """Killed without warning while it asks and tells; what it printed is what the sweep's journal knows."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(path), root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        seen = [json.loads(driver.stdout.readline()) for _ in range(lines)]
        driver.send_signal(signal.SIGKILL)
        seen += [json.loads(line) for line in driver.stdout if line.endswith("\n")]
    proposals = [Proposal.from_dict(one) for one in seen]
    search = search_at(path)
    search.reconcile(known(proposals))
    assert running(path) == []
    completed = [trial for trial in trials(path) if trial.state == TrialState.COMPLETE]
    assert [trial.number for trial in completed] == [one["number"] for one in seen]
    assert [trial.value for trial in completed] == [one["loss"] for one in seen]
    following = [step(search).number for _ in range(3)]
    assert following[0] >= len(seen)
    assert all(after == before + 1 for before, after in pairwise(following))


# Manners


@pytest.mark.parametrize("before", [optuna.logging.DEBUG, optuna.logging.ERROR])
def test_optuna_is_quiet_here_and_as_loud_as_before_elsewhere(path, capfd, loudness, before):
    optuna.logging.set_verbosity(before)
    search = search_at(path)
    for _ in range(12):
        step(search)
    search.importance()
    search.reconcile([])
    assert capfd.readouterr().err == ""
    assert optuna.logging.get_verbosity() == before


def test_importing_it_leaves_optunas_logging_alone():
    code = """
        import optuna
        before = optuna.logging.get_verbosity()
        import bios_sweep.execution.optuna_search
        assert optuna.logging.get_verbosity() == before
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_file_that_was_changed_is_made_again_from_what_the_journal_knows(path, caplog):
    whole = search_at(path)
    told = [step(whole) for _ in range(12)]
    expected, content = whole.importance(), path.read_bytes()
    for damaged in (*flipped(content, seed=1, flips=10), content[:-1], content[:99], b""):
        path.write_bytes(damaged)
        caplog.clear()
        search = search_at(path)
        assert f"{path}: does not match its checksum" in caplog.text
        search.reconcile(known(told))
        assert search.importance() == expected


def test_what_a_killed_process_wrote_after_it_last_said_so_is_put_back(path):
    whole = search_at(path)
    told, content, note = [step(whole) for _ in range(3)], path.read_bytes(), digest_file(path).read_bytes()
    step(whole)
    digest_file(path).write_bytes(note)
    search_at(path).reconcile(known(told))
    assert path.read_bytes()[: len(content)] == content
    assert len(search_at(path)._trials()) == 3
