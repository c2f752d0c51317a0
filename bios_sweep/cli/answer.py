"""From parsed flags to what the driver is asked, and from its answer to standard output."""

from __future__ import annotations

import json
import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bios_sweep.jsonable import to_json

if TYPE_CHECKING:
    from bios_sweep.driver.invocation import Invocation
    from bios_sweep.report.content.recorded import Recorded
    from bios_sweep.report.content.summary import Summary


def invocation_of(args: Namespace) -> Invocation:
    """The overrides and the folder of groups that were typed, for the verb that was."""
    from bios_sweep.driver.invocation import Invocation  # loads Hydra, which a table of runs needs not

    return Invocation(overrides=tuple(args.overrides), config_dir=args.config_dir, verb=args.verb)


def name_among(args: Namespace) -> str:
    """The name of a trial or an arm among a verb's words; the overrides beside it are `args.overrides` then.

    An arm's name has an equals sign too: `learning_rate=0.0001`.
    """
    from bios_sweep.config.groups import group_names  # reads folders, which most answers need not

    keys = ("workspace", "seeds", "sweeps", *group_names())
    args.overrides = [
        word for word in args.words if "=" in word and re.split(r"[.=]", word.lstrip("+~"))[0] in keys
    ]
    return " ".join(word for word in args.words if word not in args.overrides)


def print_answer(args: Namespace, answer: Any, show: Callable[[Any, Console], None]) -> None:
    """An answer as JSON, or as `show` prints it for people."""
    if args.json:
        print(json.dumps(to_json(answer), indent=1))
    else:
        show(answer, Console())


def print_result(args: Namespace, summary: Summary, console: Console, places: Recorded) -> None:
    """A sweep for people: its first screen, or with `--full` all that its report says; and where it is."""
    from bios_sweep.report.content.first import first_screen
    from bios_sweep.report.text.first import print_first, print_places
    from bios_sweep.report.text.terminal import print_verdicts

    if args.full:
        print_verdicts(summary, console, places.trials)
        print_places(console, places)
    else:
        print_first(first_screen(summary), console, places)


def add_step_summary(summary: Summary, places: Recorded) -> None:
    """Beside the job of a pipeline that shows Markdown (GitHub's GITHUB_STEP_SUMMARY names the file)."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        return
    from bios_sweep.report.content.first import first_screen
    from bios_sweep.report.text.first_markdown import first_markdown

    try:
        with Path(file).open("a", encoding="utf-8") as page:
            page.write(first_markdown(first_screen(summary), places))
    except OSError as error:
        print(f"bios-sweep: {file}: cannot be written ({error.strerror})", file=sys.stderr)


def print_markdown(summary: Summary, places: Recorded) -> None:
    """The same on standard output."""
    from bios_sweep.report.content.first import first_screen
    from bios_sweep.report.text.first_markdown import first_markdown

    print(first_markdown(first_screen(summary), places), end="")
