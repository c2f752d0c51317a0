"""What the tokenised data take on each node's disk, said before they are made."""

from __future__ import annotations

import shutil
from pathlib import Path

from bios_sweep.driver.scenarios.trained import LORA_ENGINE
from bios_sweep.engines.training.facts import read_config
from bios_sweep.engines.training.kept import kept_root
from bios_sweep.report.content.wording import plural
from bios_sweep.study.plan import Plan
from bios_sweep.study.scenario import EVALUATION

SMALL_VOCABULARY = 2**16  # up to it a token takes 2 bytes, else 4
EXAMPLE_BYTES = 32  # of `table.ARRAYS`: where an example ends, its prompt, its bytes, its cluster, its asides
WORTH_SAYING = 100e6  # bytes; chosen: less is nobody's concern
GIGA = 1e9


def table_bytes(plan: Plan) -> int:
    """Of all tables that a node makes for a plan: the evaluation's, and the training's at each length."""
    scenario = plan.study.scenario
    if scenario.engine != LORA_ENGINE:
        return 0
    config = read_config(Path(scenario.model.path))
    vocabulary = (config.get("text_config") or config).get("vocab_size") or SMALL_VOCABULARY + 1
    token = 2 if vocabulary <= SMALL_VOCABULARY else 4
    tables = {(cut.split, cut.max_length): cut for cut in scenario.data.cuts}.values()
    return sum((cut.tokens - cut.lost) * token + cut.examples * EXAMPLE_BYTES for cut in tables)


def table_notes(plan: Plan) -> tuple[list[str], list[str]]:
    """What a plan says of it, and what it warns of on this machine; nothing where it is little."""
    needed = table_bytes(plan)
    if needed < WORTH_SAYING:
        return [], []
    lengths = len({cut.max_length for cut in plan.study.scenario.data.cuts if cut.split != EVALUATION})
    root = kept_root("tokens")
    free = shutil.disk_usage(root).free
    told = (
        f"the tokens take {needed / GIGA:.2g} GB of the disk of each node ({plural(lengths, 'length')}), "
        f"mapped into memory as far as they are read; {root} has {free / GIGA:.3g} GB free"
    )
    if needed < free:
        return [told], []
    return [], [f"{told}: free some there, or set XDG_CACHE_HOME to another folder"]
