"""Tables for people: a plan, its verdicts, and where a sweep stands. Readable at 80 columns and in a file.

Whatever comes from a user is put into `Text`, never parsed as rich markup, and cleaned of control
characters. Commands and paths are never wrapped, so that they can be copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bios_sweep.report.summary import worst_first
from bios_sweep.report.wording import (
    NONE,
    changes,
    clean,
    count,
    counts_line,
    duration,
    failure_lines,
    gain,
    interval,
    no_verdict,
    number,
    other_reasons,
    plural,
)

WIDE = 100  # columns from which an effect and its bounds fit on one line
HEAD = "bold"
QUIET = "dim"
VERDICT_STYLES = {
    "confirm": "green",
    "refine": "bold cyan",
    "refine (unconfirmed)": "cyan",
    "inconclusive": "yellow",
    "screening only": "yellow",
}


def print_plan(plan: Mapping[str, Any], console: Console) -> None:
    """What would run, where the baseline came from and what it costs. plan: from `summarise_plan`."""
    _head(console, plan)
    _heading(console, "Baseline")
    console.print(_baseline_table(plan))
    rest = {name: value for name, value in plan["baseline"].items() if name not in plan["origins"]}
    if rest:
        _line(console, f"also: {changes(rest)}", QUIET)
    _heading(console, "Arms")
    console.print(_arms_table(plan["arms"]))
    _line(console, f"seeds {', '.join(map(str, plan['seeds']))}, the same for every arm", QUIET)
    console.print()
    for text in (_totals(plan), _estimate(plan), _confirmation(plan)):
        _line(console, text)
    _bullets(console, "Notes", _plan_notes(plan))
    _bullets(console, "To bear in mind", plan["caveats"])


def print_verdicts(summary: Mapping[str, Any], console: Console, trials_dir: Path | None = None) -> None:
    """The verdicts with their evidence. summary: from `summarise`; trials_dir: where logs of failures lie."""
    _head(console, summary)
    verdicts = summary["verdicts"]
    if not verdicts:
        _line(console, no_verdict(summary), "yellow")
    else:
        console.print()
        console.print(_verdict_table(verdicts, console.width >= WIDE))
        _line(console, _legend(verdicts), QUIET)
    for verdict in verdicts:
        _told(console, verdict)
    for scope in dict.fromkeys(verdict["scope"] for verdict in verdicts):
        console.print()
        _line(console, f"Scope: {clean(scope)}")
    _line(console, counts_line(summary["counts"]))
    _failures(console, summary["failures"], trials_dir)
    _bullets(console, "To bear in mind", [*summary["caveats"], *summary["notes"]])
    _copyable(console, "Again: ", summary["command"])


def print_status(status: Mapping[str, Any], console: Console) -> None:
    """Where a sweep stands.

    status: `sweep_id`, `stage`, `driver` (`pid`, `host`, `started`, or None when nobody drives it),
    `planned`, `completed`, `diverged`, `failed`, `running`.
    """
    planned, running = status["planned"], status["running"]
    ended = {name: status[name] for name in ("completed", "diverged", "failed")}
    waiting = planned - sum(ended.values()) - running
    _line(console, clean(status["sweep_id"]), HEAD)
    _line(console, f"stage: {clean(status['stage'])}")
    parts = [f"{amount} {name}" for name, amount in ended.items()]
    parts += [f"{amount} {name}" for name, amount in (("running", running), ("waiting", waiting)) if amount]
    _line(console, f"{plural(planned, 'trial')} planned = {' + '.join(parts)}")
    driver = status["driver"]
    if driver is None:
        _line(console, "no driver is running")
    else:
        where = f"driver: process {driver['pid']} on {clean(driver['host'])}"
        _line(console, f"{where}, since {clean(driver['started'])}")


def _head(console: Console, facts: Mapping[str, Any]) -> None:
    if facts["question"]:
        _line(console, facts["question"], HEAD)
    _line(console, f"{clean(facts['scenario'])}  ({clean(facts['sweep_id'])})", QUIET)


def _baseline_table(plan: Mapping[str, Any]) -> Table:
    table = _table("setting", "value", "where it came from", "confidence", flexible=("where it came from",))
    for name, origin in plan["origins"].items():
        value = plan["baseline"][name]
        origin_text = Text(clean(origin.get("rule", "")))
        if origin.get("source") and origin.get("confidence") != "given":
            origin_text.append(f"\n{clean(origin['source'])}", style=QUIET)
        table.add_row(
            Text(name), _against(value, origin.get("recommended")), origin_text, _confidence(origin)
        )
    return table


def _against(value: Any, recommended: Any) -> Text:
    """A value, and the default it stands below where it does."""
    below = _is_number(value) and _is_number(recommended) and value < recommended
    text = Text(number(value))
    return text.append(f" (default {number(recommended)})", style="yellow") if below else text


def _confidence(origin: Mapping[str, Any]) -> Text:
    word = clean(origin.get("confidence", ""))
    return Text(word, style="yellow" if word == "extrapolated" else "")


def _arms_table(arms: Iterable[Mapping[str, Any]]) -> Table:
    numbers = ("steps", "examples", "tokens", "trials", "reused")
    table = _table("arm", "what differs", *numbers, flexible=("arm", "what differs"), right=numbers)
    table.padding = 0  # one space between columns: at 80 columns an arm of usual length fits on its line
    for arm in arms:
        table.add_row(
            Text(clean(arm["arm"])),
            Text(changes(arm["changes"]) or "nothing"),
            count(arm["steps"]),
            count(arm["examples"]),
            count(arm["tokens"]),
            count(arm["trials"]),
            count(arm["reused"]),
        )
    return table


def _totals(plan: Mapping[str, Any]) -> str:
    reused = f", {plan['reused']} reused" if plan["reused"] else ""
    tokens = NONE if plan["tokens"] is None else count(plan["tokens"])
    return (
        f"{plural(plan['trials'], 'trial')}: {plan['to_run']} to run{reused}; "
        f"{count(plan['examples'])} training examples, {tokens} tokens"
    )


def _estimate(plan: Mapping[str, Any]) -> str:
    if not plan["to_run"]:
        return "time: none, every trial is finished already"
    if plan["estimate_seconds"] is None:
        return "time: no earlier trial of this model to estimate from"
    workers, trials = plural(plan["workers"], "worker"), plural(plan["estimate_from_trials"], "earlier trial")
    return f"time: about {duration(plan['estimate_seconds'])} on {workers}, from {trials} of this model"


def _confirmation(plan: Mapping[str, Any]) -> str:
    trials = plan["confirmation"]["trials_per_candidate"]
    if not trials:
        return "confirmation: none; a better level would stay unconfirmed"
    return f"confirmation: a candidate adds {plural(trials, 'trial')}, and the default {trials}"


def _plan_notes(plan: Mapping[str, Any]) -> list[str]:
    """The plan's notes, then the arms' own; one that several arms share is said once."""
    notes = dict.fromkeys(map(clean, plan["notes"]))
    own: dict[str, list[str]] = {}
    for arm in plan["arms"]:
        for note in map(clean, arm["notes"]):
            if note not in notes:
                own.setdefault(note, []).append(clean(arm["arm"]))
    return [*notes, *(f"{', '.join(arms)}: {note}" for note, arms in own.items())]


def _verdict_table(verdicts: Iterable[Mapping[str, Any]], wide: bool) -> Table:
    header = ("factor", "default", "verdict", "best level", "gain, %", "margin, %", "seeds")
    right = ("default", "best level", "gain, %", "margin, %", "seeds")
    table = _table(*header, flexible=("factor", "verdict", "best level", "margin, %"), right=right)
    for verdict in verdicts:
        word = clean(verdict["verdict"])
        effect = [gain(verdict["effect_percent"]), interval(verdict["lower"], verdict["upper"])]
        table.add_row(
            Text(clean(verdict["factor"])),
            Text(number(verdict["default"])),
            Text(word, style=VERDICT_STYLES.get(word, "")),
            Text(number(verdict["best_level"])),
            Text((" " if wide else "\n").join(filter(None, effect))),
            Text(number(verdict["margin"])),
            Text(str(len(verdict["seeds"]))),
        )
    return table


def _legend(verdicts: Iterable[Mapping[str, Any]]) -> str:
    bounded = [v for v in verdicts if v["lower"] is not None or v["upper"] is not None]
    levels = " or ".join(
        f"{level:g} %" for level in sorted({round(100 * v["confidence"], 1) for v in bounded})
    )
    told = "gain over the default, positive = better"
    return f"{told}; one-sided {levels} bounds" if levels else told


def _told(console: Console, verdict: Mapping[str, Any]) -> None:
    word = clean(verdict["verdict"])
    console.print()
    title = Text(f"{clean(verdict['factor'])}: ", style=HEAD)
    console.print(title.append(word, style=VERDICT_STYLES.get(word, "")))
    for text in (verdict["sentence"], *other_reasons(verdict)):
        _indented(console, clean(text))


def _failures(console: Console, failures: Sequence[Mapping[str, Any]], trials_dir: Path | None) -> None:
    _bullets(console, "Failed or diverged", failure_lines(worst_first(failures)))
    for failure in failures:
        if trials_dir is not None and failure["status"] == "failed":
            _copyable(
                console,
                f"  log of {clean(failure['arm'])}, seed {failure['seed']}: ",
                str(trials_dir / failure["key"] / "error.log"),
            )


def _table(*header: str, flexible: Sequence[str], right: Sequence[str] = ()) -> Table:
    """A table with one line under its header. Only `flexible` columns wrap; the others stay whole."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style=HEAD)
    for name in header:
        table.add_column(
            name, justify="right" if name in right else "left", no_wrap=name not in flexible, overflow="fold"
        )
    return table


def _line(console: Console, text: Any, style: str = "") -> None:
    console.print(Text(clean(text), style=style))


def _heading(console: Console, text: str) -> None:
    console.print()
    _line(console, text, HEAD)


def _indented(console: Console, text: str) -> None:
    console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))


def _bullets(console: Console, heading: str, lines: Sequence[str]) -> None:
    if lines:
        _heading(console, heading)
    for line in lines:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row("-", Text(clean(line)))
        console.print(grid)


def _copyable(console: Console, label: str, text: str) -> None:
    """A command or path on one line however narrow the console is."""
    if not label.startswith(" "):
        console.print()
    console.print(Text(label + clean(text)), soft_wrap=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
