"""Whether a number is told in looking back, `Best: val_loss=2.5`, or was just measured. Pure."""

from __future__ import annotations

import re

LONGEST = 1000  # characters before a name that are looked at; chosen
BEST = re.compile(
    r"(?<![\w./-])(?<!\d )(?:best|lowest|highest|min|max|minimum|maximum|top|peak|optimal)(?![\w/-])",
    re.IGNORECASE,  # not the unit of `5 min`
)
# A model that was saved before; `load 0.5` is a machine's, and `data loaded` no model.
RESTORED = re.compile(
    r"(?<!\bdata )\b(?:(?:re)?load(?:ed|ing)|reload|restor(?:ed?|ing)|resum(?:ed?|ing))\b", re.IGNORECASE
)
COUNT = r"(?:epoch|step|iter(?:ation)?)s?[\s=:#@\[(]*\d+(?:\.\d+)?"
COUNTED = re.compile(r"\b(epoch|step|iter(?:ation)?)s?[\s=:#@\[(]*(\d+(?:\.\d+)?)", re.IGNORECASE)
LEVEL = r"[^A-Za-z]*+(?:(?:debug|info|warning)\b[^A-Za-z]*+)?"  # behind a time
# `Stage 2`, `=== Fold 3/5 ===`, `[INFO] phase 2 epoch 1`: where a line begins, for settings are called so.
PART = re.compile(rf"{LEVEL}(stage|phase|fold|round)[\s=:#@\[(]*(\d+)(?:\s*/\s*\d+)?", re.IGNORECASE)
# `epoch 5 [best] ...`, behind a time and a level, is that epoch's own line.
OWN_COUNT = re.compile(
    rf"(?:{PART.pattern}[^A-Za-z<*\[(]*)?{LEVEL}"
    rf"(?:(?:global[\s_])?{COUNT}(?:\s*/\s*\d+)?[\s,|:]*(?=[A-Za-z]))*"
    rf"(?:global[\s_])?{COUNT}(?:\s*/\s*\d+)?[\s\])]*[\[(<*]*\s*",
    re.IGNORECASE,
)
# The mark of one epoch among others: `Epoch 1 (best): ...`, which a log of every epoch may bear too.
MARKED = re.compile(r"[\[(<*]\s*best\s*[\])>*]", re.IGNORECASE)
# Before `best`, what makes it another line's: `new best`, `no improvement over best`, `not the best`.
OTHERWISE = re.compile(
    r"\b(?:new\s+|(?:over|than|since|below)\s+(?:(?:the|last|previous)\s+)*|(?:no\s+improvement|not)\b[^.;:|(]*)$",
    re.IGNORECASE,
)
# `Best result: acc 0.9, ` heads all that follows, `best: 2.0, ` does not.
HEADING = re.compile(r"(?:\s+[^\W\d]\w*){0,3}\s*(?:\([^)]*\)\s*)?:\s*[A-Za-z]")
OF_SETTINGS = re.compile(
    r"(?<![A-Za-z])(?:config(?:uration)?|args|arguments|target|threshold)s?(?:\s+(?:from|of|in)\s+\S+)?\W*$",
    re.IGNORECASE,
)


def looks_back(before: str) -> bool:
    """Whether what stands before a number's name makes it a summary's: `Best: val_loss=2.5 at epoch 1`.

    A number in between is what was best, and the name's is the present one: `best 2.0 | val_loss 2.4`.
    """
    before = before[-LONGEST:]
    return RESTORED.search(before) is not None or any(_heads(match) for match in BEST.finditer(before))


def _heads(best: re.Match[str]) -> bool:
    before, behind = best.string[: best.start()], best.string[best.end() :]
    if OWN_COUNT.fullmatch(before) or OTHERWISE.search(before):
        return False
    between = re.sub(rf"\b{COUNT}", "", behind, flags=re.IGNORECASE)
    return HEADING.match(between) is not None or re.search(r"(?<![\w])[-+.]?\d", between) is None


class Counts:
    """How far a script said it was, by what it counts in: an epoch marked as the best that comes again."""

    def __init__(self) -> None:
        self._reached: dict[str, float] = {}
        self._back: dict[str, float] = {}  # the counts of the last summary
        self._parts: dict[str, int] = {}

    def heard(self, text: str) -> bool:
        """Whether a line is of an earlier part than the last; with a later one the counts begin anew.

        Each line must come by: a part may be named on a line of its own.
        """
        match = PART.match(text[:LONGEST])
        if match is None:
            return False
        name, number = match[1].casefold(), int(match[2])
        reached = self._parts.get(name, 1)  # who names only the second began with the first
        if number > reached:
            self._reached, self._back = {}, {}
        self._parts[name] = max(number, self._parts.get(name, number))
        return number < self._parts[name]

    def goes_back(self, text: str, *, earlier: bool = False) -> bool:
        """Whether a line with the metric tells of the best at an earlier count: `Epoch 1 (best): loss=2.0`.

        earlier: it is of an earlier part. Each line with the metric must come by. A line that counts on from
        such a line shows that the counts began anew, as with stages that are not numbered; a `new best` is
        always of the line's own count.
        """
        if len(text) > LONGEST:
            return False
        found = {match[1].casefold(): float(match[2]) for match in COUNTED.finditer(text)}
        summary = bool(MARKED.search(text)) and (earlier or _is_behind(_ahead(found, self._reached)))
        if summary and (earlier or not max(_ahead(found, self._back), default=0.0) > 0):
            self._back = found
            return True
        self._reached, self._back = self._reached | found, {}
        return False


def _ahead(found: dict[str, float], reached: dict[str, float]) -> list[float]:
    return [count - reached[name] for name, count in found.items() if name in reached]


def _is_behind(ahead: list[float]) -> bool:
    return bool(ahead) and min(ahead) < 0 and max(ahead) <= 0


def of_settings(before: str) -> bool:
    """Whether an object is none of metrics, by what stands before it: `config: {`."""
    return OF_SETTINGS.search(before) is not None


class Headings:
    """Of one stream, whether its lines stand below `Best model (epoch 1):`, further in or as an object."""

    def __init__(self) -> None:
        self._indent: int | None = None
        self._just_read = False

    def above(self, text: str) -> bool:
        """Whether this line stands below such a heading; each line must come by."""
        bare = text.strip()
        if not bare:
            return self._indent is not None
        indent = len(text) - len(text.lstrip())
        first, self._just_read = self._just_read, False
        if self._indent is not None and (indent > self._indent or (first and bare.startswith("{"))):
            return True
        self._just_read = bare.endswith(":") and looks_back(bare)
        self._indent = indent if self._just_read else None
        return False
