"""Composing configurations and building the study they describe."""

from __future__ import annotations

import pytest

from bios_sweep import defaults
from bios_sweep.config.build import build_study
from bios_sweep.config.compose import compose_config
from bios_sweep.config.places import config_root, sweep_names
from bios_sweep.errors import ConfigError
from bios_sweep.method import Method
from bios_sweep.study.scenario import DataFacts, ModelFacts, Scenario

SCENARIO = Scenario(
    model=ModelFacts(name="m", path="", family="llama", hidden_size=2048, fingerprint="m"),
    data=DataFacts(
        name="d",
        file="",
        fingerprint="d",
        evaluation_fingerprint="d",
        train_examples=100_000,
        eval_examples=10,
    ),
    method=Method(),
    engine="nowhere:Nothing",
    engine_version="1",
    engine_options={},
    software={},
)


def study_of(*overrides: str):
    config = compose_config(["method.dtype=float32", *overrides])  # what `auto` means is the driver's to say
    recommended = defaults.recommend(family="llama", hidden_size=2048, method="lora", examples=100_000)
    return build_study(config.values, sweep=config.sweep or "", scenario=SCENARIO, recommendation=recommended)


def test_every_sweep_that_ships_builds_a_study_with_a_question():
    assert sweep_names() == sorted(path.stem for path in (config_root() / "sweeps").glob("*.yaml"))
    for name in sweep_names():
        study = study_of(f"sweeps={name}")
        assert study.name == name
        assert study.question.endswith((".", "?", ")"))
        assert study.factors


def test_an_override_that_cannot_be_read_is_told_beside_a_runner_that_brings_its_preset():
    with pytest.raises(ConfigError, match=r"seeds: '\[' cannot be read: the \[ at character 1 is not closed"):
        compose_config(["method.runner=command", "seeds=[", "sweeps=learning_rate"])


def test_the_baseline_is_the_heuristics_with_their_reasons():
    study = study_of("sweeps=learning_rate")
    baseline = study.baseline
    assert (baseline.batch_size, baseline.lora_rank, baseline.max_steps) == (128, 32, 1000)
    assert baseline.learning_rate == pytest.approx(4.908e-4, rel=1e-3)
    assert study.origins["learning_rate"].confidence == "published"


def test_an_override_is_told_beside_what_it_replaces():
    study = study_of("sweeps=learning_rate", "baseline.batch_size=32", "budget.max_steps=50")
    assert study.baseline.batch_size == 32
    for name, recommended in (("batch_size", 128), ("max_steps", 1000)):
        assert study.origins[name].confidence == "given"
        assert study.origins[name].recommended == recommended


def test_a_learning_rate_in_scientific_notation_is_a_number():
    assert study_of("sweeps=learning_rate", "baseline.learning_rate=1e-4").baseline.learning_rate == 1e-4


def test_seeds_come_from_the_last_look_unless_given():
    assert study_of("sweeps=aa").seeds == (0, 1, 2, 3, 4, 5, 6, 7)
    assert study_of("sweeps=aa", "decision.looks=[2,4]").seeds == (0, 1, 2, 3)
    given = study_of("sweeps=aa", "seeds=[7,0]")
    assert (given.seeds, given.decision.looks) == ((7, 0), (2,))
    more = study_of("sweeps=aa", "seeds=[0,1,2,3]", "decision.looks=[3,9]")
    assert more.decision.looks == (3, 4)


def test_a_sweep_selects_groups_and_the_command_line_wins():
    assert study_of("sweeps=demo").baseline.max_steps == 100
    assert study_of("sweeps=demo", "budget=default").baseline.max_steps == 1000
    assert study_of("sweeps=demo", "budget.max_steps=7").baseline.max_steps == 7
    assert study_of("sweeps=learning_rate", "budget=demo").decision.looks == (3,)


def test_composing_twice_in_one_process_gives_the_same():
    assert compose_config(["sweeps=demo"]) == compose_config(["sweeps=demo"])


def test_plain_values_leave_and_nothing_of_the_framework():
    def walk(value):
        yield value
        children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        for child in children:
            yield from walk(child)

    values = compose_config(["sweeps=defaults"]).values
    kinds = {type(value) for value in walk(values)}
    assert kinds <= {dict, list, str, int, float, bool, type(None)}
    assert "hydra" not in values


def test_a_users_folder_adds_to_every_group_flat_or_under_conf(tmp_path):
    (tmp_path / "method").mkdir()
    shipped = (config_root() / "conf/method/lora.yaml").read_text()
    (tmp_path / "method/long.yaml").write_text(f"{shipped}max_length: 99\n")
    (tmp_path / "conf/sweeps").mkdir(parents=True)
    (tmp_path / "conf/sweeps/mine.yaml").write_text("factors: {lora_rank: {values: [8]}}\n")
    config = compose_config(["sweeps=mine", "method=long"], tmp_path)
    assert (config.sweep, config.values["method"]["max_length"]) == ("mine", 99)
    assert "mine" in sweep_names(tmp_path)


def test_a_users_file_with_a_misspelt_key_is_refused(tmp_path):
    (tmp_path / "cluster").mkdir()
    shipped = (config_root() / "conf/cluster/inline.yaml").read_text()
    (tmp_path / "cluster/mine.yaml").write_text(shipped + "cpu_per_trial: 3\n")
    with pytest.raises(
        ConfigError, match=r"'cluster\.cpu_per_trial' \(did you mean 'cluster\.cpus_per_trial'"
    ):
        compose_config(["cluster=mine"], tmp_path)
    (tmp_path / "cluster/mine.yaml").write_text("executor: inline\n")
    with pytest.raises(ConfigError, match=r"cluster\.cpus_per_trial: is missing; cluster needs it"):
        compose_config(["cluster=mine"], tmp_path)


@pytest.mark.parametrize("config", ["_target_: x", "deep: {er: [{_target_: x}]}", "_convert_: all"])
def test_a_key_that_names_code_is_refused_at_any_depth(tmp_path, config):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/mine.yaml").write_text(f"{config}\n")
    with pytest.raises(ConfigError, match="configs name values, never code"):
        compose_config(["sweeps=mine"], tmp_path)
