"""A model by its name on the hub: found, refused, brought once, kept to its commit."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bios_sweep.cli.main import main
from bios_sweep.driver.scenarios.base_model import read_model
from bios_sweep.engines.training.facts import describe_model, is_complete
from bios_sweep.errors import BiosSweepError
from bios_sweep.hub.cache import hub_access
from bios_sweep.hub.models import fetched, known_cost
from tests.probe import HEAVY, loaded, verb

TINY = ("sweeps=aa", "cluster=inline", "tracking=none", "seeds=[0]", "baseline.batch_size=2",
        "budget.max_steps=1", "data.eval_examples=8", "baseline.train_examples=8")  # fmt: skip


def asked_for(name: str = "org/tiny", *, revision: str | None = None, download: bool = True, pins=None):
    values = {"kind": "local", "name": None, "path": name, "revision": revision, "download": download}
    return read_model(values, pins or {})


def test_a_plan_knows_a_model_by_its_texts_and_the_hubs_word_for_its_weights(hub, model_files, monkeypatch):
    commit = hub.repository("models/org/tiny").commit(model_files)
    facts = asked_for()
    embedded = read_model({"kind": "embedded", "name": None, "path": None}, {})
    assert facts.hub == f"org/tiny@{commit}"
    assert (facts.fingerprint, facts.parameters, facts.ends) == (
        embedded.fingerprint, embedded.parameters, embedded.ends,
    )  # fmt: skip
    assert known_cost("org/tiny", commit, is_complete).startswith(
        f"model org/tiny at {commit[:8]}: run downloads 0.0011 GiB into "
    )
    assert not any("model.safetensors" in path and method == "HEAD" for method, path, _ in hub.asked)
    hub.asked.clear()
    assert asked_for() == facts
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert asked_for() == facts
    assert not hub.asked, "the second plan asks nobody"


def test_a_model_in_shards_is_its_index_and_what_that_lists(hub, model_files):
    whole = model_files["model.safetensors"]
    index = json.dumps({"weight_map": {"a": "model-1.safetensors"}}).encode()
    files = {name: data for name, data in model_files.items() if name != "model.safetensors"}
    files |= {"model-1.safetensors": whole, "model.safetensors.index.json": index}
    commit = hub.repository("models/org/shards").commit({**files, "consolidated.safetensors": whole})
    assert asked_for("org/shards").parameters == asked_for("org/shards").parameters == 295_392
    folder = fetched("org/shards", commit, is_complete)
    assert describe_model(str(folder)).fingerprint == asked_for("org/shards").fingerprint
    assert not (folder / "consolidated.safetensors").exists(), "the same weights again are not brought"


def test_two_workers_of_a_node_ask_once(hub, model_files):
    commit = hub.repository("models/org/tiny").commit(model_files)
    bring = (
        "import sys; from bios_sweep.engines.training.facts import describe_model\n"
        "print(describe_model(sys.argv[1], download=True).fingerprint)"
    )
    command = [sys.executable, "-c", bring, f"org/tiny@{commit}"]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(2)))
    assert [one.returncode for one in both] == [0, 0], both[0].stderr + both[1].stderr
    assert both[0].stdout == both[1].stdout
    files = {path: count for path, count in hub.counted().items() if "/resolve/" in path}
    assert set(files.values()) == {1}, files
    hub.asked.clear()
    fetched("org/tiny", commit, is_complete)
    assert not hub.asked


def test_a_workspace_keeps_to_the_commit_that_it_began_with(hub, model_files):
    repository = hub.repository("models/org/tiny")
    first = repository.commit(model_files)
    fetched("org/tiny", first, is_complete)
    config = json.loads(model_files["config.json"]) | {"rope_theta": 5.0}
    second = repository.commit({**model_files, "config.json": json.dumps(config).encode()})
    pins = {"model org/tiny": first}
    assert asked_for(pins=pins, download=False).hub == f"org/tiny@{first}"
    assert asked_for(pins=pins, revision="main").hub == f"org/tiny@{second}"
    assert asked_for(revision=first, download=False).hub == f"org/tiny@{first}"


# repository, faults, revision -> the sentence
REFUSALS = {
    "none": ("has none of that name, or hides it from strangers; check the name, or set HF_TOKEN", {}, None),
    "private": ("has none of that name, or hides it from strangers", {}, None),
    "gated": ("is gated; accept its terms at ", {}, None),
    "tiny": ("has no revision 'v9'; give a branch, a tag or a commit", {}, "v9"),
    "pickled": (
        "has no model.safetensors (it has pytorch_model.bin, and pickle files can run code)",
        {},
        None,
    ),
    "empty": ("has no config.json; it is no model", {}, None),
    "broken": ("answers with HTTP 507; try again later", {"* /org/broken/*": (99, 507)}, None),
    "forbidden": ("refuses it (HTTP 403); set HF_TOKEN", {"* /org/forbidden/*": (99, 403)}, None),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_hub_refuses_is_one_sentence_with_a_way_out(hub, model_files, name):
    sentence, faults, revision = REFUSALS[name]
    texts = {one: data for one, data in model_files.items() if one != "model.safetensors"}
    for kind in ("private", "gated", "tiny", "broken", "forbidden"):
        hub.repository(f"models/org/{kind}", private=kind == "private", gated=kind == "gated").commit(
            model_files
        )
    hub.repository("models/org/pickled").commit({**texts, "pytorch_model.bin": b"x"})
    hub.repository("models/org/empty").commit({"README.md": b"about"})
    hub.faults = dict(faults)
    with pytest.raises(BiosSweepError) as raised:
        asked_for(f"org/{name}", revision=revision)
    assert str(raised.value).startswith(f"model org/{name}: ")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.slow  # the client waits between its tries
@pytest.mark.parametrize(
    "status, sentence", [(429, "asks to wait"), (500, "answers with HTTP 500; try again")]
)
def test_a_hub_under_load_is_told_after_the_clients_own_tries(hub, model_files, status, sentence):
    hub.repository("models/org/tiny").commit(model_files)
    hub.faults = {"* /org/tiny/*": (99, status)}
    with pytest.raises(BiosSweepError, match=sentence):
        asked_for()


def test_a_hub_that_nobody_reaches_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BiosSweepError, match=r"127\.0\.0\.1:9 cannot be reached \(.*refused\); check"):
        asked_for()


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_is_respected_and_named(hub, model_files, monkeypatch, switch):
    hub.repository("models/org/tiny").commit(model_files)
    monkeypatch.setenv(switch, "1")
    with pytest.raises(BiosSweepError, match=f"is to be downloaded, but {switch} is set; unset it"):
        asked_for()
    assert not hub.asked


def test_nothing_is_asked_without_permission(hub, model_files):
    hub.repository("models/org/tiny").commit(model_files)
    with pytest.raises(BiosSweepError, match=r"neither a folder nor in .* add model\.download=true"):
        asked_for(download=False)
    assert not hub.asked
    asked_for()
    with pytest.raises(BiosSweepError, match=r"is in the Hugging Face cache .* without its weights; add"):
        asked_for(download=False)


def test_a_cut_connection_goes_on_where_it_was_cut(hub, model_files):
    commit = hub.repository("models/org/tiny").commit(model_files)
    hub.faults = {"GET */model.safetensors": (1, "cut")}
    folder = fetched("org/tiny", commit, is_complete)
    assert (folder / "model.safetensors").read_bytes() == model_files["model.safetensors"]
    assert hub.counted()[f"/org/tiny/resolve/{commit}/model.safetensors"] == 2


@pytest.fixture
def private(hub, model_files, tmp_path, monkeypatch):
    hub.token = "hf_" + "Secret12" * 4
    hub.repository("models/org/private", private=True).commit(model_files)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    return hub


def test_a_token_opens_a_private_model_and_stands_in_no_sentence(private, capsys):
    private.faults = {"* /org/other/*": (99, 507)}
    assert asked_for("org/private").parameters == 295_392
    assert main(["plan", *TINY, "model=org/other", "model.download=true"]) == 2
    told = capsys.readouterr()
    assert {token for _, _, token in private.asked} == {f"Bearer {private.token}"}
    assert "answers with HTTP 507" in told.err
    assert private.token not in told.out + told.err


@pytest.mark.slow  # it trains
def test_a_private_model_is_trained_on_and_the_token_is_kept_nowhere(private, tmp_path, capsys):
    words = [*TINY[:2], *TINY[3:], "model=org/private", "model.download=true"]
    assert main(["run", *words]) == 0
    told = capsys.readouterr()
    kept = [path.read_bytes() for path in (tmp_path / "bios_runs").rglob("*") if path.is_file()]
    assert private.token not in told.out + told.err
    assert len(kept) > 5
    assert not [content for content in kept if private.token.encode() in content]
    pins = json.loads((tmp_path / "bios_runs" / "hub.json").read_text())
    assert list(pins) == ["model org/private", "seal"]


def test_the_token_reaches_workers_that_may_download_and_a_file_of_it_too(tmp_path):
    (tmp_path / "token").write_text("hf_of_a_file\n")
    environ = {"HF_TOKEN_PATH": str(tmp_path / "token"), "HF_ENDPOINT": "http://127.0.0.1:9", "OTHER": "x"}
    assert hub_access(environ) == {"HF_TOKEN": "hf_of_a_file", "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert hub_access({**environ, "HF_TOKEN": "hf_first"})["HF_TOKEN"] == "hf_first"


def test_a_plan_loads_no_client_of_the_hub(hub, model_files, tmp_path):
    hub.repository("models/org/tiny").commit(model_files)
    words = ["plan", *TINY, "model=org/tiny", "model.download=true"]
    assert not loaded(verb(*words), tmp_path) & (HEAVY | {"huggingface_hub", "httpx2"})


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["model.revision=v1"], "model.revision: only a model of the hub has one"),
        (["model.download=maybe", "model=org/x"], "model.download: 'maybe' is not allowed; true or false"),
        (["model.path=.", "model.revision=v1"], "model.revision: . is not of the hub; leave it out"),
        (["model=orgtiny"], "model=orgtiny: there is no such model"),
    ],
)
def test_keys_that_mean_nothing_here_are_refused(hub, tmp_path, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *TINY, *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "bios_runs").exists()
