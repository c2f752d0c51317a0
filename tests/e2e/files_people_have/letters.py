"""Bytes and letters that files have which nobody looked at."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.containers.files import lines
from tests.e2e.files_people_have.case import COUNT, PAIRS, Case, each, one_line

case = partial(Case, kind="letters")

NASTY_TEXTS = (
    "\u0634\u0645\u0633 \u202eolleh",
    "\U0001f469\u200d\U0001f4bb \u4f60\u597d",
    "a\u2028b\u0085c",
    "e\u0301 \ufeff \u200b",
    "\\n \\u0041 \"'`",
    "<|endoftext|> </s>",
)


def _nasty(number: int) -> dict[str, Any]:
    text = NASTY_TEXTS[number % len(NASTY_TEXTS)]
    return {"prompt": f"{text} {number}?", "completion": f"{number} {text}."}


CASES = (
    case(
        name="BOM and CRLF",
        files={"daten mit leerzeichen.jsonl": b"\xef\xbb\xbf" + lines(each(_nasty)).replace(b"\n", b"\r\n")},
    ),
    case(
        name="CR alone",
        files={"a.jsonl": lines(PAIRS).replace(b"\n", b"\r")},
        ends="its lines end with CR alone; convert them",
    ),
    case(name="a NUL in a text", files={"a.jsonl": one_line(prompt="a\0b", completion="c")}),
    case(
        name="a raw NUL",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "a\0b", "completion": "c"}\n'},
        ends="is text with zero bytes in it",
    ),
    case(
        name="zeros at the end",
        files={"a.jsonl": lines(PAIRS) + bytes(4096)},
        ends="is text with zero bytes in it",
    ),
    case(
        name="half a character",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "\\ud83d", "completion": "c"}\n'},
        ends="a.jsonl:17: prompt holds half a character",
    ),
    case(
        name="half a character in a column nobody reads",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "a", "completion": "c", "by": "\\ud83d"}\n'},
    ),
    case(
        name="half a character in a name",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "a", "completion": "c", "\\ud83d": "d"}\n'},
    ),
    case(name="UTF-16", files={"a.jsonl": lines(PAIRS).decode().encode("utf-16")}, ends="is UTF-16 text"),
    case(
        name="Latin-1",
        files={"a.jsonl": lines(PAIRS) + '{"prompt": "caf\u00e9", "completion": "c"}\n'.encode("latin-1")},
        ends="a.jsonl:17: not UTF-8 text; convert the file",
    ),
    case(
        name="empty lines", files={"a.jsonl": b"\n\n" + lines(PAIRS).replace(b"\n", b"\n\n  \t\n") + b"\n\n"}
    ),
    case(
        name="a huge whole number",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "a", "completion": "c", "id": ' + b"9" * 5000 + b"}\n"},
        ends="a.jsonl:17: not valid JSON (a number of thousands of digits)",
    ),
    case(name="NaN beside", files={"a.jsonl": lines([{**row, "score": float("nan")} for row in PAIRS])}),
    case(
        name="NaN as an answer",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "a", "completion": NaN}\n'},
        ends="a.jsonl:17: completion is a number; it must be a string",
    ),
    case(
        name="one quotation mark missing",
        files={"a.jsonl": lines(PAIRS) + b'{"prompt": "a, "completion": "c"}\n'},
        ends="a.jsonl:17: not valid JSON",
    ),
    case(
        name="Python's quotes",
        files={"a.jsonl": "".join(f"{row}\n" for row in PAIRS).encode()},
        ends="it is written as Python shows a dict; write json.dumps(row)",
    ),
    case(name="empty file", files={"a.jsonl": b""}, ends="the file is empty"),
    case(name="blanks alone", files={"a.jsonl": b"\n \n"}, ends="the file is empty"),
    case(
        name="one example",
        files={"a.jsonl": lines(PAIRS[:1])},
        ends="holds one example, and one must be held out to judge by",
    ),
    case(
        name="duplicates alone",
        files={"a.jsonl": lines(PAIRS[:1] * 12)},
        ends="its 12 examples are all the same",
    ),
    case(name="duplicated ids", files={"a.jsonl": lines([{"id": 1, **row} for row in PAIRS])}),
    case(
        name="a text of a mark of the model's",
        files={"a.jsonl": one_line(prompt="<s></s><unk>", completion="</s>")},
    ),
    case(
        name="whole numbers as answers",
        files={"a.jsonl": lines([{"prompt": f"{n}+1", "completion": n + 1} for n in range(COUNT)])},
        ends='a.jsonl:1: completion is a number; it must be a string; write it as "1"',
    ),
)
