"""`keys WORD...`: the configuration keys that are about these words, and what may stand there."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence

from rich.console import Console

from bios_sweep.cli.answer import print_answer
from bios_sweep.config.keys import chosen
from bios_sweep.config.places import config_root
from bios_sweep.reference.listed import ListedKey, Listing, keys_about, listed_keys


def run(args: Namespace) -> int:
    """Light: the files of `conf/` are read as they are, and no study is made of them."""
    conf = config_root() / "conf"
    taken = {f"{group}={name}" for group, name in chosen(conf).items()}
    found = Listing(keys=keys_about(listed_keys(conf), args.words))

    def show(answer: Listing, console: Console) -> None:
        for line in _lines(answer.keys, taken):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    print_answer(args, found, show)
    return 0


def _lines(keys: Sequence[ListedKey], taken: set[str]) -> Iterator[str]:
    """`key=default  (type)  meaning`, under the option whose file says so; those not taken come last."""
    by_option: dict[str, list[ListedKey]] = {}
    for key in sorted(keys, key=lambda key: key.option not in taken | {""}):
        by_option.setdefault(key.option, []).append(key)
    for option, own in by_option.items():
        if option:
            yield option if option in taken else f"{option} (not taken unless chosen)"
        for key in own:
            yield f"  {key.path}={key.value}  ({key.kind.allowed})  {key.comment}".rstrip()
