"""What people know from Hydra programs: `--cfg`, `--info`, `--hydra-help`. They launch nothing."""

from __future__ import annotations

from argparse import Namespace

HELP = """\
Hydra composes the configuration, and nothing else: a command runs in this folder and changes nothing of it.

  as in every Hydra program
    key=value, group=name            set a value, choose a file of a group; `bios-sweep keys WORD` lists keys
    +key=value, ++key=value, ~key    add, add or set, take away
    --config-dir DIR                 your own groups: DIR/sweeps/*.yaml, DIR/model/*.yaml, ...
    --cfg job|hydra|all              print the configuration; job: the values that the command would use
    --info                           print where files were looked for and what was chosen
    bios-sweep completion SHELL      a script for bash, zsh or fish; Hydra has -sc for it

  not here, with what to use
    --multirun, hydra/sweeper        sweeps=NAME: a study with its levels, seeds and looks
    hydra/launcher, hydra.run.dir    cluster=NAME (ray, inline, local_gpu, ...), workspace=DIR
    _target_, hydra.*                a configuration names values, never code
"""


def asked(args: Namespace) -> bool:
    """Whether one of these was given to a verb that has them."""
    return any(getattr(args, name, None) for name in ("cfg", "info", "hydra_help"))


def run(args: Namespace) -> int:
    """Print what was asked for instead of doing what the verb does."""
    if args.hydra_help:
        print(HELP, end="")
        return 0
    from bios_sweep.cli.answer import invocation_of  # loads rich
    from bios_sweep.config.shown import as_yaml, info_lines  # loads Hydra

    config = invocation_of(args).composed()
    if args.cfg:
        print(as_yaml(config, args.cfg), end="")
    if args.info:
        print("\n".join(info_lines(config)))
    return 0
