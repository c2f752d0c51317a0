"""What counts as a secret in a text, and what does not."""

from __future__ import annotations

import os
import time

import pytest

from bios_sweep.config.compose import compose_config
from bios_sweep.driver.tracking import tracking_of
from bios_sweep.errors import ConfigError, InputError
from bios_sweep.execution.attempts import ERROR_LOG, attempt_trial
from bios_sweep.mirror.mlflow.credentials import PASSWORD, TOKEN, USERNAME, authorization
from bios_sweep.mirror.mlflow.web import check_server
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import keep_secret, masked, secret_in, secret_values, texts
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Status
from tests.conformance.sources import SETTINGS, trials

HUB = "hf_" + "aBcDeFgH" * 4
ENVIRONMENT = {
    "HF_TOKEN": HUB,
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
        (f"no access with {HUB}.", "no access with ***."),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("authorization: abc.def and more\nnext", "authorization: ***\nnext"),
        ("Authorization: Bearer abc.def failed with 401", "Authorization: Bearer *** failed with 401"),
        ("{'Authorization': 'JWT eyJ0.ab', 'n': 1}", "{'Authorization': '***', 'n': 1}"),
        ('curl -H "Authorization: OAuth ya29.a0Af" --lr 3', 'curl -H "Authorization: ***" --lr 3'),
        ("authorization = Key fal-0123:ab", "authorization = ***"),
        ('{"authorization": "SharedKey acct:s1g=="}', '{"authorization": "***"}'),
        (r'"{\"Authorization\": \"SSWS 00QCjAl4\"}"', r'"{\"Authorization\": \"***"}"'),
        ('AUTHORIZATION: Digest username="me", response="6629"', "AUTHORIZATION: ***"),
        ("headers {b'Proxy-Authorization': b'NTLM TlRM'}", "headers {b'Proxy-Authorization': b'***'}"),
        ("curl -H Bearer eyJh.bGci0iJ", "curl -H Bearer ***"),
        ("login(user=me, password=hunt3r)", "login(user=me, password=***)"),
        ("--db-password 1234 --lr 3", "--db-password *** --lr 3"),
        ("password=Tr0ub4dor&3xtraLong x", "password=*** x"),
        ("password=abc;def)ghij --password Tr0&ub4)dor x", "password=*** --password *** x"),
        (r"password='it\'s a secret' x", "password=*** x"),
        ("password=no-way1 password=On!", "password=*** password=***"),
        ("{'password': \"it'sSecret99\", 'n': 1}", "{'password': \"***\", 'n': 1}"),
        (r'{"password": "a\"bcdefgh", "n": 1}', '{"password": "***", "n": 1}'),
        ("DB_PASSWD='x y' z", "DB_PASSWD=*** z"),
        ("{'user': 'me', 'password': 'hunt3r', 'n': 1}", "{'user': 'me', 'password': '***', 'n': 1}"),
        ("--password a,b,c --lr 3, password=Tr0ub4d,or3 x", "--password *** --lr 3, password=*** x"),
        ("f(password=abc,user=me, n=1)", "f(password=***,user=me, n=1)"),
        ("--api-key abcdefgh1,ijkl secret=abcdefgh1,name=x", "--api-key *** secret=***,name=x"),
        ('{"api_key": "abc", "pad_token": "[PAD]"}', '{"api_key": "***", "pad_token": "[PAD]"}'),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_a_mask_is_left_alone(text, shown):
    assert masked(text, {}) == shown
    assert masked(shown, {}) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1?owner=me@there",
        "sqlite:////tmp/a@b/mlflow.db",
        "8000 tokens, token: <|endoftext|>, pad_token=<|endoftext|>, max_token=123456789",
        "secret=$HF_TOKEN_HERE password={password}",
        "write to me@there.org about tokenizer=abcdefgh",
        "password=None, password=null, password=false, {'password': '$PGPASSWORD'}",
        "the Bearer certificates of the password: none",
        "--no-password training.jsonl --use-password yes --forget-password off password=no",
        "--password %PW% password=%MY_PASSWORD%",
        "curl -H 'Authorization: Bearer $TOKEN' -H \"Authorization: {header}\"",
    ],
)
def test_what_only_resembles_one_stays(text):
    assert masked(text, {}) == text
    assert secret_in(text, {}) is None


@pytest.mark.parametrize("text", ["reset_password=now", "--password @file", "--password @secrets/db.txt"])
def test_a_short_word_or_a_file_is_masked_and_no_reason_to_refuse_a_command(text):
    assert masked(text, {}).endswith("***")
    assert secret_in(text, {}) is None


@pytest.mark.parametrize("text", ["password='a b c d e'", "--password 12345678", "password=Tr0ub4d;or"])
def test_a_password_of_eight_signs_on_a_command_line_is_refused(text):
    assert secret_in(text, {}) == "a password or token"


@pytest.mark.parametrize(
    "piece",
    [
        "?a",
        "&key",
        "password=a,",
        "a,",
        "://a:",
        "://a:b@",
        "--",
        "authorization: ",
        "'password': '",
        "password=\\'",
        "Bearer ",
    ],
)
@pytest.mark.parametrize("end", ["=", "@ token", "\"' --password="])
def test_a_line_of_any_length_takes_linear_time(piece, end):
    """Generous: a quadratic pattern takes minutes here. Processor time, as other tests run beside it."""
    line = piece * (100_000 // len(piece)) + end
    before = time.process_time()
    masked(line, {})
    assert time.process_time() - before < 5


def test_the_values_of_secret_variables_are_masked_wherever_they_stand_in_every_spelling():
    said = f"{HUB} wJalr/XUtn+FEMI= wJalr%2FXUtn%2BFEMI%3D p@ssw0rd p%40ssw0rd"
    assert masked(said, ENVIRONMENT) == "*** *** *** *** ***"
    harmless = "sometimes true /run/secrets/password /home/someone"
    assert masked(harmless, ENVIRONMENT) == harmless
    assert {name for name, _ in secret_values(ENVIRONMENT)} == {
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
    }


def test_a_secret_is_named_without_being_shown():
    assert secret_in(f"--key {HUB}", ENVIRONMENT) == "the value of HF_TOKEN"
    assert secret_in("s3://id:key@bucket", ENVIRONMENT) == "a password or token"
    assert dict(texts({"a": {"b": ["x", {"c": "y"}]}, "n": 1})) == {"a.b[0]": "x", "a.b[1].c": "y"}


def test_a_configuration_with_a_secret_is_refused_because_it_would_be_kept(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", HUB)
    for override, path in (
        (f"model.name=my-{HUB}", "model.name"),
        ("cluster.address='ray://me:secret@head:10001'", "cluster.address"),
    ):
        with pytest.raises(ConfigError, match=rf"^{path}: holds .* put it into an environment") as refusal:
            compose_config([override])
        assert HUB not in str(refusal.value)
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
    monkeypatch.setenv("HF_TOKEN", HUB)
    (trial,) = trials({"baseline": SETTINGS}, [0])
    broken = RuntimeError(f"401 for https://me:pw@hub/x with {HUB}")
    told = TrialResult(key=trial.key, status=Status.FAILED, cause=f"token {HUB}")
    for ending, cause in (
        (broken, "RuntimeError: 401 for https://***@hub/x with ***"),
        (told, "token ***"),
    ):
        (result,) = attempt_trial(Careless(ending), trial, tmp_path, attempt=1)
        assert result.cause == cause
    log = "".join(file.read_text() for file in tmp_path.rglob(ERROR_LOG))
    assert "https://***@hub/x" in log
    assert HUB not in log


def test_the_server_group_takes_mlflow_s_own_variable_and_says_so_where_it_is_not_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host:5000")
    assert compose_config(["tracking=server"]).values["tracking"]["uri"] == "http://me:secret@host:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI"):
        compose_config(["tracking=server"])


def test_credentials_of_the_address_go_where_mlflow_looks_and_stay_out_of_printed_commands(
    tmp_path, monkeypatch
):
    for name in (USERNAME, PASSWORD):
        monkeypatch.setenv(name, "of before")
    config = compose_config(["tracking.uri='http://me:p%2Fw@host:5000/base'", f"workspace={tmp_path}"])
    tracking = tracking_of(config, Workspace(tmp_path))
    assert tracking.uri == tracking.shown == "http://host:5000/base"
    assert tracking.options == f" tracking.uri=http://host:5000/base workspace={tmp_path}"
    assert (os.environ[USERNAME], os.environ[PASSWORD]) == ("me", "p/w")


def test_who_we_are_is_said_as_mlflow_says_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (USERNAME, PASSWORD, TOKEN):
        monkeypatch.delenv(name, raising=False)
    uri = "http://host:5000"
    assert authorization(uri) == {}
    monkeypatch.setenv(TOKEN, "t0ken")
    assert authorization(uri) == {"Authorization": "Bearer t0ken"}
    monkeypatch.setenv(USERNAME, "me")
    assert authorization(uri) == {"Authorization": "Bearer t0ken"}, "a user without a password says nothing"
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\nmlflow_tracking_password = %w\n")
    assert authorization(uri) == {"Authorization": "Basic bWU6JXc="}
    assert authorization("http://you:x%2F@host:5000") == {"Authorization": "Basic eW91Ongv"}


def test_an_address_whose_password_is_not_encoded_is_refused_without_asking_another_host():
    with pytest.raises(InputError, match="write / as %2F") as refusal:
        check_server("http://me:pa/ss@host:5000")
    assert "pa/ss" not in str(refusal.value)


KEY_LINES = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("AWS_SECRET_ACCESS_KEY", "/abcDEFghijklmn0123+ab", "/abcDEFghijklmn0123+ab"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "abcdefghijklmnop==", "abcdefghijklmnop=="),
        ("STORE_CONNECTION_STRING", "AccountName=x;AccountKey=abcdefgh1234==;Suffix=y", "abcdefgh1234=="),
        ("OPENAI_KEY", "sk-abcdefghijklmn", "sk-abcdefghijklmn"),
        ("DB_PASS", "hunter2hunter2", "hunter2hunter2"),
        ("MY_PRIVATE_KEY", KEY_LINES, "kqhkiG9w0BAQEF"),
        ("MY_PRIVATE_KEY", KEY_LINES.replace("\n", "\\n"), "kqhkiG9w0BAQEF"),
    ],
)
def test_secrets_of_every_custom_are_known(name, value, said):
    assert masked(f"no access with {said}.", {name: value}) == "no access with ***."


def test_a_path_that_a_secret_s_variable_holds_stays(tmp_path):
    assert (
        masked(f"{tmp_path}/key is missing", {"SSH_KEY": f"{tmp_path}/key"}) == f"{tmp_path}/key is missing"
    )


@pytest.mark.parametrize("value", ["disabled", "learning_rate", "adamw", "12345678"])
def test_an_everyday_word_in_a_secret_s_variable_refuses_no_configuration(value):
    assert secret_in(f"x={value}", {"WANDB_API_KEY": value}) is None


def test_what_is_handed_to_the_workers_is_masked_whatever_its_name():
    keep_secret({"OUR_LICENSE": "lic-0123-4567", "BIOS_SWEEP_SWEEP_ID": "handed-0a1b2c3d"})
    assert masked("lic-0123-4567 of handed-0a1b2c3d") == "*** of handed-0a1b2c3d"
    assert secret_in("model-lic-0123-4567") is None, "it may be a model's name"
