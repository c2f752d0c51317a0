"""A first sweep file: drafted, looked at as `plan` looks, and written only once all of it holds."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bios_sweep.atomic import write_atomically
from bios_sweep.checks import one_of
from bios_sweep.config.draft import EMBEDDED, LEVELS, Draft, draft_text
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.planned import planned_here
from bios_sweep.driver.prepare import prepare
from bios_sweep.errors import InputError
from bios_sweep.execution.gpus import find_gpus
from bios_sweep.paths import expanded
from bios_sweep.report.content.beginning import Beginning
from bios_sweep.report.content.wording import pasted

HERE, ALL = "here", "all"
HARDWARE = {
    HERE: "",
    "cpu": "ray",
    "gpu": "local_gpu",
    "inline": "inline",
}  # a word -> the group of `cluster`
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
PATTERN = frozenset("*?[")
FIRST = "learning_rate"
FLAGS = {  # what an override may not say again
    "sweeps": "--doubt",
    **dict.fromkeys(("model", "model.path"), "--model"),
    **dict.fromkeys(("data", "data.path", "data.name"), "--data"),
    **dict.fromkeys(("cluster", "cluster.address"), "--hardware"),
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person says of a first sweep.

    model, data: `embedded`, a path, or a name of the hub. hardware: a word of `HARDWARE`, or the address of a
    Ray cluster. doubts: settings whose default is in question. out: the file. overrides: further ones, which
    stand in the commands and not in the file.
    """

    model: str
    data: str
    doubts: tuple[str, ...]
    hardware: str
    out: Path
    download: bool = False
    force: bool = False
    overrides: tuple[str, ...] = ()
    config_dir: Path | None = None


def begin(wish: Wish) -> Beginning:
    """Look at model and data, plan the sweep, and write its file.

    Raises:
        InputError: whatever `plan` refuses, or a file that is there already; nothing is written then.
    """
    require_new(wish.out, force=wish.force)
    _require_unsaid(wish.overrides)
    asked = Invocation(
        overrides=(f"sweeps={typed(wish.out)}", *wish.overrides), config_dir=wish.config_dir, verb="run"
    )
    text = draft_text(_draft(wish, asked.command))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / wish.out.name
        file.write_text(text, encoding="utf-8")
        drafted = replace(asked, overrides=(f"sweeps={file}", *wish.overrides), verb="plan")
        try:
            prepared = replace(prepare(drafted), invocation=asked)
        except InputError as error:  # the draft lies elsewhere until it is written
            raise InputError(str(error).replace(str(file), str(wish.out))) from None
    plan = planned_here(prepared).summary
    summary = replace(plan, warnings=(*_unseen(wish.hardware), *plan.warnings))
    wish.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(wish.out, text)
    look = asked.command.replace("bios-sweep run", "bios-sweep plan", 1)
    return Beginning(file=str(wish.out), command=asked.command, look=look, plan=summary)


def _require_unsaid(overrides: Sequence[str]) -> None:
    """Refuse an override of what a flag says: the file would say one thing and its commands another.

    Raises:
        InputError: it chooses a sweep, a model, data or a cluster.
    """
    for word in overrides:
        key = word.partition("=")[0].lstrip("+~")
        if key in FLAGS:
            raise InputError(f"init: {word}: say it with {FLAGS[key]}; the file that is written holds it")


def typed(file: Path) -> str:
    """The file as `sweeps=` takes it: a path, never a name."""
    return str(file) if file.is_absolute() else f"./{file}"


def require_new(file: Path, *, force: bool = False) -> None:
    """Refuse to write over a file.

    Raises:
        InputError: it is there, or is no YAML file by its name.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise InputError(f"--out {file}: a sweep is a YAML file; give a name such as sweeps/mine.yaml")
    if file.exists() and not force:
        raise InputError(f"{file}: is there already; give another --out, or --force to write over it")


def model_source(given: str) -> tuple[str, str]:
    """The group that reads a model, and where it is.

    Raises:
        InputError: it is neither a folder nor a name of the hub.
    """
    if given == EMBEDDED:
        return EMBEDDED, ""
    path = expanded(given)
    if path.is_dir():
        return "local", str(path.absolute())
    if HUB_ID.fullmatch(given) and not path.exists():
        return "local", given
    raise InputError(
        f"--model {given}: is no folder; give one with config.json, *.safetensors and tokenizer.json, "
        "a name of the hub such as ORG/NAME, or embedded"
    )


def data_source(given: str) -> tuple[str, str]:
    """The group that reads data, and where they are.

    Raises:
        InputError: there is no such file, and it is no name of the hub.
    """
    if given == EMBEDDED:
        return EMBEDDED, ""
    path = expanded(given)
    if path.exists() or PATTERN & set(given):
        return "file", str(path.absolute())
    if HUB_ID.fullmatch(given) and not path.suffix:
        return "hub", given
    raise InputError(
        f"--data {given}: there is no such file; give a file, a folder, a pattern such as 'data/*.jsonl', "
        "a data set of the hub such as ORG/NAME, or embedded"
    )


def doubted(given: str) -> tuple[str, ...]:
    """Settings by their names, separated by commas or spaces; `all` of them.

    Raises:
        InputError: one that no draft has levels for.
    """
    words = tuple(dict.fromkeys(re.split(r"[,\s]+", given.strip())))
    for word in words:
        one_of("--doubt", word, (*LEVELS, ALL), InputError)
    return tuple(LEVELS) if ALL in words else words


def hardware_group(given: str) -> tuple[str, str]:
    """The group of `cluster`, and the address of one that runs already.

    Raises:
        InputError: neither a word nor an address.
    """
    if given == HERE:
        return ("local_gpu", "") if find_gpus() else ("ray", "")
    if given in HARDWARE:
        return HARDWARE[given], ""
    if given == "auto" or ":" in given:
        return "existing", given
    raise InputError(
        f"--hardware {given}: choose from {', '.join(HARDWARE)}, or give HEAD:PORT of a Ray cluster that runs"
    )


def _unseen(hardware: str) -> list[str]:
    """What of the hardware was taken at its word."""
    group, address = hardware_group(hardware)
    if address:
        return [
            f"--hardware {hardware}: was not asked; whether a Ray cluster answers there, the run will tell"
        ]
    if group == HARDWARE["gpu"] and not find_gpus():
        return ["--hardware gpu: no GPU is seen here; the run is for a machine that has one"]
    return []


def _draft(wish: Wish, command: str) -> Draft:
    model = model_source(wish.model)
    words = ["--model", wish.model, "--data", wish.data, "--doubt", ",".join(wish.doubts)]
    words += [] if wish.hardware == HERE else ["--hardware", wish.hardware]
    words += ["--download"] if wish.download else []
    return Draft(
        model=model,
        data=data_source(wish.data),
        doubts=wish.doubts,
        cluster=hardware_group(wish.hardware),
        download=wish.download,
        small=model[0] == EMBEDDED,
        made_by=pasted(f"bios-sweep init {shlex.join((*words, *wish.overrides))}"),
        runs=pasted(command),
    )
