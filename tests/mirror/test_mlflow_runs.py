"""Experiments read over REST from a server that speaks MLflow's protocol, and from MLflow's own store."""

from __future__ import annotations

import base64
import copy
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from bios_sweep.cli.main import main

VARIABLES = ("URI", "TOKEN", "USERNAME", "PASSWORD")


class Server(ThreadingHTTPServer):
    """The few calls of the REST API that reading needs, over experiments kept as dicts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: dict[str, list[dict[str, Any]]] = {}
        self.histories: dict[str, list[dict[str, Any]]] = {}
        self.required = ""
        self.seen: list[str | None] = []
        self.page = 1000

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    prefix: ClassVar[str] = "/api/2.0/mlflow/"
    server: Server

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        names = list(self.server.experiments)
        match urlsplit(self.path).path.removeprefix(self.prefix):
            case "experiments/get-by-name" if query["experiment_name"] in names:
                place = names.index(query["experiment_name"])
                self._answer({"experiment": {"experiment_id": str(place), "name": names[place]}})
            case "experiments/get" if int(query["experiment_id"]) < len(names):
                self._answer({"experiment": {"experiment_id": query["experiment_id"]}})
            case "metrics/get-history":
                self._answer({"metrics": self.server.histories.get(query["run_id"], [])})
            case _:
                self._answer({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("experiments/search"):
            self._answer({"experiments": [{"name": name} for name in self.server.experiments]})
            return
        runs = list(self.server.experiments.values())[int(body["experiment_ids"][0])]
        start = int(body.get("page_token", 0))
        end = start + self.server.page
        token = {"next_page_token": str(end)} if end < len(runs) else {}
        self._answer({"runs": runs[start:end], **token})

    def _answer(self, body: dict[str, Any], code: int = 200) -> None:
        given = self.headers.get("Authorization")
        self.server.seen.append(given)
        if self.server.required and given != self.server.required:
            body, code = {"error_code": "UNAUTHENTICATED"}, 401
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def stored(
    name: str,
    params: dict[str, Any],
    metrics: dict[str, float],
    tags: dict[str, str] | None = None,
    at: int = 0,
) -> dict[str, Any]:
    def pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"key": key, "value": value} for key, value in values.items()]

    return {
        "info": {"run_id": name, "run_name": name, "status": "FINISHED", "start_time": at},
        "data": {"params": pairs(params), "metrics": pairs(metrics), "tags": pairs(tags or {})},
    }


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    for name in VARIABLES:
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.experiments = {"Default": [], "tuning": foreign(), "ours": ours("demo-11111111")}
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def foreign() -> list[dict[str, Any]]:
    """Someone's tuning runs: two learning rates at three seeds, no arms."""
    return [
        stored(f"r{lr}{seed}", {"lr": lr, "seed": seed, "output_dir": f"/x/{lr}/{seed}"}, {"eval_loss": loss})
        for lr, losses in (("1e-4", (1.2, 1.22, 1.19)), ("2e-4", (1.1, 1.125, 1.088)))
        for seed, loss in enumerate(losses)
    ]


def ours(
    sweep_id: str, at: int = 0, shift: float = 0.0, effect: float = 0.05, fresh: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """A sweep as the mirror writes it: its own run, and a run per trial."""
    name = sweep_id.rpartition("-")[0]
    parent = {"kind": "sweep", "sweep_id": sweep_id, "sweep_name": name}
    runs = [stored(f"{sweep_id} parent", {"seeds": "[0, 1, 2]"}, {}, parent, at)]
    arms = (("baseline", 1e-4, 0.0), ("learning_rate x2", 2e-4, effect), ("x4", 4e-4, 0.06))
    for arm, rate, effect in arms:
        for seed in (*range(3), *(fresh if arm != "x4" else ())):
            tags = {
                "kind": "trial", "trial_key": f"{arm}{seed}", "arm": arm, "seed": str(seed),
                "status": "completed", "stage": "screening", f"sweep.{sweep_id}": arm, "sweep_id": sweep_id,
                "factor": "none" if arm == "baseline" else "learning_rate",
                "level": "none" if arm == "baseline" else str(rate),
            }  # fmt: skip
            params = {"learning_rate": str(rate), "batch_size": "8", "max_steps": "200", "seed": str(seed)}
            loss = 1.2 + effect + shift + 0.01 * seed + 0.001 * len(arm) * seed % 0.003
            runs.append(stored(f"{sweep_id}{arm}{seed}", params, {"eval_loss": loss}, tags, at))
    return runs


@pytest.fixture
def report(server, capsys):
    def run(*words: str) -> tuple[int, str, str]:
        code = main(["report", "--tracking-uri", server.uri, *words])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def answer(report):
    def run(*words: str) -> dict:
        code, out, err = report(*words, "--json")
        assert code == 0, err
        return json.loads(out)

    return run


def test_a_foreign_experiment_is_read_by_name_and_by_id(answer):
    by_name = answer("--from-mlflow", "tuning", "--baseline", "learning_rate=1e-4")
    assert by_name["compared"] == ["baseline", "learning_rate=0.0002"]
    assert by_name["verdicts"][0]["factor"] == "learning_rate"
    assert answer("--from-mlflow", "1", "--baseline", "lr=1e-4")["verdicts"][0]["lower"] == pytest.approx(
        by_name["verdicts"][0]["lower"]
    )


def test_an_experiment_of_many_pages_is_read_whole(server, answer):
    server.page = 2
    assert answer("--from-mlflow", "tuning", "--baseline", "lr=1e-4")["counts"]["planned"] == 6


def test_our_own_experiment_needs_no_flags(server, answer):
    found = answer("--from-mlflow", "ours")
    assert found["compared"] == ["baseline", "learning_rate x2", "x4"]
    assert found["hold"] == "examples"
    assert [v["factor"] for v in found["verdicts"]] == ["learning_rate"]


def test_our_fresh_seeds_are_told_by_the_sweeps_own_list(server, answer):
    server.experiments["ours"] = ours("demo-11111111", effect=-0.05, fresh=(100, 101, 102))
    (verdict,) = answer("--from-mlflow", "ours")["verdicts"]
    assert (verdict["verdict"], verdict["seeds"]) == ("refine", [100, 101, 102])
    server.experiments["ours"] = ours("demo-11111111", effect=-0.05)
    assert answer("--from-mlflow", "ours")["verdicts"][0]["verdict"] == "refine (unconfirmed)"


def test_our_untouched_model_makes_the_margin_of_the_sweep(server, answer):
    server.histories["demo-11111111baseline0"] = [{"key": "eval_loss", "value": 1.3, "step": 0}]
    assert answer("--from-mlflow", "ours")["margin"]["percent"] == pytest.approx(10 * (1.3 - 1.211) / 1.211)


def test_of_several_sweeps_the_latest_is_told_unless_one_is_named(server, answer, report):
    server.experiments["ours"] += ours("other-22222222", at=5, shift=1.0)
    assert "other-22222222" in answer("--from-mlflow", "ours")["source"]
    found = answer("--from-mlflow", "ours", "--sweep", "demo")
    assert "demo-11111111" in found["source"]
    assert "other-22222222" in found["notes"][0]
    code, _, err = report("--from-mlflow", "ours", "--sweep", "none")
    assert code == 2
    assert "no sweep 'none'; there are other-22222222, demo-11111111" in err


def test_an_experiment_that_is_not_there_is_refused_with_those_that_are(report):
    code, out, err = report("--from-mlflow", "tunning")
    assert (code, out) == (2, "")
    assert "no experiment 'tunning' (did you mean 'tuning'?); there are 'Default', 'tuning', 'ours'" in err


def test_an_experiment_without_runs_is_refused(report):
    assert "experiment 'Default': has no run" in report("--from-mlflow", "Default")[2]


def test_credentials_go_into_the_header_and_nowhere_else(server, report, monkeypatch):
    server.required = "Bearer s3cret"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wr0ng")
    code, out, err = report("--from-mlflow", "ours")
    assert code == 2
    assert "refuses the credentials (401); set MLFLOW_TRACKING_TOKEN" in err
    assert "wr0ng" not in out + err
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret")
    assert report("--from-mlflow", "ours")[0] == 0


def test_a_user_and_password_are_sent_as_mlflow_sends_them(server, report, monkeypatch, capsys):
    server.required = "Basic " + base64.b64encode(b"me:pa ss").decode()
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "pa ss")
    assert report("--from-mlflow", "ours")[0] == 0
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    address = server.uri.replace("http://", "http://me:pa%20ss@")
    assert main(["report", "--from-mlflow", "ours", "--tracking-uri", address]) == 0
    capsys.readouterr()
    server.required = "no one"
    assert main(["report", "--from-mlflow", "ours", "--tracking-uri", address]) == 2
    assert "pa" + "%20ss" not in capsys.readouterr().err


def test_the_tracking_variable_is_the_default_server(server, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    assert main(["report", "--from-mlflow", "ours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"]


@pytest.mark.parametrize(
    "uri, sentence",
    [
        ("http://127.0.0.1:9", "does not answer as an MLflow server does"),
        ("sqlite:////nowhere/mlflow.db", "there is no such file"),
    ],
)
def test_a_store_that_does_not_answer_is_one_sentence(capsys, uri, sentence):
    assert main(["report", "--from-mlflow", "ours", "--tracking-uri", uri]) == 2
    assert sentence in capsys.readouterr().err


def test_without_any_server_the_way_out_is_said(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["report", "--from-mlflow", "ours"]) == 2
    assert "give --tracking-uri URI or set MLFLOW_TRACKING_URI" in capsys.readouterr().err


def test_a_web_server_is_read_without_mlflow(server, report, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # importing it would fail
    assert report("--from-mlflow", "ours")[0] == 0


@pytest.mark.slow  # MLflow makes a database and is imported: 12 s
def test_the_store_of_a_sweep_gives_the_verdict_of_the_sweep(tmp_path, capsys, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = ["run", "sweeps=learning_rate", "model=planted", "cluster=inline", "budget=demo", "tracking=sqlite"]
    looks = ["decision.looks=[3,5,8]", "seeds=[0,1,2,3,4,5,6,7]", "model.planted.noise_percent=0.6"]
    assert main([*run, *looks]) in (0, 3)  # some arms are out early
    capsys.readouterr()
    answers = []
    for words in (["report"], ["report", "--from-mlflow", "planted | planted | lora"]):
        assert main([*words, "--json"]) in (0, 3)
        answers.append(json.loads(capsys.readouterr().out)["verdicts"][0])
    same = (
        "factor",
        "verdict",
        "default",
        "best_level",
        "effect_percent",
        "lower",
        "upper",
        "margin",
        "hold",
    )
    assert {key: answers[0][key] for key in same} == {key: answers[1][key] for key in same}


def nested() -> Iterator[tuple[str, dict[str, Any], dict[str, float], str]]:
    """A search as people nest it: a parent with its best score, then a child per rate and seed.

    Of each: name, params, metrics, parent. The loss has one decimal; only the score tells them apart.
    """
    yield "sweep", {"n_trials": 9, "model_name": "tiny"}, {"best_rougeL": 0.29}, ""
    scores = {"1e-5": 0.2708, "5e-5": 0.2811, "1e-4": 0.2790}
    cells = [(rate, seed) for rate in scores for seed in (1, 2, 3)]
    for place, (rate, seed) in enumerate(cells):
        told = {"eval_loss": 1.5, "eval/rougeL": scores[rate] + 0.001 * (place * 7 % 5) / 5}
        params = {"learning_rate": rate, "seed": seed, "lora_r": 16, "output_dir": f"out/{rate}_{seed}"}
        yield f"trial_{rate}_{seed}", params, told, "sweep"


def of_nested(answer):
    """What an audit makes of them by either metric."""
    chosen = ("--from-mlflow", "nested", "--baseline", "learning_rate=5e-5")
    coarse, scored = answer(*chosen), answer(*chosen, "--value", "eval/rougeL")
    assert "1 parent run holds others and is set aside" in coarse["notes"]
    assert coarse["counts"]["planned"] == 9
    (told,) = (one["sentence"] for one in coarse["audit"]["findings"] if one["kind"] == "zero_variance")
    assert "judge by one that varies with the seed: --value metrics.eval/rougeL" in told
    return [one["verdicts"][0]["verdict"] for one in (coarse, scored)]


def test_nested_runs_are_judged_by_what_varies_and_their_parent_is_no_run(server, answer):
    server.experiments["nested"] = [
        stored(name, params, metrics, {"mlflow.parentRunId": parent} if parent else {})
        for name, params, metrics, parent in nested()
    ]
    assert of_nested(answer) == ["screening only", "confirm"]


@pytest.mark.slow  # MLflow makes a database and is imported: 12 s
def test_nested_runs_of_a_store_of_mlflows_own_are_those_of_its_server(tmp_path, capsys, monkeypatch):
    client = pytest.importorskip("mlflow").MlflowClient(f"sqlite:///{tmp_path}/runs.db")
    experiment = client.create_experiment("nested", artifact_location=str(tmp_path / "artifacts"))
    ids = {"": ""}
    for name, params, metrics, parent in nested():
        tags = {"mlflow.parentRunId": ids[parent]} if parent else {}
        ids[name] = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        for key, value in params.items():
            client.log_param(ids[name], key, value)
        for key, number in metrics.items():
            client.log_metric(ids[name], key, number)
        client.set_terminated(ids[name])

    def answer(*words: str) -> dict:
        assert main(["report", "--tracking-uri", f"sqlite:///{tmp_path}/runs.db", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert of_nested(answer) == ["screening only", "confirm"]


def test_our_own_sweeps_metric_and_direction_and_rule_are_those_of_its_run(server, answer):
    sweep = ours("rates-22222222")
    told = {
        "metric": "eval_accuracy",
        "direction": "maximize",
        "looks": "[3, 5, 8]",
        "decision.alpha": "0.03",
    }
    sweep[0]["data"]["params"] += [{"key": key, "value": value} for key, value in told.items()]
    for run in sweep[1:]:
        run["data"]["metrics"][0]["key"] = "eval_accuracy"
    twin = copy.deepcopy(sweep[1])
    twin["info"]["run_id"] = "twin"
    for tag in twin["data"]["tags"]:
        changed = {"arm": "baseline again", "stage": "control", "sweep.rates-22222222": "baseline again"}
        tag["value"] = changed.get(tag["key"], tag["value"])
    server.experiments["ours"] = [*sweep, twin]
    found, plain = (
        answer("--from-mlflow", "ours"),
        answer("--from-mlflow", "ours", "--value", "eval_accuracy"),
    )
    assert (
        found["metric"] == plain["metric"] == {"name": "eval_accuracy", "unit": "", "direction": "maximize"}
    )
    assert found["verdicts"][0]["effect_percent"] > 0
    assert found["verdicts"][0]["confidence"] == pytest.approx(1 - 0.03 / 3)
    assert found["compared"] == ["baseline", "learning_rate x2", "x4"]
