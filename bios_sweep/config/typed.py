"""The words of a command line as Hydra reads them: what the shell handed over is meant as it stands.

Hydra has a grammar of its own for `key=value`, in which brackets, commas, equal signs, quotes, `#` and `é`
mean something or nothing at all, and a shell has taken its own quotes off by then. So a text, such as a path,
is quoted for Hydra here, every word that is none is refused in words of ours, and what is neither a list nor
names with values is handed to the check of its key as a text, which says what may stand there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from bios_sweep.config.groups import group_names, member_names, shipped_sweeps
from bios_sweep.config.meant import did_you_mean, meant_by
from bios_sweep.config.own_sweep import ENDINGS, is_path
from bios_sweep.errors import ConfigError
from bios_sweep.paths import expanded

SWEEPS = "sweeps"
# keys whose value is any text; one that is wholly in quotes is taken for quoted for Hydra
TEXTS = (
    *(
        "workspace",
        "on_verdict",
        "data.path",
        "data.eval_path",
        "data.name",
        "data.chat_date",
        "data.score",
        "data.cluster",
    ),
    *("data.score_pattern", "model.path", "model.name", "cluster.storage", "cluster.accelerator_type"),
    *("method.command", "method.callable", "method.metric", "method.metrics_file", "method.trainer_state"),
    *("method.pattern", "tracking.uri", "submit.working_dir", "submit.venv", "submit.container"),
    *("submit.time", "submit.image", "method.settings_template", "method.settings_file"),
)
OWN_BRACES = (
    *("method.command", "method.metrics_file", "method.trainer_state", "method.pattern"),
    *("method.settings_template", "method.settings_file"),
)
OWN_VARIABLES = "method.env"  # its values are texts, too
LISTED = ("data.path", "data.eval_path")  # several files are a list of texts
OPEN = "null"  # no value at all
MISSING = "???"  # OmegaConf's word for a value that somebody else has to give
PREFIX = re.compile(r"\+\+|\+|~|")
QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
CALLED = re.compile(r"\w+\(")  # `range(1,3)`, `int(3)`: Hydra's functions, which nothing here needs
MEMBER = re.compile(r"[\w][\w.-]*")
BRACKETS = {"[": "]", "{": "}"}


def read_words(words: Sequence[str]) -> list[str]:
    """Overrides as Hydra reads them, one per word; none is changed that Hydra understands as it was meant.

    Raises:
        ConfigError: a word that is no override, with what was probably meant, or a value that cannot be read.
    """
    for place, word in enumerate(words):
        _require_override(word, words[max(0, place - 2) : place], words[place + 1 : place + 3])
    return [_read(word) for word in words]


def parts(word: str) -> tuple[str, str, bool, str]:
    """(`+`, `++`, `~` or nothing; key; whether there is an equal sign; value) of an override."""
    prefix = PREFIX.match(word)
    begin = prefix.group() if prefix else ""
    key, given, value = word[len(begin) :].partition("=")
    return begin, key, bool(given), value


def quoted(text: str, *, braces: bool = False) -> str:
    """A text as Hydra reads it back to the letter. braces: `${oc.env:NAME}` means nothing there, either."""
    text = re.sub(r"(\\*)\$\{" + ("" if braces else "(?!oc[.]env:)"), r"\1\1\\${", text)  # no interpolation
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    ending = len(text) - len(text.rstrip("\\"))
    return f"'{text}{text[len(text) - ending :]}'"


def written(key: str, text: str) -> str:
    """The override that sets a key of `TEXTS` to a text; quoted only where it would be read otherwise."""
    return f"{key}={quoted(text) if QUOTED.fullmatch(text) or text in (OPEN, '') else text}"


def _require_override(word: str, before: Sequence[str], after: Sequence[str]) -> None:
    if not word.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in word):
        raise ConfigError(
            f"{word.encode(errors='backslashreplace').decode()!r}: holds bytes that are no UTF-8"
        )
    if "\0" in word:
        raise ConfigError(f"{word!r}: holds a NUL character, which no path and no name has")
    prefix, key, given, value = parts(word)
    if given and not key.strip():
        earlier = before[-1] if before else "key"
        pasted = f"{earlier}={value or (after[0] if after else 'value')}"
        raise ConfigError(f"{word!r}: no key before the equal sign; write {pasted} without spaces around it")
    if not given and prefix != "~":
        raise ConfigError(f"{word!r} is no override, which is key=value{_instead(word, before, after)}")
    _require_key(word, key)


def _instead(word: str, before: Sequence[str], after: Sequence[str]) -> str:
    """What somebody meant who typed a word without an equal sign."""
    if before and before[-1].endswith("="):
        return f"; write {before[-1]}{word} without spaces"
    if len(before) > 1 and before[-1] == "=":
        return f"; write {before[-2]}={word} without spaces"
    following = next((one.lstrip("=") for one in after if one != "=" and "=" not in one.strip("=")), "VALUE")
    if (word in shipped_sweeps() and following == "VALUE") or word.endswith(ENDINGS):
        return f"; write sweeps={word}"
    if Path(word).is_file():
        return f"; write {written('data.path', word)}"
    name, colon, value = word.partition(":")
    if colon and name and (key := meant_by(name)):
        return f"; write {key}={value.strip() or following}"
    key = meant_by(word)
    return f"; write {key}={following}" if key else ""


def _require_key(word: str, key: str) -> None:
    """Refuse a key that Hydra cannot read, or would read as something else (`key@package`)."""
    if re.fullmatch(r"[A-Za-z_][\w-]*(\.[\w-]+)*", key, re.ASCII):
        return
    wrong = next((n for n, letter in enumerate(key) if not re.match(r"[\w.-]", letter, re.ASCII)), None)
    if wrong is None:
        why = "names stand between single dots, and the first begins with a letter"
    else:
        why = f"{key[wrong]!r}, its character {wrong + 1}, stands in no key"
    raise ConfigError(f"{word!r}: {key!r} is no key: {why}{did_you_mean(key)}")


def _read(word: str) -> str:
    prefix, key, given, value = parts(word)
    if prefix == "~" or not given:
        return word
    if key in (*group_names(), SWEEPS):
        return f"{key}={_member(key, value)}"  # a member is chosen, whatever stands before it
    prefix = "++" if prefix else ""  # `+` alone refuses a key that is there, which says no more
    return f"{prefix}{key}={_text(key, value) if _is_text(key) else _value(key, value)}"


def _is_text(key: str) -> bool:
    return key in TEXTS or key.startswith(f"{OWN_VARIABLES}.")


def _member(group: str, value: str) -> str:
    """A member's name; whatever else stands there is refused, with what a key of the group would be."""
    name = unquoted(value)
    if group == SWEEPS and is_path(name):
        return quoted(name, braces=True)
    if MEMBER.fullmatch(name) and name != OPEN:
        return name if name.isascii() else quoted(name)
    options = ", ".join(shipped_sweeps() if group == SWEEPS else member_names(group))
    key = f"{group}.path" if group in ("data", "model") and name not in ("", OPEN) else ""
    way = f"; write {written(key, name)}" if key else ""
    raise ConfigError(f"{group}={value}: there is no such {group}; choose from {options}{way}")


def _text(key: str, value: str) -> str:
    if value == MISSING:
        raise ConfigError(f"{key}: {MISSING} stands for a value that is still missing; give one")
    if value in (OPEN, "") or (key == "method.trainer_state" and value in ("true", "false")):
        return value
    if key in LISTED and value[0] == "[" and value[-1] == "]" and not expanded(value).exists():
        return _value(key, value)
    own = key in OWN_BRACES or key.startswith(OWN_VARIABLES)
    return value if _is_quoted(key, value) else quoted(value, braces=own)


def _value(key: str, value: str) -> str:
    """A number, word, list or mapping as it is; what Hydra cannot read, as a text for the key's own check."""
    parsed = parse(f"{key}={value}")
    if parsed is not None and not parsed.is_sweep_override() and not CALLED.match(value):
        if value == MISSING:
            return quoted(value + " ")  # the check of the key refuses it
        return value
    if value.lstrip()[:1] in BRACKETS:
        raise ConfigError(f"{key}: {value!r} cannot be read: {_fault(value.strip())}")
    return quoted(value)


def parse(override: str) -> Override | None:
    """An override in Hydra's own words; None where its grammar has none for it."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def _is_quoted(key: str, value: str) -> bool:
    return bool(QUOTED.fullmatch(value)) and parse(f"{key}={value}") is not None


def unquoted(value: str) -> str:
    """A value without the quotes that it has for Hydra."""
    found: Any = parse(f"key={value}") if QUOTED.fullmatch(value) else None
    return str(found.value()) if found is not None else value


def _fault(value: str) -> str:
    """What is wrong with a list or a mapping: the character, where it is, and the way out."""
    kind = "a list is [1, 2]" if value[0] == "[" else "names with values are {name: value, other: value}"
    stack: list[tuple[str, int]] = []
    last = ""
    for place, letter in _outside_quotes(value):
        if letter in BRACKETS:
            stack.append((letter, place))
        elif letter in BRACKETS.values():
            if not stack or BRACKETS[stack.pop()[0]] != letter:
                return f"the {letter} at character {place} closes nothing; {kind}"
            if not stack and place < len(value):
                return f"{value[place:]!r} stands behind the end at character {place}; {kind}"
        elif letter == "," and last in ("", ",", *BRACKETS):
            return f"an item is missing before the comma at character {place}; {kind}"
        elif letter in "'\"":
            return f"the quote at character {place} is not closed"
        elif not re.match(r"[\w\s.:+\-/*%$@?|,\\]", letter, re.ASCII):
            return f"{letter!r} at character {place} needs quotes around its text, as in ['a{letter}b']"
        last = last if letter.isspace() else letter
    if stack:
        return f"the {stack[-1][0]} at character {stack[-1][1]} is not closed; {kind}"
    return f"an item that is no number and no plain word needs quotes; {kind}"


def _outside_quotes(value: str) -> Iterator[tuple[int, str]]:
    """(place from 1, letter) of what is in no quotes; of what is, a `q` in its place."""
    place = 0
    while place < len(value):
        whole = QUOTED.match(value, place)
        yield place + 1, "q" if whole else value[place]
        place = whole.end() if whole else place + 1
