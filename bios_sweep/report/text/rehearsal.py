"""A rehearsal as tables for people, within 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bios_sweep.rehearsal.evaluation import Evaluation
from bios_sweep.rehearsal.summary import ChanceRow, DesignRow, QuestionRow, RehearsalSummary
from bios_sweep.report.content.wording import clean, duration, number, plural, told
from bios_sweep.report.text.layout import QUIET, bullets, copyable, heading, line, plain_table
from bios_sweep.units import PERCENT, Scale
from bios_sweep.vocabulary import Word


def print_rehearsal(summary: RehearsalSummary, console: Console) -> None:
    """What the study would say at which true gain."""
    heading(console, f"Rehearsal of {clean(summary.sweep)}")
    line(console, summary.question)
    line(console, f"{clean(summary.scenario)}", QUIET)
    line(console, f"judged on {clean(summary.judged_on)}")
    console.print()
    lines = (_design(summary), noise_line(summary), evaluation_line(summary.evaluation))
    for text in (*filter(None, lines), _simulated(summary)):
        line(console, text)
    for question in summary.questions:
        _print_question(question, summary.scale, console)
    console.print()
    line(console, _most(summary))
    if summary.design:
        _print_design(summary.design, console)
    bullets(console, "Warnings", summary.warnings)
    bullets(console, "Taken for granted", summary.notes)
    copyable(console, "run it: ", summary.command)


def noise_line(summary: RehearsalSummary) -> str:
    """Where the noise comes from, and how well it is known."""
    noise, scale = summary.noise, summary.scale
    of = " of the loss" if scale.unit == PERCENT else ""
    percent = f"noise of one trial {scale.told(noise.percent):.4g}{of}"
    if noise.source == "given":
        return f"{percent}, as given"
    if noise.source == "guess":
        return (
            f"{percent}: a guess (chosen, not measured), for no earlier sweep of this scenario tells it; "
            f"give --noise {scale.word.upper()}"
        )
    names = ", ".join(map(clean, noise.sweeps[:3]))
    more = f" and {len(noise.sweeps) - 3} more" if len(noise.sweeps) > 3 else ""
    return (
        f"{percent}, from {names}{more}: {plural(noise.degrees_of_freedom, 'degree')} of freedom, "
        f"90 % interval {number(scale.known(noise.lower))} to {number(scale.known(noise.upper))}"
    )


def evaluation_line(evaluation: Evaluation | None) -> str:
    """How far another evaluation set may differ, and where that comes from; empty where nobody asks."""
    if evaluation is None:
        return ""
    error = (
        f"another evaluation set of {plural(evaluation.clusters, 'cluster')} moves a gain by "
        f"{number(evaluation.percent)} % (one standard error)"
    )
    if evaluation.source == "given":
        return f"{error}, as given"
    if evaluation.source == "guess":
        return f"{error}: a guess, for no earlier sweep tells it; give --evaluation-error PERCENT"
    return f"{error}, from {', '.join(map(clean, evaluation.sweeps[:3]))}"


def _design(summary: RehearsalSummary) -> str:
    looks = ", ".join(map(str, summary.looks))
    return (
        f"{plural(summary.arms, 'arm')}, looks at {looks} seeds, {summary.confirmation_seeds} fresh "
        f"seeds for a candidate, margin {summary.scale.told(summary.margin_percent):.4g}"
    )


def _simulated(summary: RehearsalSummary) -> str:
    return (
        f"{summary.sweeps_simulated:,} simulated sweeps per line (random seed {summary.random_seed}); "
        "shares in percent, +- one standard error. wrong: confirmed although a level is better by the "
        "margin, or refined to a level that is no better"
    )


def _print_question(question: QuestionRow, scale: Scale, console: Console) -> None:
    planted = f"{clean(question.factor)} {clean(question.level)}"
    heading(console, clean(question.heading))
    rows = question.chances
    if question.about_another_level:
        line(console, f"where {planted} gains nothing; this claim is about another level", QUIET)
        rows = tuple(row for row in rows if row.effect_margins == 0) or rows[:1]
    else:
        line(console, f"by the true gain of {planted}, in margins", QUIET)
    console.print(_table(rows, scale))


def _table(rows: Sequence[ChanceRow], scale: Scale) -> Table:
    timed = any(row.seconds is not None for row in rows)
    header = (
        "true gain",
        Word.CONFIRM,
        Word.REFINE,
        Word.INCONCLUSIVE,
        "wrong",
        "trials",
        *(("time",) if timed else ()),
    )
    table = plain_table(*header, flexible=(), right=header)
    for row in rows:
        table.add_row(
            f"{number(row.effect_margins)} ({told(row.effect_percent, scale)})",
            _share(row.confirm, row.confirm_error),
            _share(row.refine, row.refine_error),
            _share(row.inconclusive, row.inconclusive_error),
            _share(row.wrong, row.wrong_error),
            f"{row.trials:.1f}",
            *((duration(row.seconds),) if row.seconds is not None else ()),
        )
    return table


def _share(share: float, error: float) -> str:
    return f"{100 * share:.0f} +- {_rounded(error)}"


def _rounded(error: float) -> int:
    """A standard error in whole percent; none is zero."""
    return max(1, round(100 * error))


def _most(summary: RehearsalSummary) -> str:
    text = f"at most {plural(summary.most_trials, 'trial')}"
    if summary.most_seconds is None:
        return f"{text}; how long they take is not known here: give --seconds-per-trial S"
    workers = summary.workers
    at_once = f", {duration(summary.most_seconds / workers)} with {workers} at a time" if workers > 1 else ""
    return f"{text}, {duration(summary.most_seconds)} of trials one after another{at_once}"


def _print_design(design: DesignRow, console: Console) -> None:
    heading(console, f"The design that decides most within {number(design.gpu_hours)} hours")
    line(
        console,
        f"decides, and rightly, in {100 * design.decides:.0f} +- {_rounded(design.decides_error)} % of "
        "sweeps (mean over questions, and over true gains of 0 and 2 margins); "
        f"{plural(design.fitting, 'design')} of {design.compared} fitted",
    )
    line(
        console,
        f"expected {duration(design.expected_seconds)}, at most {duration(design.most_seconds)}, "
        "of trials one after another",
    )
    if design.weak:
        line(console, "no design of this cost decides more often than not; more hours are needed", "yellow")
