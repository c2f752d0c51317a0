"""Preference pairs, in every way of asking their question."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.containers.files import lines
from tests.e2e.files_people_have.case import CHAT, Case, array, each, pair, said, turn

case = partial(Case, kind="preference")


def preferred(number: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"Q{number}", "chosen": f"good {number}", "rejected": f"bad {number}", **more}


def _implicit(number: int) -> dict[str, Any]:
    asked = turn("user", f"Q{number}")
    return {
        "chosen": [asked, turn("assistant", f"good {number}")],
        "rejected": [asked, turn("assistant", "bad")],
    }


def _both_ways(number: int) -> dict[str, Any]:
    return {"prompt": f"Q{number}", **_implicit(number), "score_chosen": 9.0, "score_rejected": 1.5}


CHOSEN = ("data.shape=preference_chosen",)
CASES = (
    case(
        name="pairs",
        files={"dpo.jsonl": lines(each(preferred))},
        ends="data.shape=preference_chosen",
        quick=True,
    ),
    case(name="pairs, the chosen", files={"dpo.jsonl": lines(each(preferred))}, words=CHOSEN),
    case(name="implicit prompts", files={"dpo.jsonl": lines(each(_implicit))}, words=CHOSEN, model=CHAT),
    case(name="the prompt in both", files={"dpo.jsonl": lines(each(_both_ways))}, words=CHOSEN, model=CHAT),
    case(
        name="implicit texts",
        files={
            "dpo.jsonl": lines(
                each(
                    lambda n: {
                        "chosen": f"Human: {n}? Assistant: yes {n}",
                        "rejected": f"Human: {n}? Assistant: no",
                    }
                )
            )
        },
        words=CHOSEN,
    ),
    case(
        name="chosen equals rejected",
        files={"dpo.jsonl": lines(each(lambda n: preferred(n, rejected=f"good {n}")))},
        words=CHOSEN,
    ),
    case(
        name="prompt is a list of turns",
        files={
            "dpo.jsonl": lines(
                each(
                    lambda n: {
                        "prompt": [turn("user", f"{n}?")],
                        "chosen": [turn("assistant", f"good {n}")],
                        "rejected": [turn("assistant", "bad")],
                    }
                )
            )
        },
        words=CHOSEN,
        model=CHAT,
    ),
    case(
        name="one empty chosen",
        files={"dpo.jsonl": lines([*each(preferred), preferred(99, chosen="")])},
        words=CHOSEN,
        ends="the completion is empty",
    ),
    case(
        name="the alpaca form of pairs",
        files={
            "dpo.json": array(
                each(
                    lambda n: {"instruction": f"Q{n}", "input": "", "chosen": f"good {n}", "rejected": "bad"}
                )
            )
        },
        ends="a preference pair (chosen and rejected)",
    ),
    case(
        name="labels of KTO",
        files={"kto.jsonl": lines(each(lambda n: {**pair(n), "label": n % 2 == 0}))},
        ends="label",
    ),
    case(
        name="ShareGPT's form of pairs",
        files={
            "dpo.json": array(
                each(
                    lambda n: {
                        "conversations": [said("human", f"{n}?")],
                        "chosen": said("gpt", f"good {n}"),
                        "rejected": said("gpt", "bad"),
                    }
                )
            )
        },
        model=CHAT,
        ends="a preference pair (chosen and rejected)",
    ),
    case(
        name="the alpaca form of pairs, the chosen",
        files={
            "dpo.json": array(
                each(lambda n: {"instruction": f"Q{n}", "input": "now", **preferred(n, prompt=None)})
            )
        },
        words=CHOSEN,
    ),
    case(
        name="ShareGPT's form of pairs, the chosen",
        files={
            "dpo.json": array(
                each(
                    lambda n: {
                        "conversations": [said("human", f"{n}?")],
                        "chosen": said("gpt", f"good {n}"),
                        "rejected": said("gpt", "bad"),
                    }
                )
            )
        },
        words=CHOSEN,
        model=CHAT,
    ),
)
