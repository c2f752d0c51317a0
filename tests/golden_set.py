"""What the program prints and writes, frozen: a digest per output, so that no change passes unseen.

A case is a few command lines in an empty folder, run in this process through `main`. Everything they print
and write is masked (clock, durations, place, versions, digits that hang on the processor) and digested into
`golden/digests.json`, a line per output. After a change on purpose, read the texts before you freeze them:

    python -m tests.golden_set texts FOLDER [CASE...]    the masked texts, to compare two commits
    python -m tests.golden_set freeze [CASE...]          take what is printed now as what shall be printed

CASE is the name of a case, or of a group of them (`audit`); none: all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from matplotlib.figure import Figure

from bios_sweep.cli.main import main as bios_sweep
from bios_sweep.version import __version__
from tests.golden_cases import CASES, Case, Line
from tests.json_schemas import described, wrong

DIGESTS = Path(__file__).parent / "golden" / "digests.json"
ROOT = str(Path(__file__).parents[1])
DIGITS = 16  # of a digest, hexadecimal: 3 000 outputs collide with probability 2e-13
PINNED = {"COLUMNS": "140", "TERM": "dumb", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
UNSET = ("BIOS_DEFAULTS", "MLFLOW_TRACKING_URI", "FORCE_COLOR", "COLORTERM", "RAY_ADDRESS")
VERSIONS = {"torch": "1", "transformers": "1", "peft": "1", "optuna": "1"}  # part of a trial's identity

NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[+-]?\d+)?(?![\w.]*\.\d)", re.ASCII)
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d| UTC)?"), "[time]"),
    (re.compile(rf"(?<![\d.]){re.escape(__version__)}(?![\d.])"), "[version]"),
    (re.compile(r"bios_sweep\.[\w.]+:(?=\w+Engine)"), "[module]:"),  # where an engine lives is our own affair
    (re.compile(r'("(?:seal|evidence_hash)": ?")[^"]*'), r"\1[digest]"),  # over what is masked
    (re.compile(r',"chain":"[0-9a-f]{16}"'), ""),  # likewise
    (re.compile(r'(, "logs": )\{[^{}]*(\{[^{}]*\}[^{}]*)*\}'), r"\1[digests]"),  # they tell the time
    (re.compile(r'("kind": ?"reported", ?"files": ?)\{[^}]*\}'), r"\1[digests]"),
    (re.compile(r'("eval\.npz": ?"sha256:)[^"]*'), r"\1[digest]"),  # its last bits hang on the processor
    (re.compile(r"(ended in )[\d.]+ \w+( \d+ \w+)?"), r"\1[duration]"),
    (re.compile(r"^(\[ *\d+/\d+\] .*) \([^()]*\)(, about .* left)?$", re.MULTILINE), r"\1 ([duration])"),
    (re.compile(r"^rehearsing: .*\n", re.MULTILINE), ""),  # said when it takes long
    (re.compile(r'(?<=\[host\]:)\d+|(?<="pid": )\d+'), "[pid]"),
)
REAL_TIMES = (  # of trials that are processes of their own, in JSON and in a table
    (re.compile(r'("(?:wall|estimate|most)_seconds": ?)[\d.e-]+'), r"\1[seconds]"),
    (re.compile(r"(,completed,[a-z]+,)[\d.]+,"), r"\1[seconds],"),
    (re.compile(r'("(?:trial_|most_)?hours": ?)[\d.e-]+'), r"\1[hours]"),
    (re.compile(r"(about |cost +)[\d.]+ \w+( \d+ \w+)?(?= of training)"), r"\1[duration]"),
)
SUFFIXES = (".json", ".jsonl", ".md", ".html", ".csv", ".png", ".yaml", ".sbatch", ".sh")


class GoldenError(AssertionError):
    """A case did not run as it says it does."""


def outputs(case: Case) -> dict[str, str]:
    """Name -> masked text of all that the case prints and writes.

    Raises:
        GoldenError: a command ended with another exit code than the case says, or JSON is not as its schema.
    """
    with in_folder() as folder, pinned():
        for name, content in case.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
        found = {
            f"{number:02} {line.words[0]}": _run(case, line, folder)
            for number, line in enumerate(case.lines, start=1)
        }
        found |= _files(case, folder)
        _require_described(case, found)
        return {name: masked(text, folder, case) for name, text in found.items()}


def _require_described(case: Case, found: Mapping[str, str]) -> None:
    for output, text in found.items():
        for name, value in described(output, text):
            if told := wrong(name, value):
                raise GoldenError(f"{case.name}: {output}: {told}")


def masked(text: str, folder: Path, case: Case) -> str:
    """The text without what differs from run to run and from machine to machine."""
    for place, name in ((str(folder), "[folder]"), (ROOT, "[project]")):
        text = text.replace(place, name)
    for pattern, replacement in (*MASKS, *(REAL_TIMES if case.real_times else ())):
        text = pattern.sub(replacement, text)
    return NUMBER.sub(_rounded, text)


def _rounded(match: re.Match[str]) -> str:
    """Ten and more digits are a computed number, whose last ones hang on the processor's instructions."""
    digits = match[0].partition("e")[0].lstrip("-0.").replace(".", "")
    if len(digits) < 10:
        return match[0]
    value = float(match[0])
    return f"{value:.8g}" if abs(value) > 1e-9 else "0.0"


@contextlib.contextmanager
def in_folder() -> Iterator[Path]:
    """An empty current folder. Its path always has the same length, for tables are as wide as their paths."""
    folder = Path("/tmp") / f"golden{random.SystemRandom().randrange(16**8):08x}"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Environment, host and versions as every machine has them; figures as texts; no waiting for the disk."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment |= {**PINNED, "PATH": path, "XDG_CACHE_HOME": str(Path.cwd() / "cache")}
    version = importlib.metadata.version
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch("socket.gethostname", return_value="[host]"),
        mock.patch("importlib.metadata.version", lambda name: VERSIONS.get(name) or version(name)),
        mock.patch("os.fsync"),
        mock.patch.object(Figure, "savefig", _as_text),
        mock.patch.object(Figure, "draw_without_rendering"),
    ):
        yield


def _run(case: Case, line: Line, folder: Path) -> str:
    """The command as it was typed, its exit code, what it printed."""
    out, err = io.StringIO(), io.StringIO()
    words = [found for word in line.words for found in _expanded(word, folder)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = bios_sweep(words)
        except SystemExit as end:  # argparse's way to end
            code = int(end.code or 0)
    typed = f"bios-sweep {shlex.join(line.words)}"
    if code != line.code:
        raise GoldenError(f"{case.name}: {typed}: exit code {code}, not {line.code}\n{err.getvalue()}")
    return f"$ {typed}\nexit code {code}\n{out.getvalue()}--- on standard error\n{err.getvalue()}"


def _expanded(word: str, folder: Path) -> list[str]:
    """A word that is a pattern of files stands for the files, as in a shell."""
    found = sorted(str(path.relative_to(folder)) for path in folder.glob(word)) if "*/" in word else []
    return found or [word]


def _files(case: Case, folder: Path) -> dict[str, str]:
    """What was written, trials as one list: their results are in the journals."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in paths]
    trials = [name for name in names if "/trials/" in f"/{name}"]
    left_out = {*case.files, *trials, *(name for name in names if name.startswith("cache/"))}
    texts = {
        name: path.read_text(encoding="utf-8")
        for name, path in zip(names, paths, strict=True)
        if name not in left_out and path.suffix in SUFFIXES
    }
    return {**texts, **({"trials": "\n".join(trials) + "\n"} if trials else {})}


def _as_text(figure: Figure, target: Any, *_: Any, **__: Any) -> None:
    """In place of `Figure.savefig`: what was drawn, in numbers and words, whatever the font."""
    text = "\n".join(line for axes in figure.axes for line in _axes_text(axes))
    if isinstance(target, io.TextIOBase):
        safe = text.replace("&", "&amp;").replace("<", "&lt;")
        target.write(f'<svg viewBox="0 0 600 400">\n<desc>\n{safe}\n</desc>\n</svg>\n')
    else:
        Path(target).write_text(text + "\n", encoding="utf-8")


def _axes_text(axes: Any) -> Iterator[str]:
    yield f"axes {axes.get_title()!r} {axes.get_xlabel()!r} {axes.get_ylabel()!r} {axes.get_xscale()}"
    legend = axes.get_legend()
    yield f"legend {[text.get_text() for text in legend.get_texts()] if legend else []}"
    for line in axes.lines:
        label = "" if line.get_label().startswith("_") else line.get_label()
        yield f"line {label!r} {line.get_color()} {line.get_linestyle()} {_places(line.get_xydata())}"
    for areas in axes.collections:
        outlines = [_places(path.vertices) for path in areas.get_paths()]
        yield f"area {outlines} at {_places(areas.get_offsets())}"
    for patch in axes.patches:
        yield f"patch {_places(patch.get_patch_transform().transform(patch.get_path().vertices))}"
    yield from (f"text {text.get_text()!r}" for text in axes.texts)


def _places(points: Any) -> list[list[float]]:
    return [[float(f"{float(value):.5g}") for value in row] for row in points]


def digest(text: str) -> str:
    """The first digits of sha256."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def frozen() -> dict[str, str]:
    """`case: output` -> digest, as they shall be."""
    return dict(json.loads(DIGESTS.read_text(encoding="utf-8"))) if DIGESTS.exists() else {}


def digests(case: Case) -> dict[str, str]:
    """The same of a case, as it is."""
    return {f"{case.name}: {name}": digest(text) for name, text in outputs(case).items()}


def of_case(case: Case, found: Mapping[str, str]) -> dict[str, str]:
    """The entries of one case."""
    return {name: value for name, value in found.items() if name.partition(": ")[0] == case.name}


def named(words: Sequence[str]) -> list[Case]:
    """The cases with these names and of these groups; all where none is given.

    Raises:
        SystemExit: there is no such case.
    """
    found = {word: [case for case in CASES if f"{case.name}/".startswith(f"{word}/")] for word in words}
    for word, cases in found.items():
        if not cases:
            raise SystemExit(f"there is no case {word!r}; see tests/golden_cases.py")
    chosen = {case.name for cases in found.values() for case in cases}
    return [case for case in CASES if not words or case.name in chosen]


def freeze(cases: Sequence[Case]) -> None:
    """Digest these cases anew; entries of cases that are no more are dropped."""
    names = {case.name for case in CASES} - {case.name for case in cases if case.here}
    kept = {name: value for name, value in frozen().items() if name.partition(": ")[0] in names}
    for case in cases:
        kept |= digests(case) if case.here else {}
    DIGESTS.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def write_texts(cases: Sequence[Case], folder: Path) -> None:
    """A file per output: FOLDER/CASE/OUTPUT."""
    for case in cases:
        for name, text in outputs(case).items():
            target = folder / case.name / name.replace("/", "__")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")


def main(words: Sequence[str]) -> int:
    """`texts FOLDER [CASE...]` or `freeze [CASE...]`."""
    started = time.process_time()
    match list(words):
        case ["texts", folder, *names]:
            cases = named(names)
            write_texts(cases, Path(folder).absolute())
        case ["freeze", *names]:
            cases = named(names)
            freeze(cases)
        case _:
            print(__doc__)
            return 2
    print(f"{len(cases)} cases, {time.process_time() - started:.0f} s of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
