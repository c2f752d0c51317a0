"""One MLflow experiment, spoken to in steps that may be cut off anywhere and done again.

MLflow's own calls are not all repeatable (`create_run` makes a second run), so identity lies in tags:
look first, make only what is missing, and after any error look again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Experiment, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from bios_sweep.errors import TrackingError
from bios_sweep.mirror.content import NOTE, DataInput, MetricPoint, RunContent, RunStatus
from bios_sweep.mirror.mlflow.credentials import sign_in
from bios_sweep.mirror.mlflow.note import NONE, SweepLine, experiment_note, listing_of, relisted
from bios_sweep.mirror.mlflow.shared_view import is_ours
from bios_sweep.mirror.mlflow.troubles import deleted
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.secrecy import masked
from bios_sweep.trouble import TroubleError

METRICS_PER_CALL = 800  # of at most 1000 entities, 100 of them params and 100 tags (mlflow.utils.validation)
NOTE_TIME = "note_time"
ARMS_FILE = "arms.json"  # of a sweep's run, among its artifacts
VIEW = "mlflow.sharedViewState."
VIEWS_SEEN_WORKING = ("3.17.",)  # the tag is undocumented; other versions may read it differently
VIEWS_LIMIT = 30  # chosen below the 40 at which MLflow's page refuses to save more

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class MirroredRun:
    """A run as this process knows it. points: None until the run's history was read."""

    run_id: str
    status: str
    ended: int | None
    creator: str
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    inputs: set[tuple[str, str]] = field(default_factory=set)
    metrics: set[str] = field(default_factory=set)
    points: set[tuple[str, int, float]] | None = None


class ArtifactError(TrackingError):
    """Files were not taken; its cause says why."""


class MlflowStore:
    """The runs of one experiment. Makes the experiment when it is missing.

    Raises:
        TroubleError: the experiment was deleted in MLflow.
        MlflowException: the store does not answer.
    """

    def __init__(self, uri: str, experiment_name: str, artifact_location: str | None) -> None:
        prepare_environment()
        self._client = MlflowClient(tracking_uri=sign_in(uri))
        found = self._client.get_experiment_by_name(experiment_name)
        if found is None:
            tags = {"mlflow.experimentKind": "custom_model_development"}  # else MLflow 3 shows GenAI pages
            made = self._client.create_experiment(experiment_name, artifact_location, tags)
            found = self._client.get_experiment(made)
        self._experiment: Experiment = found
        if found.lifecycle_stage != "active":
            raise TroubleError(deleted(masked(uri), experiment_name, found.experiment_id))

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment."""
        return self._experiment.experiment_id

    def find_sweep(self, sweep_id: str) -> MirroredRun | None:
        """The parent run of a sweep."""
        return self._only(self._search(f"tags.kind = 'sweep' and tags.sweep_id = '{sweep_id}'"))

    def find_trial(self, key: str) -> MirroredRun | None:
        """The child run of a trial, whichever sweep made it."""
        return self._only(self._search(f"tags.kind = 'trial' and tags.trial_key = '{key}'"))

    def trials_of(self, tag: str) -> dict[str, MirroredRun]:
        """Every child run with that tag, by trial key: one call where single look-ups would take many."""
        found: dict[str, list[Run]] = {}
        for run in self._search(f"tags.kind = 'trial' and tags.`{tag}` != ''"):
            found.setdefault(run.data.tags["trial_key"], []).append(run)
        return {key: one for key, runs in found.items() if (one := self._only(runs)) is not None}

    def _search(self, condition: str) -> list[Run]:
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        return all_runs(self._client, self.experiment_id, filter_string=condition, order_by=order)

    def _only(self, runs: Sequence[Run]) -> MirroredRun | None:
        """The one run of an identity, the fullest; doubles are deleted (MLflow keeps deleted runs).

        `create_run` cannot be repeated safely: where its answer is lost, or comes after we gave up, the run
        may be there all the same, and the next look, too early to see it, leads to a second one.
        """
        if not runs:
            return None
        first, *doubles = sorted(runs, key=_fullest_first)
        for double in (run.info.run_id for run in doubles):
            try:
                self._client.delete_run(double)
            except MlflowException as error:  # not everyone may delete; the first is mirrored all the same
                why = masked(str(error))
                _log.warning("run %s is a double of %s and stays: %s", double, first.info.run_id, why)
            else:
                _log.info("run %s was a double of %s and is deleted", double, first.info.run_id)
        return _known(first)

    def create(self, content: RunContent) -> MirroredRun:
        """A new run with all its tags at once, so that it can be found from its first moment on."""
        tags = {**content.birth, **content.tags}
        run = self._client.create_run(
            self.experiment_id, start_time=content.started, tags=tags, run_name=content.name
        )
        return MirroredRun(
            run_id=run.info.run_id,
            status=RunStatus.RUNNING,
            ended=None,
            creator=content.birth["sweep_id"],
            tags=tags,
            points=set(),
        )

    def push(self, known: MirroredRun, content: RunContent) -> None:
        """Add to a run what it lacks. A finished run stays finished; params are never rewritten."""
        params = {name: text for name, text in content.params.items() if name not in known.params}
        tags = {name: text for name, text in content.tags.items() if known.tags.get(name) != text}
        points = self._missing_points(known, content.points)
        for start in range(0, max(len(points), 1), METRICS_PER_CALL):
            self._log(known, points[start : start + METRICS_PER_CALL], params, tags)
            params, tags = {}, {}
        self._log_inputs(known, content.inputs)
        self._set_status(known, content)

    def upload(
        self,
        known: MirroredRun,
        files: Mapping[str, Path],
        *,
        tag: str,
        digest: str,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        """Store files (name in the store -> file) unless the tag says that these are there.

        beside: tags that lead to the files, set with that one.

        Raises:
            ArtifactError: the artifact store failed; each kind raises errors of its own libraries.
        """
        if known.tags.get(tag) == digest:
            return
        for name, file in files.items():
            folder = name.rpartition("/")[0]
            try:
                self._client.log_artifact(known.run_id, str(file), folder or None)
            except Exception as error:
                raise ArtifactError(f"artifact {name}: {masked(str(error))}") from error
        self._log(known, [], {}, {**(beside or {}), tag: digest})

    def sweeps(self) -> list[SweepLine]:
        """Every sweep of the experiment, as its run tells of it."""
        return [
            SweepLine(
                sweep_id=run.data.tags["sweep_id"],
                run_id=run.info.run_id,
                started=run.info.start_time,
                headline=run.data.tags.get("verdict", "none yet"),
                arms_file=ARMS_FILE if "arms" in run.data.tags else NONE,
                tuned_file=run.data.tags.get("tuned_file", NONE),
            )
            for run in self._search("tags.kind = 'sweep'")
        ]

    def note_experiment(self, state: SweepState, time: int) -> None:
        """Put a note above the experiment's table; a later sweep's own stays, and lists this one."""
        listing = listing_of(self.sweeps(), self.experiment_id)
        there = {name: self._experiment.tags.get(name) for name in (NOTE_TIME, NOTE)}
        wanted = {NOTE_TIME: str(time), NOTE: experiment_note(state, listing)}
        if int(there[NOTE_TIME] or 0) > time:
            wanted = {NOTE: relisted(there[NOTE] or "", listing)}
        for name, value in wanted.items():
            if there[name] != value:
                self._tag_experiment(name, value)

    def save_view(self, view_id: str, envelope: str) -> None:
        """Offer a saved view of the runs table, where this MLflow is known to read it; else do nothing.

        One that an earlier version saved is replaced, one that a person saved over it stays.
        """
        key = VIEW + view_id
        there = self._experiment.tags.get(key)
        views = [name for name in self._experiment.tags if name.startswith(VIEW)]
        if not mlflow.__version__.startswith(VIEWS_SEEN_WORKING) or there == envelope:
            return
        if len(views) >= VIEWS_LIMIT if there is None else not is_ours(there, envelope):
            return
        try:
            self._tag_experiment(key, envelope)
        except MlflowException as error:
            _log.info("saved view %s was not taken: %s", view_id, masked(str(error)))

    def _tag_experiment(self, key: str, value: str) -> None:
        self._client.set_experiment_tag(self.experiment_id, key, value)
        self._experiment.tags[key] = value

    def _missing_points(self, known: MirroredRun, points: Sequence[MetricPoint]) -> list[MetricPoint]:
        if known.points is None and points:
            there = {point.key for point in points} & known.metrics
            known.points = {
                (name, metric.step, metric.value)
                for name in sorted(there)
                for metric in self._client.get_metric_history(known.run_id, name)
            }
        return [point for point in points if point.identity not in (known.points or set())]

    def _log(
        self,
        known: MirroredRun,
        points: Sequence[MetricPoint],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        if not (points or params or tags):
            return
        self._client.log_batch(
            known.run_id,
            metrics=[Metric(point.key, point.value, point.timestamp, point.step) for point in points],
            params=[Param(name, text) for name, text in params.items()],
            tags=[RunTag(name, text) for name, text in tags.items()],
        )
        known.params.update(params)
        known.tags.update(tags)
        if points:
            known.points = (known.points or set()) | {point.identity for point in points}

    def _log_inputs(self, known: MirroredRun, inputs: Iterable[DataInput]) -> None:
        new = [item for item in inputs if (item.name, item.digest) not in known.inputs]
        if not new:
            return
        self._client.log_inputs(known.run_id, datasets=[_dataset(item) for item in new])
        known.inputs.update((item.name, item.digest) for item in new)

    def _set_status(self, known: MirroredRun, content: RunContent) -> None:
        if (known.status, known.ended) == (content.status, content.ended) or not _may_change(known, content):
            return
        if content.status != RunStatus.RUNNING:
            self._client.set_terminated(known.run_id, content.status, content.ended)
        elif known.status != RunStatus.RUNNING:
            self._client.update_run(known.run_id, status=RunStatus.RUNNING)
        known.status, known.ended = content.status, content.ended


def _may_change(known: MirroredRun, content: RunContent) -> bool:
    """A finished trial stays so for ever; a guest that died says nothing on a run that already ended."""
    if known.status == RunStatus.FINISHED and not content.reopens:
        return False
    return not (content.guest and content.status == RunStatus.KILLED and known.status != RunStatus.RUNNING)


def all_runs(client: MlflowClient, experiment_id: str, **search: Any) -> list[Run]:
    """The runs of every page of `MlflowClient.search_runs`."""
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], page_token=token, **search)
        found += page
        token = page.token
        if not token:
            return found


def prepare_environment() -> None:
    """Make MLflow fail soon (its own retries last minutes) and keep it quiet; the user's own values win."""
    os.environ.pop("MLFLOW_RUN_ID", None)  # of MLflow's own launchers, it would attach us to a foreign run
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # the mirror looks first, then tries again
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines per run otherwise
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def folder_files(folder: Path, prefix: str) -> tuple[dict[str, Path], str]:
    """The files below a folder, by their names in the store, and a digest of names and contents."""
    found = filter(Path.is_file, sorted(folder.rglob("*")))
    files = {f"{prefix}/{file.relative_to(folder)}": file for file in found}
    digest = hashlib.sha256()
    for name, file in files.items():
        with file.open("rb") as content:
            digest.update(f"{name} {hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return files, digest.hexdigest()[:16]


def _fullest_first(run: Run) -> tuple[bool, int, str]:
    data = run.data
    return run.info.status != RunStatus.FINISHED, -len(data.metrics) - len(data.params), run.info.run_id


def _known(run: Run) -> MirroredRun:
    datasets = run.inputs.dataset_inputs if run.inputs is not None else []
    return MirroredRun(
        run_id=run.info.run_id,
        status=run.info.status,
        ended=run.info.end_time,
        creator=run.data.tags.get("sweep_id", ""),
        tags=dict(run.data.tags),
        params=set(run.data.params),
        inputs={(item.dataset.name, item.dataset.digest) for item in datasets},
        metrics=set(run.data.metrics),
    )


def _dataset(item: DataInput) -> DatasetInput:
    dataset = Dataset(
        name=item.name,
        digest=item.digest,
        source_type="local",
        source=json.dumps({"uri": item.source}),
        profile=json.dumps({"num_rows": item.rows}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", item.context)])
