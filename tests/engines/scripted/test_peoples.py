"""Scripts as people have them: the right value, or a refusal that names the way out."""

from __future__ import annotations

import json
import sys

import pytest

from bios_sweep.cli.main import main
from bios_sweep.engines.scripted.engine import CommandEngine
from bios_sweep.vocabulary import Status
from tests.engines.scripted.peoples import CONFIGS, ENDS, NANS, TEXTS, Text
from tests.engines.scripted.trials import TRIAL

RUN = f"{sys.executable} -S train.py {{learning_rate}} {{seed}} {{trial_dir}}"
SWEEP = (
    "sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[0.1]", "seeds=[0,1,2]", "cluster=inline",
    "tracking=none", "method=command", "baseline.learning_rate=2e-4", "workspace=runs",
)  # fmt: skip


def ended(folder, script, run=RUN, **options):
    """The result of one trial of a script."""
    (folder / "train.py").write_text(script)
    engine = CommandEngine({"run": run, "cwd": str(folder), "metric": "eval_loss", **options})
    return list(engine.run(TRIAL, folder / "t"))[-1]


def pattern_in(text):
    return next((word.removeprefix("method.pattern=") for word in text.words if "pattern" in word), None)


@pytest.mark.parametrize("name", TEXTS)
def test_the_metric_is_the_last_one_that_is_printed_or_is_missed_with_the_way_out(tmp_path, name):
    text = TEXTS[name]
    result = ended(tmp_path, text.script, metric=text.metric, pattern=pattern_in(text))
    if text.refused:
        assert (result.status, result.failure) == (Status.FAILED, "no metric")
        assert text.refused in result.cause
        return
    truth = text.expected(float((tmp_path / "t/output/truth.txt").read_text()))
    assert result.status == Status.COMPLETED, result.cause
    assert result.final[text.metric] == pytest.approx(truth, rel=1e-4)


def test_a_text_that_turns_to_nan_is_no_finite_loss(tmp_path):
    result = ended(tmp_path, Text(says=NANS).script)
    assert (result.status, result.cause) == (
        Status.DIVERGED,
        "eval_loss is not a finite number (nan) at step 3",
    )


@pytest.mark.parametrize(
    "says, steps",
    [
        ('print(f"epoch {epoch}: eval_loss {loss}")', [1, 2, 3]),
        ('if step == 20: print(f"eval_loss {loss}")', [1]),
        ('print(f"step {step}: eval_loss {loss}")', [0, 10, 20]),
    ],
)
def test_only_what_is_said_of_step_0_is_the_untouched_model(tmp_path, says, steps):
    assert [point.step for point in ended(tmp_path, Text(says=says).script).curve] == steps


@pytest.mark.parametrize("name", ENDS)
def test_the_cause_of_an_end_is_told(tmp_path, name):
    end = ENDS[name]
    result = ended(tmp_path, end.body, time_limit_seconds=end.seconds)
    assert (result.failure, result.cause[: len(end.cause)]) == (end.failure, end.cause)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_file_of_settings_is_read_as_it_was_meant(tmp_path, name, capsys, monkeypatch):
    config = CONFIGS[name]
    (tmp_path / config.name).write_text(config.template)
    if config.refused:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "train.py").touch()
        command = f"method.command={sys.executable} train.py {{settings_file}}"
        assert main(["plan", *SWEEP, command, f"method.settings_template={config.name}"]) == 2
        assert config.refused in capsys.readouterr().err
        return
    result = ended(
        tmp_path,
        config.script,
        f"{sys.executable} train.py {{settings_file}}",
        template=config.name,
        settings_file=f"{{trial_dir}}/{config.name}",
    )
    assert result.status == Status.COMPLETED, result.cause
    assert result.final["eval_loss"] > 2.4  # the rate that arrived is far from the best


def verdict_of(words, folder, capsys, code=0):
    capsys.readouterr()
    assert main(["run", *SWEEP, *words, "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_from_a_text_to_its_verdict(tmp_path, name, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = TEXTS[name]
    (tmp_path / "train.py").write_text(text.script)
    words = (f"method.command={RUN}", f"method.metric={text.metric}", *text.words)
    answer = verdict_of(words, tmp_path, capsys, code=3 if text.refused else 0)
    if text.refused:
        assert text.refused in answer["broken"]
    else:
        assert [verdict["verdict"] for verdict in answer["verdicts"]] == ["confirm"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if not config.refused])
def test_from_a_file_of_settings_to_its_verdict(tmp_path, name, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = CONFIGS[name]
    (tmp_path / "train.py").write_text(config.script)
    (tmp_path / config.name).write_text(config.template)
    words = (
        f"method.command={sys.executable} train.py {{settings_file}}",
        f"method.settings_template={config.name}",
    )
    answer = verdict_of(words, tmp_path, capsys)
    assert [verdict["verdict"] for verdict in answer["verdicts"]] == ["confirm"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, end in ENDS.items() if end.failure])
def test_from_a_crash_to_the_sentence_that_ends_the_run(tmp_path, name, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    end = ENDS[name]
    (tmp_path / "train.py").write_text(end.body)
    limit = () if end.seconds is None else (f"method.time_limit_seconds={end.seconds}",)
    answer = verdict_of((f"method.command={RUN}", *limit), tmp_path, capsys, code=3)
    assert answer["counts"]["completed"] == 0
    assert all(failure["cause"].startswith(end.cause) for failure in answer["failures"])
