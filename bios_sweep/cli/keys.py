"""`keys WORD...`: the configuration keys that are about these words, with default and meaning."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping

from rich.console import Console

from bios_sweep.cli.answer import print_answer
from bios_sweep.config.keys import Key, chosen, read_conf
from bios_sweep.config.places import config_root
from bios_sweep.errors import InputError


def run(args: Namespace) -> int:
    """Light: the files of `conf/` are read as they are, and no study is made of them."""
    conf = config_root() / "conf"
    keys = [key for option in read_conf(conf) for key in option.keys]
    taken = {f"{group}={name}" for group, name in chosen(conf).items()}
    found = [key for key in keys if _about(key, args.words)]
    if not found:
        raise InputError(f"no key is about {' '.join(args.words)!r}; `bios-sweep keys` lists all")

    def show(answer: Mapping[str, list[Key]], console: Console) -> None:
        for line in _lines(answer["keys"], taken):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    print_answer(args, {"keys": found}, show)
    return 0


def _about(key: Key, words: list[str]) -> bool:
    """Whether a key's name, option or meaning has every word."""
    text = f"{key.path} {key.option} {key.comment}".lower()
    return all(word.lower() in text for word in words)


def _lines(keys: list[Key], taken: set[str]) -> Iterator[str]:
    """`key=default  meaning`, under the option whose file says so; those not taken by default come last."""
    by_option: dict[str, list[Key]] = {}
    for key in sorted(keys, key=lambda key: key.option not in taken | {""}):
        by_option.setdefault(key.option, []).append(key)
    for option, own in by_option.items():
        if option:
            yield option if option in taken else f"{option} (not taken unless chosen)"
        for key in own:
            yield f"  {key.path}={key.value}  {key.comment}".rstrip()
