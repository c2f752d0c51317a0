"""`defaults export MODEL|FILE --to TOOL`: what is served for a model, as another trainer's file."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass

from bios_sweep import defaults
from bios_sweep.atomic import require_folder, write_atomically
from bios_sweep.cli.defaults_served import only_operand, served
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.errors import DefaultsError


def run(args: Namespace) -> int:
    """Write the file, or print it where none is named."""
    if args.to is None:
        raise DefaultsError(f"`defaults export` needs --to; choose from {', '.join(defaults.TOOLS)}")
    asked = _of_file(args) or _of_model(args)
    exported = defaults.export_file(
        asked.settings,
        to=args.to,
        gpus=args.gpus,
        micro_batch=args.micro_batch,
        profile=args.goal if isinstance(asked.settings, defaults.TunedDefaults) else None,
        title=f"{asked.name}, {args.goal}, from {asked.source}",
    )
    if args.output is not None:
        require_folder(args.output)
        write_atomically(args.output, exported.text())
    if args.json:
        print(decimal_json(_answer(args, asked, exported)))
    elif args.output is None:
        print(exported.text(), end="")
    else:
        told = (f"to bear in mind: {text}" for text in asked.warnings)
        print("\n".join((f"wrote {args.output} for {exported.tool.title}", exported.use, *told)))
    return 0


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is exported: the settings, whose they are, where they were found, and what to bear in mind."""

    settings: defaults.Recommendation | defaults.TunedDefaults
    name: str
    source: str
    warnings: tuple[str, ...] = ()


def _of_file(args: Namespace) -> _Asked | None:
    """The one study of a tuned-defaults file; None where a model is named."""
    word = only_operand(args)
    if not word.endswith(".json"):
        return None
    if args.defaults is not None:
        raise DefaultsError(f"--defaults: belongs to a model; {word} is a tuned-defaults file itself")
    tuned = defaults.read_tuned(word)
    name = tuned.provenance.model or tuned.key.words
    return _Asked(settings=tuned, name=name, source=word, warnings=tuned.warnings)


def _of_model(args: Namespace) -> _Asked:
    found = served(args)
    return _Asked(settings=found, name=only_operand(args), source=found.source, warnings=found.warnings)


def _answer(args: Namespace, asked: _Asked, exported: defaults.Exported) -> dict[str, object]:
    return {
        "to": exported.tool.name,
        "file": None if args.output is None else str(args.output),
        "profile": args.goal,
        "source": asked.source,
        "judged_on": asked.settings.judged_on,
        "values": exported.to_dict(),
        "comments": {name: dict(comments) for name, comments in exported.comments.items()},
        "keys_from": exported.tool.source,
        "use": exported.use,
        "warnings": list(asked.warnings),
    }
