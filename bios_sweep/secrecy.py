"""Secrets in texts: masked before anything is written or shown, refused where they would be kept.

A text leaves the process in many ways (a trial's cause, a tag in MLflow, a traceback in `error.log`, a
sentence on the terminal), and what is inside was often written by someone else's library. So what is
masked is what looks like a secret, and also the very values that this process holds in its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
SHORTEST = 8  # characters; chosen, not measured: shorter values (`true`, `none`) are everyday words

# variables that hold secrets by the custom of their owners: MLFLOW_TRACKING_TOKEN, HF_TOKEN, WANDB_API_KEY,
# AWS_SECRET_ACCESS_KEY, PGPASSWORD, AZURE_STORAGE_CONNECTION_STRING, SENTRY_DSN; not TOKENIZERS_PARALLELISM
SECRET_NAME = re.compile(
    r"TOKEN(?!I)|SECRET|PASSW|_PWD$|_PASS$|API_?KEY|ACCESS_KEY|PRIVATE_KEY|_KEY$|_DSN$|CONNECTION_STRING"
    r"|CREDENTIAL",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(r"_(FILE|PATH|DIR|HOME)$", re.IGNORECASE)
# masked where a variable holds it, but no reason to refuse a configuration: disabled, learning_rate, 12345678
_EVERYDAY = re.compile(r"[A-Za-z]?[a-z]+([_.-][a-z]+)*|[A-Z]+(_[A-Z]+)*|[\d.]+")
# inside a connection string: AccountKey=..., Password=..., SharedAccessSignature=...
_PART = re.compile(r"\b\w*(?:key|password|pwd|secret|signature)=([^;\s]+)", re.IGNORECASE)
_NAMED = r"(?:token|secret|password|passwd|api[_-]?key|access[_-]?key)"

# the user of an address: up to the last @ before its path; or, where a password was not percent-encoded,
# up to the last @ of the word, for `host:` is followed by a number and `user:` seldom is. No class of these
# patterns reaches over the place where the next match may begin: a line of any length takes linear time.
_USER = re.compile(
    r"(?<=://)[^\s/?#\"<>]*@"
    r"|(?<=://)[^\s/?#@:\"<>]*:(?!\d{1,5}(?:[/?#\s\"<>]|$))(?:(?!://)[^\s\"<>])*@"
)
_QUERY = re.compile(
    r"([?&][^=&?\s]{0,80}(?:token|key|secret|pass|pwd|auth|sig)[^=&?\s]{0,80}=)[^&\s'\"]+", re.IGNORECASE
)
_BEARER = re.compile(r"\b([Bb]earer\s+)(?=\S*\d)[\w.~+/=-]{8,}")  # a word of a text has no digit

# `Authorization:`: of schemes whose value is one word that word, of all others everything up to the quote
# that closes it or the end of the line (`Digest` has parts, and nobody knows every scheme's name)
_SCHEME = r"(?:bearer|basic|negotiate)\s+"
_PLACEHOLDER = r"(?:\$[A-Za-z_{(]|[<{]|%\w+%)"  # where a secret will be put
_IS_OPEN = rf"(?!(?:{_SCHEME})?(?:{re.escape(MASK)}|{_PLACEHOLDER}))"
_HEADER = r"authorization\\?['\"]?\s*[:=]\s*"
_HEADER_WORD = re.compile(
    rf"({_HEADER}[bfru]?\\?['\"]?{_SCHEME})(?!{_PLACEHOLDER})[^\s'\",}}*]+", re.IGNORECASE
)
_HEADER_QUOTED = re.compile(rf"({_HEADER}[bfru]?(['\"]){_IS_OPEN})(?:\\.|(?!\2)[^\\\n])+", re.IGNORECASE)
_HEADER_BARE = re.compile(
    rf"((['\"])?{_HEADER}(?:\\['\"])?{_IS_OPEN}(?![bfru]?['\"])(?=[^\s\\]))(?(2)(?:(?!\2)[^\n])+|[^\n]+)",
    re.IGNORECASE,
)

# a password is one however short it is, unless the word says that there is none
_NO_WORD = r"(?:none|null|true|false|yes|no|on|off)(?=[\s'\",;&)]|$)"
_NOT_ONE = rf"(?!['\"]?(?:[$<{{*]|%\w+%|{_NO_WORD}))"
_OPTION = r"(?<![\w-])--(?!no-)[\w-]{0,40}"


# a comma within it is part of it; one before a blank, an end or `name=` parts two arguments
_COMMA = r",(?![\w.-]{0,40}[=:]|[\s'\",;)]|$)"
_SIGN, _PLAIN_SIGN = rf"(?:[^\s'\",]|{_COMMA})", rf"(?:[^\s'\",;&)]|{_COMMA})"


def _password(least: int, not_one: str = "") -> re.Pattern[str]:
    """Passwords of at least so many signs; `;`, `&` and `)` end short ones alone."""
    quoted = "|".join(rf"{mark}(?:\\.|[^{mark}\\\n]){{{least},}}{mark}" for mark in "'\"")
    return re.compile(
        rf"({_OPTION}passw(?:or)?d\s+{not_one}|passw(?:or)?d=){_NOT_ONE}"
        rf"(?:{quoted}|{_SIGN}{{{SHORTEST},}}|{_PLAIN_SIGN}{{{least},}})",
        re.IGNORECASE,
    )


_NO_FILE = r"(?!@)"  # `--password @file` says where it is
_PASSWORD, _LONG_PASSWORD = _password(1), _password(SHORTEST, _NO_FILE)
# of a dict or an object; not `token`, as tokenizers call other things
_ENTRY = re.compile(
    r"(['\"][\w.-]{0,40}(?:passw(?:or)?d|secret|api[_-]?key|access[_-]?key)['\"]\s*:\s*(['\"]))"
    rf"{_NOT_ONE}(?:\\.|(?!\2)[^\\])+",
    re.IGNORECASE | re.DOTALL,
)
_ASSIGNED = re.compile(
    rf"((?:{_OPTION}{_NAMED}\s+{_NO_FILE}|{_NAMED}=)['\"]?)"
    rf"(?![$<{{*]|%\w+%|\d+(?:\s|$)){_SIGN}{{{SHORTEST},}}",
    re.IGNORECASE,
)
_SHAPED = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")  # https://huggingface.co/docs/hub/security-tokens


# (what a text must contain at all, pattern, replacement); the first saves looking closer at most lines
_Rules = tuple[tuple[str, re.Pattern[str], str], ...]


def _rules(password: re.Pattern[str]) -> _Rules:
    headers = tuple(
        (needed, pattern, rf"\1{MASK}")
        for pattern in (_HEADER_WORD, _HEADER_QUOTED, _HEADER_BARE)
        for needed in ("uthorization", "UTHORIZATION")
    )
    return (
        ("@", _USER, f"{MASK}@"),
        ("=", _QUERY, rf"\1{MASK}"),
        *headers,
        ("earer", _BEARER, rf"\1{MASK}"),
        ("=", password, rf"\1{MASK}"),
        ("--", password, rf"\1{MASK}"),
        (":", _ENTRY, rf"\1{MASK}"),
        ("=", _ASSIGNED, rf"\1{MASK}"),
        ("--", _ASSIGNED, rf"\1{MASK}"),
        ("hf_", _SHAPED, MASK),
    )


_MASKED = _rules(_PASSWORD)
_REFUSED = _rules(_LONG_PASSWORD)  # `reset_password=now` is an everyday command, and no reason to refuse it


_OPEN = ("BIOS_SWEEP_", "HF_ENDPOINT")  # variables that the workers get and everybody may read
_handed_on: dict[str, str] = {}  # variables that the user named for the workers, of this process


def keep_secret(environment: Mapping[str, str]) -> None:
    """From now on mask what `cluster.environment` names, whatever its name; our own variables stay.

    They only mask: a configuration that holds such a value (a model's name) is not refused.
    """
    _handed_on.update({name: value for name, value in environment.items() if not name.startswith(_OPEN)})


def masked(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """A text without users and passwords of addresses, tokens, and values of secret variables."""
    if not text:
        return text
    for _, secret in secret_values(environ):
        text = text.replace(secret, MASK)
    if environ is os.environ:
        for _, secret in _values(tuple(_handed_on.items()), whatever_name=True):
            text = text.replace(secret, MASK)
    return _by_rules(text, _MASKED)


def _by_rules(text: str, rules: _Rules) -> str:
    for needed, pattern, replacement in rules:
        if needed in text:
            text = pattern.sub(replacement, text)
    return text


def first_line(error: Exception, most: int = 200) -> str:
    """What an error says first, masked; its kind where it says nothing."""
    return (masked(str(error)).strip() or type(error).__name__).splitlines()[0][:most]


def secret_values(environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """(variable, secret) of an environment, longest first: values of secret names, passwords of addresses.

    A path (`/run/secrets/token`) only says where a secret is. Percent-encoded spellings come too, and every
    line of a value of several lines (a private key).
    """
    return _values(tuple(environ.items()))


@lru_cache(maxsize=8)  # an environment seldom changes, and every line of a script's output is masked
def _values(
    variables: tuple[tuple[str, str], ...], whatever_name: bool = False
) -> tuple[tuple[str, str], ...]:
    found = {
        (name, spelling)
        for name, value in variables
        for secret in _secrets_of(name, value, whatever_name)
        for spelling in (secret, unquote(secret), quote(secret, safe=""))
        if len(spelling) >= SHORTEST
    }
    return tuple(sorted(found, key=lambda pair: (-len(pair[1]), pair)))


def _secrets_of(name: str, value: str, whatever_name: bool) -> Iterator[str]:
    if (whatever_name or SECRET_NAME.search(name)) and not _is_path(name, value):
        yield value
        yield from (line.strip() for line in value.replace("\\n", "\n").splitlines())
        yield from _PART.findall(value)
    yield from re.findall(r"://[^\s/?#:@]*:([^\s/?#]*)@", value)


def _is_path(name: str, value: str) -> bool:
    """Base64 may begin with a slash too, so the first folder must be there."""
    if not value.startswith(("/", "~/")) or "\n" in value:
        return False
    try:
        first = next(iter(Path(value).expanduser().parts[1:]), "")
        return bool(_FILE_NAME.search(name)) or Path("/", first).exists()
    except (OSError, RuntimeError):  # longer than a path can be; nobody's home is known
        return False


def secret_in(text: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """What kind of secret a text holds, in words that do not show it; None where it holds none.

    Everyday words and numbers are no sign of one, even where a variable of a secret name holds them; nor are
    passwords of less than `SHORTEST` signs on a command line, which are only masked.
    """
    for name, value in secret_values(environ):
        if value in text and not _EVERYDAY.fullmatch(value):
            return f"the value of {name}"
    if _by_rules(text, _REFUSED) != text:
        return "a password or token"
    return None


def texts(values: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted path, text) of every text in nested plain values."""
    if isinstance(values, str):
        yield path, values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, list | tuple):
        for place, value in enumerate(values):
            yield from texts(value, f"{path}[{place}]")
