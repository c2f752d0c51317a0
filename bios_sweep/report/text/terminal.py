"""Tables for people: a plan, its verdicts, and where a sweep stands. Readable at 80 columns and in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bios_sweep.checks import is_number
from bios_sweep.decision.statement import Verdict
from bios_sweep.report.content import lines
from bios_sweep.report.content.advice import advice, next_line
from bios_sweep.report.content.answers import SweepStatus
from bios_sweep.report.content.evaluation import evaluation_line
from bios_sweep.report.content.margins_section import margins_section
from bios_sweep.report.content.plan_cost import cheaper_lines, cost_lines
from bios_sweep.report.content.plan_summary import PlanArm, PlanSummary
from bios_sweep.report.content.sections import Section, sections
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import changes, clean, count, duration, number, plural
from bios_sweep.report.text.failed import print_failures
from bios_sweep.report.text.layout import HEAD, QUIET, bullets, copyable, heading, indented, line, plain_table
from bios_sweep.report.text.narrow import NARROW, print_arms, print_baseline
from bios_sweep.study.design import Origin
from bios_sweep.units import headed
from bios_sweep.vocabulary import Status, Word

BOUNDS_WIDE, BOUNDS_NARROW = 24, 16  # columns of what stands under an effect
WIDE = 100  # columns from which an effect and its bounds fit on one line
VERDICT_STYLES: dict[str, str] = {
    Word.CONFIRM: "green",
    Word.REFINE: "bold cyan",
    Word.UNCONFIRMED: "cyan",
    Word.INCONCLUSIVE: "yellow",
    Word.SCREENING_ONLY: "yellow",
}


def print_plan(plan: PlanSummary, console: Console) -> None:
    """What would run, where the baseline came from and what it costs."""
    _head(console, plan)
    heading(console, "Baseline")
    if console.width < NARROW:
        print_baseline(console, plan)
    else:
        console.print(_baseline_table(plan))
    rest = {name: value for name, value in plan.baseline.items() if name not in plan.origins}
    if rest:
        line(console, f"also: {changes(rest)}", QUIET)
    heading(console, "Arms")
    if console.width < NARROW:
        print_arms(console, plan)
    else:
        console.print(_arms_table(plan.arms))
    line(console, f"seeds {', '.join(map(str, plan.seeds))}, the same for every arm", QUIET)
    console.print()
    for text in (
        _totals(plan),
        *_estimate(plan),
        *_evaluation(plan),
        *_scoring(plan),
        _search(plan),
        _confirmation(plan),
    ):
        line(console, text)
    if plan.cost is not None and plan.to_run:
        bullets(console, "Longer than a night; cheaper", cheaper_lines(plan.cost))
    if plan.margins is not None and plan.to_run:
        print_section(margins_section(plan.margins, plan.metric), console)
    bullets(console, "Warnings", plan.warnings)
    bullets(console, "Damaged", plan.damaged)
    bullets(console, "Notes", _plan_notes(plan))
    bullets(console, "To bear in mind", plan.caveats)


def print_verdicts(summary: Summary, console: Console, trials_dir: Path | None = None) -> None:
    """The verdicts with their evidence. trials_dir: where logs of failures lie."""
    if first := lines.first_line(summary):
        line(console, first, "yellow")
    _head(console, summary)
    verdicts = summary.verdicts
    if not verdicts:
        line(console, lines.no_verdict(summary), "yellow")
    else:
        console.print()
        console.print(_verdict_table(verdicts, console.width >= WIDE))
        line(console, lines.bounds_line(verdicts), QUIET)
    for name, verdict in lines.titled(verdicts):
        _verdict(console, name, verdict)
    for section in sections(summary):
        print_section(section, console)
    for scope in lines.scopes_of(verdicts):
        console.print()
        line(console, f"Scope: {scope}")
    line(console, lines.counts_line(summary.counts))
    print_failures(console, summary.failures, trials_dir)
    bullets(console, "Damaged", summary.damaged or ())
    bullets(console, "To bear in mind", [*summary.caveats, *summary.notes])
    copyable(console, "Again: ", summary.command)


def print_status(status: SweepStatus, console: Console) -> None:
    """Where a sweep stands."""
    ended = {
        Status.COMPLETED: status.completed,
        Status.DIVERGED: status.diverged,
        Status.FAILED: status.failed,
    }
    waiting = status.planned - sum(ended.values()) - status.running
    line(console, clean(status.sweep_id), HEAD)
    line(console, f"judged on {clean(status.judged_on)}")
    line(console, f"stage: {clean(status.stage)}")
    later = {"running": status.running, "waiting": waiting}
    parts = [f"{amount} {name}" for name, amount in (ended | later).items() if amount or name in ended]
    line(console, f"{plural(status.planned, 'trial')} planned = {' + '.join(parts)}")
    if status.failures:
        kinds = ", ".join(f"{amount} {clean(kind)}" for kind, amount in status.failures.items())
        line(console, f"failed: {kinds}")
    if status.retried:
        line(console, f"{plural(status.retried, 'attempt')} lost and tried again")
    if status.stopped:
        line(console, f"stopped by hand: {clean(', '.join(status.stopped))}")
    if status.broken:
        line(console, status.broken)
    bullets(console, "Damaged", status.damaged)
    driver = status.driver
    if driver is None:
        line(console, "no driver is running")
    else:
        where = f"driver: process {driver.pid} on {clean(driver.host)}"
        line(console, f"{where}, since {clean(driver.started)}")
    if status.paused:
        line(console, f"paused since {clean(status.paused)}; `bios-sweep resume` goes on", "yellow")
    if status.lacking:
        line(console, clean(status.lacking), "yellow")


def _head(console: Console, facts: PlanSummary | Summary) -> None:
    if facts.question:
        line(console, facts.question, HEAD)
    line(console, f"{clean(facts.scenario)}  ({clean(facts.sweep_id)})", QUIET)
    line(console, f"judged on {clean(facts.judged_on)}")


def _baseline_table(plan: PlanSummary) -> Table:
    table = plain_table(
        "setting", "value", "where it came from", "confidence", flexible=("where it came from",)
    )
    for name, origin in plan.origins.items():
        value = plan.baseline[name]
        origin_text = Text(clean(origin.rule))
        if origin.source and origin.confidence != "given":
            origin_text.append(f"\n{clean(origin.source)}", style=QUIET)
        table.add_row(Text(name), _against(value, origin.recommended), origin_text, _confidence(origin))
    return table


def _against(value: Any, recommended: Any) -> Text:
    """A value, and the default it stands below where it does."""
    below = is_number(value) and is_number(recommended) and value < recommended
    text = Text(number(value))
    return text.append(f" (default {number(recommended)})", style="yellow") if below else text


def _confidence(origin: Origin) -> Text:
    word = clean(origin.confidence)
    return Text(word, style="yellow" if word == "extrapolated" else "")


def _arms_table(arms: Iterable[PlanArm]) -> Table:
    numbers = ("steps", "examples", "tokens", "trials", "reused")
    table = plain_table("arm", "what differs", *numbers, flexible=("arm", "what differs"), right=numbers)
    table.padding = 0  # one space between columns: at 80 columns an arm of usual length fits on its line
    for arm in arms:
        table.add_row(
            Text(clean(arm.arm)),
            Text(changes(arm.changes) or "nothing"),
            count(arm.steps),
            count(arm.examples),
            count(arm.tokens),
            count(arm.trials),
            count(arm.reused),
        )
    return table


def _totals(plan: PlanSummary) -> str:
    reused = f", {plan.reused} reused" if plan.reused else ""
    return (
        f"{plural(plan.trials, 'trial')}: {plan.to_run} to run{reused}; "
        f"{count(plan.examples)} training examples, {count(plan.tokens)} tokens"
    )


def _estimate(plan: PlanSummary) -> list[str]:
    if not plan.to_run:
        return ["time: none, every trial is finished already"]
    if plan.cost is None:
        return ["time: no earlier trial of this model to estimate from"]
    return cost_lines(plan.cost, plan.workers)


def _evaluation(plan: PlanSummary) -> list[str]:
    return [] if plan.evaluation is None else [evaluation_line(plan.evaluation)]


def _scoring(plan: PlanSummary) -> list[str]:
    """What is answered and scored, when, and what it costs; nothing where answers are not scored."""
    found = plan.scoring
    if found is None:
        return []
    took = "how long that takes no earlier trial tells"
    if found.trial_seconds is not None:
        trials = plural(found.from_trials, "earlier trial")
        took = f"about {duration(found.trial_seconds)} a trial, from {trials}"
    return [
        f"scoring: {clean(found.metric)} of {count(found.items)} answers, from "
        f"{plural(found.clusters, 'cluster')}, of at most {count(found.new_tokens)} tokens each, after the "
        "last step of every trial and once of the untouched model by every worker; at most "
        f"{count(found.most_tokens)} tokens generated; {took}"
    ]


def _search(plan: PlanSummary) -> str:
    most = plan.search.most_trials
    return f"joint search: up to {plural(most, 'trial')} once a setting has moved" if most else ""


def _confirmation(plan: PlanSummary) -> str:
    trials = plan.confirmation.trials_per_candidate
    if not trials:
        return "confirmation: none; a better level would stay unconfirmed"
    return f"confirmation: a candidate adds {plural(trials, 'trial')}, and the default {trials}"


def _plan_notes(plan: PlanSummary) -> list[str]:
    """The plan's notes, then the arms' own; one that several arms share is said once."""
    notes = dict.fromkeys(map(clean, plan.notes))
    own: dict[str, list[str]] = {}
    for arm in plan.arms:
        for note in map(clean, arm.notes):
            if note not in notes:
                own.setdefault(note, []).append(clean(arm.arm))
    return [*notes, *(f"{', '.join(arms)}: {note}" for note, arms in own.items())]


def _verdict_table(verdicts: Sequence[Verdict], wide: bool) -> Table:
    """On a narrow console the time stays out of the table; it is told under the verdict anyway."""
    timed = wide and any(verdict.cost_ratio is not None for verdict in verdicts)
    unit = lines.unit_of(verdicts)
    numbers = (headed("gain", unit), headed("margin", unit).replace(" ", "\n"), "seeds")
    header = ("factor", "default", "verdict", "best\nlevel", *numbers)
    right = ("default", "best\nlevel", *numbers, "time")
    table = plain_table(*header, *(("time",) if timed else ()), flexible=("factor", "verdict"), right=right)
    table.columns[0].min_width = _longest_word(name for name, _ in lines.titled(verdicts))
    table.columns[2].min_width = len("(unconfirmed)")  # the longest word of a verdict stays whole
    if not wide:
        table.padding = 0
    for name, verdict in lines.titled(verdicts):
        table.add_row(*_verdict_row(name, verdict, wide), *((Text(lines.cost(verdict)),) if timed else ()))
    return table


def _verdict_row(name: str, verdict: Verdict, wide: bool) -> tuple[Text, ...]:
    word = clean(verdict.verdict)
    effect = lines.effect(verdict)
    return (
        Text(name),
        Text(number(verdict.default)),
        Text(word, style=VERDICT_STYLES.get(word, "")),
        Text(number(verdict.best_level)),
        Text("\n".join([effect if wide else effect.replace(" [", "\n["), *_contrast(verdict, wide)])),
        Text(lines.margin(verdict)),
        Text(str(len(verdict.seeds))),
    )


def _contrast(verdict: Verdict, wide: bool) -> list[str]:
    """What the gain is of and over, under it and no wider than its bounds, or nearly."""
    return wrap(lines.contrast(verdict), BOUNDS_WIDE if wide else BOUNDS_NARROW, break_long_words=False)


def _longest_word(texts: Iterable[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=0)


def _verdict(console: Console, name: str, verdict: Verdict) -> None:
    word = clean(verdict.verdict)
    console.print()
    title = Text(f"{name}: ", style=HEAD)
    console.print(title.append(word, style=VERDICT_STYLES.get(word, "")))
    settle = next_line(verdict)
    indented(console, clean(f"what to do: {advice(verdict)}"))
    if settle:
        indented(console, clean(f"cheapest next step: {settle}"))
    if verdict.now and verdict.now.step and verdict.now.step.command:
        copyable(console, "    ", verdict.now.step.command)
    for text in lines.evidence(verdict):
        indented(console, clean(text))


def print_section(section: Section, console: Console) -> None:
    """On a narrow console bounds stand under their value, so that no word is cut."""
    heading(console, section.title)
    for text in section.lines:
        line(console, text)
    if console.width < WIDE:
        rows = [tuple(value.replace(" [", "\n[") for value in row) for row in section.rows]
    else:
        rows = list(section.rows)
    table = plain_table(*section.header, flexible=section.header, right=section.numeric)
    for column, name, *values in zip(table.columns, section.header, *rows, strict=True):
        cells = [text for value in values for text in value.split("\n")]
        whole = max(map(len, cells), default=0) if name in section.numeric else _longest_word(cells)
        column.min_width = max(whole, _longest_word([name]))
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
