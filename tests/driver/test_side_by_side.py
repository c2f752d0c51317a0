"""Whether several trials may run at a time: then the longest begin first."""

from __future__ import annotations

import pytest

from bios_sweep.driver.session import takes_several
from bios_sweep.request import Request


@pytest.mark.parametrize(
    ("asked", "several"),
    [
        ({"executor": "inline"}, False),
        ({"num_cpus": 4}, True),
        ({"num_cpus": 4, "max_concurrent": 1}, False),
        ({"num_cpus": 4, "cpus_per_trial": 4}, False),
        ({"num_cpus": 1}, False),
        ({"address": "auto"}, True),
        ({"address": "auto", "max_concurrent": 1}, False),
        ({"address": "auto", "gpus_per_trial": 1}, True),
    ],
)
def test_one_worker_takes_the_trials_as_the_procedure_names_them(asked, several):
    assert takes_several(Request(**asked)) is several
