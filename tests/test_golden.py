"""What the program prints and writes is what was frozen (`golden_set`)."""

from __future__ import annotations

import pytest

from tests.golden_cases import CASES, Case
from tests.golden_set import digests, frozen, of_case

ALL = [
    pytest.param(case, id=case.name, marks=() if case.quick else pytest.mark.slow)
    for case in CASES
    if case.here
]

pytestmark = pytest.mark.figures


def differences(case: Case) -> list[str]:
    """The outputs that are not as they were, and how to read them."""
    now, then = digests(case), of_case(case, frozen())
    told = [
        f"{name}: {'is no more' if name not in now else 'is new' if name not in then else 'is another'}"
        for name in sorted({*now, *then})
        if now.get(name) != then.get(name)
    ]
    return [*told, f"read it: python -m tests.golden_set texts FOLDER {case.name}"] if told else []


@pytest.mark.parametrize("case", ALL)
def test_what_is_printed_and_written_is_what_was(case):
    found = differences(case)
    assert not found, "\n".join(found)


def test_every_frozen_output_belongs_to_a_case_and_every_case_has_some():
    assert {name.partition(": ")[0] for name in frozen()} == {case.name for case in CASES}


def test_a_changed_output_is_found_and_named(monkeypatch):
    case = next(case for case in CASES if case.name == "audit/unconfirmed")
    changed = {**frozen(), f"{case.name}: 01 report": "0"}
    monkeypatch.setattr("tests.test_golden.frozen", lambda: changed)
    assert differences(case) == [
        f"{case.name}: 01 report: is another",
        f"read it: python -m tests.golden_set texts FOLDER {case.name}",
    ]
