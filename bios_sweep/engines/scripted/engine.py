"""`CommandEngine` and `CallableEngine`: a user's own script as a `ports.TrialEngine`.

Every trial is a process of its own: it may crash, hang or leave a mess without touching the next one, and
it dies with its worker. What it cannot do is stay warm or go on after a kill, unless it does so itself.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.engines.scripted.call import FROM_INPUT
from bios_sweep.engines.scripted.child import Child, Line, OutOfTimeError
from bios_sweep.engines.scripted.command import (
    FREE_PORT,
    SETTINGS_FILE,
    CommandTemplate,
    Template,
    values_of,
    variable,
    written,
)
from bios_sweep.engines.scripted.identity import changed_file
from bios_sweep.engines.scripted.launchers import free_port, launched_with
from bios_sweep.engines.scripted.lines import PATTERN_WORDS, Kind, LineReader
from bios_sweep.engines.scripted.outcome import CALLABLE, Ending, Output, result_of
from bios_sweep.engines.scripted.readings import Reading
from bios_sweep.engines.scripted.settings_file import FileTemplate
from bios_sweep.engines.scripted.sources import Listener, from_left
from bios_sweep.engines.scripted.watched import WatchedFile
from bios_sweep.errors import BiosSweepError, NoClockError
from bios_sweep.interpreter import python, with_package
from bios_sweep.ports import options_of
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

VERSION = "2"  # raised when what a script is told, or how its metrics are read, changes
STARTED = "started"  # its time tells what a script that resumes wrote this time
OUTPUT = "output"  # the script's own folder, inside the trial's


@dataclass(frozen=True, kw_only=True)
class ScriptOptions:
    """How a script is run and read.

    run: the command's text, or `module:function`. cwd: absolute, where it starts. metric: what it is judged
    on; watched: other metrics that a curve keeps. metrics_file: pattern of the file inside the script's
    folder that holds the metrics, None: its output, or what it left. pattern: of the lines with the metric,
    None: as trainers print it. digests: absolute path -> sha256 of the files that were planned with. resumes:
    it goes on from what it left in its folder, which is then kept. own: names of settings that only the
    script knows. template: the file with placeholders, of which each trial has a copy at settings_file. env:
    variables that the script is given, with placeholders. function: the function itself, packed, where it has
    no import path; only workers are given it.
    """

    run: str
    cwd: str
    metric: str
    watched: Sequence[str] = ()
    shell: bool = False
    metrics_file: str | None = None
    pattern: str | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    time_limit_seconds: float | None = None
    resumes: bool = False
    own: Sequence[str] = ()
    template: str | None = None
    settings_file: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    function: str = field(default="", repr=False)


class CommandEngine:
    """Runs a command per trial: `python train.py --lr {learning_rate} --seed {seed}`."""

    version = VERSION
    _source = "its output"  # where metrics are looked for, in words

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options_of(ScriptOptions, options)
        self.resumes = self._options.resumes
        self._command = CommandTemplate(
            text=self._options.run, shell=self._options.shell, own=self._options.own
        )

    def run(self, trial: TrialSpec, directory: Path) -> Iterator[Measurement | TrialResult]:
        """Run the script once; a measurement per line with the metric, as it comes, then the result.

        A metrics file is looked at while it grows, and read whole at the end, which decides.

        Leaves in `directory`: `stdout.txt`, `stderr.txt` and `output/`, the script's own. Closing the
        iterator ends the script and everything it started.

        Raises:
            BiosSweepError: the script cannot be started here, or its folder cannot be written.
        """
        options = self._options
        provenance = {"host": socket.gethostname(), "engine": "script"}
        changed = changed_file(options.digests)
        if changed is not None:  # two versions of a script must not meet in one comparison
            cause = (
                f"{changed} on {socket.gethostname()} is not the file that was planned with; run the same "
                "command again for a plan with the present one"
            )
            failed, code = Status.FAILED, Failure.CODE
            yield TrialResult(key=trial.key, status=failed, failure=code, cause=cause, provenance=provenance)
            return
        folder = directory.absolute()
        output = _output_folder(folder, keep=options.resumes)
        values = written(self._values(trial, output))
        told = Output(trial=trial, metric=options.metric, watched=options.watched)
        pattern = self._pattern(values)
        since_ns = 0
        if options.resumes:  # now, as the file system that the trial's files lie on stamps it
            (folder / STARTED).touch()
            since_ns = (folder / STARTED).stat().st_mtime_ns
        file = WatchedFile(pattern, inside=output, since_ns=since_ns) if pattern else None
        reader = self._reader()
        listener = Listener(told, reader)
        with self._started(self._words(trial, values), folder, self._environment(values)) as child:
            status: int | None = None
            try:
                for line in child.lines(options.time_limit_seconds):
                    yield from _points(line, listener, file, told, child.seconds)
                status = child.status(options.time_limit_seconds)
            except OutOfTimeError:
                pass
            seconds = child.seconds
        missing, read = "", "" if listener.kind is None else self._words_of(listener.kind)
        if status == 0 and file is not None:
            rest = file.rest()
            missing, read = rest.missing, rest.read
            if rest.anew:
                told.forget()
            yield from _taken(told, rest.readings, seconds)
        elif status == 0 and self._looks_behind and listener.kind is not Kind.JSON:
            found = from_left(output, told, since_ns=since_ns)
            missing, read = found.missing, found.read or read
            yield from _taken(told, found.readings, seconds)
        last = told.end()
        if last is not None:
            yield last
        ending = Ending(
            status=status,
            limit_seconds=options.time_limit_seconds,
            errors=child.errors.tail,
            output=child.output.tail,
            source=f"its file {pattern}" if pattern else self._source,
            missing=missing,
            read=read,
            pattern=options.pattern is not None,
            unread=reader.unread,
        )
        yield result_of(told, ending, wall_seconds=seconds, provenance=provenance)

    @property
    def hardware(self) -> str:
        """Where the script runs; what it trains on only the script knows."""
        return platform.processor() or platform.machine()

    def time_steps(self, settings: Sequence[TrainingSettings], repeats: int) -> list[list[float]]:
        """A script's steps cannot be timed alone.

        Raises:
            NoClockError: always; claims of cost are then said to be without a time.
        """
        raise NoClockError("the steps of a script of your own cannot be timed alone")

    @property
    def _looks_behind(self) -> bool:
        """Whether what a script left by itself is looked at: nothing else was named."""
        return self._options.pattern is None

    def _reader(self) -> LineReader:
        options = self._options
        return LineReader(options.metric, options.watched, options.pattern)

    def _words_of(self, kind: Kind) -> str:
        return kind.words if self._options.pattern is None else PATTERN_WORDS

    def _words(self, trial: TrialSpec, values: Mapping[str, str]) -> list[str]:
        return self._command.argv(values)

    def _pattern(self, values: Mapping[str, str]) -> str | None:
        """Where metrics will lie, absolute."""
        if self._options.metrics_file is None:
            return None
        escaped = {name: glob.escape(value) for name, value in values.items()}
        file = Template(key="method.metrics_file", text=self._options.metrics_file, own=self._options.own)
        return file.filled(escaped)

    def _values(self, trial: TrialSpec, output: Path) -> dict[str, Any]:
        """Every placeholder's value; the trial's copy of the settings' template is left where it says."""
        options, port = self._options, free_port()
        values = values_of(trial.settings, trial.seed, str(output), **{FREE_PORT: port})
        if options.template is None or options.settings_file is None:
            return values
        file = Template(key="method.settings_file", text=options.settings_file, own=options.own)
        path = Path(file.filled(written(values)))
        values = {SETTINGS_FILE: str(path), **values}
        text = (Path(options.cwd) / options.template).read_text(encoding="utf-8")
        template = FileTemplate(name=options.template, text=text, own=tuple(options.own))
        template.require_read(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(template.filled(values), encoding="utf-8")
        return values

    def _environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """This worker's, CUDA_VISIBLE_DEVICES and all; Python's output comes line by line."""
        options = self._options
        own = {name: variable(name, text, options.own).filled(values) for name, text in options.env.items()}
        launcher = launched_with(options.run, values[FREE_PORT])
        return {"PYTHONUNBUFFERED": "1", **os.environ, **launcher, **own}

    def _started(self, words: list[str], folder: Path, environ: Mapping[str, str]) -> Child:
        try:
            return Child(
                words,
                cwd=Path(self._options.cwd),
                folder=folder,
                environ=environ,
                told=self._options.function.encode(),
            )
        except OSError as error:
            raise BiosSweepError(
                f"the script cannot be started in {self._options.cwd} on {socket.gethostname()}: "
                f"{error.strerror}; every node needs the folder that the sweep was started in"
            ) from error


class CallableEngine(CommandEngine):
    """Calls `module:function(settings, seed, report)` per trial, in a fresh interpreter."""

    _source = CALLABLE
    _looks_behind = False

    def _reader(self) -> LineReader:
        return LineReader(self._options.metric, only_json=True)

    def _words_of(self, kind: Kind) -> str:
        return CALLABLE

    def _environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """With this package findable, which on a cluster may have come with the job."""
        return with_package(super()._environment(values))

    def _words(self, trial: TrialSpec, values: Mapping[str, str]) -> list[str]:
        job = {
            "settings": trial.settings.to_dict(),
            "seed": trial.seed,
            "metric": self._options.metric,
            "trial_dir": values["trial_dir"],
        }
        name = FROM_INPUT if self._options.function else self._options.run
        return python("-m", "bios_sweep.engines.scripted.call", name, json.dumps(job))


def _points(
    line: Line | None, listener: Listener, file: WatchedFile | None, told: Output, seconds: float
) -> Iterator[Measurement]:
    """What a line of output, or at a look (None) the metrics file, says of the metrics."""
    if file is not None:
        yield from _taken(told, file.news() if line is None else (), seconds)
    elif line is not None:
        yield from listener.take(line, seconds)


def _taken(told: Output, readings: Sequence[Reading], seconds: float) -> Iterator[Measurement]:
    for reading in readings:
        point = told.take(reading, seconds)
        if point is not None:
            yield point


def _output_folder(folder: Path, *, keep: bool) -> Path:
    """The script's own folder, empty unless the script goes on by itself from what it left there."""
    output = folder / OUTPUT
    try:
        if output.exists() and not keep:
            shutil.rmtree(output)
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BiosSweepError(f"{output}: cannot be written ({error.strerror})") from error
    return output
