"""Names of files that shells, Hydra and addresses read in ways of their own."""

from __future__ import annotations

from functools import partial

from tests.containers.files import lines
from tests.e2e.files_people_have.case import PAIRS, Case

case = partial(Case, kind="paths")

NAMES = (
    "data (1).jsonl",
    "a#b&c.jsonl",
    "it's {a}.jsonl",
    "\u6570\u636e[v2] 50%.jsonl",
    "epoch=1-step=9/tr,ain.jsonl",
    "a%20b?c.jsonl",
    'dou"ble.jsonl',
    "new\nline.jsonl",
    "-dash.jsonl",
    "~tilde.jsonl",
    "$HOME ${x}.jsonl",
    "back\\slash.jsonl",
    "n" * 200 + ".jsonl",
    "\u202eolleh \U0001f680.jsonl",
    "*.jsonl",
    "[x].jsonl",
    "a:b|c>d<e.jsonl",
    " blanks .jsonl",
    "noending",
    ".hidden.jsonl",
)
CASES = tuple(
    case(name=repr(name)[:40], files={name: lines(PAIRS)}, quick=name.startswith("\u6570")) for name in NAMES
)
