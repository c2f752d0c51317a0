"""The first screen of a result: five questions of whoever opens a sweep, each answered by a line of it."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bios_sweep.cli.main import main
from bios_sweep.decision.choice import Ground, Most
from bios_sweep.decision.ladder import LADDER_EDGE, LARGEST
from bios_sweep.procedure.served import NOT_TRIED, OWN_RATE, SEARCH_SERVED
from bios_sweep.report.content.advice import advice
from bios_sweep.report.content.expense import Spent
from bios_sweep.report.content.first import SETTLED, first_screen
from bios_sweep.report.content.lines import cell_words
from bios_sweep.report.content.recorded import Recorded, recorded
from bios_sweep.report.content.setting_rows import Answer, setting_rows
from bios_sweep.report.text.first import print_first
from bios_sweep.vocabulary import Word
from tests.cli.planted import CLASSES, FURTHER, QUIET
from tests.report.summaries import planted_study, shown, summary_of

QUESTIONS = {  # what is asked -> how the line that answers it reads, of a sweep with one question open
    "which rate do I use tonight?": r"^learning_rate +OPEN \(inconclusive\) +0\.001838 ",
    "is it sure?": r"^sure\? +yes of lora_rank \(95 %, 3 paired seeds\)\n +not yet of learning_rate: edge: ",
    "what would make it sure?": r"^to be sure +learning_rate: one level beyond the end .*trials?\b",
    "what did it cost?": r"^cost +.* of training, at a price of 12\.40; 21 trials planned = 18 completed",
    "where is it recorded?": r"^report: /w/report.html$",
}
WIDTHS = (60, 80, 140)
PLACES = Recorded(
    lines=("tuned defaults: /w/bios_defaults.json", "report: /w/report.html", "MLflow: http://x"),
    full="bios-sweep report --full --sweep demo-1",
    trials=None,
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    summary = summary_of(planted_study(), tmp_path_factory.mktemp("demo"))
    return dataclasses.replace(summary, spent=Spent(trials=21, hours=2.0, money=12.4))


def screen(summary, width=100, **options):
    return shown(print_first, first_screen(summary), width=width, places=PLACES, **options)


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_of_a_reader_is_answered_by_a_line(demo, question):
    assert re.search(QUESTIONS[question], screen(demo, 200), re.MULTILINE), screen(demo, 200)


def test_the_command_that_would_settle_it_is_one_line_that_can_be_pasted(demo):
    for width in WIDTHS:
        assert re.search(
            r"^    bios-sweep run .*learning_rate\.multiply=\S+$", screen(demo, width), re.MULTILINE
        )
        assert "bios-sweep report --full --sweep demo-1\n" in screen(demo, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_screen_fits_its_width_and_has_no_colour_in_a_pipe(demo, width):
    text = screen(demo, width)
    typed = ("    bios-sweep", "everything (")  # commands stay on one line
    assert max(len(line) for line in text.splitlines() if not line.startswith(typed)) <= width
    assert "\x1b" not in text
    assert len(text.splitlines()) <= 34
    words = " ".join(text.split())
    for told in ("OPEN (inconclusive)", "KEEP (confirm)", "learning_rate", "lora_rank", "0.001838"):
        assert told in words
    assert "\x1b[" in screen(demo, width, terminal=True)


def test_colour_stays_away_where_nobody_wants_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    run = ("run", "sweeps=learning_rate", "seeds=[0]", "model=planted", "cluster=inline", "tracking=none")
    assert main(list(run)) == 0
    capsys.readouterr()
    assert main(["report"]) == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", capsys.readouterr().out)


def test_everything_else_is_told_by_full_alone(demo):
    text = screen(demo)
    for told in ("Scope:", "frontier", "one-sided", "To bear in mind"):
        assert told not in text
    assert re.search(r"everything \(bounds, claims, scope; \d+ notes?\):", text)


def test_a_sweep_without_verdict_says_so_and_asks_for_nothing(tmp_path):
    summary = summary_of(planted_study(), tmp_path, at_most=5)
    text = screen(summary)
    assert "no verdict yet (screening: 5 of 21 trials ended)" in text
    assert "sure?" not in text
    assert "to be sure" not in text


def test_failed_trials_stand_on_the_screen_with_their_cause(tmp_path):
    summary = summary_of(planted_study(), tmp_path, fail={"lora_rank=8/1": "out of memory"})
    assert "lora_rank=8, seed 1: failed: RuntimeError: out of memory" in screen(summary)


def test_names_are_only_text(demo):
    evil = "[bold red]x[/] \x1b[31m\nnext"
    text = screen(dataclasses.replace(demo, question=evil, scenario=evil), terminal=True)
    assert "[bold red]x[/]" in text
    assert "\x1b[31m\n" not in text


def test_a_settled_change_says_what_it_gains_and_a_settled_default_what_it_gives_away(demo):
    rate, rank = demo.verdicts
    settled = dataclasses.replace(rate.now, ground=Ground.SETTLED, value=0.002)
    fields = {"best_level": 0.002, "effect_of": 0.002, "effect_over": "", "now": settled}
    better = dataclasses.replace(
        rate, verdict=Word.REFINE, effect_percent=3.1, lower=1.9, recommended=0.002, cost_ratio=None, **fields
    )
    change, keep = setting_rows([better, rank])
    assert (change.answer, change.use) == (Answer.CHANGE, "0.002")
    assert change.means == "gains 3.10 %, at least 1.90 % (95 % sure)"
    assert (keep.answer, keep.use) == (Answer.KEEP, "32")
    assert re.fullmatch(
        r"gives away at most \d\.\d\d % \(95 % sure\)|nothing else .* \(95 % sure\)", keep.means
    )
    cheaper = dataclasses.replace(better, effect_percent=-0.1, lower=-0.3, cost_ratio=0.5)
    assert setting_rows([cheaper])[0].means == "gives away at most 0.30 % (95 % sure); takes x0.50 the time"
    held = dataclasses.replace(
        better, now=dataclasses.replace(settled, ground=Ground.WITHHELD), withheld=SEARCH_SERVED()
    )
    assert setting_rows([held])[0].answer == Answer.CHANGE  # to what a joint search serves
    unserved = dataclasses.replace(held, recommended=rate.baseline_level)
    assert setting_rows([unserved])[0].answer == Answer.OPEN


def test_a_value_that_another_claim_settled_does_not_make_an_unserved_goal_sure(demo):
    rate, _ = demo.verdicts
    now = dataclasses.replace(rate.now, ground=Ground.WITHHELD, value=64, step=None)
    speed = {"factor": "batch_size", "claim": "speed", "verdict": Word.CONFIRM, "now": now, "best_level": 256}
    for recommended in (64, 128):  # what another claim serves, or the default
        fields = {**speed, "recommended": recommended, "baseline_level": 128}
        held = dataclasses.replace(rate, withheld=NOT_TRIED(settings="learning_rate"), **fields)
        told = first_screen(dataclasses.replace(demo, verdicts=(held,)))
        assert told.rows[0].answer == Answer.OPEN
        assert [line[:7] for line in told.sure] == ["not yet"]


def test_a_level_that_is_better_is_named_where_another_answer_serves_another_value(demo):
    rate, _ = demo.verdicts
    now = dataclasses.replace(
        rate.now, ground=Ground.BETTER, value=0.003, served=0.003, gain=0.5, lower=0.3, step=None
    )
    verdict = dataclasses.replace(rate, now=now, best_level=0.002, effect_of=0.002, recommended=0.003)
    (row,) = setting_rows([verdict])
    assert row.use == "0.003"
    assert row.means.startswith("0.002 is better than 0.0073")
    assert row.means.endswith("; the tuned file has 0.003, which another answer of the study settled")
    assert "Use 0.003: 0.002 is better than" in advice(verdict)


def test_what_lies_beyond_the_end_of_a_ladder_is_not_bounded(demo):
    rank = demo.verdicts[1]
    end = LADDER_EDGE(level=8, setting="learning_rate", end=LARGEST)
    now = dataclasses.replace(rank.now, ground=Ground.NOTHING_BETTER)
    now = dataclasses.replace(now, most=Most(gain=0.25, level=8))
    open_ = dataclasses.replace(rank, verdict=Word.INCONCLUSIVE, now=now)
    assert "at most 0.25 % (" in setting_rows([open_])[0].means
    ended = dataclasses.replace(open_, reasons=(end,))
    assert "at most 0.25 % against what was tested (" in setting_rows([ended])[0].means


def test_no_way_out_is_told_that_is_none(demo):
    rate, _ = demo.verdicts
    now = dataclasses.replace(rate.now, ground=Ground.WITHHELD, step=None)
    fields = {
        "verdict": Word.REFINE,
        "now": now,
        "withheld": OWN_RATE(arm="batch_size x0.5, learning_rate x2"),
    }
    stuck = dataclasses.replace(demo, verdicts=(dataclasses.replace(rate, **fields),), asked_next=())
    (step,) = first_screen(stuck).settling
    assert not step.command
    assert step.lines[0].endswith("; both can be set together by hand: batch_size x0.5, learning_rate x2")
    known = dataclasses.replace(stuck, asked_next=("learning_rate",), following="bios-sweep run --next")
    assert first_screen(known).settling[0].command == "bios-sweep run --next"


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """The first screen of a planted sweep, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        main(["run", *QUIET, *words])
        return " ".join(capsys.readouterr().out.split())

    return run


def test_the_least_that_pays_keeps_no_default_that_was_not_asked_about(told):
    text = told(*FURTHER["the least that pays alone"], "model.planted.truth.examples.knee=512000")
    assert "max_steps (minimum) OPEN (confirm) 1000 whether 1000 is right was not asked" in text
    assert "yes of max_steps (minimum) (" in text
    assert SETTLED not in text


def test_where_every_rate_diverged_the_next_one_lies_below_them_all(told, capsys):
    text = told("sweeps=learning_rate", "model.planted.wall=1e-5", "seeds=[0,1]")
    assert "OPEN (inconclusive) below 0.000125 the default 0.0005 diverged, and so did every lower" in text
    assert "the same question from a learning rate of 0.0000625" in text
    assert main(["report", "--full"]) == 0
    assert "Use a lower rate than 0.000125" in " ".join(capsys.readouterr().out.split())


def test_a_cell_of_other_values_is_answered_for_itself_only(told):
    text = told(*FURTHER["cells without the study's own value"])
    assert "for train_examples=500 only; not served" in text
    assert "yes of lora_rank, train_examples=500 only; lora_rank, train_examples=2000 only (" in text
    assert SETTLED not in text
    assert cell_words("train_examples=None") == "all examples"


def test_a_control_that_holds_asks_for_a_setting_next(told):
    text = told(*FURTHER["the baseline against itself"])
    assert "repeat HOLDS (confirm)" in text
    assert "the control holds; ask about a setting next" in text
    assert SETTLED not in text


def test_a_setting_with_a_value_per_goal_is_one_row(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *QUIET, *CLASSES["a smaller batch buys more than time"].words]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = (place for place, line in enumerate(lines) if re.match(r"batch_size +[A-Z]{4}", line))
    assert re.match(r"batch_size +CHANGE \(refine\) +64 ", lines[row])
    assert "for the best quality: " in " ".join(lines[row:])
    assert "when time is short: " in " ".join(lines[row:])


def test_a_report_elsewhere_names_its_workspace_in_the_command(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here, there = (tmp_path / name / "sweeps" / demo.sweep_id for name in ("bios_runs", "other runs"))
    assert recorded(demo, here).full == f"bios-sweep report --full --sweep {demo.sweep_id}"
    assert recorded(demo, there).full.endswith(f"workspace='{tmp_path / 'other runs'}'")


def test_an_audit_has_the_same_screen(tmp_path, capsys):
    table = tmp_path / "runs.csv"
    values = {"baseline": (2.0, 2.1, 2.05), "lr=2": (1.9, 2.02, 1.97)}
    rows = [f"{arm},{seed},{value}" for arm, own in values.items() for seed, value in enumerate(own)]
    table.write_text("\n".join(("arm,seed,value", *rows)) + "\n")
    assert main(["report", "--from-csv", str(table)]) == 0
    text = capsys.readouterr().out
    assert "OPEN (refine, unconfirmed)" in " ".join(text.split())
    for start in ("sure?", "to be sure", "cost", "recorded nowhere"):
        assert any(line.startswith(start) for line in text.splitlines()), start
    assert main(["report", "--from-csv", str(table), "--full"]) == 0
    assert "These runs support" in capsys.readouterr().out


def test_an_audit_of_runs_without_seeds_counts_none(tmp_path, capsys):
    table = tmp_path / "runs.csv"
    table.write_text("lr,eval_loss\n0.1,2.0\n0.2,1.9\n")
    assert main(["report", "--from-csv", str(table), "--baseline", "learning_rate=0.1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "arms compared without seeds" in text
    assert "at 1 seed" not in text
