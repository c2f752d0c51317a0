"""How numbers, times and names are written, the same in the terminal, in Markdown and in figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from bios_sweep.claims import CLAIMS, claim_named
from bios_sweep.decision.claims.judgement import words_of
from bios_sweep.decision.statement import question_titles

NONE = "—"  # no number: unknown, unbounded or not measured
DIGITS = 4  # significant: more would be noise at the precision of these trials (chosen, not measured)
ENDINGS = ("completed", "diverged", "failed")


def clean(text: Any) -> str:
    """A user's text on one line, without control characters: a name must not move anyone's cursor."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def number(value: Any) -> str:
    """A setting's value: whole numbers in full, others as a decimal of at most four significant digits."""
    if value is None:
        return NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(name)} {number(one)}" for name, one in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(value)
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return NONE
    text = format(Decimal(f"{value:.{DIGITS}g}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def finite_or_none(value: float) -> float | None:
    """The value as JSON can write it: None for infinities and NaN, which it lacks."""
    return value if value - value == 0.0 else None


def count(value: int | None) -> str:
    """A number of things: `141,760`, from a million on `1.418 M`."""
    if value is None:
        return NONE
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{value:,}"


def gain(value: float | None) -> str:
    """A signed effect in percent, without the sign of percent: `+1.22`; exactly zero is `0`."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2f}"


def interval(lower: float | None, upper: float | None) -> str:
    """`[+1.08, +1.33]`; a side without a bound is a dash, and no bounds at all are no interval."""
    if lower is None and upper is None:
        return ""
    return f"[{gain(lower)}, {gain(upper)}]"


def duration(seconds: float) -> str:
    """A time as it is said: `8.1 s`, `42 s`, `4 min`, `1 h 20 min`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours:,} h {rest} min" if hours < 24 else f"{hours:,} h"


def plural(amount: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def changes(values: Mapping[str, Any]) -> str:
    """Settings with their values: `batch_size 64, max_steps 50`."""
    return ", ".join(f"{clean(name)} {number(value)}" for name, value in values.items())


def times(ratio: float | None) -> str:
    """A ratio as a factor with three digits: `x1.80`, `x0.95`."""
    if ratio is None or not math.isfinite(ratio):
        return NONE
    return f"x{ratio:.0f}" if abs(ratio) >= 100 else f"x{ratio:.3g}" if abs(ratio) >= 10 else f"x{ratio:.2f}"


def times_interval(lower: float | None, upper: float | None) -> str:
    """`[1.71, 1.89]`; no bounds at all are no interval."""
    if lower is None and upper is None:
        return ""
    return f"[{times(lower).lstrip('x')}, {times(upper).lstrip('x')}]"


def titles(verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name per verdict: the factor, its claim where the factor has several, and its cell where it has one.

    `batch_size (quality)`, `lora_rank, train_examples=500`.
    """
    return [
        clean(title)
        for title in question_titles(
            [
                {**verdict, "cell": cell(verdict["cell"]) if verdict.get("cell") else ""}
                for verdict in verdicts
            ]
        )
    ]


def cell(value: Any) -> str:
    """Where a moderator stood: `train_examples=500`, from its name or from setting -> value."""
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(name)}={number(level)}" for name, level in value.items())
    return number(value)


def contrast(verdict: Mapping[str, Any]) -> str:
    """What a row's gain is of and over: `32 over 128 trained as long`; empty where there is no gain.

    Also where the row says it already: the gain of its best level over its default.
    """
    over = clean(verdict.get("effect_over") or "")
    of = number(verdict.get("effect_of"))
    if not over or (of, over) == (number(verdict["best_level"]), number(verdict["default"])):
        return ""
    return f"{of} over {over}"


def verdict_line(summary: Mapping[str, Any]) -> str:
    """The whole sweep in a line: `learning_rate: confirm · lora_rank: inconclusive`."""
    verdicts = summary["verdicts"]
    words = [f"{name}: {clean(v['verdict'])}" for name, v in zip(titles(verdicts), verdicts, strict=True)]
    return " · ".join(words) if words else no_verdict(summary)


def cost_line(verdict: Mapping[str, Any]) -> str:
    """What the level in question costs, where it was timed; an empty string where it was not."""
    ratio = verdict.get("cost_ratio")
    if ratio is None:
        return ""
    bounds = times_interval(verdict.get("cost_lower"), verdict.get("cost_upper"))
    told = f"time of {_in_question(verdict)}: {times(ratio)} the default's {bounds}".rstrip()
    if verdict.get("hardware"):
        told += f" on {clean(verdict['hardware'])}"
    iso = verdict.get("iso_cost_percent")
    return told if iso is None else f"{told}; gain over the default trained for the same time {gain(iso)} %"


def _in_question(verdict: Mapping[str, Any]) -> str:
    """The level that gain and time are of: the claimed one, or the alternative with just this gain."""
    if verdict.get("effect_over"):
        return number(verdict["effect_of"])
    if _of_another_level(verdict):
        return number(verdict["default"])
    same = [level for level in verdict["levels"] if level.get("gain") == verdict["effect_percent"]]
    return number(same[0]["level"] if same else verdict["best_level"])


def bounds_line(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """How to read the numbers of a table of verdicts."""
    bounded = [v for v in verdicts if v["lower"] is not None or v["upper"] is not None]
    levels = sorted({round(100 * verdict["confidence"], 1) for verdict in bounded})
    apart = any(verdict.get("effect_over") for verdict in verdicts)
    told = "gain over the default, positive = better"
    if apart:
        told = "gain of the best level over the default, or as the row says; positive = better"
    if levels:
        told += f"; one-sided {' or '.join(f'{level:g} %' for level in levels)} bounds"
    own = [verdict for verdict in bounded if not _of_another_level(verdict)]
    if any(verdict["verdict"] == "confirm" for verdict in own):
        told += "; beside a confirmed default those of the alternative that comes nearest"
    if len(own) < len(bounded) and not apart:
        elsewhere = [claim.name for claim in CLAIMS.values() if claim.of_another_level]
        told += f"; of {', '.join(elsewhere)}: those of the level that is claimed"
    if any(words_of(str(verdict.get("claim"))).margin for verdict in bounded):
        told += f"; margin of {', of '.join(filter(None, (words_of(claim).margin for claim in CLAIMS)))}"
    return told


def _of_another_level(verdict: Mapping[str, Any]) -> bool:
    return claim_named(str(verdict.get("claim"))).of_another_level


def no_verdict(summary: Mapping[str, Any]) -> str:
    """What is said before anything is decided."""
    counts = summary["counts"]
    ended = sum(counts[status] for status in ENDINGS)
    return f"no verdict yet ({clean(summary['stage'])}: {ended} of {counts['planned']} trials ended)"


def counts_line(counts: Mapping[str, int]) -> str:
    """Every planned trial accounted for; what is still to come is named only where there is any."""
    parts = [f"{counts[status]} {status}" for status in ENDINGS]
    if counts.get("waiting"):
        parts.append(f"{counts['waiting']} waiting")
    return f"{plural(counts['planned'], 'trial')} planned = {' + '.join(parts)}"


def other_reasons(verdict: Mapping[str, Any]) -> list[str]:
    """Reasons that neither the verdict's sentence nor the advice beside it already says."""
    sentence, why = clean(verdict["sentence"]), clean(verdict.get("withheld") or "")
    reasons = [text for text in map(clean, verdict["reasons"]) if text not in sentence]
    return [text for text in reasons if not (why and text.endswith(why))]


def ended_as(status: str, failure: str) -> str:
    """How a trial ended, and what kind of failure it was where it is one: failed (out of memory)."""
    return f"{clean(status)} ({clean(failure)})" if failure else clean(status)


def failure_lines(failures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Trials without a completed result, in the given order; equal causes of an arm share a line."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for failure in failures:
        key = (
            clean(failure["arm"]),
            ended_as(failure["status"], failure.get("failure", "")),
            clean(failure["cause"]) or "cause not recorded",
        )
        groups.setdefault(key, []).append(str(failure["seed"]))
    return [
        f"{arm}, seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}: {status}: {cause}"
        for (arm, status, cause), seeds in groups.items()
    ]
