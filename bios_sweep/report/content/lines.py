"""What is said of verdicts, counts and failures in a line, the same in every form of a report. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bios_sweep.claims import CLAIMS, claim_named
from bios_sweep.decision.claims.evidence import OF_SEEDS
from bios_sweep.decision.claims.judgement import words_of
from bios_sweep.decision.statement import Verdict, question_titles
from bios_sweep.procedure.served import NOT_SERVED, OTHER_CELL, UNFINISHED
from bios_sweep.report.content.failure_rows import FailureRow
from bios_sweep.report.content.summary import Counts, Summary
from bios_sweep.report.content.wording import (
    bounded,
    clean,
    ended_as,
    interval,
    number,
    plural,
    size,
    times,
    told,
)
from bios_sweep.units import common_unit
from bios_sweep.vocabulary import Status, Word

EXAMPLES = "train_examples"


def titled(verdicts: Sequence[Verdict]) -> list[tuple[str, Verdict]]:
    """Verdicts by name: the factor, its claim where the factor has several, its cell where it has one.

    `batch_size (quality)`, `lora_rank, train_examples=500`.
    """
    asked = [(verdict.factor, verdict.claim, cell_words(verdict.cell)) for verdict in verdicts]
    return list(zip(map(clean, question_titles(asked)), verdicts, strict=True))


def cell_words(cell: str) -> str:
    """A cell as it is read: data without a limit are all of them."""
    return cell.replace(f"{EXAMPLES}=None", "all examples")


def of_other_cell(verdict: Verdict) -> bool:
    """Whether it is of a cell whose values are not the study's own: it holds there only."""
    return verdict.withheld is not None and verdict.withheld.kind == OTHER_CELL


def contrast(verdict: Verdict) -> str:
    """What a row's gain is of and over: `32 over 128 trained as long`; empty where there is no gain.

    Also where the row says it already: the gain of its best level over its default.
    """
    of, over = number(verdict.effect_of), clean(verdict.effect_over)
    if not over or (of, over) == (number(verdict.best_level), number(verdict.default)):
        return ""
    return f"{of} over {over}"


def effect(verdict: Verdict) -> str:
    """`+1.22 [+1.08, +1.33]`: the gain with its bounds, in the verdict's unit."""
    known = verdict.scale.known
    return bounded(known(verdict.effect_percent), known(verdict.lower), known(verdict.upper))


def margin(verdict: Verdict) -> str:
    """What matters, in the verdict's unit."""
    return number(verdict.scale.known(verdict.margin))


def unit_of(verdicts: Iterable[Verdict]) -> str:
    """In what a table of verdicts tells gains; all of a study judge one metric."""
    return common_unit(verdict.scale for verdict in verdicts)


def cost(verdict: Verdict) -> str:
    """`x1.80 [1.71, 1.89]`: the time of the level in question over the default's, and its bounds."""
    return bounded(verdict.cost_ratio, verdict.cost_lower, verdict.cost_upper, times)


def verdict_line(summary: Summary) -> str:
    """The whole sweep in a line: `learning_rate: confirm · lora_rank: inconclusive`."""
    words = (f"{name}: {clean(verdict.verdict)}" for name, verdict in titled(summary.verdicts))
    return " · ".join(words) or no_verdict(summary)


def headline(summary: Summary) -> str:
    """The sweep in one line: the verdicts, then what of them is served to nobody."""
    return " · ".join(filter(None, (verdict_line(summary), first_line(summary))))


def first_line(summary: Summary) -> str:
    """What a report says before all else: who answered it anew, what it found and does not serve."""
    groups: dict[str, list[str]] = {}
    for one in summary.not_served:
        if one.why.kind != UNFINISHED:
            groups.setdefault(str(one.why), []).append(f"{one.title} {number(one.value)}")
    parts = [f"not served: {', '.join(names)} ({why})" for why, names in groups.items()]
    if summary.no_file and (summary.verdicts or summary.no_file.kind != UNFINISHED):
        parts.insert(0, f"no tuned defaults: {summary.no_file}")
    if summary.anew:
        parts.insert(
            0, f"answered anew: {', '.join(map(clean, summary.anew))}; what stands here is of before"
        )
    return "; ".join(parts)


def cost_line(verdict: Verdict) -> str:
    """What the level in question costs, where it was timed; an empty string where it was not."""
    if verdict.cost_ratio is None:
        return memory_line(verdict)
    bounds = interval(verdict.cost_lower, verdict.cost_upper, times)
    text = f"time of {_in_question(verdict)}: {times(verdict.cost_ratio)} the default's {bounds}".rstrip()
    if verdict.hardware:
        text += f" on {clean(verdict.hardware)}"
    text = "; ".join(filter(None, (text, memory_line(verdict))))
    iso = verdict.iso_cost_percent
    return (
        text
        if iso is None
        else f"{text}; gain over the default trained for the same time {told(iso, verdict.scale)}"
    )


def memory_line(verdict: Verdict) -> str:
    """What a trial of the level in question takes of its device, beside one of the default, where known."""
    memory = verdict.memory
    if memory is None:
        return ""
    how = "measured" if memory.measured else "reckoned"
    return f"memory of a trial, {how}: {size(memory.bytes)}, the default's {size(memory.default_bytes)}"


def _in_question(verdict: Verdict) -> str:
    """The level that gain and time are of: the claimed one, or the alternative with just this gain."""
    if verdict.effect_over:
        return number(verdict.effect_of)
    if claim_named(verdict.claim).of_another_level:
        return number(verdict.default)
    gains = ((row.level, row.estimate.gain if row.estimate else None) for row in verdict.levels)
    same = [level for level, found in gains if found == verdict.effect_percent]
    return number(same[0] if same else verdict.best_level)


def bounds_line(verdicts: Sequence[Verdict]) -> str:
    """How to read the numbers of a table of verdicts."""
    bounded = [v for v in verdicts if v.lower is not None or v.upper is not None]
    levels = sorted({round(100 * verdict.confidence, 1) for verdict in bounded})
    apart = any(verdict.effect_over for verdict in verdicts)
    text = "gain over the default, positive = better"
    if apart:
        text = "gain of the best level over the default, or as the row says; positive = better"
    if levels:
        text += f"; one-sided {' or '.join(f'{level:g} %' for level in levels)} bounds"
    own = [verdict for verdict in bounded if not claim_named(verdict.claim).of_another_level]
    if any(verdict.verdict == Word.CONFIRM for verdict in own):
        text += "; beside a confirmed default those of the alternative that comes nearest"
    if len(own) < len(bounded) and not apart:
        elsewhere = [claim.name for claim in CLAIMS.values() if claim.of_another_level]
        text += f"; of {', '.join(elsewhere)}: those of the level that is claimed"
    if any(words_of(verdict.claim).margin for verdict in bounded):
        text += f"; margin of {', of '.join(filter(None, (words_of(claim).margin for claim in CLAIMS)))}"
    return text


def no_verdict(summary: Summary) -> str:
    """What is said before anything is decided."""
    counts = summary.counts
    ended = sum(counts.endings.values())
    return f"no verdict yet ({clean(summary.stage)}: {ended} of {counts.planned} trials ended)"


def counts_line(counts: Counts) -> str:
    """Every planned trial accounted for; what is still to come is named only where there is any."""
    parts = [f"{amount} {status}" for status, amount in counts.endings.items()]
    if counts.waiting:
        parts.append(f"{counts.waiting} waiting")
    return f"{plural(counts.planned, 'trial')} planned = {' + '.join(parts)}"


def scopes_of(verdicts: Sequence[Verdict]) -> list[str]:
    """Where the verdicts hold, each scope once."""
    return list(dict.fromkeys(clean(verdict.scope) for verdict in verdicts))


def other_reasons(verdict: Verdict) -> list[str]:
    """Reasons that neither the verdict's sentence nor what to do, beside it, already says."""
    said = (*verdict.told, verdict.withheld)
    return [
        clean(reason)
        for reason in verdict.reasons
        if reason.kind not in (*OF_SEEDS, NOT_SERVED) and reason not in said
    ]


def evidence(verdict: Verdict) -> list[str]:
    """What speaks for the verdict: its sentence, the other reasons, what it costs."""
    return list(filter(None, (verdict.sentence, *other_reasons(verdict), cost_line(verdict))))


def failure_lines(failures: Sequence[FailureRow]) -> list[str]:
    """Trials without a completed result, equal causes of an arm in a line.

    Failed ones stand before diverged ones: the first need repair, the second are outcomes.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in sorted(failures, key=lambda row: row.status != Status.FAILED):
        cause = clean(row.cause) or "cause not recorded"
        key = (clean(row.arm), ended_as(row.status, row.failure), cause)
        groups.setdefault(key, []).append(str(row.seed))
    return [
        f"{arm}, seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}: {status}: {cause}"
        for (arm, status, cause), seeds in groups.items()
    ]
