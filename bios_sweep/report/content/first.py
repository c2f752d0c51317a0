"""The first screen of a result: what to use tonight, whether that is sure, what would settle it, its price.

Pure. Each field answers one question of whoever opens a sweep; everything else is the full report's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bios_sweep.decision.sentences import confidence_text
from bios_sweep.decision.statement import Verdict
from bios_sweep.procedure.served import OWN_RATE
from bios_sweep.report.content.advice import next_line
from bios_sweep.report.content.expense import Spent
from bios_sweep.report.content.failure_rows import FailureRow
from bios_sweep.report.content.lines import counts_line, first_line, no_verdict
from bios_sweep.report.content.setting_rows import SettingRow, is_open, named, setting_rows
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.content.wording import clean, listed, money, plural, trained
from bios_sweep.vocabulary import Stage

SETTLED = "nothing more is needed for this model, data and method"
NO_STUDY = "no further study is known that would settle it"


@dataclass(frozen=True, kw_only=True)
class Settling:
    """What would settle questions that one command goes on with. command: empty where there is none."""

    lines: tuple[str, ...]
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class FirstScreen:
    """What is told before all else.

    about: of what it holds. alert: what must be known before the rows are read. rows: which value to use
    tonight. sure: whether that is sure. settling: what would make it sure. cost: what was spent. counts: how
    the trials ended. cautions: how much more is to be borne in mind, which the full text tells.
    """

    question: str
    about: tuple[str, ...]
    alert: str = ""
    rows: tuple[SettingRow, ...]
    nothing_yet: str = ""
    sure: tuple[str, ...]
    settling: tuple[Settling, ...]
    cost: str
    counts: str
    failures: tuple[FailureRow, ...] = ()
    damaged: tuple[str, ...] = ()
    cautions: int = 0


def first_screen(summary: Summary) -> FirstScreen:
    """Of a sweep, as far as it is."""
    verdicts = summary.verdicts
    rows = setting_rows(verdicts)
    return FirstScreen(
        question=summary.question or summary.sweep,
        about=(f"{summary.scenario}  ({summary.sweep_id})", f"judged on {summary.judged_on}"),
        alert=first_line(summary),
        rows=rows,
        nothing_yet="" if verdicts else no_verdict(summary),
        sure=sure_lines(verdicts),
        settling=_open(summary) or (_nothing_more(rows) if summary.final else ()),
        cost=_cost(summary.spent),
        counts=counts_line(summary.counts),
        failures=summary.failures,
        damaged=summary.damaged or (),
        cautions=len(summary.caveats) + len(summary.notes),
    )


def sure_lines(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """What is settled, by confidence and seeds; then what is open, by the reason."""
    settled: dict[str, list[str]] = {}
    still: dict[str, list[str]] = {}
    for title, verdict in named(verdicts):
        if is_open(verdict):
            still.setdefault(_why(verdict), []).append(title)
        else:
            kind = "fresh seed" if verdict.stage == Stage.CONFIRMATION else "paired seed"
            on = f"{confidence_text(verdict.confidence)}, {plural(len(verdict.seeds), kind)}"
            settled.setdefault(on, []).append(title)
    return (
        *(f"yes of {listed(names)} ({on})" for on, names in settled.items()),
        *(f"not yet of {listed(names)}{why}" for why, names in still.items()),
    )


def _why(verdict: Verdict) -> str:
    why = verdict.withheld or (verdict.now.open if verdict.now else None)
    return f": {clean(why)}" if why else ""


def _open(summary: Summary) -> tuple[Settling, ...]:
    """The cheapest step of every open question, those that one command goes on with together."""
    steps: dict[str, list[str]] = {}
    for title, verdict in named(summary.verdicts):
        if is_open(verdict):
            text, command = _step(verdict, summary)
            steps.setdefault(command, []).append(f"{title}: {text}")
    return tuple(Settling(lines=tuple(lines), command=command) for command, lines in steps.items())


ARM = "arm"  # the fact of OWN_RATE that names what was best together


def _step(verdict: Verdict, summary: Summary) -> tuple[str, str]:
    """What would settle it, and the command; a way out is named only where there is one."""
    step = verdict.now.step if verdict.now else None
    if step is not None:
        return next_line(verdict), step.command
    if verdict.factor in summary.asked_next:
        return "the study that follows asks it on top of what is served", summary.following
    if verdict.withheld is not None and verdict.withheld.kind == OWN_RATE:
        return f"{NO_STUDY}; both can be set together by hand: {verdict.withheld.facts[ARM]}", ""
    return NO_STUDY, ""


def _nothing_more(rows: Sequence[SettingRow]) -> tuple[Settling, ...]:
    """That all is settled, and what the answers leave out."""
    unsaid = [f"{row.setting}: {row.unsaid}" for row in rows if row.unsaid]
    whole = [SETTLED] if len(unsaid) < len(rows) else []
    return (Settling(lines=(*whole, *unsaid)),) if rows else ()


def _cost(spent: Spent) -> str:
    if not spent.trials:
        return "nothing yet"
    told = trained(spent.hours)
    return told if spent.money is None else f"{told}, {money(spent.money)}"
