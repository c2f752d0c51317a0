"""The settings that `defaults show`, `diff` and `export` are about: one model, and what is served for it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from bios_sweep import defaults
from bios_sweep.errors import DefaultsError
from bios_sweep.records.sweep_files import left_by_sweeps


def only_operand(args: Namespace) -> str:
    """The model that the action is about.

    Raises:
        DefaultsError: more than one was given.
    """
    if len(args.operands) != 1:
        raise DefaultsError(f"`defaults {args.action}` takes one model, not {len(args.operands)}")
    return str(args.operands[0])


def served(args: Namespace) -> defaults.Recommendation:
    """What is served for the model: tuned values where a place has them, else the heuristics."""
    return defaults.serve(
        only_operand(args),
        method=args.method,
        examples=args.examples,
        tokens=args.tokens,
        goal=args.goal,
        objective=args.objective,
        family=args.family,
        hidden_size=args.hidden_size,
        parameters=args.parameters,
        path=args.defaults,
    )


def recommended(args: Namespace) -> defaults.Recommendation:
    """What the heuristics say of the model, whatever was tuned."""
    return defaults.recommend(
        only_operand(args),
        method=args.method,
        examples=args.examples,
        tokens=args.tokens,
        goal=args.goal,
        objective=args.objective,
        family=args.family,
        hidden_size=args.hidden_size,
    )


def tuned_files(words: list[str]) -> list[Path]:
    """Tuned-defaults files; a folder stands for those of the sweeps below it.

    Raises:
        DefaultsError: a folder without any, or a path that does not exist.
    """
    files: list[Path] = []
    for word in words:
        path = Path(word).expanduser()
        found = left_by_sweeps(path, defaults.FILE_NAME) if path.is_dir() else [path]
        if not found:
            raise DefaultsError(f"{path}: no {defaults.FILE_NAME} in this folder or below")
        files += found
    return files
