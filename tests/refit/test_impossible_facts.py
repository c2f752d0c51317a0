"""A ladder at a rank, alpha, batch size or number of steps that no training has is left out by name."""

from __future__ import annotations

import dataclasses

import pytest

from bios_sweep.refit.evidence import Collected
from bios_sweep.refit.rate_tables import stated, studies_of
from bios_sweep.refit.terms import terms_of
from bios_sweep.study.scenario import Metric
from bios_sweep.tables.text_table import RawTable

RATES = ("0.0001", "0.0002", "0.0004")
SETTINGS = ("lora_rank", "lora_alpha", "alpha_rule", "batch_size", "max_steps", "method")
GOOD = {"lora_rank": "32", "lora_alpha": "32", "alpha_rule": "alpha_over_rank", "batch_size": "128"}
GOOD |= {"max_steps": "1000", "method": "lora"}


def table(ladders, **own):
    rows = [{**GOOD, **one, "learning_rate": rate} for one in ladders for rate in RATES]
    columns = {name: tuple(row[name] for row in rows) for name in (*SETTINGS, "learning_rate")}
    more = {name: tuple(values) * len(ladders) for name, values in own.items()}
    return RawTable(source="runs.csv", columns={**columns, **more}, lines=tuple(range(2, 2 + len(rows))))


def of_seeds(ladders):
    rows = [{**one, "seed": seed} for one in ladders for seed in ("0", "1", "2")]
    raw = table(rows, value=("2.01", "2.0", "2.02"))
    seeds = tuple(row["seed"] for row in rows for _ in RATES)
    raw = dataclasses.replace(raw, columns={**raw.columns, "seed": seeds})
    return studies_of(raw, who(raw), Metric())


def of_means(ladders):
    raw = table(ladders, gain=("0", "0.5", "-0.5"), standard_error=("0.1", "0.1", "0.1"))
    return stated(raw, who(raw))


def of_brackets(ladders):
    raw = table(ladders, best_low=("0.0001",) * 3, best_high=("0.0004",) * 3)
    return stated(raw, who(raw))


def who(raw):
    return [("m", "llama", 2048)] * raw.rows


@pytest.mark.parametrize("read", [of_seeds, of_means, of_brackets])
@pytest.mark.parametrize(
    "bad",
    [
        {"lora_alpha": "0"},
        {"lora_rank": "-8", "alpha_rule": "sqrt_rank"},
        {"lora_rank": "0"},
        {"batch_size": "0"},
        {"max_steps": "-1"},
    ],
)
def test_it_is_left_out_by_name_and_the_others_are_read(read, bad):
    found = read([{"batch_size": "64"}, bad, {"lora_rank": "16"}])
    assert isinstance(found, Collected)
    name, value = next(iter(bad.items()))
    assert f"{name} {value} is not possible; it must be above 0" in " ".join(found.left_out)
    kept = found.studies + found.elsewhere
    assert len({tuple(one.facts.items()) for one in kept}) == 2
    assert terms_of(kept) is not None


def test_what_is_said_of_an_adapter_that_full_fine_tuning_has_not_is_not_read():
    found = of_means([{"method": "full", "lora_rank": "0", "lora_alpha": "0"}, {}, {"batch_size": "64"}])
    told = [one.facts for one in found.studies if one.method == "full"]
    assert told == [{"batch_size": 128.0, "max_steps": 1000.0}]
    assert terms_of(found.studies + found.elsewhere) is not None
