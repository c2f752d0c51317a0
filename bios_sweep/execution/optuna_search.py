"""`OptunaSearch`: a `Searcher` on Optuna's ask and tell. The only module that loads Optuna.

The sweep's journal is the truth; Optuna's own file, beside it, is what Optuna's tools can open, and can be
rebuilt from the journal; so it is, where a digest beside it says that it is not as it was left. One driver at
a time writes it (the workspace's lock sees to that), so it takes no lock of its own: Optuna's would make the
driver after a kill wait for half a minute.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from bios_sweep.atomic import write_atomically
from bios_sweep.errors import BiosSweepError, StorageError
from bios_sweep.sealed import digest, file_digest
from bios_sweep.study.search import KnownProposal, Proposal, SearchRange, SearchSpace
from bios_sweep.vocabulary import Status

# Results before the model steers. On a planted quadratic of two settings with 20 noisy proposals the winner's
# true regret was .16 with 4, .23 with 8 and 12, .23 without a model (standard error .02, 100 searches each).
RANDOM_TRIALS = 4
FEWEST_FOR_IMPORTANCE = 10  # chosen: with half of them good, the 5 good ones that Optuna advises at least

# PED-ANOVA contrasts the best share of the proposals with all. Of 20 and 40 noisy proposals the better half
# names the setting that matters in 95-97 % of searches, the usual best tenth (which is 2-4 proposals) in
# 58-80 % (60 planted quadratics each).
GOOD_SHARE = 0.5

_log = logging.getLogger(__name__)

DIRECTIONS = {"minimize": 1.0, "maximize": -1.0}
LOST = "lost"  # study attribute: numbers of proposals that were asked but never reached the journal
PENALISED = "diverged"  # study attribute: numbers that were told a penalty instead of a value


@contextmanager
def _quiet() -> Iterator[None]:
    """Only warnings from Optuna while one of our calls runs; its level is the user's again afterwards."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


class OptunaSearch:
    """Tree-structured Parzen estimator over all settings jointly, for one objective or several.

    path: Optuna's journal file; None keeps the search in memory (rehearsals). name: of Optuna's study,
    the sweep's id. directions: "minimize" or "maximize" per objective. worst: per objective a value that
    is worth nothing, such as the untouched model's; a diverged proposal counts as worse than it and than
    all seen. seed: every proposal is drawn from (seed, its place in the search), so a new process goes
    on as the old one would have.

    Raises:
        StorageError: the file is damaged before its last line.
    """

    @_quiet()
    def __init__(
        self,
        path: Path | None,
        *,
        name: str,
        space: SearchSpace,
        worst: tuple[float, ...],
        directions: tuple[str, ...] = ("minimize",),
        seed: int = 0,
    ) -> None:
        self._space = space
        self._worst = worst
        self._seed = seed
        self._multipliers = tuple(DIRECTIONS[direction] for direction in directions)
        self._distributions = {one.setting: _distribution(one) for one in space.ranges}
        self._path = path
        self._study = _open_study(_open_storage(path), name, directions)

    @_quiet()
    def ask(self, count: int) -> list[Proposal]:
        """The starts first, then a few random ones, then the model's; in a small range one may repeat."""
        asked = [self._ask_one() for _ in range(count)]
        _leave(self._path)
        return asked

    @_quiet()
    def tell(self, number: int, objectives: tuple[float, ...] | None) -> None:
        """Values per objective; None (or one that is not finite) is a divergence. Telling again is ignored.

        Raises:
            BiosSweepError: no such proposal was asked, or the objectives are too few or too many.
        """
        self._tell(number, objectives)
        _leave(self._path)

    @_quiet()
    def drop(self, number: int) -> None:
        """A proposal without an outcome: kept in Optuna's file as failed, ignored by the model."""
        self._drop(number)
        _leave(self._path)

    def _tell(self, number: int, objectives: tuple[float, ...] | None) -> None:
        if self._open(number) is None:
            return
        if objectives is not None and len(objectives) != len(self._multipliers):
            raise BiosSweepError(
                f"proposal {number}: {len(objectives)} objectives were told, but the search has "
                f"{len(self._multipliers)}"
            )
        if objectives is None or not all(math.isfinite(value) for value in objectives):
            objectives = self._penalty()
            self._note(PENALISED, number)
        self._study.tell(number, list(objectives))

    def _drop(self, number: int) -> None:
        if self._open(number) is not None:
            self._study.tell(number, state=TrialState.FAIL)

    @_quiet()
    def importance(self) -> dict[str, float]:
        """PED-ANOVA: how differently the better half is spread over a setting than all proposals are.

        Of the first objective, over at least 10 proposals; a divergence counts as a bad one. Not a share
        of variance: a setting that explains 94 % of it comes out at about 70-80 %.
        Source: Watanabe et al. 2023, arXiv 2304.10255.
        """
        if len(self._trials(TrialState.COMPLETE)) < FEWEST_FOR_IMPORTANCE:
            return {}
        sign = self._multipliers[0]
        evaluator = PedAnovaImportanceEvaluator(target_quantile=GOOD_SHARE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that lower must be better, which the sign sees to
            shares = get_param_importances(
                self._study, evaluator=evaluator, target=lambda trial: sign * trial.values[0]
            )
        return {name: float(shares[name]) for name in self._space.settings}

    @_quiet()
    def reconcile(self, known: Sequence[KnownProposal]) -> None:
        """Make Optuna's study agree with the sweep's journal, which is the truth.

        Afterwards the only open proposals are those that the sweep will run. Proposals missing from a
        lost or shortened file are put back under their numbers.
        """
        by_number = {one.proposal.number: one for one in known}
        while self._trials(TrialState.WAITING):
            self._study.ask(self._distributions)  # queued by a process that died before it asked
        for number in range(len(self._trials()), max(by_number, default=-1) + 1):
            self._put_back(number, by_number.get(number))
        for trial in self._trials(TrialState.RUNNING):
            self._settle(trial, by_number.get(trial.number))
        _leave(self._path)

    def _ask_one(self) -> Proposal:
        lost = self._noted(LOST)
        asked = [
            trial
            for trial in self._trials()
            if trial.number not in lost and trial.state != TrialState.WAITING
        ]
        if not self._trials(TrialState.WAITING):
            untried = [start for start in self._space.first if start not in [one.params for one in asked]]
            if untried:
                self._study.enqueue_trial(untried[0])
        self._study.sampler = _sampler(self._seed, len(asked))
        trial = self._study.ask(self._distributions)
        return Proposal(number=trial.number, values=self._space.readable(trial.params))

    def _put_back(self, number: int, known: KnownProposal | None) -> None:
        if known is None:
            self._note(LOST, number)
            self._study.add_trial(create_trial(state=TrialState.FAIL))
            return
        values = {name: known.proposal.values[name] for name in self._space.settings}
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=values, distributions=self._distributions)
        )

    def _settle(self, trial: FrozenTrial, known: KnownProposal | None) -> None:
        """An open proposal: told, left to the sweep, or given up (a half-written one teaches nothing)."""
        if known is None:
            self._note(LOST, trial.number)
            self._drop(trial.number)
        elif known.status == Status.FAILED or trial.params.keys() != self._distributions.keys():
            self._drop(trial.number)
        elif known.status in (Status.COMPLETED, Status.DIVERGED):
            self._tell(trial.number, known.objectives)

    def _penalty(self) -> tuple[float, ...]:
        """Per objective: past the worst seen or known, by as much as lies between that and the best seen."""
        penalised = self._noted(PENALISED)
        seen = [trial.values for trial in self._trials(TrialState.COMPLETE) if trial.number not in penalised]
        return tuple(
            sign * _past([sign * one for one in (self._worst[place], *(row[place] for row in seen))])
            for place, sign in enumerate(self._multipliers)
        )

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _noted(self, attribute: str) -> set[int]:
        return set(self._study.user_attrs.get(attribute, ()))

    def _note(self, attribute: str, number: int) -> None:
        self._study.set_user_attr(attribute, sorted(self._noted(attribute) | {number}))

    def _open(self, number: int) -> FrozenTrial | None:
        """The proposal of that number while it waits for its result; None once it has ended."""
        trials = self._trials()
        if not 0 <= number < len(trials) or trials[number].state == TrialState.WAITING:
            raise BiosSweepError(f"search {self._study.study_name}: proposal {number} was never asked for")
        return trials[number] if trials[number].state == TrialState.RUNNING else None


def _open_storage(path: Path | None) -> BaseStorage:
    if path is None:
        return InMemoryStorage()
    _require_as_left(path)
    _cut_half_line(path)
    try:
        lock: Any = threading.RLock()  # between processes the workspace's: one driver at a time
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, TypeError) as error:  # no JSON, or JSON that is no operation of Optuna's
        raise StorageError(
            f"{path}: damaged before its last line ({error}); "
            "delete it, it is rebuilt from the sweep's journal"
        ) from error


def _open_study(storage: BaseStorage, name: str, directions: Sequence[str]) -> optuna.Study:
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage)
    kinds = [StudyDirection[direction.upper()] for direction in directions]
    return optuna.create_study(storage=storage, study_name=name, directions=kinds)


def digest_file(path: Path) -> Path:
    """Where the digest of Optuna's file stands."""
    return path.with_name(path.name + ".sha256")


def _leave(path: Path | None) -> None:
    """Say what Optuna's file is like now."""
    if path is not None:
        write_atomically(digest_file(path), f"{path.stat().st_size} {file_digest(path)}\n")


def _require_as_left(path: Path) -> None:
    """A file that was changed since it was left goes; of one that a kill left longer the rest stays."""
    note = digest_file(path)
    if not (note.exists() and path.exists()):  # new, or an earlier version's
        return
    size, _, told = note.read_text(encoding="utf-8", errors="replace").strip().partition(" ")
    content = path.read_bytes()[: int(size) if size.isdecimal() else 0]
    if digest([content]) == told:
        os.truncate(path, len(content))
        return
    _log.warning("%s: does not match its checksum; it is made again from the sweep's journal", path)
    path.unlink()


def _cut_half_line(path: Path) -> None:
    """Drop what a kill in the middle of a write left after the last whole line; Optuna would append to it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            os.fsync(file.fileno())


def _distribution(one: SearchRange) -> BaseDistribution:
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)


def _sampler(seed: int, place: int) -> TPESampler:
    """A fresh sampler per proposal: nothing is remembered outside the file, so nothing is lost in a kill."""
    drawn = np.random.SeedSequence([seed, place]).generate_state(1)[0]
    return TPESampler(seed=int(drawn), n_startup_trials=RANDOM_TRIALS, multivariate=True, constant_liar=True)


def _past(values: Sequence[float]) -> float:
    """Beyond the largest of some values by their spread, or by its own size where they are all equal."""
    worst = max(values)
    return worst + ((worst - min(values)) or abs(worst) or 1.0)
