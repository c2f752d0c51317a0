"""`{"prompt", "chosen", "rejected"}`: preference pairs, which preference training learns from.

Supervised training refuses them unless they are asked for: then the chosen answer alone is learned, and the
rejected one is kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

from bios_sweep.engines.training.data import Example, Message
from bios_sweep.engines.training.shapes.shape import Row, Shape
from bios_sweep.engines.training.shapes.sharegpt import SPEAKERS, turn_of
from bios_sweep.engines.training.shapes.tools import TOOL_KEYS, parsed, tools_of
from bios_sweep.engines.training.shapes.turns import HELP as TURN
from bios_sweep.engines.training.shapes.turns import talk_of, turns_of, unlearned
from bios_sweep.engines.training.shapes.values import as_text, text_of, text_or_nothing
from bios_sweep.errors import DataError

KEYS = ("chosen", "rejected")
HELP = '{"prompt", "chosen", "rejected"}'
PROMPTS = ("conversations", "instruction")  # other places of the question, as LLaMA-Factory has them
BY_NAME = "preference_chosen"
PAIRS = "preference_pairs"
SYSTEM = "system"
# turns as text, which is how a table has them; an answer may be a list of other objects, and stays one
_TURNS = re.compile(
    rf"\s*\[\s*\{{.*?['\"](?:role|from)['\"]\s{{0,9}}:\s{{0,9}}['\"](?:{'|'.join(SPEAKERS)})['\"]",
    re.IGNORECASE | re.DOTALL,
)


def _common(chosen: str, rejected: str) -> str:
    """What both begin with, up to a blank: the prompt of a pair that has none of its own."""
    pairs = zip(chosen, rejected, strict=False)
    shared = chosen[: sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))]
    return shared[: max(shared.rfind(blank) for blank in (" ", "\n")) + 1]


def _refuse(row: Row, place: str) -> Example:
    raise DataError(
        f"{place}: a preference pair (chosen and rejected), as DPO learns from: method=dpo trains on it, and "
        f"data.shape={BY_NAME} learns the chosen answer alone, by supervised training"
    )


def _read(row: Row, place: str, begins: Callable[[str, str], str] = _common) -> Example:
    row = _with_turns(_with_prompt(row, place), place)
    if isinstance(row["chosen"], list | dict):
        return _talk(row, place)
    chosen, rejected = (text_of(row, key, place, help=HELP) for key in KEYS)
    prompt = row.get("prompt")
    if prompt is None:
        prompt = begins(chosen, rejected)
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    if isinstance(prompt, list):
        turns = turns_of(prompt, place, "prompt", turn_of, TURN)
        said = Message(role="assistant", content=chosen)
        return replace(talk_of((*unlearned(turns), said), place, "chosen"), rejected=rejected)
    prompt = as_text(prompt, place, "prompt")
    return Example(prompt=prompt, completion=chosen, cluster="", origin=place, rejected=rejected)


def _with_prompt(row: Row, place: str) -> Row:
    """The prompt by its name, where the record has it as a conversation so far, or in Alpaca's form."""
    ways = [key for key in ("prompt", *PROMPTS) if row.get(key)]
    if len(ways) > 1:
        raise DataError(f"{place}: has {' and '.join(ways)}; keep the question in one place")
    if ways == ["conversations"]:
        return {**row, "prompt": row["conversations"]}
    if ways == ["instruction"]:
        parts = (text_or_nothing(row, key, place) for key in ("instruction", "input"))
        return {**row, "prompt": "\n".join(part for part in parts if part)}
    return row


def _with_turns(row: Row, place: str) -> Row:
    """Turns that are written as JSON text, read as the turns they are."""
    told = {key: row[key] for key in (*KEYS, "prompt") if isinstance(row.get(key), str)}
    return {**row, **{key: parsed(text, place, key) for key, text in told.items() if _TURNS.match(text)}}


def _talk(row: Row, place: str) -> Example:
    chosen, rejected = (_turns(row[key], place, key) for key in KEYS)
    prompt = _prompt(row.get("prompt"), place)
    pairs = zip(chosen, rejected, strict=False)
    same = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
    if prompt and not _of_users(same):  # what both answer alike is an answer
        same = list(takewhile(lambda turn: turn.role == SYSTEM, same))
    chosen, rejected = chosen[len(same) :], rejected[len(same) :]
    before = _asked_once(prompt, same, chosen, place)
    talk = talk_of((*unlearned(before), *chosen), place, "chosen", tools_of(row, place))
    return replace(talk, rejected_messages=rejected)


def _asked_once(
    prompt: Sequence[Message], same: Sequence[Message], chosen: Sequence[Message], place: str
) -> Sequence[Message]:
    """The turns before the answer: those of the prompt, unless both conversations repeat them."""
    asked, repeated = _of_users(prompt), _of_users(same)
    starts_or_ends = asked in (repeated[: len(asked)], repeated[len(repeated) - len(asked) :])
    again = not repeated and _of_users(chosen[:1]) in [[question] for question in asked]
    if (repeated and not starts_or_ends) or again:
        raise DataError(
            f"{place}: prompt and the turns that chosen and rejected both begin with ask differently; keep "
            "the question in one place"
        )
    system = [turn for turn in prompt if turn.role == SYSTEM and turn not in same]
    if repeated:
        return (*system, *same)
    return (*same, *(turn for turn in prompt if turn not in same))


def _of_users(turns: Sequence[Message]) -> list[str]:
    return [turn.content.strip() for turn in turns if turn.role == "user"]


def _turns(value: Any, place: str, key: str) -> tuple[Message, ...]:
    """A list of turns, or one alone."""
    return turns_of([value] if isinstance(value, dict) else value, place, key, turn_of, TURN)


def _prompt(value: Any, place: str) -> Sequence[Message]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message(role="user", content=as_text(value, place, "prompt")),)
    return turns_of(value, place, "prompt", turn_of, TURN)


def _alike(chosen: str, rejected: str) -> str:
    """What both begin with, without a blank before they differ, as TRL has it."""
    shared = chosen[
        : sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(chosen, rejected, strict=False)))
    ]
    return shared[:-1] if shared.endswith(" ") else shared


def _read_pair(row: Row, place: str) -> Example:
    """Both answers, each of which says something, and not the same."""
    if row["chosen"] == row["rejected"]:
        raise DataError(
            f"{place}: chosen and rejected are the same; a pair prefers nothing then, remove the line"
        )
    pair = _read(row, place, _alike)
    if not pair.messages:
        _require_said(pair.rejected, place)
        return pair
    prompt = tuple(takewhile(lambda turn: not turn.learned, pair.messages))
    answer = pair.rejected_messages or (Message(role="assistant", content=pair.rejected),)
    rejected = talk_of((*prompt, *answer), place, "rejected", pair.tools).messages[len(prompt) :]
    if not all(turn.learned for turn in (*pair.messages[len(prompt) :], *rejected)):
        raise DataError(
            f"{place}: a turn of a pair has weight or train; both answers are learned whole, remove it"
        )
    if rejected == pair.messages[len(prompt) :]:
        raise DataError(
            f"{place}: chosen and rejected are the same; a pair prefers nothing then, remove the line"
        )
    _require_said(rejected[0].content or pair.rejected or "calls", place)
    return replace(pair, rejected="", rejected_messages=rejected)


def _require_said(rejected: str, place: str) -> None:
    if not rejected.strip():
        raise DataError(
            f"{place}: rejected is empty; an answer that is not preferred says something, remove the line"
        )


ASKED = ("prompt", *PROMPTS, "input")
PREFERENCE = Shape(name="preference", keys=KEYS, help=HELP, learned="nothing", read=_refuse, more=ASKED)
PREFERENCE_CHOSEN = Shape(
    name=BY_NAME,
    keys=KEYS,
    more=(*ASKED, *TOOL_KEYS),
    help=HELP,
    learned="the chosen answer alone; the rejected one is kept and not read",
    read=_read,
    stated=True,
)
PREFERENCE_PAIRS = Shape(
    name=PAIRS,
    keys=KEYS,
    more=(*ASKED, *TOOL_KEYS),
    help=HELP,
    learned="to prefer the chosen answer to the rejected one",
    read=_read_pair,
    stated=True,
)
