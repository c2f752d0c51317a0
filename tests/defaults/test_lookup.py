"""Which tuned defaults are believed: the order of places, the nearest key, and what a miss says."""

import dataclasses
import json
import sys

import pytest

from bios_sweep import defaults
from bios_sweep.defaults.places import GROUP, SHIPPED, VARIABLE, places
from bios_sweep.errors import DefaultsError, ModelError, NotTunedError
from tests.defaults.entries import (
    FULL,
    KEY,
    LLAMA,
    OPEN,
    PROVENANCE,
    RANK,
    RATE,
    TWIN,
    build,
    entry,
    rate,
    verdict,
    write,
)


@pytest.fixture(autouse=True)
def _nothing_found_by_accident(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)


def project(folder, value='"tuned/bios_defaults.json"'):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f"[tool.bios_sweep]\ndefaults = {value}\n", encoding="utf-8")
    return folder


def announce(folder, monkeypatch, value="my_models"):
    """An installed package that announces its tuned defaults, and that must never be imported."""
    package = folder / "my_models"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    info = folder / "my_models-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-models\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nmine = {value}\n", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return package


def test_places_are_believed_in_order_and_the_answer_names_the_one_that_won(tmp_path, monkeypatch):
    package = announce(tmp_path / "site", monkeypatch)
    write(package / "bios_defaults.json", entry(4e-4))
    assert rate(defaults.lookup(**LLAMA)) == 4e-4
    folder = project(tmp_path / "project")
    write(folder / "tuned" / "bios_defaults.json", entry(3e-4))
    (folder / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(folder / "deep" / "er")
    assert rate(defaults.lookup(**LLAMA)) == 3e-4
    monkeypatch.setenv(VARIABLE, str(write(tmp_path / "env.json", entry(2e-4))))
    assert rate(defaults.lookup(**LLAMA)) == 2e-4
    found = defaults.lookup(**LLAMA, path=write(tmp_path / "explicit.json", entry(1e-4)))
    assert rate(found) == 1e-4
    assert found.source == f"explicit path ({tmp_path / 'explicit.json'})"
    assert found.exact
    assert found.searched == (found.source,)
    with pytest.raises(NotTunedError) as caught:
        defaults.lookup(family="qwen", hidden_size=128)
    assert [words.partition(" (")[0] for words in caught.value.searched] == [
        "explicit path",
        VARIABLE,
        f"{folder / 'pyproject.toml'} [tool.bios_sweep]",
        f"entry point {GROUP} mine",
        "shipped with bios_sweep",
    ]


def test_a_bad_place_does_not_stand_in_the_way_of_one_before_it(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nothing.json"))
    assert rate(defaults.lookup(**LLAMA, path=write(tmp_path / "explicit.json", entry(1e-4)))) == 1e-4


def test_an_announced_package_is_never_imported_and_may_name_its_file(tmp_path, monkeypatch):
    package = announce(tmp_path / "site", monkeypatch, "my_models:llama.json")
    write(package / "llama.json", entry(4e-4))
    assert rate(defaults.lookup(**LLAMA)) == 4e-4
    assert "my_models" not in sys.modules


def test_a_miss_names_every_place(tmp_path):
    other = write(tmp_path / "other.json", entry(family="qwen"))
    with pytest.raises(NotTunedError) as caught:
        defaults.lookup(**LLAMA, path=other)
    for words in (
        str(other),
        f"{VARIABLE} (not set)",
        str(tmp_path),
        GROUP,
        str(SHIPPED),
        "llama, hidden size",
    ):
        assert words in str(caught.value)
    assert len(caught.value.searched) == 5


@pytest.mark.parametrize(
    "key", [{"family": "qwen"}, {"alpha_rule": "other"}, {"method": "full"}], ids=lambda key: next(iter(key))
)
def test_no_look_up_crosses_family_method_or_alpha_rule(tmp_path, key):
    path = write(tmp_path / "file.json", entry())
    assert rate(defaults.lookup(**LLAMA, path=path)) == 1e-4
    with pytest.raises(NotTunedError):
        defaults.lookup(**(LLAMA | key), path=path)


def test_the_models_own_size_wins_over_a_nearer_place_with_a_neighbour(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(write(tmp_path / "env.json", entry(2e-4, hidden_size=160))))
    found = defaults.lookup(**LLAMA)
    assert (rate(found), found.exact) == (2e-4, False)
    assert "tuned on another size: by hidden size, 160 against 128" in found.warning
    folder = project(tmp_path / "project")
    write(folder / "tuned" / "bios_defaults.json", entry(3e-4))
    found = defaults.lookup(**LLAMA, start=folder)
    assert (rate(found), found.exact, found.warning) == (3e-4, True, "")


@pytest.mark.parametrize(
    "wanted, rate_of_nearest", [(128, 1e-4), (150, 1e-4), (256, 2e-4), (200, 2e-4), (64, 1e-4)]
)
def test_the_nearest_size_is_taken(tmp_path, wanted, rate_of_nearest):
    path = write(tmp_path / "file.json", entry(1e-4), entry(2e-4, hidden_size=256))
    assert rate(defaults.lookup(family="llama", hidden_size=wanted, path=path)) == rate_of_nearest


@pytest.mark.parametrize("wanted", [63, 257, 4096])
def test_a_size_more_than_a_factor_of_two_away_is_a_miss(tmp_path, wanted):
    path = write(tmp_path / "file.json", entry(1e-4))
    with pytest.raises(NotTunedError):
        defaults.lookup(family="llama", hidden_size=wanted, path=path)


def test_parameters_tell_models_of_one_width_apart_and_the_latest_study_wins_of_equals(tmp_path):
    path = write(
        tmp_path / "file.json",
        entry(1e-4, parameters=1_000_000),
        entry(2e-4, parameters=9_000_000),
        entry(3e-4, parameters=1_000_000, max_steps=200, date="2026-12-24"),
    )
    assert rate(defaults.lookup(**LLAMA, parameters=9_000_000, path=path)) == 2e-4
    assert rate(defaults.lookup(**LLAMA, parameters=1_000_000, path=path)) == 3e-4
    assert not defaults.lookup(**LLAMA, parameters=5_000_000, path=path).exact


def test_a_key_and_a_model_can_be_looked_up(tmp_path):
    path = write(tmp_path / "file.json", entry(1e-4), entry(2e-4, hidden_size=2048))
    assert rate(defaults.lookup(KEY, path=path)) == 1e-4
    assert rate(defaults.lookup("meta-llama/Llama-3.2-1B", path=path)) == 2e-4
    with pytest.raises(ModelError):
        defaults.lookup("org/nowhere", path=path)
    with pytest.raises(DefaultsError, match="lookup needs a model"):
        defaults.lookup(family="llama", path=path)


def test_a_bad_or_missing_file_is_refused_not_passed_over(tmp_path, monkeypatch):
    with pytest.raises(DefaultsError, match=r"explicit path: .*nothing\.json: cannot be read"):
        defaults.lookup(**LLAMA, path=tmp_path / "nothing.json")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "bad.json"))
    with pytest.raises(DefaultsError, match=rf"{VARIABLE}: .*is not JSON"):
        defaults.lookup(**LLAMA)


@pytest.mark.parametrize(
    "value, message",
    [
        ('"../secret.json"', "leads out of"),
        ('"tuned/../../secret.json"', "leads out of"),
        ('"/etc/bios_defaults.json"', "leads out of"),
        ("3", "it must be a file's path"),
        ('""', "it must be a file's path"),
        ("", "is not TOML"),
    ],
)
def test_a_project_names_only_files_of_its_own(tmp_path, value, message):
    write(tmp_path / "secret.json", entry())
    with pytest.raises(DefaultsError, match=message):
        defaults.lookup(**LLAMA, start=project(tmp_path / "project", value))


def test_a_link_out_of_the_project_is_refused_too(tmp_path):
    folder = project(tmp_path / "project", '"link.json"')
    (folder / "link.json").symlink_to(write(tmp_path / "secret.json", entry()))
    with pytest.raises(DefaultsError, match="leads out of"):
        defaults.lookup(**LLAMA, start=folder)


@pytest.mark.parametrize(
    "value, message", [("my_models:..", "leads out of"), ("nowhere", "no installed package")]
)
def test_an_entry_point_names_a_file_of_its_package(tmp_path, monkeypatch, value, message):
    announce(tmp_path / "site", monkeypatch, value)
    with pytest.raises(DefaultsError, match=message):
        list(places())


def test_a_project_without_our_table_is_passed_over(tmp_path):
    project(tmp_path / "outer")
    write(tmp_path / "outer" / "tuned" / "bios_defaults.json", entry(3e-4))
    inner = tmp_path / "outer" / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    assert rate(defaults.lookup(**LLAMA, start=inner)) == 3e-4


def test_a_misspelt_entry_of_our_table_is_refused_not_passed_over(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.bios_sweep]\ndefault = "x.json"\n', encoding="utf-8")
    with pytest.raises(DefaultsError, match="'default' is unknown; allowed is defaults"):
        defaults.lookup(**LLAMA, start=tmp_path)


def test_serving_says_which_source_won_and_why(tmp_path):
    path = write(tmp_path / "file.json", entry(1e-4))
    got = defaults.serve(**LLAMA, path=path)
    assert got.learning_rate == 1e-4
    assert got.source == f"explicit path ({path})"
    why = got.why["learning_rate"]
    assert (why.confidence, why.source) == ("measured", got.source)
    assert "bounds +0.90 to +1.90 %" in why.evidence
    assert got.why["lora_rank"].rule == "confirm: 32"
    assert got.why["weight_decay"] == defaults.recommend(**LLAMA).why["weight_decay"]
    assert "measured with batch_size 32 (here 128), max_steps 100 (here 1000)" in got.warnings[-1]
    assert json.loads(json.dumps(got.to_dict()))["source"] == got.source


def test_without_tuned_defaults_the_heuristics_are_served_with_the_places_that_were_searched():
    got = defaults.serve(**LLAMA)
    plain = defaults.recommend(**LLAMA)
    assert (got.settings, got.why, got.source) == (plain.settings, plain.why, "shipped heuristics")
    assert len(got.searched) == 5


def test_a_file_that_decides_nothing_is_not_called_the_source(tmp_path):
    asked = {"family": KEY.family, "hidden_size": KEY.hidden_size}
    heuristics = defaults.serve(**asked)
    file = write(tmp_path / "open.json", dataclasses.replace(build(OPEN), key=KEY))
    found = defaults.serve(**asked, path=file)
    assert (found.settings, found.source) == (heuristics.settings, heuristics.source)
    assert found.warnings[-1].endswith(
        "has no value for this goal (batch_size inconclusive); the heuristics stand"
    )
    control = write(tmp_path / "control.json", dataclasses.replace(build(TWIN), key=KEY))
    assert defaults.serve(**asked, path=control).warnings == heuristics.warnings


def test_an_export_says_of_an_open_question_that_it_was_judged():
    comments = defaults.export_file(build(RATE, OPEN), to="hydra").comments["baseline"]
    assert "judged, and no value is served: inconclusive" in comments["batch_size"]
    assert "lora_rank" not in comments  # held fixed, not judged


def test_a_neighbours_learning_rate_moves_with_the_rule_and_is_called_an_extrapolation(tmp_path):
    path = write(tmp_path / "file.json", entry(1e-4))
    got = defaults.serve(family="llama", hidden_size=256, path=path)
    assert got.learning_rate == pytest.approx(1e-4 * 0.5**0.781)
    assert got.why["learning_rate"].confidence == "extrapolated"
    assert "moved by the rule" in got.why["learning_rate"].rule
    assert got.lora_rank == 32
    assert any("by hidden size, 128 against 256" in text for text in got.warnings)


def test_a_profile_has_its_own_value_and_the_steps_follow_it(tmp_path):
    batch = verdict("batch_size", "confirm", 32, 32, [16, 64], claim="balanced")
    speed = verdict("batch_size", "refine", 32, 64, [16, 64], claim="speed")
    tuned = build(batch, speed, profiles={"speed": {"batch_size": 64}})
    path = write(tmp_path / "file.json", tuned)
    assert defaults.serve(**LLAMA, path=path).batch_size == 32
    fast = defaults.serve(**LLAMA, path=path, goal="speed")
    assert fast.batch_size == 64
    assert fast.max_steps == 4000  # as many examples as 1000 steps of the recommended 256
    assert "64 instead of 32" in fast.why["batch_size"].rule


def test_supervised_verdicts_are_not_served_for_preference_training(tmp_path):
    path = write(tmp_path / "file.json", entry(1e-4))
    assert defaults.serve(**LLAMA, path=path, objective="preference").learning_rate == 1e-5


def test_what_is_shipped_is_a_collection_that_can_be_read():
    assert defaults.read_entries(SHIPPED) == ()


def full_entry(rate):
    key = dataclasses.replace(KEY, method="full")
    proof = RATE | {"best_level": rate, "levels": [{"level": rate}]}
    return defaults.build_tuned(key=key, verdicts=[proof], baseline=FULL, provenance=PROVENANCE)


def test_full_fine_tuning_is_served_its_own_values_alone(tmp_path):
    path = write(tmp_path / "lora.json", entry(1e-4))
    got = defaults.serve(**LLAMA, method="full", path=path)
    assert (got.source, got.learning_rate) == (
        "shipped heuristics",
        defaults.recommend(**LLAMA, method="full").learning_rate,
    )
    path = write(tmp_path / "both.json", entry(1e-4), full_entry(1e-5))
    assert defaults.serve(**LLAMA, path=path).learning_rate == 1e-4
    got = defaults.serve(**LLAMA, method="full", path=path)
    assert (got.learning_rate, got.lora_rank) == (1e-5, None)
    assert got.why["lora_rank"].rule == "does not apply to full fine-tuning"


@pytest.mark.parametrize(
    "parameters, best, words",
    [
        (9_000_000, 2e-4, "hidden size 128 is the same, parameters too"),
        (5_000_000, 2e-4, "hidden size 128 is the same; by parameters, 9000000 against 5000000"),
        (None, 2e-4, "hidden size 128 is the same; parameters not compared"),
    ],
)
def test_parameters_decide_between_models_of_one_width_and_the_answer_says_so(
    tmp_path, parameters, best, words
):
    later = entry(2e-4, parameters=9_000_000, date="2026-12-24")
    wide = entry(3e-4, hidden_size=160, parameters=5_000_000)
    path = write(tmp_path / "file.json", entry(1e-4, parameters=1_000_000), later, wide)
    got = defaults.serve(**LLAMA, parameters=parameters, path=path)
    assert (got.learning_rate, got.distance) == (best, words)
    near = parameters == 5_000_000
    assert got.why["learning_rate"].confidence == ("extrapolated" if near else "measured")
    assert any(words in text for text in got.warnings) == near
    assert (words in got.why["learning_rate"].rule) == near


def test_a_model_of_many_more_parameters_is_not_near_however_wide(tmp_path):
    path = write(tmp_path / "file.json", entry(parameters=1_000_000))
    assert defaults.lookup(**LLAMA, parameters=8_000_000, path=path).exact is False
    with pytest.raises(NotTunedError):
        defaults.lookup(**LLAMA, parameters=9_000_000, path=path)


def test_a_scripts_values_come_with_what_it_was_told_and_nothing_else_of_it(tmp_path):
    tuned = dataclasses.replace(build(RATE, RANK), told=("learning_rate", "lora_rank"))
    got = defaults.serve(**LLAMA, path=write(tmp_path / "file.json", tuned))
    assert "a script's that was told learning_rate, lora_rank alone" in got.warnings[-1]
    assert not any("measured with" in text for text in got.warnings)  # the script's batch is not known
    assert got.why["batch_size"] == defaults.recommend(**LLAMA).why["batch_size"]
