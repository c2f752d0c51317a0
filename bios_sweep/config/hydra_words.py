"""What Hydra and OmegaConf complain of, in words of ours: nobody has to know that they are there."""

from __future__ import annotations

import re
from collections.abc import Callable

Words = Callable[[re.Match[str]], str]
SAID: tuple[tuple[str, Words], ...] = (
    (r"ConfigError raised while resolving interpolation: (.+)", lambda said: said[1]),
    (
        r"Could not delete from config\. '(.+?)' does not exist",
        lambda said: f"~{said[1]}: {said[1]!r} does not exist, so it cannot be left out",
    ),
    (
        r"Could not delete from config\. The value of '(.+?)' is (.+?) and not",
        lambda said: f"~{said[1]}: its value is {said[2]}, and another one was named; write ~{said[1]} alone",
    ),
    (
        r"Could not delete\. No match for '(.+?)' in the defaults list",
        lambda said: f"~{said[1]}: nothing of that name is chosen, so it cannot be left out",
    ),
    (
        r"Environment variable '(.+?)' not found",
        lambda said: f"${{oc.env:{said[1]}}}: the environment variable {said[1]} is not set",
    ),
    (r"Interpolation key '(.+?)' not found", lambda said: f"${{{said[1]}}} names no value"),
    (r"Unsupported interpolation type (\S+)", lambda said: f"${{{said[1]}:...}} names no value"),
    (
        r"Multiple values for (\S+?)\. ",
        lambda said: f"{said[1]} is chosen twice; leave one of the two out",
    ),
    (r"Missing mandatory value: (\S+)", lambda said: f"{said[1]}: ??? stands for a value that is missing"),
    (
        r"token recognition error|no viable alternative|mismatched input|extraneous input|missing \S+ at",
        lambda said: "a reference ${...} in a value cannot be read; write $ without a brace, or a name in it",
    ),
    (
        r"Could not override '(.+?)'",
        lambda said: f"{said[1]}: what was given does not fit there; `bios-sweep keys` says what may",
    ),
    (
        r"Error merging override (\S+)",
        lambda said: f"{said[1]!r} cannot be put where it is meant to go; `bios-sweep keys` says what may",
    ),
)


def in_our_words(error: Exception) -> str:
    """One sentence; of what no line here knows the first line, which at least says what it is about."""
    text = str(error).strip()
    for pattern, words in SAID:
        if found := re.search(pattern, text):
            return words(found)
    first = text.splitlines()[0].rstrip(".") if text else type(error).__name__
    return f"the configuration cannot be put together: {first}"
