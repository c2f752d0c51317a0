"""Alpaca's instruction, input and output, as they are and as they are written by others."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.containers.files import lines, separated
from tests.e2e.files_people_have.case import CHAT, COUNT, Case, array, each

case = partial(Case, kind="alpaca")


def alpaca(number: int, **more: Any) -> dict[str, Any]:
    given = f"{number} and 2" if number % 2 else ""
    return {
        "instruction": f"Add the numbers ({number}).",
        "input": given,
        "output": f"It is {number + 2}.",
        **more,
    }


def _without_input(number: int) -> dict[str, Any]:
    row = alpaca(number)
    if not row["input"]:
        del row["input"]
    return row


def _null_input(number: int) -> dict[str, Any]:
    row = alpaca(number)
    return {**row, "input": row["input"] or None}


CASES = (
    case(
        name="array",
        files={"alpaca_data.json": array(each(alpaca), indent=2)},
        model=CHAT,
        quick=True,
    ),
    case(name="no template", files={"alpaca_data.json": array(each(alpaca))}),
    case(name="input is missing", files={"a.jsonl": lines(each(_without_input))}, model=CHAT),
    case(name="input is null", files={"a.jsonl": lines(each(_null_input))}),
    case(
        name="a text column beside",
        files={"a.json": array(each(lambda n: alpaca(n, text=f"Below is an instruction {n}")))},
        ends="data.shape=",
    ),
    case(
        name="a text column beside, stated",
        files={"a.json": array(each(lambda n: alpaca(n, text=f"Below is an instruction {n}")))},
        words=("data.shape=alpaca_text",),
    ),
    case(
        name="history and system",
        files={"a.json": array(each(lambda n: alpaca(n, system="Be brief.", history=[["Hi", "Hello."]])))},
        model=CHAT,
    ),
    case(
        name="history of objects",
        files={"a.json": array(each(lambda n: alpaca(n, history=[{"q": "Hi"}])))},
        model=CHAT,
        ends="history must be a list of [instruction, output] pairs",
    ),
    case(
        name="output is a list",
        files={"a.json": array(each(lambda n: {**alpaca(n), "output": ["a", "b"]}))},
        ends="output is a list; it must be a string",
    ),
    case(
        name="one empty output",
        files={
            "a.json": array([*each(alpaca), {"instruction": "Say nothing", "input": "", "output": " \n"}])
        },
        ends="the completion is empty",
    ),
    case(
        name="csv of pandas with an index",
        files={"a.csv": separated(",")([{"": str(n), **alpaca(n)} for n in range(COUNT)])},
    ),
    case(
        name="capital keys",
        files={
            "a.json": array(each(lambda n: {key.capitalize(): value for key, value in alpaca(n).items()}))
        },
        ends="'data.columns={instruction: Instruction, input: Input, output: Output}' reads it",
    ),
    case(
        name="capital keys, named",
        files={
            "a.json": array(each(lambda n: {key.capitalize(): value for key, value in alpaca(n).items()}))
        },
        words=("data.columns={instruction: Instruction, input: Input, output: Output}",),
    ),
)
