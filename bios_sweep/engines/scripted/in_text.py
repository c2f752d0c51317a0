"""A metric in a line that was written for people: its name, then its number. Pure.

A number is read where its whole name stands before it and nothing can be meant otherwise. What is not read is
named where no other line has the metric, with the way out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from bios_sweep.engines.scripted.readings import NAMED_NUMBERS
from bios_sweep.engines.scripted.tracebacks import COLOUR, plain

LONGEST_TOLD = 20_000  # characters of a line that are read as text; chosen: a line of metrics is shorter
THOUSANDS = r"[1-9]\d{0,2}(?:,\d{3})+"  # the only commas of a number: `2,05` is nobody's 205
NUMBER = rf"[-+]?(?:{THOUSANDS}(?:\.\d*)?|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)\b"
WITH_COMMAS = re.compile(rf"[-+]?{THOUSANDS}(?:\.\d*)?(?:e[-+]?\d+)?")
SIGNS = str.maketrans({"│": "|", "┃": "|", "║": "|", "\N{MINUS SIGN}": "-"})  # of tables, and a minus
STEP_TEXT = re.compile(
    rf"\b(?:global[\s_])?(?:step|iter|iteration)s?\s*[=:#]?\s*({THOUSANDS}|\d+)(?!,?\d)", re.IGNORECASE
)
# Between the words of a name: `val_loss`, `[val] loss`, `Val. loss`, `val: loss`, `val | loss`.
JOINT = r"(?:[\W_]|[\])}:] |(?-i:\. (?=[a-z]))| [:|/-] )"
# Between name and number, and what may stand around a number.
GAP = r"[`*]{0,2}(?:\s*(?:[-=]>|→|[=:|])\s*|\s+(?:is|was|of)\s+|\s*\.{2,}:?\s*|\s+)[`*]{0,2}"
WRAPPED = r"(?:(?:(?:torch\.)?tensor|(?:(?:np|numpy|jnp)\.)?(?:float\d*|[Aa]rray))\()?"
PARTS = r"'\u2019\u00a0\u202f"  # what parts thousands elsewhere: apostrophes, spaces that do not break
CHANGE, SHARE = r"\s*(?:[-=]+>|→|\bto\b)\s*", r"\s*(?:/|\bof\b)\s*"  # `2.5 -> 2.3`, `853 / 1000`
# Not behind a number: the rest of a word, share, decimal comma, bar (`50%|###`), or number.
BEHIND = rf"(?![\w/])(?![.,]\d)(?!%\|)(?![{PARTS}]\d{{3}})(?!(?:{CHANGE}|{SHARE})[-+.]?\d)"
# A word before a name makes another metric of it, `best eval_loss`, but for these.
WORD_BEFORE = re.compile(r"(?<![\w.])([A-Za-z][\w.'-]*) $")
SAY_NOTHING = frozenset(
    {
        *("trace", "debug", "info", "notice", "success", "warn", "warning"),
        *("final", "last", "latest", "current", "the", "metric"),
    }
)
NUMBER_AND = re.compile(r"\d%?,? and $")  # `train_loss 2.1 and eval_loss 2.4`
PART_OF_THOUSANDS = re.compile(r" \d{3}(?![\d])")
UNREAD = rf"[-+]?\d+(?:,\d+|[_ {PARTS}]\d{{3}}(?!\d))[\d.,]*"


def finder(name: str) -> Callable[[str], re.Match[str] | None]:
    """What finds a metric in a plain line; its group 1 is the number."""
    words = list(filter(None, re.split(r"[\W_]+", name.casefold())))
    pattern = re.compile(rf"{_named(name)}{WRAPPED}({NUMBER}){BEHIND}", re.IGNORECASE)

    def find(line: str) -> re.Match[str] | None:
        lowered = line.casefold()
        if not all(word in lowered for word in words):
            return None
        return next(filter(_is_meant, pattern.finditer(line)), None)

    return find


def _named(name: str) -> str:
    words = JOINT.join(map(re.escape, filter(None, re.split(r"[\W_]+", name))))
    return rf"(?<![\w./@-]){words}{GAP}"


def _is_meant(match: re.Match[str]) -> bool:
    """Not another metric by the word before it, nor the first part of a number with spaces."""
    word = WORD_BEFORE.search(match.string, 0, match.start())
    joined = NUMBER_AND.search(match.string, 0, match.start())
    if word is not None and word[1].casefold() not in SAY_NOTHING and joined is None:
        return False
    whole = re.fullmatch(r"[-+]?\d{1,3}", match[1])
    return whole is None or PART_OF_THOUSANDS.match(match.string, match.end()) is None


def readable(line: str) -> str:
    """A line without colours, bars and the lines of tables."""
    return plain(line).translate(SIGNS)


def number_in(text: str | None) -> float | None:
    """The number that a text is, `1,234.5` and `85.3 %` too; None where it is none."""
    bare = (text or "").strip().rstrip("%").strip().lower()
    if "," in bare:
        bare = bare.replace(",", "") if WITH_COMMAS.fullmatch(bare) else ""
    if bare in NAMED_NUMBERS:
        return NAMED_NUMBERS[bare]
    try:
        return float(bare) if "_" not in bare else None
    except ValueError:
        return None


def not_read(lines: Sequence[str], metric: str) -> str:
    """What stands in a script's last lines and is not read, with the way out; empty where there is none."""
    lines = [line for line in lines if len(line) <= LONGEST_TOLD]
    if said := _one_of_two(lines, metric):
        return said
    said = _first(rf"{_named(metric)}{UNREAD}", map(readable, lines))
    if re.search(r"\d,\d", said):
        return f"it has {said!r}, and a decimal comma is not read: print it with a point"
    if said:
        return f"it has {said!r}, and only commas may part thousands: print the number without"
    said = _first(rf"{_named(metric)}(?:{NUMBER})", (COLOUR.sub("", line) for line in lines))
    if said:
        return (
            f"it has {said!r} in a progress bar, which is not read: print it on a line of its own, or give "
            f"method.pattern='{metric}=(?P<value>[-+.\\de]+)'"
        )
    return ""


def _one_of_two(lines: Sequence[str], metric: str) -> str:
    """Of `eval_loss: 2.5 -> 2.3` and `accuracy: 853 / 1000`, with a pattern that says which is meant."""
    pattern = re.compile(rf"({_named(metric)})(?:{NUMBER})({CHANGE}|{SHARE})(?:{NUMBER})", re.IGNORECASE)
    match = next(filter(None, map(pattern.search, map(readable, lines))), None)
    if match is None:
        return ""
    number, value = r"[-+.,\de]+", r"(?P<value>[-+.,\de]+)"
    name, sign = (re.escape(part).replace("\\ ", " ") for part in match.groups())
    wanted = name + (f"{number}{sign}{value}" if re.fullmatch(CHANGE, match[2], re.IGNORECASE) else value)
    return (
        f"it has {match[0]!r}, and of two numbers neither is read: print one, or say which with "
        f"method.pattern='{wanted}'"
    )


def _first(pattern: str, lines: Iterable[str]) -> str:
    compiled = re.compile(pattern, re.IGNORECASE)
    return next((match[0].strip() for line in lines if (match := compiled.search(line))), "")
