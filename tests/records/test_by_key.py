"""A map whose changed copies share what did not change."""

from __future__ import annotations

import gc

import pytest

from bios_sweep.records.by_key import WIDTH, ByKey


@pytest.mark.parametrize("size", [0, 1, WIDTH, WIDTH + 1, WIDTH**2, WIDTH**2 + 5, 40_000])
def test_it_holds_what_a_dictionary_holds_in_its_order(size):
    values = {f"key {number}": number for number in range(size)}
    assert list(ByKey(values).items()) == list(values.items())
    assert "another" not in ByKey(values)


def test_a_changed_copy_leaves_the_one_before_as_it_was():
    values = {str(number): number for number in range(3 * WIDTH**2)}
    first = ByKey(values)
    for key in ("0", str(WIDTH), str(3 * WIDTH**2 - 1)):
        second = first.changed({key: -1})
        assert dict(second) == {**values, key: -1}
        assert dict(first) == values


def test_many_values_are_changed_as_one_after_the_other():
    before = ByKey({str(number): number for number in range(2000)})
    changes = {str(number): -number for number in range(0, 2000, 3)}
    after = before.changed(changes)
    assert dict(after) == {**before, **changes}
    assert list(after) == list(before)
    with pytest.raises(KeyError):
        before.changed({**changes, "2000": 0})


def test_a_key_that_is_not_there_cannot_be_changed():
    with pytest.raises(KeyError):
        ByKey({"a": 1}).changed({"b": 2})


def test_a_changed_copy_of_ten_thousand_holds_a_few_dozen_new_references():
    """What an event costs does not grow with the sweep."""

    def new(size: int) -> int:
        before = ByKey({str(number): number for number in range(size)})
        old = _nodes(before)
        return sum(len(node) for place, node in _nodes(before.changed({"7": -1})).items() if place not in old)

    assert new(100) <= 2 * WIDTH
    assert new(10_000) <= 3 * WIDTH


def _nodes(values: ByKey[int]) -> dict[int, tuple[object, ...]]:
    found, line = {}, [values._root]
    while line:
        node = line.pop()
        found[id(node)] = node
        line += [child for child in gc.get_referents(node) if isinstance(child, tuple)]
    return found
