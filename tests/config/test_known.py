"""A configuration that was composed before: the same as Hydra's, and composed anew once anything differs."""

from __future__ import annotations

import pytest
import yaml
from omegaconf import OmegaConf

from bios_sweep.config.compose import compose_config
from bios_sweep.config.groups import file_values
from bios_sweep.config.places import config_root
from bios_sweep.driver.composing import composed
from bios_sweep.errors import ConfigError

SHIPPED = [*(config_root() / "conf").rglob("*.yaml"), *(config_root() / "sweeps").glob("*.yaml")]
SWEEP = "question: q\nfactors: {learning_rate: {multiply: [0.5, 2]}}\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bios_sweep" / "composed"


@pytest.fixture
def hydra(monkeypatch):
    """How often Hydra was asked."""
    asked = []

    def counted(*words):
        asked.append(words)
        return compose_config(*words)

    monkeypatch.setattr("bios_sweep.config.compose.compose_config", counted)
    return asked


def test_our_files_mean_the_same_to_yaml_and_to_omegaconf():
    for path in SHIPPED:
        theirs = OmegaConf.to_container(OmegaConf.load(path))
        ours = file_values(path)
        own = {key: value for key, value in theirs.items() if key != "defaults"}
        assert repr({key: ours[key] for key in own}) == repr(own), path


WORDS = (
    [],
    ["workspace=/data/my runs"],
    ["sweeps=demo", "seeds=[0,1,2]", "decision.looks=[2,3]"],
    ["sweeps=learning_rate", "model=planted", "model.planted.noise_percent=0.5"],
    ["sweeps=learning_rate", "method=command", "method.command=python t.py --lr {learning_rate}"],
    ["data.path=rows [1].jsonl", "method.settings.warmup=3", "cluster=inline"],
)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_what_is_known_is_what_hydra_composes(words, hydra):
    fresh, known = composed(words), composed(words)
    assert known == fresh == compose_config(words)
    assert repr(known.values) == repr(fresh.values)
    assert len(hydra) == 1


def test_a_sweep_of_ones_own_folder_is_known_until_a_file_of_it_changes(tmp_path, hydra):
    file = tmp_path / "own" / "sweeps" / "mine.yaml"
    file.parent.mkdir(parents=True)
    for text in (SWEEP, SWEEP, SWEEP.replace("0.5", "0.25")):
        file.write_text(text)
        values = composed(["sweeps=mine"], tmp_path / "own").values
        assert values["sweeps"]["factors"] == yaml.safe_load(text)["factors"]
    assert len(hydra) == 2


def test_what_reads_more_than_words_and_files_is_composed_every_time(tmp_path, monkeypatch, hydra, cache):
    (tmp_path / "mine.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    for word in ("sweeps=./mine.yaml", "sweeps=mine.yaml", "tracking=server", "workspace=${oc.env:HOME}"):
        before = len(hydra)
        assert composed([word]) == composed([word])
        assert len(hydra) == before + 2, word
    assert not cache.exists()


def test_of_a_workspace_the_folder_alone_differs(hydra):
    for folder in ("/data/one", "./two", "../three"):
        words = ["sweeps=demo", f"workspace={folder}"]
        assert composed(words) == compose_config(words)
    assert len(hydra) == 1
    assert composed(["sweeps=demo"]).values["workspace"] == compose_config([]).values["workspace"]
    for words in (["workspace=3"], ["workspace=/a", "workspace=/b"], ["workspace=/with a blank"]):
        assert repr(composed(words)) == repr(composed(words)) == repr(compose_config(words))


def test_a_password_is_not_kept(hydra, cache):
    for _ in range(2):
        composed(["tracking.uri=http://me:s3cretword@host:5000"])
    assert len(hydra) == 2
    assert not cache.exists()


def test_what_is_refused_is_refused_again(hydra):
    for _ in range(2):
        with pytest.raises(ConfigError, match="seedz"):
            composed(["seedz=[0]"])
    assert len(hydra) == 2


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"values": 3}'])
def test_a_damaged_file_costs_only_time(damage, cache, hydra):
    fresh = composed([])
    (file,) = cache.iterdir()
    file.write_text(damage)
    assert composed([]) == fresh
    assert len(hydra) == 2


def test_a_flipped_bit_is_no_other_number(cache, hydra):
    fresh = composed(["seeds=[1,2,3]"])
    (file,) = cache.iterdir()
    whole = file.read_text()
    file.write_text(whole.replace("[1, 2, 3]", "[1, 2, 7]"))
    assert file.read_text() != whole
    assert composed(["seeds=[1,2,3]"]) == fresh
    assert len(hydra) == 2


def test_of_many_the_latest_are_kept(cache, monkeypatch):
    monkeypatch.setattr("bios_sweep.driver.composing.MOST_KEPT", 2)
    for seeds in range(4):
        composed([f"seeds=[{seeds}]"])
    assert len(list(cache.iterdir())) == 2
