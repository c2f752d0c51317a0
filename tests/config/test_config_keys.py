"""The generated page of configuration keys: every key of `conf/` is there, with its default and comment."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from bios_sweep.config.keys import read_option
from bios_sweep.settings import baseline_values

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
FILES = sorted(CONF.rglob("*.yaml"))


def generator():
    """`docs/hooks/keys.py`, which no package holds."""
    spec = importlib.util.spec_from_file_location("keys_of_conf", ROOT / "docs" / "hooks" / "keys.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


KEYS = generator()


@pytest.fixture(scope="module")
def rows():
    return rows_of(KEYS.page(CONF))


def rows_of(page):
    """Key -> its row."""
    return {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}


def leaves(values, path):
    """Dotted path -> value, by Hydra's own reader."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, [*path, name])
        else:
            yield ".".join([*path, name]), value


def keys_of(file):
    values = OmegaConf.to_container(OmegaConf.load(file))
    values.pop("defaults", None)
    alone = file.parent == CONF or "@package _global_" in file.read_text()
    return dict(leaves(values, [] if alone else [file.parent.name]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_key_of_a_file_is_on_the_page_with_its_default(file, rows):
    for key, value in keys_of(file).items():
        assert key in rows, key
        written = [one for one in read_option(file, CONF).keys if one.path == key]
        assert [OmegaConf.to_container(OmegaConf.create(f"x: {one.value}"))["x"] for one in written] == [
            value
        ]
        assert f"`{written[0].value}`" in rows[key]


def test_the_page_has_no_key_that_no_file_has(rows):
    settings = {f"{group}.{name}" for group, values in baseline_values().items() for name in values}
    assert set(rows) == settings | {key for file in FILES for key in keys_of(file)}


def test_a_setting_is_on_the_page_without_a_file_that_lists_it(rows):
    assert "| `0.95` | Memory of AdamW for the gradient's square. |" in rows["method.adam_beta2"]


def test_a_comment_beside_a_key_or_above_it_is_its_meaning(rows):
    assert "fresh seeds for a candidate; 0: no value is ever refined" in rows["decision.confirmation_seeds"]
    assert "`null`; `cluster=existing`: `auto`" in rows["cluster.address"]
    assert "null: start a local Ray" in rows["cluster.address"]
    assert "the same in every arm" in rows["model.planted.seed_noise_percent"]
    assert "values are quoted" in rows["method.command"]  # above the key
    assert "per halving below the knee" in rows["model.planted.truth.lora_rank.gain"]  # beside its braces
    assert "`auto`; `budget=demo`: `32`" in rows["baseline.batch_size"]  # set by another group's option


def test_a_new_key_comes_onto_the_page_by_itself(tmp_path):
    conf = shutil.copytree(CONF, tmp_path / "conf")
    with (conf / "decision" / "default.yaml").open("a") as file:
        file.write("brand_new: {a|b: 3} # this | that\n")
    (conf / "cluster" / "moon.yaml").write_text("# On the moon.\naddress: far # away\n")
    page = KEYS.page(conf)
    assert rows_of(page)["decision.brand_new.a|b"].endswith("| `3` | this \\| that |")
    assert "- `cluster=moon`: On the moon." in page
    assert "`cluster=moon`: `far`" in rows_of(page)["cluster.address"]
