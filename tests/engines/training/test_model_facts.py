"""Facts of a base model, read from files that these tests write byte by byte."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bios_sweep.engines.training.cache import read_json_cache, write_json_cache
from bios_sweep.engines.training.facts import describe_model, software_versions
from bios_sweep.errors import ModelError

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64}


@pytest.fixture(autouse=True)
def _own_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)


def safetensors_bytes(shapes: dict[str, list[int]]) -> bytes:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        end = offset + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(offset)


def write_model(folder: Path, config: dict | None = None, shapes: dict | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config or LLAMA))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors_bytes(shapes or {"a": [3, 4], "b": [5]}))
    return folder


def test_facts_come_from_config_and_headers(tmp_path):
    facts = describe_model(str(write_model(tmp_path / "small")))
    assert (facts.name, facts.family, facts.hidden_size, facts.parameters) == ("small", "llama", 64, 17)
    assert facts.path == str((tmp_path / "small").resolve())
    assert len(facts.fingerprint) == 64


def test_a_given_name_is_kept(tmp_path):
    assert describe_model(str(write_model(tmp_path / "small")), name="mine").name == "mine"


@pytest.mark.parametrize(
    "kind,family",
    [("llama", "llama"), ("qwen2", "qwen"), ("qwen3", "qwen"), ("qwen3_moe", "qwen"), ("gemma3", "gemma3")],
)
def test_family_is_what_the_rules_know(tmp_path, kind, family):
    folder = write_model(tmp_path / "m", {**LLAMA, "model_type": kind})
    assert describe_model(str(folder)).family == family


def test_vision_config_gives_the_width_of_its_text_part(tmp_path):
    config = {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "text_config": {"hidden_size": 2560, "model_type": "qwen3_vl_text"},
        "vision_config": {"hidden_size": 1024},
    }
    facts = describe_model(str(write_model(tmp_path / "m", config)))
    assert (facts.family, facts.hidden_size) == ("qwen", 2560)


def test_shards_of_an_index_are_counted_together(tmp_path):
    folder = write_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model-2.safetensors").write_bytes(safetensors_bytes({"c": [7]}))
    index = {
        "weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert describe_model(str(folder)).parameters == 24
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lists model-2\.safetensors but it is not there"):
        describe_model(str(folder))


def test_fingerprint_follows_contents_not_places(tmp_path):
    first = describe_model(str(write_model(tmp_path / "one"))).fingerprint
    assert describe_model(str(write_model(tmp_path / "two"))).fingerprint == first


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
)
def test_every_file_that_decides_numbers_changes_the_fingerprint(tmp_path, name):
    folder = write_model(tmp_path / "m")
    before = describe_model(str(folder)).fingerprint
    (folder / name).write_text(json.dumps({**LLAMA, "extra": 1}))
    assert describe_model(str(folder)).fingerprint != before


def test_changed_weights_change_the_fingerprint(tmp_path):
    folder = write_model(tmp_path / "m")
    before = describe_model(str(folder)).fingerprint
    raw = bytearray((folder / "model.safetensors").read_bytes())
    raw[-1] ^= 1
    (folder / "model.safetensors").write_bytes(raw)
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert describe_model(str(folder)).fingerprint != before


def test_hashes_are_remembered_by_size_and_time(tmp_path):
    folder = write_model(tmp_path / "m")
    before = describe_model(str(folder)).fingerprint
    cache = tmp_path / "cache" / "bios_sweep" / "fingerprints.json"
    known = read_json_cache(cache)
    weights = str((folder / "model.safetensors").resolve())
    digest, known[weights][2] = known[weights][2], "0" * 64
    whole = cache.read_text()
    cache.write_text(whole.replace(digest, "0" * 64))
    assert describe_model(str(folder)).fingerprint == before, "a damaged hash was used"
    write_json_cache(cache, known)
    assert describe_model(str(folder)).fingerprint != before, "the remembered hash was not used"
    cache.write_text("damaged")
    assert describe_model(str(folder)).fingerprint == before


@pytest.mark.parametrize("home", ["relative", None])
def test_without_a_cache_folder_a_model_is_described_and_nothing_is_left_here(home, tmp_path, monkeypatch):
    """A relative cache home is ignored; containers run under numbers that no user has."""
    folder = write_model(tmp_path / "m")
    before = describe_model(str(folder)).fingerprint
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    if home:
        monkeypatch.setenv("XDG_CACHE_HOME", home)
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
    assert describe_model(str(folder)).fingerprint == before
    assert not list(Path.cwd().iterdir())


def test_unwritable_cache_only_costs_time(tmp_path):
    folder = write_model(tmp_path / "m")
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert describe_model(str(folder)).fingerprint == describe_model(str(folder)).fingerprint


def test_hub_id_is_found_in_the_local_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    repository = tmp_path / "hf" / "hub" / "models--org--tiny"
    write_model(repository / "snapshots" / "abc123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc123")
    facts = describe_model("org/tiny")
    assert (facts.name, Path(facts.path).name) == ("org/tiny", "abc123")


def test_hub_id_that_was_not_downloaded_is_refused():
    with pytest.raises(ModelError, match=r"download it first: hf download org/tiny"):
        describe_model("org/tiny")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no such folder; give a folder with config\.json"):
        describe_model(str(tmp_path / "nowhere"))


def _edit(name: str, change):
    def apply(folder: Path) -> None:
        (folder / name).write_text(json.dumps(change(json.loads((folder / name).read_text()))))

    return apply


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")


def _cut(count: int):
    def apply(folder: Path) -> None:
        raw = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(raw[:count])

    return apply


@pytest.mark.parametrize(
    "damage,message",
    [
        (lambda folder: (folder / "config.json").unlink(), r"no config\.json"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json cannot be read as JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), r"config\.json must hold a JSON object"),
        (
            _edit("config.json", lambda c: {**c, "architectures": ["BertModel"]}),
            "BertModel.* no causal language model; the entry must end with ForCausalLM",
        ),
        (_edit("config.json", lambda c: {**c, "auto_map": {}}), r"auto_map, code that would run"),
        (_edit("config.json", lambda c: {**c, "hidden_size": None}), r"gives no hidden_size"),
        (_pickle_only, r"pytorch_model\.bin.*only safetensors weights are allowed"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"no model\.safetensors"),
        (_cut(-1), r"model\.safetensors has \d+ bytes where its header needs \d+"),
        (_cut(20), r"model\.safetensors is cut off in its header"),
        (_cut(0), r"model\.safetensors is cut off in its header"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"no tokenizer\.json"),
    ],
)
def test_unusable_model_is_refused_with_the_way_out(tmp_path, damage, message):
    folder = write_model(tmp_path / "m")
    damage(folder)
    with pytest.raises(ModelError, match=message) as refused:
        describe_model(str(folder))
    assert str(folder) in str(refused.value)


def test_versions_are_known_without_importing():
    code = (
        "import sys; from bios_sweep.engines.training.facts import software_versions as v; print(v());"
        "heavy = {'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules); assert not heavy, heavy"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(software_versions()) == {"torch", "transformers", "peft"}


def test_package_that_is_not_installed_is_absent():
    assert software_versions(("no_such_package_here",)) == {"no_such_package_here": "absent"}
