"""`init`: from a model and a file to a sweep that runs by the command that is printed."""

from __future__ import annotations

import io
import json
import shlex

import pytest
import yaml

from bios_sweep.cli.main import main

ROWS = [
    {"instruction": f"What is {a} and {b}?", "output": f"It is {a + b}."}
    for a in range(25)
    for b in range(25)
]
TAKEN = ("--model", "embedded", "--data", "rows.json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    return tmp_path


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self):
        return True


def command_of(out, verb):
    """The printed command of a verb: a line of its own, exactly as it is typed."""
    (found,) = (line for line in out.splitlines() if line.startswith(f"    bios-sweep {verb} "))
    return shlex.split(found)[1:]


def test_a_first_sweep_is_written_and_its_plan_is_shown_by_the_printed_command(capsys, folder):
    assert main(["init", *TAKEN, "--doubt", "learning_rate,lora_rank"]) == 0
    told = capsys.readouterr().out
    flat = " ".join(told.split())
    for found in (
        " examples to train on, ",
        "is read as alpaca_text",
        "[[ ]]",
        "chance of an answer: ",
        "time: ",
    ):
        assert found in flat, found
    assert "1 % (chosen)" in told
    assert "21 trainings: 7 arms at 3 seeds" in flat
    assert main(command_of(told, "plan")) == 0
    assert "21 trials: 21 to run" in " ".join(capsys.readouterr().out.split())
    written = yaml.safe_load((folder / "sweeps" / "mine.yaml").read_text())
    assert set(written["sweeps"]["factors"]) == {"learning_rate", "lora_rank"}
    assert written["data"]["path"] == str(folder / "rows.json")


def test_what_no_flag_says_is_asked_for_and_asked_again_where_it_is_wrong(capsys, monkeypatch, folder):
    monkeypatch.setattr("sys.stdin", Terminal("\nnowhere.jsonl\nrows.json\nrank\nlora_rank\ninline\n"))
    assert main(["init", "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert (answer["file"], answer["command"]) == (
        "sweeps/mine.yaml",
        "bios-sweep run sweeps=./sweeps/mine.yaml",
    )
    assert answer["plan"]["trials"] == 9
    assert "--data nowhere.jsonl: there is no such file" in err
    assert "--doubt" in err
    assert "override /cluster: inline" in (folder / "sweeps" / "mine.yaml").read_text()


def test_nobody_is_asked_where_standard_input_is_no_terminal(capsys, monkeypatch, folder):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["init", "--model", "embedded"]) == 2
    assert "--data is missing and nobody can be asked" in capsys.readouterr().err
    assert not (folder / "sweeps").exists()
    assert main(["init", "--model", "embedded", "--yes"]) == 0
    assert "override /data: embedded" in (folder / "sweeps" / "mine.yaml").read_text()


def test_a_file_that_is_there_is_left_alone_unless_force_is_given(capsys, folder):
    own = folder / "own.yaml"
    own.write_text("mine")
    assert main(["init", *TAKEN, "--out", "own.yaml"]) == 2
    assert "own.yaml: is there already; give another --out, or --force" in capsys.readouterr().err
    assert own.read_text() == "mine"
    assert main(["init", *TAKEN, "--out", "own.yaml", "--force"]) == 0
    assert command_of(capsys.readouterr().out, "run") == ["run", "sweeps=./own.yaml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "nowhere", "--data", "embedded"), "--model nowhere: is no folder"),
        (("--model", "embedded", "--data", "nowhere.json"), "--data nowhere.json: there is no such file"),
        ((*TAKEN, "--doubt", "rank"), "--doubt: 'rank' is not allowed"),
        ((*TAKEN, "--hardware", "moon"), "--hardware moon: choose from here, cpu, gpu, inline"),
        ((*TAKEN, "--out", "mine.txt"), "--out mine.txt: a sweep is a YAML file"),
        (("--model", "embedded", "--data", "bad.json"), "bad.json"),
        ((*TAKEN, "sweeps=batch_size"), "sweeps=batch_size: say it with --doubt"),
        ((*TAKEN, "cluster=inline"), "cluster=inline: say it with --hardware"),
        ((*TAKEN, "data.path=other.json"), "data.path=other.json: say it with --data"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_written(words, told, capsys, folder):
    (folder / "bad.json").write_text("[{]")
    assert main(["init", *words]) == 2
    assert told in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["bad.json", "rows.json"]


def test_names_that_a_shell_or_yaml_would_read_survive(capsys, folder):
    odd = folder / "my ${data} 'v2'"
    odd.mkdir()
    (odd / "rows [1].json").write_text(json.dumps(ROWS))
    assert (
        main(
            [
                "init",
                "--model",
                "embedded",
                "--data",
                str(odd / "rows [1].json"),
                "--out",
                "my sweeps/a b.yaml",
            ]
        )
        == 0
    )
    plan = command_of(capsys.readouterr().out, "plan")
    assert plan == ["plan", "sweeps=./my sweeps/a b.yaml"]
    assert main([*plan, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 15


@pytest.mark.parametrize("mark", ["\r", "\x85", "\u2028"])
def test_a_name_with_a_line_end_in_it_is_read_back_and_its_head_stays_a_comment(mark, capsys, folder):
    data = folder / f"rows{mark}two.json"
    data.write_text(json.dumps(ROWS))
    words = ("--model", "embedded", "--data", str(data), "--hardware", "inline", "seeds=[0,1]")
    assert main(["init", *words]) == 0
    written = (folder / "sweeps" / "mine.yaml").read_text()
    assert yaml.safe_load(written)["data"]["path"] == str(data)
    head = next(line for line in written.splitlines() if "Made by" in line)
    assert head.endswith("--hardware inline 'seeds=[0,1]'`; run it with")


def test_data_that_forbid_a_verdict_leave_no_chance_of_an_answer(capsys, folder):
    rows = [json.dumps(row) for row in ROWS[:3]]
    (folder / "three.jsonl").write_text("\n".join(rows))
    assert main(["init", "--model", "embedded", "--data", "three.jsonl"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.index("every verdict will be inconclusive") < told.index("What was found")
    assert "chance of an answer: 0 % that a default that nothing beats is confirmed, 0 % that" in told
    assert "cheapest lever: data of more clusters, or decision.scope=evaluation" in told


def test_hardware_that_was_not_seen_is_told(capsys, monkeypatch):
    monkeypatch.setattr("bios_sweep.driver.beginning.find_gpus", list)
    for hardware, told in (("gpu", "no GPU is seen here"), ("nowhere:1", "was not asked")):
        assert main(["init", *TAKEN, "--hardware", hardware, "--force"]) == 0
        assert f"--hardware {hardware}: {told}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_written_sweep_runs_to_its_verdict_by_the_printed_command(capsys):
    words = ("--hardware", "inline", "budget.max_steps=10", "tracking=none", "seeds=[0,1]")
    assert main(["init", *TAKEN, *words]) == 0
    run = command_of(capsys.readouterr().out, "run")
    assert main(run) == 0
    told = capsys.readouterr().out
    assert "sure?" in told
    assert main(["report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdicts"][0]["factor"] == "learning_rate"
