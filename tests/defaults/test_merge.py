"""Collections of tuned defaults: what is combined, what is a conflict, and how two files differ."""

import dataclasses
import json
import shlex

import pytest

from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.defaults.tuned_file import evidence_hash
from bios_sweep.errors import DefaultsError
from bios_sweep.settings import TrainingSettings
from tests.defaults.entries import (
    BASELINE,
    KEY,
    PROVENANCE,
    RANK,
    RATE,
    TWIN,
    build,
    entry,
    rewritten,
    verdict,
    write,
)

REFINED_RANK = verdict("lora_rank", "refine", 32, 64, [8, 64])


def dated(tuned, date, **more):
    return dataclasses.replace(tuned, provenance=dataclasses.replace(tuned.provenance, date=date, **more))


def merged(*entries, **more):
    return defaults.merge([(f"file{number}", one) for number, one in enumerate(entries)], **more)


def test_entries_of_different_keys_stand_side_by_side():
    assert merged(entry(), entry(hidden_size=256)) == (entry(), entry(hidden_size=256))


def test_the_same_entry_twice_is_one():
    assert merged(entry(), entry()) == (entry(),)


def test_studies_of_one_model_and_data_that_judged_different_factors_are_combined():
    first = dated(build(RATE, TWIN), "2026-11-24", sweep="rates", versions={"torch": "1"})
    second = dated(build(RANK, TWIN), "2026-11-25", sweep="ranks", versions={"torch": "2"})
    (both,) = merged(second, first)
    assert both.values == {"learning_rate": 1e-4, "lora_rank": 32}
    assert set(both.evidence) == {"learning_rate", "lora_rank", "repeat"}
    assert both.provenance.sweep == "rates, ranks"
    assert both.provenance.versions == {"torch": "1, 2"}
    assert both.provenance.date == "2026-11-25"


def test_a_confirmed_setting_of_ones_own_refines_nothing():
    baseline = BASELINE.changed({"depth": 3})
    made = {"key": KEY, "baseline": baseline, "provenance": PROVENANCE}
    refined = defaults.build_tuned(verdicts=[RATE], **made)
    confirmed = defaults.build_tuned(verdicts=[verdict("depth", "confirm", 3, 3, [2, 4])], **made)
    (both,) = merged(refined, confirmed)
    assert both.values == {"learning_rate": 1e-4, "depth": 3}
    moved = dataclasses.replace(confirmed, values={"depth": 4})
    with pytest.raises(DefaultsError, match="both refine a value"):
        merged(refined, moved)


def test_a_copy_of_what_was_combined_already_is_no_conflict():
    first, second = build(RATE), build(RANK)
    assert merged(first, second, first) == merged(first, second)


@pytest.mark.parametrize(
    "second, reason",
    [
        (build(REFINED_RANK), "both refine a value, and the two were never tried together"),
        (dated(build(RANK), "2026-11-25", data_fingerprint="other"), "different data"),
        (
            dataclasses.replace(build(RANK), baseline=BASELINE.to_dict() | {"max_length": 64}),
            "baselines differ",
        ),
    ],
)
def test_a_conflict_is_refused_with_its_reason_unless_the_newest_is_asked_for(second, reason):
    first, second = dated(build(RATE), "2026-11-24"), dated(second, "2026-11-25", **_data(second))
    with pytest.raises(DefaultsError, match=f"file0 and file1 .*{reason}"):
        merged(first, second)
    assert merged(first, second, on_conflict="newest") == (second,)
    assert merged(second, first, on_conflict="newest") == (second,)


def _data(tuned):
    return {"data_fingerprint": tuned.provenance.data_fingerprint}


def test_an_unknown_word_for_conflicts_is_refused():
    with pytest.raises(DefaultsError, match="choose from refuse, newest"):
        merged(entry(), on_conflict="guess")


def test_a_collection_comes_back_as_it_was_whatever_the_order(tmp_path):
    entries = (entry(hidden_size=256), entry(), build(OPEN_ONLY))
    path = defaults.write_entries(tmp_path / "a.json", entries[:2])
    assert set(map(_text, defaults.read_entries(path))) == set(map(_text, entries[:2]))
    again = defaults.write_entries(tmp_path / "b.json", entries[1::-1])
    assert again.read_bytes() == path.read_bytes()


OPEN_ONLY = verdict("batch_size", "inconclusive", 32, 16, [16, 64])


def _text(tuned):
    return json.dumps(tuned.to_dict(), sort_keys=True)


def test_one_study_is_read_as_a_collection_of_one_and_the_other_way_round(tmp_path):
    study = defaults.write_tuned(tmp_path / "study.json", build(RATE))
    assert defaults.read_entries(study) == (build(RATE),)
    assert defaults.read_tuned(write(tmp_path / "one.json", build(RATE))) == build(RATE)
    two = write(tmp_path / "two.json", entry(), entry(hidden_size=256))
    with pytest.raises(DefaultsError, match="holds 2 entries, not one"):
        defaults.read_tuned(two)


def changed(path, change):
    """A collection with `change` applied to its list of entries, whose hashes fit again."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    for item in content["entries"]:
        if isinstance(item, dict):
            item["evidence_hash"] = evidence_hash({"schema_version": 1, **item})
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda c: c["entries"].append(c["entries"][0]),
            "entries 1 and 3 are for one key (llama, hidden size 128",
        ),
        (lambda c: c.update(entries={}), "entries: is {}; it must be a list"),
        (lambda c: c["entries"].append(7), "entry 3: is 7; it must be an object"),
        (lambda c: c.update(values={}), "'values' is unknown"),
        (lambda c: c.update(schema_version=3), "schema_version 3 is newer than 2"),
        (lambda c: c["entries"][1].pop("key"), "entry 2: the file: 'key' is missing"),
        (
            lambda c: c["entries"][1]["values"].update(max_steps=1),
            "entry 2: max_steps: a value without evidence",
        ),
        (
            lambda c: c["entries"][1]["evidence"]["learning_rate"].update(verdict="inconclusive"),
            "entry 2: learning_rate: the verdict is 'inconclusive'",
        ),
    ],
)
def test_a_bad_collection_is_refused_in_a_sentence_of_its_own(tmp_path, change, message):
    path = changed(write(tmp_path / "file.json", entry(), entry(hidden_size=256)), change)
    with pytest.raises(DefaultsError) as caught:
        defaults.read_entries(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_an_entry_changed_by_hand_is_refused(tmp_path):
    path = write(tmp_path / "file.json", entry(), entry(hidden_size=256))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"effect_percent": 1.4', '"effect_percent": 9.4', 1), encoding="utf-8")
    with pytest.raises(DefaultsError, match="entry 1: evidence_hash does not match"):
        defaults.read_entries(path)


@pytest.mark.parametrize(
    "family, message",
    [
        ("unknown", "family 'unknown' is unknown"),
        ("Llama", "family 'Llama' is unknown"),
        ("../llama", "family '../llama' is unknown"),
        ("qwen2", "such models are of family 'qwen'"),
    ],
)
def test_an_unknown_family_is_refused(tmp_path, family, message):
    path = defaults.write_tuned(tmp_path / "file.json", build(RATE))
    with pytest.raises(DefaultsError, match=message):
        defaults.read_tuned(rewritten(path, lambda content: content["key"].update(family=family)))


def test_differences_name_the_verdict_its_bounds_and_what_followed():
    batch = verdict("batch_size", "refine", 32, 64, [16, 64], claim="speed")
    tuned = build(RANK, batch, OPEN_RATE, profiles={"speed": {"batch_size": 64}})
    rows = defaults.differences(tuned, BASELINE, tuned.settings(BASELINE, "speed"), "speed")
    by_name = {row["setting"]: row for row in rows}
    assert list(by_name) == ["learning_rate", "batch_size", "lora_rank", "max_steps"]
    assert (by_name["batch_size"]["default"], by_name["batch_size"]["tuned"]) == (32, 64)
    assert (by_name["batch_size"]["lower"], by_name["batch_size"]["upper"]) == (0.9, 1.9)
    assert by_name["max_steps"] | {"seeds": []} == by_name["max_steps"]
    assert (by_name["max_steps"]["tuned"], by_name["max_steps"]["scope"]) == (50, "follows another setting")
    assert (by_name["learning_rate"]["verdict"], by_name["learning_rate"]["changed"]) == (
        "inconclusive",
        False,
    )
    assert (by_name["lora_rank"]["verdict"], by_name["lora_rank"]["changed"]) == ("confirm", False)


OPEN_RATE = verdict("learning_rate", "inconclusive", 5e-5, 1e-4, [1e-4])


def shell(capsys, *words, code=0):
    assert main(["defaults", *map(str, words)]) == code
    return capsys.readouterr()


def test_merge_reads_files_and_folders_and_answers_in_json(tmp_path, capsys):
    write(tmp_path / "runs" / "sweeps" / "a" / "bios_defaults.json", entry())
    one = write(tmp_path / "one.json", entry(hidden_size=256))
    out = shell(capsys, "merge", tmp_path / "runs", one, "-o", tmp_path / "all.json", "--json").out
    answer = json.loads(out)
    assert [item["key"]["hidden_size"] for item in answer["entries"]] == [128, 256]
    assert len(defaults.read_entries(tmp_path / "all.json")) == 2


def test_what_a_control_alone_left_is_passed_over_and_a_profile_s_value_is_shown(tmp_path, capsys):
    batch = verdict("batch_size", "confirm", 64, 64, [16, 64], claim="speed")
    fast = build(batch, served={}, profiles={"speed": {"batch_size": 64}})
    control = write(tmp_path / "control.json", build(TWIN))
    target = tmp_path / "all.json"
    out = shell(capsys, "merge", control, write(tmp_path / "fast.json", fast), "-o", target).out
    assert "batch_size (speed)" in out
    assert defaults.read_tuned(target).profiles == fast.profiles
    assert set(defaults.read_tuned(target).evidence) == {"batch_size"}
    assert "no entry says a word about any" in shell(capsys, "merge", control, "-o", target, code=2).err


def test_merge_refuses_a_conflict_and_takes_the_newest_only_of_different_questions(tmp_path, capsys):
    old = write(tmp_path / "old.json", entry(1e-4))
    new = write(tmp_path / "new.json", entry(2e-4, date="2026-12-24"))
    target = tmp_path / "all.json"
    err = shell(capsys, "merge", old, new, "-o", target, code=2).err
    assert "both judge learning_rate, lora_rank" in err
    assert not target.exists()
    err = shell(capsys, "merge", old, new, "-o", target, "--newest", code=2).err
    assert "the later one is not the better one" in err
    later = dated(entry(2e-4), "2026-12-24", data_fingerprint="other")
    other = write(tmp_path / "other.json", later)
    shell(capsys, "merge", old, other, "-o", target, "--newest")
    assert defaults.read_tuned(target).values["learning_rate"] == 2e-4
    assert "needs -o" in shell(capsys, "merge", old, code=2).err
    (tmp_path / "empty").mkdir()
    assert "no bios_defaults.json" in shell(capsys, "merge", tmp_path / "empty", "-o", target, code=2).err


def test_two_claims_of_one_setting_are_combined_and_the_defaults_own_claim_gives_the_value(tmp_path, capsys):
    balanced = verdict("batch_size", "confirm", 32, 32, [16, 64], claim="balanced")
    optimum = verdict("batch_size", "refine", 32, 16, [16, 64], claim="optimum")
    files = [write(tmp_path / f"{n}.json", build(one)) for n, one in enumerate([balanced, optimum])]
    for order in (files, files[::-1]):
        out = shell(capsys, "merge", *order, "-o", tmp_path / "all.json").out
        assert "batch_size: 2 questions were asked (balanced: confirm 32; optimum: refine 16); 32 is" in out
        assert defaults.read_tuned(tmp_path / "all.json").values == {"batch_size": 32}
    undecided = build(balanced | {"verdict": "inconclusive"})
    shell(capsys, "merge", write(files[0], undecided), files[1], "-o", tmp_path / "all.json")
    assert defaults.read_tuned(tmp_path / "all.json").values == {"batch_size": 16}


def test_the_command_that_leaves_one_of_two_answers_out_works_when_it_is_pasted(tmp_path, capsys):
    old = write(tmp_path / "it's old.json", entry(1e-4))
    new = write(tmp_path / "new [1].json", entry(2e-4, date="2026-12-24"))
    err = shell(capsys, "merge", old, new, "-o", tmp_path / "all.json", code=2).err
    words = shlex.split(err.partition("as in: bios-sweep defaults ")[2])
    shell(capsys, *words)
    assert defaults.read_tuned(tmp_path / "all.json").values["learning_rate"] == 1e-4


def test_diff_shows_a_models_defaults_against_what_was_tuned(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = write(tmp_path / "file.json", entry(1e-4, hidden_size=2048))
    words = ("diff", "meta-llama/Llama-3.2-1B", "--defaults", path)
    answer = json.loads(shell(capsys, *words, "--json").out)
    row = answer["differences"][0]
    assert (row["setting"], row["tuned"], row["verdict"], row["lower"]) == (
        "learning_rate",
        1e-4,
        "refine",
        0.9,
    )
    assert row["default"] == pytest.approx(4.908e-4, rel=1e-3)
    shown = shell(capsys, *words).out
    for text in ("0.0004908", "0.0001", "refine", "+0.90 to +1.90", "confirm", "same"):
        assert text in shown
    by_dpo = write(tmp_path / "dpo.json", entry(3e-6, hidden_size=2048, objective="dpo"))
    words = ("diff", "meta-llama/Llama-3.2-1B", "--defaults", by_dpo, "--objective", "preference", "--json")
    assert json.loads(shell(capsys, *words).out)["differences"][0]["tuned"] == 3e-6
    assert "no tuned defaults" in shell(capsys, *words[:-3], code=2).err  # of supervised training
    assert "no tuned defaults for qwen" in shell(capsys, "diff", "Qwen/Qwen3-4B", code=2).err


def test_diff_of_a_file_shows_its_study_and_of_two_files_what_moved(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    old = write(tmp_path / "old.json", entry(1e-4))
    new = write(tmp_path / "new.json", entry(2e-4), entry(hidden_size=256))
    alone = json.loads(shell(capsys, "diff", old, "--json").out)["differences"]
    assert (alone[0]["default"], alone[0]["tuned"]) == (5e-5, 1e-4)
    rows = json.loads(shell(capsys, "diff", old, new, "--json").out)["differences"]
    assert [(row["setting"], row["old"], row["new"]) for row in rows] == [
        ("learning_rate", 1e-4, 2e-4),
        ("learning_rate", None, 1e-4),
        ("lora_rank", None, 32),
    ]
    assert "0.0002" in shell(capsys, "diff", old, new).out
    assert "no difference" in shell(capsys, "diff", old, old).out
    assert "takes a model" in shell(capsys, "diff", old, "meta-llama/Llama-3.2-1B", code=2).err


def test_the_diff_of_a_file_fits_a_narrow_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = shell(capsys, "diff", write(tmp_path / "old.json", entry(1e-4), entry(2e-4, hidden_size=256))).out
    for text in (
        "llama, hidden size 128",
        "llama, hidden size 256",
        "default",
        "verdict",
        "0.0002",
        "confirm",
    ):
        assert text in shown
    assert shown.count("+0.90 to +1.90  3") == 4


def test_a_file_of_one_study_is_exported_without_a_model(tmp_path, capsys):
    path = write(tmp_path / "study.json", entry(2e-4))
    answer = json.loads(shell(capsys, "export", path, "--to", "trl", "--json").out)
    assert answer["values"] == defaults.export(defaults.read_tuned(path), to="trl", profile="balanced")
    assert answer["values"]["SFTConfig"]["learning_rate"] == 2e-4
    assert answer["source"] == str(path)
    told = shell(capsys, "export", path, "--to", "trl", "--defaults", path, code=2).err
    assert "--defaults: belongs to a model" in told
    nothing = shell(capsys, "export", tmp_path / "none.json", "--to", "trl", code=2).err
    assert "none.json: cannot be read" in nothing


def test_a_model_without_a_config_is_told_by_its_facts(capsys):
    facts = ("my/gemma", "--family", "gemma2", "--hidden-size", 3584)
    answer = json.loads(shell(capsys, "show", *facts, "--json").out)
    assert (answer["family"], answer["hidden_size"], answer["origin"]) == ("gemma2", 3584, "given")
    assert any("no exponent is published for family 'gemma2'" in told for told in answer["warnings"])
    assert "my/gemma" in shell(capsys, "show", *facts).out
    assert "was not found" in shell(capsys, "show", *facts[:3], code=2).err


def test_show_and_export_serve_tuned_values_and_say_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = write(tmp_path / "file.json", entry(1e-4, hidden_size=2048))
    model = ("meta-llama/Llama-3.2-1B", "--defaults", path)
    answer = json.loads(shell(capsys, "show", *model, "--json").out)
    assert (answer["learning_rate"], answer["source"]) == (1e-4, f"explicit path ({path})")
    assert answer["why"]["learning_rate"]["confidence"] == "measured"
    shown = shell(capsys, "show", *model).out
    assert "refine: 0.0001 instead of 0.00005" in shown
    assert f"from: explicit path ({path})" in shown
    target = tmp_path / "axolotl.yaml"
    assert (
        "axolotl train" in shell(capsys, "export", *model, "--to", "axolotl", "-o", target, "--gpus", "4").out
    )
    text = target.read_text(encoding="utf-8")
    assert "learning_rate: 0.0001\n" in text
    assert "measured: refine" in text
    assert shell(capsys, "export", *model, "--to", "axolotl", "--gpus", "4").out == text
    answer = json.loads(shell(capsys, "export", *model, "--to", "axolotl", "--json").out)
    assert answer["values"]["micro_batch_size"] * answer["values"]["gradient_accumulation_steps"] == 128
    assert not answer["file"]


@pytest.mark.parametrize(
    "words, message",
    [
        (("--to", "torchtune"), "choose from peft, trl, axolotl, llama-factory, ms-swift, unsloth, hydra"),
        ((), "needs --to"),
        (("--to", "trl", "--gpus", "3"), "gpus 2 or 4"),
        (("--to", "trl", "-o", "nowhere/file.yaml"), "no such folder"),
        (("--to", "trl", "--method", "ia3"), "choose from lora, dora, qlora, full"),
        (("--to", "peft", "--method", "full"), "method: full cannot be written for PEFT"),
    ],
)
def test_an_export_that_cannot_be_made_ends_with_one_sentence(words, message, capsys):
    code = 4 if "no such folder" in message else 2
    printed = shell(capsys, "export", "meta-llama/Llama-3.2-1B", *words, code=code)
    assert message in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert not printed.out


def test_the_defaults_a_study_compared_with_can_be_read_back():
    assert TrainingSettings.from_dict(build(RATE).baseline) == BASELINE
