"""What counts as a secret in a text, and what does not."""

from __future__ import annotations

import pytest

from bios_sweep.config.compose import compose_config
from bios_sweep.errors import ConfigError
from bios_sweep.execution.attempts import ERROR_LOG, attempt_trial
from bios_sweep.secrecy import masked, secret_in, secret_values, texts
from bios_sweep.study.trials import FAILED, TrialResult
from tests.conformance.sources import SETTINGS, trials

TOKEN = "hf_" + "aBcDeFgH" * 4
ENVIRONMENT = {
    "HF_TOKEN": TOKEN,
    "AWS_SECRET_ACCESS_KEY": "wJalr/XUtn+FEMI=",
    "DATABASE_URL": "postgresql://me:p%40ssw0rd@db/x",
    "TOKENIZERS_PARALLELISM": "sometimes",
    "PASSWORD_FILE": "/run/secrets/password",
    "SHORT_TOKEN": "true",
    "HOME": "/home/someone",
}


@pytest.mark.parametrize(
    "text, shown",
    [
        ("http://me:pass%40word@host:5000/x?token=abc&a=1", "http://***@host:5000/x?token=***&a=1"),
        ("http://me:p/ss?w#rd@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+pg8000://me:secret@db/mlflow", "postgresql+pg8000://***@db/mlflow"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': 'Bearer ***'}"),
        ("train.py --hf-token abcdefgh1 --lr 3", "train.py --hf-token *** --lr 3"),
        ("WANDB_API_KEY=0123456789abcdef x", "WANDB_API_KEY=*** x"),
        (f"no access with {TOKEN}.", "no access with ***."),
    ],
)
def test_what_looks_like_a_secret_is_masked(text, shown):
    assert masked(text, {}) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1?owner=me@there",
        "sqlite:////tmp/a@b/mlflow.db",
        "8000 tokens, token: <|endoftext|>, pad_token=<|endoftext|>, max_token=123456789",
        "secret=$HF_TOKEN_HERE password={password}",
        "write to me@there.org about tokenizer=abcdefgh",
    ],
)
def test_what_only_resembles_one_stays(text):
    assert masked(text, {}) == text
    assert secret_in(text, {}) is None


def test_the_values_of_secret_variables_are_masked_wherever_they_stand_in_every_spelling():
    said = f"{TOKEN} wJalr/XUtn+FEMI= wJalr%2FXUtn%2BFEMI%3D p@ssw0rd p%40ssw0rd"
    assert masked(said, ENVIRONMENT) == "*** *** *** *** ***"
    harmless = "sometimes true /run/secrets/password /home/someone"
    assert masked(harmless, ENVIRONMENT) == harmless
    assert {name for name, _ in secret_values(ENVIRONMENT)} == {
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
    }


def test_a_secret_is_named_without_being_shown():
    assert secret_in(f"--key {TOKEN}", ENVIRONMENT) == "the value of HF_TOKEN"
    assert secret_in("s3://id:key@bucket", ENVIRONMENT) == "a password or token"
    assert dict(texts({"a": {"b": ["x", {"c": "y"}]}, "n": 1})) == {"a.b[0]": "x", "a.b[1].c": "y"}


def test_a_configuration_with_a_secret_is_refused_because_it_would_be_kept(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for override, path in (
        (f"model.name=my-{TOKEN}", "model.name"),
        ("cluster.address='ray://me:secret@head:10001'", "cluster.address"),
    ):
        with pytest.raises(ConfigError, match=rf"^{path}: holds .* put it into an environment") as refusal:
            compose_config([override])
        assert TOKEN not in str(refusal.value)
        assert "secret@" not in str(refusal.value)
    assert compose_config(["tracking.uri='http://me:secret@host'"]).values["tracking"]["uri"]


class Careless:
    """An engine whose library says too much."""

    def __init__(self, ending: object) -> None:
        self._ending = ending

    def run(self, trial, directory):
        if isinstance(self._ending, Exception):
            raise self._ending
        yield self._ending


def test_a_failed_trial_says_why_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (trial,) = trials({"baseline": SETTINGS}, [0])
    broken = RuntimeError(f"401 for https://me:pw@hub/x with {TOKEN}")
    told = TrialResult(key=trial.key, status=FAILED, cause=f"token {TOKEN}")
    for ending, cause in (
        (broken, "RuntimeError: 401 for https://***@hub/x with ***"),
        (told, "token ***"),
    ):
        (result,) = attempt_trial(Careless(ending), trial, tmp_path, attempt=1)
        assert result.cause == cause
    log = (tmp_path / ERROR_LOG).read_text()
    assert "https://***@hub/x" in log
    assert TOKEN not in log
