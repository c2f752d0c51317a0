"""What the words of a command mean, as far as they can be read without running it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath

OPERATORS = ";|&<>()"  # of a shell
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# Programs that start the command behind their own words -> options whose value is a word of its own
# (coreutils, util-linux and the shells' own words).
STARTERS: Mapping[str, tuple[str, ...]] = {
    "env": ("-u", "--unset", "-C", "--chdir", "-S", "--split-string"),
    "nice": ("-n", "--adjustment"),
    "ionice": ("-c", "-n", "--class", "--classdata"),
    "timeout": ("-k", "--kill-after", "-s", "--signal"),
    "stdbuf": ("-i", "-o", "-e"),
    "nohup": (),
    "setsid": (),
    "time": ("-f", "-o"),
    "exec": ("-a",),
}
# Programs that read a script here, in this folder; what follows `docker run` may lie anywhere.
READERS = re.compile(r"(python|pypy)[\d.]*|sh|bash|dash|zsh|torchrun|accelerate|deepspeed")
NAMED_OTHERWISE = re.compile(r"-[A-Za-z]*[mc]")  # behind it comes a module, or code
ELSEWHERE = ("cd", "pushd", "-C", "--chdir")  # what follows is read in another folder
SCRIPTS = (".py", ".sh")


def shell_commands(text: str) -> list[list[str]]:
    """The simple commands a shell would see; split at spaces where quotation marks are open."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    reader.whitespace_split, reader.commenters = True, ""
    try:
        words = list(reader)
    except ValueError:
        words = text.split()
    commands: list[list[str]] = [[]]
    for word in words:
        bare = word.strip(OPERATORS)
        if bare:
            commands[-1].append(bare)
        if bare != word:
            commands.append([])
    return [command for command in commands if command]


def shell_words(text: str) -> list[str]:
    """The words a shell would see, without its operators."""
    return [word for command in shell_commands(text) for word in command]


def behind_starters(words: Sequence[str]) -> list[str]:
    """The command itself: without assignments, `env X=1`, `nice -n 5`, `timeout 60` and their like."""
    rest = list(words)
    while rest:
        name = PurePath(rest[0]).name
        if ASSIGNMENT.match(rest[0]):
            del rest[0]
        elif name in STARTERS:
            rest = _behind_options(rest[1:], STARTERS[name])
            del rest[: name == "timeout"]  # how long
        else:
            break
    return rest


def starts_elsewhere(words: Sequence[str]) -> bool:
    """Whether it, or what follows it, runs in another folder."""
    return any(word in ELSEWHERE for word in words)


def script_named(words: Sequence[str]) -> str | None:
    """The script file that a command hands to an interpreter or a launcher; None where none is named so."""
    command = behind_starters(words)
    if not command or not READERS.fullmatch(PurePath(command[0]).name):
        return None
    for word in command[1:]:
        if NAMED_OTHERWISE.fullmatch(word):
            return None
        if word.endswith(SCRIPTS) and not word.startswith("-"):
            return None if "{" in word or "$" in word else word
    return None


def _behind_options(words: list[str], with_value: Sequence[str]) -> list[str]:
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] in with_value else 1
    return words[place:]
