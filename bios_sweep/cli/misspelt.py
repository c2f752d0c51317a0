"""A command line that argparse cannot read, told in one sentence with what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from bios_sweep.cli.verbs import VERBS

NEAR = 0.6  # of difflib's ratio; chosen: `pln` is meant as plan, `pin` is not


def in_our_words(message: str, program: str) -> str:
    """Argparse's message as a sentence. program: `bios-sweep`, or `bios-sweep VERB`."""
    verb = program.partition(" ")[2]
    if found := re.match(r"unrecognized arguments: (.*)", message, re.DOTALL):
        return _unknown(verb, found[1].split())
    if found := re.match(r"argument VERB: invalid choice: (.*) \(choose from", message, re.DOTALL):
        return no_verb(found[1].strip("'\""))
    if message.startswith("the following arguments are required: VERB"):
        return no_verb("")
    if found := re.match(r"argument (\S+): expected one argument", message):
        return (
            f"{found[1]}: its value is missing; one that begins with a dash is given as {found[1]}=-VALUE "
            "or, a path, as ./-VALUE"
        )
    if found := re.match(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)", message, re.DOTALL):
        word, options = found[2].strip("'\""), [one.strip("'\"") for one in found[3].split(", ")]
        near = difflib.get_close_matches(word, options, n=1, cutoff=NEAR)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return f"{verb} {found[1]}: {word!r} is not allowed{hint}; choose from {', '.join(options)}"
    return f"{program}: {message}; `{program} --help` shows what it takes"


def no_verb(word: str) -> str:
    """That a command line has no verb, or one that is none."""
    verbs = ", ".join(VERBS)
    if not word:
        return f"no verb is given; write bios-sweep VERB, VERB being one of {verbs}"
    if "=" in word:
        return f"{word!r} stands where a verb is missing; write bios-sweep plan {word}, or another of {verbs}"
    near = difflib.get_close_matches(word.lower(), [*VERBS, *MEANT], n=1, cutoff=NEAR)
    hint = f" (did you mean {MEANT.get(near[0], near[0])!r}?)" if near else ""
    return f"there is no verb {word!r}{hint}; choose from {verbs}"


# what other tools call such verbs
MEANT = {
    **{"start": "run", "train": "run", "launch": "run", "execute": "run", "sweep": "run", "resume": "run"},
    **{"simulate": "rehearse", "show": "report", "results": "report", "summary": "report", "next": "suggest"},
    **{"check": "doctor", "config": "keys", "help": "--help", "kill": "stop", "cancel": "stop"},
    **{"version": "--version", "audit": "report", "export": "defaults", "merge": "defaults"},
}


# what of a table of runs goes by another flag
OF_TABLES = {
    **dict.fromkeys(("--metric", "--objective"), "--value COL, the column of the metric"),
    **{"--mode": "--direction minimize or maximize", "--default": "--baseline NAME, the default's arm"},
    **{"--model": "--context COL, a column whose values are judged one at a time"},
}


def _unknown(verb: str, words: Sequence[str]) -> str:
    """A flag that the verb has not: another one, or a key of the configuration typed as a flag."""
    word = next((one for one in words if one.startswith("-")), words[0] if words else "")
    name, given, value = word.partition("=")
    flags = (*VERBS[verb].flags, "--debug", "--help") if verb in VERBS else ("--help", "--version")
    if verb in VERBS and VERBS[verb].operands == "overrides" and name.startswith("-"):
        from bios_sweep.config.meant import called  # reads the configuration's files

        if verb == "report" and name in OF_TABLES:
            return f"report has no flag {name}; of a table that is {OF_TABLES[name]}"
        if key := called(name):
            following = words[words.index(word) + 1 :][:1]
            told = value if given else (following[0] if following else "VALUE")
            return f"{verb} has no flag {name}; settings are given as {key}={told}"
    near = difflib.get_close_matches(name, flags, n=1, cutoff=NEAR)
    kind = "flag" if name.startswith("-") else "operand"
    hint = f" (did you mean {near[0]}?)" if near else f"; it takes {', '.join(flags)}"
    return f"{verb or 'bios-sweep'} has no {kind} {name}{hint}"
