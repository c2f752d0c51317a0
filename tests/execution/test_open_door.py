"""Ray's tokens that somebody turned off are told before a trial runs."""

from __future__ import annotations

import pytest

from bios_sweep.execution.open_door import open_door
from bios_sweep.request import INLINE, Request

OFF = {"RAY_AUTH_MODE": "disabled"}


def test_our_own_ray_without_a_token_is_told_with_the_way_back():
    told = open_door(Request(), OFF)
    assert told is not None
    assert told.startswith(
        "RAY_AUTH_MODE=disabled: whoever reaches Ray's ports on this network can run code as you"
    )
    assert "unset RAY_AUTH_MODE" in told


def test_a_cluster_that_is_joined_needs_it_on_all_its_nodes():
    assert "export RAY_AUTH_MODE=token on all its nodes" in (open_door(Request(address="auto"), OFF) or "")


@pytest.mark.parametrize(
    "request_, environment",
    [(Request(), {}), (Request(), {"RAY_AUTH_MODE": "token"}), (Request(executor=INLINE), OFF)],
)
def test_nothing_is_told_where_tokens_are_on_or_ray_is_not_used(request_, environment):
    assert open_door(request_, environment) is None
