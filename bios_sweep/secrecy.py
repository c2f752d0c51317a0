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
from typing import Any
from urllib.parse import quote, unquote

MASK = "***"
SHORTEST = 8  # characters; chosen, not measured: shorter values (`true`, `none`) are everyday words

# variables that hold secrets by the custom of their owners: MLFLOW_TRACKING_TOKEN, HF_TOKEN, WANDB_API_KEY,
# AWS_SECRET_ACCESS_KEY, PGPASSWORD; not TOKENIZERS_PARALLELISM
SECRET_NAME = re.compile(
    r"TOKEN(?!I)|SECRET|PASSW|_PWD$|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIAL", re.IGNORECASE
)
_NAMED = r"(?:token|secret|password|passwd|api[_-]?key|access[_-]?key)"

# the user of an address: up to the last @ before its path; or, where a password was not percent-encoded,
# up to the last @ of the word, for `host:` is followed by a number and `user:` seldom is
_USER = re.compile(r"(?<=://)[^\s/?#\"<>]*@|(?<=://)[^\s/?#@:\"<>]*:(?!\d{1,5}(?:[/?#\s\"<>]|$))[^\s\"<>]*@")
_QUERY = re.compile(r"([?&][^=&\s]*(?:token|key|secret|pass|pwd|auth|sig)[^=&\s]*=)[^&\s'\"]+", re.IGNORECASE)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",}*]+", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"((?:--[\w-]*{_NAMED}\s+|\b[\w.-]*{_NAMED}=)['\"]?)(?![$<{{*]|\d+(?:\s|$))[^\s'\",]{{{SHORTEST},}}",
    re.IGNORECASE,
)
_SHAPED = re.compile(r"\bhf_[A-Za-z0-9]{20,}\b")  # https://huggingface.co/docs/hub/security-tokens


# (what a text must contain at all, pattern, replacement); the first saves looking closer at most lines
_RULES = (
    ("@", _USER, f"{MASK}@"),
    ("=", _QUERY, rf"\1{MASK}"),
    ("uthorization", _HEADER, rf"\1{MASK}"),
    ("=", _ASSIGNED, rf"\1{MASK}"),
    ("--", _ASSIGNED, rf"\1{MASK}"),
    ("hf_", _SHAPED, MASK),
)


def masked(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """A text without users and passwords of addresses, tokens, and values of secret variables."""
    for _, secret in secret_values(environ):
        text = text.replace(secret, MASK)
    for needed, pattern, replacement in _RULES:
        if needed in text:
            text = pattern.sub(replacement, text)
    return text


def secret_values(environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """(variable, secret) of an environment, longest first: values of secret names, passwords of addresses.

    A path (`/run/secrets/token`) only says where a secret is. Percent-encoded spellings come too.
    """
    return _values(tuple(environ.items()))


@lru_cache(maxsize=4)  # an environment seldom changes, and every line of a script's output is masked
def _values(variables: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    found = {
        (name, spelling)
        for name, value in variables
        for secret in _secrets_of(name, value)
        for spelling in (secret, unquote(secret), quote(secret, safe=""))
        if len(spelling) >= SHORTEST
    }
    return tuple(sorted(found, key=lambda pair: (-len(pair[1]), pair)))


def _secrets_of(name: str, value: str) -> Iterator[str]:
    if SECRET_NAME.search(name) and not value.startswith(("/", "~")):
        yield value
    yield from re.findall(r"://[^\s/?#:@]*:([^\s/?#]*)@", value)


def secret_in(text: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """What kind of secret a text holds, in words that do not show it; None where it holds none."""
    for name, value in secret_values(environ):
        if value in text:
            return f"the value of {name}"
    if masked(text, {}) != text:
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
