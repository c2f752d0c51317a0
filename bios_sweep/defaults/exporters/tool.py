"""What a table of keys is made of. A further tool is one more `Tool`, and a line in `export.TOOLS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bios_sweep.method import Objective
from bios_sweep.settings import METHODS


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A key that has the same value whatever the settings are, because the evidence was made that way.

    adapter: whether the key is an adapter's, so that full fine-tuning leaves it out.
    """

    value: Any
    reason: str
    adapter: bool = False


KeyValue: TypeAlias = str | Fixed  # the name of a quantity (`quantities.py`), or a fixed value


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Another trainer, as the keys that its configuration has for our settings.

    keys: section -> exact key -> where its value comes from. The section "" is the top of a flat file;
    other sections are the names of the tool's own classes or groups.
    source: where the keys were read, with the version; keys are renamed between versions.
    use: how the file is used, in one sentence. first_line: what must open the file, if anything.
    left_out: setting -> why the tool has no key for it. Every setting is in `keys` or here.
    splits_batch: whether the tool is told micro-batch and accumulation, or the whole batch.
    whole_alpha: whether the tool's alpha is an integer. methods, objectives: those it can be told of;
    use_in_full: how the file is used where a script must train, if that is another way. needed: keys that
    must be there; they are `auto` where there is no value.
    """

    name: str
    title: str
    source: str
    use: str
    keys: Mapping[str, Mapping[str, KeyValue]]
    left_out: Mapping[str, str]
    first_line: str = ""
    splits_batch: bool = True
    whole_alpha: bool = False
    methods: tuple[str, ...] = METHODS
    objectives: tuple[str, ...] = (Objective.SFT,)
    use_in_full: str = ""
    needed: tuple[str, ...] = ()


THE_DATA = "the project's own data decide it"
EVERY_LINEAR_LAYER = "every linear layer, as in the evidence"
PLAIN_ALPHA = "scale alpha / rank, as in the evidence"
AUTO = Fixed(value="auto", reason="computed where the file is used")
OPTIMIZER = "the optimizer of the evidence"
