"""`completion SHELL`: the script for a shell, and the words that it asks for while one is typed.

The shell hands over the line as it stands, and gets whole words back; what a key holds is not offered but for
groups, whose members are files. Light: the files of `conf/` are read, Hydra is not loaded.
"""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bios_sweep.cli.actions import ACTIONS
from bios_sweep.cli.flags import FLAGS, SHELLS
from bios_sweep.cli.verbs import HYDRAS, VERBS
from bios_sweep.config.keys import read_conf
from bios_sweep.config.places import config_root
from bios_sweep.defaults.exporters.tools import TOOLS
from bios_sweep.reference.terms import TERMS

CONFIG_DIR, SWEEP, SWEEPS = "--config-dir", "--sweep", "sweeps"
# bash splits words at `=` and `:` and replaces the last part alone, so what is before it is cut off there
SCRIPTS = {
    "bash": """\
_bios_sweep() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\\n' word head
    COMPREPLY=($(bios-sweep completion --line "$line" 2>/dev/null))
    word="${line##* }"
    head="${word%"${word##*[=:]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
}
complete -o nospace -o default -F _bios_sweep bios-sweep
""",
    "zsh": """\
#compdef bios-sweep
_bios_sweep() {
    local -a found whole
    found=("${(@f)$(bios-sweep completion --line "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    whole=("${(@M)found:#* }")
    (( $#found )) || _files
    (( $#whole )) && compadd -- "${whole[@]% }"
    found=("${(@)found:#* }")
    (( $#found )) && compadd -S '' -- "${found[@]}"
}
compdef _bios_sweep bios-sweep
""",
    "fish": """\
function __bios_sweep
    bios-sweep completion --line (commandline -cp | string collect) 2>/dev/null | string trim --right
end
complete -c bios-sweep -f -a '(__bios_sweep)'
""",
}


def run(args: Namespace) -> int:
    """Print the script of a shell, or with `--line` the words that may stand at the line's end."""
    if args.line is None:
        print(SCRIPTS[args.shell or SHELLS[0]], end="")
    else:
        print("\n".join(candidates(args.line)))
    return 0


def candidates(line: str) -> list[str]:
    """Whole words for the last one of a command line; a finished one ends with a space."""
    words = _split(line)
    last = "" if not words or line.endswith(" ") else words.pop()
    return sorted({word for word in _offered(words[1:], last) if word.startswith(last)})


def _split(line: str) -> list[str]:
    """As the shell would; a quote that is not closed yet ends where the line does."""
    for end in ("", "'", '"'):
        try:
            return shlex.split(line + end)
        except ValueError:
            continue
    return line.split()


def _offered(before: Sequence[str], last: str) -> Iterator[str]:
    verb = next((word for word in before if word in VERBS), None)
    if verb is None and set(before) & set(HYDRAS):
        verb = "plan"  # as `main` takes it
    if verb is None:
        yield from _done(VERBS)
        yield from _done(("--help", "--version"))
        return
    taken = VERBS[verb]
    options = FLAGS.get(f"{verb} {before[-1]}", FLAGS.get(before[-1], {"action": ""}))
    if "action" not in options:
        yield from _values_of(before[-1], before, options)
    elif last.startswith("-"):
        yield from _done((*taken.flags, "--help", "--debug"))
    elif taken.operands == "overrides":
        yield from _overrides(before, last)
    elif taken.operands == "action" and before[-1] == verb:
        yield from _done(ACTIONS)
    elif taken.operands == "shell":
        yield from _done(SHELLS)
    elif verb == "explain":
        yield from _done(term.term for term in TERMS)


def _done(words: Iterable[str]) -> Iterator[str]:
    return (f"{word} " for word in words)


def _values_of(flag: str, before: Sequence[str], options: Mapping[str, object]) -> Iterator[str]:
    """What stands behind a flag: one of its choices, a trainer, or the sweeps of the workspace."""
    choices = options.get("choices", TOOLS if options.get("metavar") == "TOOL" else ())
    yield from _done(map(str, choices))  # type: ignore[call-overload]  # of argparse's words, untyped here
    if flag == SWEEP:
        given = [word.partition("=")[2] for word in before if word.startswith("workspace=")]
        folder = Path(given[-1] if given else "bios_runs") / SWEEPS
        yield from _done(path.name for path in folder.glob("*") if path.is_dir())


def _overrides(before: Sequence[str], last: str) -> Iterator[str]:
    """Groups and keys up to their next dot, or the members of a group."""
    key, given, _ = last.partition("=")
    if given:
        yield from _done(f"{key}={member}" for member in _members(key, before))
        return
    depth = last.count(".")
    yield f"{SWEEPS}="
    for option in read_conf(config_root() / "conf"):
        yield from (f"{option.group}=",) if option.group else ()
        for one in option.keys:
            parts = one.path.split(".")
            yield one.path + "=" if len(parts) == depth + 1 else ".".join(parts[: depth + 1]) + "."


def _members(group: str, before: Sequence[str]) -> Iterator[str]:
    """The files of a group, a person's own folder included."""
    own = [Path(before[place + 1]) for place, word in enumerate(before[:-1]) if word == CONFIG_DIR]
    for root in (config_root(), *own):
        for folder in (root / "conf" / group, root / group):
            yield from (path.stem for path in folder.glob("*.yaml"))
