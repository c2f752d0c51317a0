"""A configuration file with placeholders, `lr: {learning_rate}`, filled for each trial. Pure.

Whatever the file is, only its placeholders change: comments, order, tags and all other braces stay. A value
is written so that the readers of that kind of file read it as it is: PyYAML takes `1e-05` for a text, and
`no` for false.
"""

from __future__ import annotations

import configparser
import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml  # type: ignore[import-untyped]  # omegaconf brings it, without stubs

from bios_sweep.engines.scripted.command import known_placeholders, meant
from bios_sweep.engines.scripted.json_comments import without_comments
from bios_sweep.errors import ConfigError

TEMPLATE_KEY = "method.settings_template"
PLACEHOLDER = re.compile(r"\{\{(?P<literal>[A-Za-z_]\w*)\}\}|(?<!\$)\{(?P<name>[A-Za-z_]\w*)\}")
COMMENT = re.compile(r"(?:^|\s)#")  # of YAML and TOML, outside quotation marks
SLASHES = re.compile(r"//")  # of JSON with comments
NEAR = 0.75  # of difflib's ratio; chosen: `{trail_dir}` is a slip, `{instruction}` is a text of one's own
YAML, JSON, TOML, INI, JSONC = "YAML", "JSON", "TOML", "INI", "JSON with comments"
KINDS = {
    ".yaml": YAML, ".yml": YAML, ".json": JSON, ".toml": TOML, ".ini": INI, ".jsonc": JSONC, ".json5": JSONC,
}  # fmt: skip
QUOTED = (YAML, JSON, TOML, JSONC)  # where double quotation marks make a text
PLAIN_TEXT = re.compile(r"[A-Za-z_/][\w./+-]*")  # needs no quotation marks in YAML, unless it is a word of it
WORDS_OF_YAML = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
BEFORE_VALUE = re.compile(r"(^|[:=,\[]|(^|\s)-)\s*$")  # of a line, up to a value that stands alone
BEHIND_VALUE = re.compile(r"\s*($|[,\]}]|\s#)")

UNREADABLE = (ValueError, LookupError, AttributeError, TypeError)  # PyYAML's of `!!bool x`, `!!timestamp x`


@dataclass(frozen=True, kw_only=True)
class FileTemplate:
    """A template. name: as it was configured. own: settings of one's own.

    Raises:
        ConfigError: a placeholder that is none, as far as it can only be meant as one.
    """

    name: str
    text: str
    own: Sequence[str] = ()

    def __post_init__(self) -> None:
        allowed = known_placeholders(self.own)
        for match in PLACEHOLDER.finditer(self.text):
            name = match["name"]
            if name is None or name in allowed or not self._can_only_be_one(match):
                continue
            line = self.text.count("\n", 0, match.start()) + 1
            raise ConfigError(
                f"{self.name}, line {line}: {{{name}}} is no placeholder{meant(name, allowed)}; allowed are "
                f"{', '.join(allowed)} (a literal brace: {{{{{name}}}}})"
            )

    @property
    def kind(self) -> str:
        """What its name says that it is; empty for another kind of text."""
        return KINDS.get(PurePath(self.name).suffix.lower(), "")

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders, each once, in the order they are first used."""
        allowed = known_placeholders(self.own)
        matches = PLACEHOLDER.finditer(self.text)
        found = (match["name"] for match in matches if not self._in_comment(match))
        return tuple(dict.fromkeys(name for name in found if name in allowed))

    def filled(self, values: Mapping[str, Any]) -> str:
        """The text with the values of a trial."""
        parts, place = [], 0
        for match in PLACEHOLDER.finditer(self.text):
            begin, end, written = self._written(match, values)
            parts += [self.text[place:begin], written]
            place = end
        return "".join((*parts, self.text[place:]))

    def _written(self, match: re.Match[str], values: Mapping[str, Any]) -> tuple[int, int, str]:
        """Where a match begins and ends, with quotation marks that hold it alone, and what comes there."""
        (begin, end), literal, name = match.span(), match["literal"], match["name"]
        if literal is not None:
            is_ours = literal in known_placeholders(self.own) or self._is_near(literal)
            return begin, end, f"{{{literal}}}" if is_ours else match[0]
        if name not in values:
            return begin, end, match[0]
        value = values[name]
        before, behind = self._line_around(begin, end)
        mark = _open_quote(before)
        if not mark:
            alone = BEFORE_VALUE.search(before) and BEHIND_VALUE.match(behind)
            return begin, end, _as_value(value, self.kind) if alone else _as_text(value)
        whole = before.endswith(mark) and behind.startswith(mark) and self.kind in QUOTED
        if whole and not isinstance(value, str):
            return begin - 1, end + 1, _as_value(value, self.kind)
        return begin, end, _inside_quotes(_as_text(value), mark, self.kind)

    def _line_around(self, begin: int, end: int) -> tuple[str, str]:
        """Of the line of a match, what stands before it and behind it."""
        before = self.text[self.text.rfind("\n", 0, begin) + 1 : begin]
        return before, self.text[end:].partition("\n")[0]

    def _in_comment(self, match: re.Match[str]) -> bool:
        """No reader sees a comment: what stands there is filled, and carries no setting."""
        before, _ = self._line_around(*match.span())
        mark = {YAML: COMMENT, TOML: COMMENT, JSONC: SLASHES}.get(self.kind)
        begins = mark.finditer(before) if mark else ()
        return any(not _open_quote(before[: begin.start()]) for begin in begins)

    def _can_only_be_one(self, match: re.Match[str]) -> bool:
        """An unknown name is text of one's own, unless it is nearly a known one, or all of a bare value."""
        if self._in_comment(match):
            return False
        before, behind = self._line_around(*match.span())
        bare = not _open_quote(before) and BEFORE_VALUE.search(before) and BEHIND_VALUE.match(behind)
        return bool(bare) or self._is_near(match["name"])

    def _is_near(self, name: str) -> bool:
        return bool(difflib.get_close_matches(name, known_placeholders(self.own), n=1, cutoff=NEAR))

    def scalars(self) -> tuple[Any, ...]:
        """The single values in it, its placeholders left out; none of a file that cannot be read."""
        try:
            return self._read(dict.fromkeys(self.names, 1))
        except ConfigError:
            return ()  # said where real values are at hand

    def require_read(self, values: Mapping[str, Any]) -> None:
        """Read the filled file as a script would.

        Raises:
            ConfigError: it cannot be read, or a value does not arrive in it as it is.
        """
        found = self._read(values)
        for name in self.names if self.kind else ():
            if not any(_holds(one, values[name]) for one in found):
                raise ConfigError(
                    f"{TEMPLATE_KEY}: {{{name}}} of {self.name} would be read as something else than "
                    f"{values[name]!r}; put it between double quotation marks"
                )

    def _read(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        text = self.filled(values)
        if not self.kind:
            return ()
        try:
            return tuple(_scalars_of(text, self.kind))
        except (*UNREADABLE, yaml.YAMLError, configparser.Error, RecursionError) as error:
            why = " ".join(str(error).split())[:200] + self._commented(text)
            raise ConfigError(
                f"{TEMPLATE_KEY}: {self.name} cannot be read as {self.kind} once it is filled: {why}"
            ) from error

    def _commented(self, text: str) -> str:
        """The way out where comments and trailing commas are all that is wrong with JSON."""
        with suppress(ValueError):
            if self.kind == JSON and json.loads(without_comments(text)) is not None:
                return f"; if the script reads comments, name it {PurePath(self.name).stem}.jsonc"
        return ""


def decimal(number: float) -> str:
    """A number as every reader takes it for one: PyYAML wants the point, `1.0e-05`."""
    mantissa, e, exponent = repr(number).partition("e")
    return f"{mantissa}{'' if '.' in mantissa or not e else '.0'}{e}{exponent}"


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal(value) if isinstance(value, float) else str(value)


def _as_value(value: Any, kind: str) -> str:
    """A value where nothing stands around it: a text in quotation marks where it needs them."""
    if not isinstance(value, str) or kind not in QUOTED:
        return _as_text(value)
    safe = PLAIN_TEXT.fullmatch(value) and value.lower() not in WORDS_OF_YAML
    return value if kind == YAML and safe else json.dumps(value, ensure_ascii=False)


def _inside_quotes(text: str, mark: str, kind: str) -> str:
    if mark == '"' and kind in QUOTED:
        return json.dumps(text, ensure_ascii=False)[1:-1]
    return text.replace("'", "''") if mark == "'" and kind == YAML else text


def _open_quote(before: str) -> str:
    """The quotation mark that is open at the end of a part of a line; empty where none is."""
    mark, skip = "", False
    for place, sign in enumerate(before):
        if skip:
            skip = False
        elif sign == "\\" and mark == '"':
            skip = True
        elif mark:
            mark = "" if sign == mark else mark
        elif sign in "\"'" and not before[:place].rstrip(" ")[-1:].isalnum():
            mark = sign  # an apostrophe inside a word opens nothing
    return mark


def _scalars_of(text: str, kind: str) -> Iterator[Any]:
    """The single values of a file; of YAML as PyYAML reads them, whatever its tags are."""
    if kind == YAML:
        for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
            yield from _of_node(document)
    elif kind == INI:
        parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
        parser.read_string(text)
        yield from (value for section in parser.values() for value in section.values() if value is not None)
    elif kind == TOML:
        yield from _of_values(tomllib.loads(text))
    else:
        yield from _of_values(json.loads(without_comments(text) if kind == JSONC else text))


def _of_node(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (*_of_node(key), *_of_node(value))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _of_node(item)
    elif node is not None:
        own = node.tag.startswith("tag:yaml.org,2002:")
        yield yaml.SafeLoader("").construct_object(node) if own else node.value


def _of_values(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (key, *_of_values(item))
    elif isinstance(value, list):
        for item in value:
            yield from _of_values(item)
    else:
        yield value


def _holds(found: Any, value: Any) -> bool:
    """Whether a value that was read is the one that was written, or a text with it inside."""
    if isinstance(found, str):
        return _as_text(value) in found
    return type(found) in (type(value), int, float) and not isinstance(found, str) and bool(found == value)
