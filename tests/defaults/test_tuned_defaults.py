"""The tuned-defaults file: what is served, what is refused, and that a round trip changes nothing."""

import dataclasses
import json
import re

import pytest

from bios_sweep import defaults
from bios_sweep.defaults.tuned_file import decimal_json
from bios_sweep.errors import DefaultsError, StorageError
from tests.defaults.entries import (
    BASELINE,
    FULL,
    KEY,
    OPEN,
    PROVENANCE,
    RANK,
    RATE,
    TWIN,
    build,
    rewritten,
    verdict,
)


@pytest.fixture
def written(tmp_path):
    return defaults.write_tuned(tmp_path / "bios_defaults.json", build(RATE, RANK, OPEN, TWIN))


def test_refined_and_confirmed_are_served_and_nothing_else():
    tuned = build(RATE, RANK, OPEN, TWIN)
    assert tuned.values == {"learning_rate": 1e-4, "lora_rank": 32}
    assert set(tuned.evidence) == {"learning_rate", "lora_rank", "batch_size", "repeat"}


@pytest.mark.parametrize("word", ["inconclusive", "refine (unconfirmed)", "screening only"])
def test_an_open_verdict_is_evidence_never_a_value(word):
    tuned = build(RATE | {"verdict": word})
    assert tuned.values == {}
    assert tuned.evidence["learning_rate"].verdict == word
    with pytest.raises(DefaultsError, match=re.escape(f"the verdict is {word!r}")):
        build(RATE | {"verdict": word}, served={"learning_rate": 1e-4})


def test_two_refined_factors_need_the_callers_word():
    rank = verdict("lora_rank", "refine", 32, 64, [8, 64, 128])
    with pytest.raises(DefaultsError, match="learning_rate and lora_rank are refined one by one"):
        build(RATE, rank)
    both = {"learning_rate": 1e-4, "lora_rank": 64}
    assert build(RATE, rank, served=both).values == both
    assert build(RATE, rank, served={"lora_rank": 64}).values == {"lora_rank": 64}


@pytest.mark.parametrize(
    "served, message",
    [
        ({"learning_rate": 2e-4}, "learning_rate: 0.0002 is not what its verdict stands for (0.0001)"),
        ({"max_steps": 100}, "max_steps: a value without evidence"),
        ({"repeat": 0}, "'repeat' is no setting"),
    ],
)
def test_served_values_need_their_verdict(served, message):
    with pytest.raises(DefaultsError) as caught:
        build(RATE, TWIN, served=served)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name, own, other", [("method", "lora", "full"), ("alpha_rule", "alpha_over_rank", "rank")]
)
def test_a_part_of_the_key_is_served_as_the_key_has_it_or_not_at_all(name, own, other):
    refined = verdict(name, "refine", own, other, [other])
    assert build(verdict(name, "confirm", own, own, [other])).values == {name: own}
    assert build(refined, served={}).values == {}
    with pytest.raises(
        DefaultsError, match=f"{name}: '{other}' is not what the values hold for \\('{own}', their key"
    ):
        build(refined)
    with pytest.raises(DefaultsError, match="is not what the values hold for"):
        build(refined, served={}, profiles={"quality": {name: other}})


def test_verdicts_that_do_not_fit_are_refused():
    with pytest.raises(DefaultsError, match="two verdicts for one factor"):
        build(RATE, RATE)
    with pytest.raises(DefaultsError, match="'rank', which is no setting"):
        build(RANK | {"factor": "rank"})
    with pytest.raises(DefaultsError, match="the default 16, the baseline has 32"):
        build(RANK | {"default": 16})
    with pytest.raises(DefaultsError, match="'perfect' is not allowed"):
        build(RANK | {"verdict": "perfect"})
    with pytest.raises(DefaultsError, match="lacks 'scope'"):
        build({name: value for name, value in RANK.items() if name != "scope"})


def test_a_round_trip_changes_nothing(written):
    assert defaults.read_tuned(written) == build(RATE, RANK, OPEN, TWIN)
    before = written.read_bytes()
    defaults.write_tuned(written, defaults.read_tuned(written))
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["bios_defaults.json"]


def test_tuned_values_replace_settings(written):
    settings = defaults.read_tuned(written).settings(BASELINE)
    assert settings == dataclasses.replace(BASELINE, learning_rate=1e-4)


def test_the_file_has_the_parts_of_the_contract(written):
    content = json.loads(written.read_text(encoding="utf-8"))
    assert content["schema_version"] == 1
    assert content["key"] == KEY.to_dict()
    assert content["evidence"]["learning_rate"]["levels"] == [1.25e-5, 2.5e-5, 1e-4, 2e-4]
    assert content["provenance"]["date"] == "2026-11-24"
    assert content["evidence_hash"].startswith("sha256:")


def test_numbers_are_decimals(written):
    text = written.read_text(encoding="utf-8")
    assert re.search(r"\de[-+]?\d", text.split('"evidence_hash"')[0]) is None
    assert '"learning_rate": 0.0001' in text
    values = [5e-5, 1e-8, 1 / 3, 1e22, 32.0, 7, -2.5e-7, "5e-05", None, True, {}, []]
    assert json.loads(decimal_json(values)) == values
    assert "e" not in decimal_json([5e-5, 1e-8, 1e22])
    with pytest.raises(DefaultsError, match="nan is no number"):
        decimal_json(float("nan"))


def test_an_infinite_bound_becomes_null():
    tuned = build(OPEN | {"lower": float("-inf"), "upper": float("nan")})
    assert tuned.evidence["batch_size"].lower is None
    assert tuned.evidence["batch_size"].upper is None


@pytest.mark.parametrize(
    "old, new",
    [
        ('"learning_rate": 0.0001', '"learning_rate": 0.0005'),
        ('"verdict": "inconclusive"', '"verdict": "confirm"'),
        ('"effect_percent": 1.4', '"effect_percent": 9.4'),
        ('"hidden_size": 128', '"hidden_size": 4096'),
        ('"data_fingerprint": "abc"', '"data_fingerprint": "abd"'),
    ],
)
def test_a_file_changed_by_hand_is_refused(written, old, new):
    text = written.read_text(encoding="utf-8")
    assert old in text
    written.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DefaultsError) as caught:
        defaults.read_tuned(written)
    assert str(written) in str(caught.value)


def test_another_layout_of_the_same_content_is_accepted(written):
    content = json.loads(written.read_text(encoding="utf-8"))
    written.write_text(json.dumps(content), encoding="utf-8")
    assert defaults.read_tuned(written).values["learning_rate"] == 1e-4


def test_a_changed_value_with_its_evidence_fails_on_the_hash(written):
    text = written.read_text(encoding="utf-8").replace('"effect_percent": 1.4', '"effect_percent": 9.4', 1)
    written.write_text(text, encoding="utf-8")
    with pytest.raises(DefaultsError, match="evidence_hash does not match"):
        defaults.read_tuned(written)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.update(schema_version=3), "schema_version 3 is newer than 2"),
        (lambda c: c.update(schema_version="1"), "schema_version '1' is not allowed"),
        (lambda c: c.pop("schema_version"), "it has no schema_version"),
        (lambda c: c.pop("key"), "'key' is missing"),
        (lambda c: c.update(extra=1), "'extra' is unknown"),
        (lambda c: c["key"].pop("family"), "key: 'family' is missing"),
        (lambda c: c["key"].update(family=""), "family is ''"),
        (lambda c: c["key"].update(hidden_size=0), "hidden_size is 0"),
        (lambda c: c["key"].update(parameters=-1), "parameters is -1"),
        (lambda c: c["key"].update(tokens_per_step=0), "tokens_per_step is 0"),
        (lambda c: c["key"].update(method="magic"), "method: 'magic' is not allowed"),
        (lambda c: c["key"].update(batch_size=0), "batch_size: 0 is not allowed"),
        (lambda c: c.update(values=[]), "values: is []; it must be an object"),
        (lambda c: c["values"].update(batch_size=32), "the verdict is 'inconclusive'"),
        (lambda c: c["values"].update(max_steps=100), "a value without evidence"),
        (lambda c: c["values"].update(colour=1), "'colour' is no setting"),
        (lambda c: c["evidence"].update(colour={}), "'colour' is no setting"),
        (lambda c: c["evidence"].clear() or c["values"].clear(), "evidence: there is none"),
        (lambda c: c["evidence"]["lora_rank"].update(lower=2.0), "lower 2 is above upper 1.9"),
        (lambda c: c["evidence"]["lora_rank"].update(lower="low"), "lower is 'low'"),
        (lambda c: c["evidence"]["lora_rank"].update(verdict="perfect"), "verdict 'perfect' is none of"),
        (lambda c: c["evidence"]["lora_rank"].update(seeds=3), "seeds is 3; it must be a list"),
        (lambda c: c["evidence"]["lora_rank"].update(levels=[]), "is no evidence"),
        (lambda c: c["provenance"].update(versions=[]), "provenance: versions"),
        (lambda c: c["provenance"].update(date=5), "date is 5; it must be text"),
        (
            lambda c: c["provenance"].update(tracking_url="http://me:secret@host/"),
            "tracking_url holds credentials",
        ),
        (lambda c: c["baseline"].update(colour=1), "unknown setting 'colour'"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence_of_its_own(written, change, message):
    with pytest.raises(DefaultsError) as caught:
        defaults.read_tuned(rewritten(written, change))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(written))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("rate", [0, -1e-4, 1e-8, 1.5, True, "0.0001"])
def test_a_learning_rate_out_of_range_is_refused_even_with_evidence(written, rate):
    def change(content):
        content["values"]["learning_rate"] = rate
        content["evidence"]["learning_rate"]["best_level"] = rate

    with pytest.raises(DefaultsError, match=r"learning_rate: .* is not allowed"):
        defaults.read_tuned(rewritten(written, change))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is no tuned-defaults file"),
        ('{"schema_version": NaN}', "NaN is no number"),
        ('{"schema_version": 1e999}', "1e999 is no number"),
        ('{"schema_version": 1' + "0" * 400 + "}", "a whole number of 401 digits is out of range"),
        ('{"schema_version": 1, "schema_version": 1}', "'schema_version' is given twice"),
    ],
)
def test_text_that_is_no_such_file_is_refused(tmp_path, text, message):
    path = tmp_path / "bios_defaults.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefaultsError) as caught:
        defaults.read_tuned(path)
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DefaultsError, match="cannot be read"):
        defaults.read_tuned(tmp_path / "nothing.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DefaultsError, match="is not UTF-8"):
        defaults.read_tuned(tmp_path / "binary")


def test_a_refused_write_leaves_the_old_file(written):
    before = written.read_bytes()
    bad = dataclasses.replace(build(RATE), values={"learning_rate": 0.3})
    with pytest.raises(DefaultsError, match="is not what its verdict stands for"):
        defaults.write_tuned(written, bad)
    assert written.read_bytes() == before


def test_a_folder_that_does_not_exist_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        defaults.write_tuned(tmp_path / "nowhere" / "bios_defaults.json", build(RATE))


@pytest.mark.parametrize(
    "url, clean",
    [
        ("", ""),
        ("/folder/mlruns", "/folder/mlruns"),
        ("databricks", "databricks"),
        ("sqlite:////folder/a@b/mlflow.db", "sqlite:////folder/a@b/mlflow.db"),
        ("sqlite:////folder/mlflow.db?key=secret", "sqlite:////folder/mlflow.db"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://[::1]:5000/x", "http://[::1]:5000/x"),
        ("https://me:secret@host/path", "https://host/path"),
        ("https://secret@host", "https://host"),
        ("https://host/path?token=secret", "https://host/path"),
        ("http://host/#/experiments/1?orderByKey=x", "http://host/#/experiments/1?orderByKey=x"),
        ("postgresql://me:sec/ret@host/db", "postgresql://"),
        ("postgresql://me:12/34@host/db", "postgresql://"),
        ("http://me:12#34@host/", "http://"),
        ("http://[me:secret@host/", "http://"),
        ("postgresql+psycopg2://me:se@cret@host:5432/db", "postgresql+psycopg2://host:5432/db"),
    ],
)
def test_credentials_never_reach_the_file(url, clean):
    assert defaults.without_credentials(url) == clean
    provenance = dataclasses.replace(PROVENANCE, tracking_url=url)
    tuned = defaults.build_tuned(key=KEY, verdicts=[RATE], baseline=BASELINE, provenance=provenance)
    assert tuned.provenance.tracking_url == clean


def test_values_of_full_fine_tuning_have_a_file_of_their_own_and_no_rank(tmp_path):
    key = dataclasses.replace(KEY, method="full")
    tuned = defaults.build_tuned(key=key, verdicts=[RATE], baseline=FULL, provenance=PROVENANCE)
    path = defaults.write_tuned(tmp_path / "full.json", tuned)
    read = defaults.read_tuned(path)
    assert read == tuned
    assert read.settings(FULL) == dataclasses.replace(FULL, learning_rate=1e-4)
    with pytest.raises(DefaultsError, match="lora_rank: 32 is not allowed; it is an adapter's"):
        defaults.write_tuned(path, dataclasses.replace(build(RATE, RANK), key=key))


def test_a_file_says_what_a_script_was_told_and_one_without_the_part_means_all(written, tmp_path):
    assert "told" not in json.loads(written.read_text())
    assert defaults.read_tuned(written).untold == ()
    tuned = build(RATE, RANK, told=["lora_rank", "learning_rate"])
    read = defaults.read_tuned(defaults.write_tuned(tmp_path / "script.json", tuned))
    assert read.told == ("learning_rate", "lora_rank")
    assert "batch_size" in read.untold
    assert "lora_rank" not in read.untold


@pytest.mark.parametrize(
    "told, message",
    [
        (["learning_rate"], "lora_rank: the trials were never told it"),
        ([], "learning_rate: the trials were never told it"),
        (["learning_rate", "colour"], "told: 'colour' is no setting"),
        ("learning_rate", "told: is 'learning_rate'; it must be a list of settings"),
        ([1], "told: is [1]; it must be a list of settings"),
    ],
)
def test_nothing_is_known_of_a_setting_that_the_trials_never_heard_of(written, told, message):
    rewritten(written, lambda c: c["evidence"].pop("batch_size") and c.update(told=told))
    with pytest.raises(DefaultsError) as caught:
        defaults.read_tuned(written)
    assert message in str(caught.value)


def test_a_study_cannot_write_evidence_of_what_it_never_told():
    with pytest.raises(DefaultsError, match="lora_rank: the trials were never told it"):
        build(RATE, RANK, told=["learning_rate"])
