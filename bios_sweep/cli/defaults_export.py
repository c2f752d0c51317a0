"""`defaults export MODEL --to TOOL`: the settings served for a model as another trainer's file."""

from __future__ import annotations

from argparse import Namespace

from bios_sweep import defaults
from bios_sweep.atomic import write_atomically
from bios_sweep.cli.defaults_served import only_operand, served
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.errors import DefaultsError, StorageError


def run(args: Namespace) -> int:
    """Write the file, or print it where none is named."""
    if args.to is None:
        raise DefaultsError(f"`defaults export` needs --to; choose from {', '.join(defaults.TOOLS)}")
    recommendation = served(args)
    model = only_operand(args)
    exported = defaults.export_file(
        recommendation,
        to=args.to,
        gpus=args.gpus,
        micro_batch=args.micro_batch,
        title=f"{model}, {recommendation.goal}, from {recommendation.source}",
    )
    if args.output is not None:
        if not args.output.parent.is_dir():  # a misspelt path must not become a folder
            raise StorageError(f"{args.output}: cannot be written (no such folder); choose another folder")
        write_atomically(args.output, exported.text())
    if args.json:
        print(decimal_json(_answer(args, recommendation, exported)))
    elif args.output is None:
        print(exported.text(), end="")
    else:
        print(f"wrote {args.output} for {exported.tool.title}\n{exported.use}")
    return 0


def _answer(
    args: Namespace, recommendation: defaults.Recommendation, exported: defaults.Exported
) -> dict[str, object]:
    return {
        "to": exported.tool.name,
        "file": None if args.output is None else str(args.output),
        "profile": recommendation.goal,
        "source": recommendation.source,
        "values": exported.to_dict(),
        "comments": {name: dict(comments) for name, comments in exported.comments.items()},
        "keys_from": exported.tool.source,
        "use": exported.use,
        "warnings": list(recommendation.warnings),
    }
