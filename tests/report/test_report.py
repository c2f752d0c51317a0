"""The report room: what people read, drawn from a planted study and from verdicts written by hand."""

import csv
import dataclasses
import io
import math

import pytest
from rich.console import Console

from bios_sweep.errors import StorageError
from bios_sweep.ports import ENDED, MEASURED, RETRIED, STARTED, TrialEvent
from bios_sweep.procedure.state import State
from bios_sweep.records.workspace import Owner
from bios_sweep.report.content.answers import SweepStatus
from bios_sweep.report.content.arm_rows import results_rows
from bios_sweep.report.content.expense import Tariff
from bios_sweep.report.content.failure_rows import FailureRow
from bios_sweep.report.content.lines import verdict_line
from bios_sweep.report.content.plan_cost import Prices, Rate
from bios_sweep.report.content.plan_summary import summarise_plan
from bios_sweep.report.content.tally import Progress
from bios_sweep.report.content.wording import count, duration, gain, interval, number
from bios_sweep.report.figures.files import figures_of, save_figures
from bios_sweep.report.text.markdown import escape, to_markdown
from bios_sweep.report.text.progress import LiveView
from bios_sweep.report.text.publish import write_results
from bios_sweep.report.text.terminal import print_plan, print_status, print_verdicts
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import build_plan
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Stage, Status
from tests.report.summaries import (
    BASELINE,
    planted_study,
    run_planted,
    shown,
    summary_of,
)

WORDS = ("confirm", "refine", "refine (unconfirmed)", "inconclusive", "screening only")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return summary_of(planted_study(), tmp_path_factory.mktemp("demo"))


def flat(text):
    return " ".join(text.split())


def effect_of(summary):
    """The first verdict's gain and bounds as they must be written: the noise follows the trials' keys."""
    verdict = summary.verdicts[0]
    return f"{verdict.effect_percent:+.2f}", f"[{verdict.lower:+.2f}, {verdict.upper:+.2f}]"


def with_verdict(summary, **changes):
    return dataclasses.replace(summary, verdicts=(dataclasses.replace(summary.verdicts[0], **changes),))


# wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0073527173489, "0.007353"),
        (0.00431, "0.00431"),
        (5e-05, "0.00005"),
        (1e-8, "0.00000001"),
        (32.0, "32"),
        (128, "128"),
        (3.23456, "3.235"),
        (100.0, "100"),
        (None, "—"),
        (math.nan, "—"),
        ("linear", "linear"),
        (True, "True"),
    ],
)
def test_numbers_are_decimals_of_at_most_four_digits(value, text):
    assert number(value) == text


def test_counts_effects_and_times_read_as_people_say_them():
    assert [count(v) for v in (None, 3200, 2_552_000)] == ["—", "3,200", "2.552 M"]
    assert [gain(v) for v in (None, 0.0, 1.2247, -1.65, 1234.0)] == ["—", "0", "+1.22", "-1.65", "+1234"]
    assert [interval(None, None), interval(None, 1.0)] == ["", "[—, +1.00]"]
    assert [duration(v) for v in (8.13, 42.0, 240, 4800, 90_000)] == [
        "8.1 s",
        "42 s",
        "4 min",
        "80 min",
        "25 h",
    ]
    assert duration(100 * 60) == "1 h 40 min"


# terminal


def planned(study, finished=0, rate=None):
    plan = build_plan(study)
    missing = plan.trials[finished:]
    state = State(stage="screening" if missing else Stage.DONE, needed=plan.trials, missing=missing)
    prices = None if rate is None else Prices(rate=rate, workers=2, gpus=0.0, tariff=Tariff())
    return summarise_plan(plan, state, {trial.key for trial in plan.trials[:finished]}, prices, 2)


def test_plan_tells_arms_costs_origins_and_what_is_reused():
    text = shown(print_plan, planned(planted_study(), 3, Rate(seconds_per_example=0.008, trials=21)))
    assert "32 (default 128)" in text
    assert "5e-05 * 10 * (2000 / 64)^0.781" in flat(text)
    assert "extrapolated" in text
    assert "21 trials: 18 to run, 3 reused; 57,600 training examples, 2.552 M tokens" in flat(text)
    assert "about 4 min on 2 workers, from 21 earlier trials of this model" in flat(text)
    assert "a candidate adds 5 trials, and the default 5" in text
    assert "batch_size 32 instead of 128" in flat(text)
    row = next(line for line in text.splitlines() if line.startswith("learning_rate x0.5"))
    assert row.split() == [
        "learning_rate",
        "x0.5",
        "learning_rate",
        "0.003676",
        "100",
        "3,200",
        "141,760",
        "3",
        "1",
    ]


def test_plan_without_history_or_token_counts_says_so():
    text = shown(print_plan, planned(planted_study(tokens=None)))
    assert "no earlier trial of this model to estimate from" in text
    assert "— tokens" in text


def test_plan_with_everything_finished_has_no_estimate():
    text = shown(print_plan, planned(planted_study(), 21, Rate(seconds_per_example=1.0, trials=21)))
    assert "0 to run, 21 reused" in text
    assert "every trial is finished already" in text


def test_notes_of_arms_are_said_once():
    study = planted_study(factors=(Factor(name="max_steps", multiply=(0.5, 0.25, 1)),))
    text = flat(shown(print_plan, planned(study)))
    assert text.count("max_steps x1 is the same as baseline") == 1
    assert "max_steps x0.5: 50 steps are under 100" in text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_tables_never_cut_a_word_nor_exceed_the_width(demo, width):
    for text in (
        shown(print_plan, planned(planted_study()), width=width),
        shown(print_verdicts, demo, width=width),
    ):
        typed = ("    bios-sweep run", "Again: ")  # commands stay on one line
        assert max(len(line) for line in text.splitlines() if not line.startswith(typed)) <= width
        assert "\x1b" not in text
        words = set(text.split())
        assert {"learning_rate", "lora_rank"} <= {word.strip(":,") for word in words}
    assert {"inconclusive", "confirm", "0.007353", effect_of(demo)[0]} <= set(text.split())


def test_verdicts_show_evidence_counts_scope_and_how_to_repeat(demo):
    text = flat(shown(print_verdicts, demo, width=120))
    assert f"learning_rate 0.007353 inconclusive 0.001838 {' '.join(effect_of(demo))} 0.5 3" in text
    assert "21 trials planned = 18 completed + 3 diverged + 0 failed" in text
    assert text.count("Scope: this evaluation set") == 1
    assert "learning_rate x4, seeds 0, 1, 2: diverged:" in text
    assert "Again: bios-sweep run sweeps=demo" in text
    assert "one-sided 95 % bounds" in text


@pytest.mark.parametrize("word", WORDS)
def test_every_verdict_word_is_shown_whole_and_coloured_on_a_terminal_only(demo, word):
    summary = with_verdict(demo, verdict=word)
    table, told = shown(print_verdicts, summary).split("one-sided")
    assert set(word.split()) <= set(table.split())
    assert f"learning_rate: {word}\n" in told
    assert "\x1b[" in shown(print_verdicts, summary, terminal=True)
    assert "\x1b[" not in shown(print_verdicts, summary)


def test_missing_bounds_and_effects_are_dashes(demo):
    none = with_verdict(demo, effect_percent=None, lower=None, upper=None, margin=None, best_level=None)
    assert "None" not in shown(print_verdicts, none)
    assert "—" in shown(print_verdicts, none)
    half = with_verdict(demo, lower=None)
    assert f"[—, {demo.verdicts[0].upper:+.2f}]" in shown(print_verdicts, half)
    assert "bounds" not in shown(print_verdicts, none).split("learning_rate: ")[0]


def test_a_sweep_without_verdict_says_how_far_it_is(tmp_path):
    summary = summary_of(planted_study(), tmp_path, at_most=5)
    text = shown(print_verdicts, summary)
    assert "no verdict yet (screening: 5 of 21 trials ended)" in text
    assert "+ 16 waiting" in text
    assert verdict_line(summary).startswith("no verdict yet")


def test_failed_trials_come_with_cause_and_log(tmp_path):
    summary = summary_of(planted_study(), tmp_path, fail={"lora_rank=8/1": "out of memory"})
    long = tmp_path / ("a" * 90)
    key = next(failure.key for failure in summary.failures if failure.status == Status.FAILED)
    (long / key).mkdir(parents=True)
    (long / key / "error.log").write_text("Traceback")
    text = shown(print_verdicts, summary, trials_dir=long)
    assert "lora_rank=8, seed 1: failed: RuntimeError: out of memory" in text
    assert f": bios-sweep logs {key} workspace={long.parent}\n" in text
    assert text.index("failed: RuntimeError") < text.index("x4, seeds")


def test_markup_and_control_characters_in_names_are_only_text(demo):
    evil = "[bold red]x[/] \x1b[31m[link=http://a]b[/link]\nnext"
    failure = FailureRow(arm=evil, seed=0, key="k", status="failed", failure="", cause="[/nope]")
    summary = dataclasses.replace(
        demo, question=evil, scenario=evil, caveats=(evil,), command=evil, failures=(failure,)
    )
    for terminal in (False, True):
        text = shown(print_verdicts, summary, width=200, terminal=terminal)
        assert "[bold red]x[/]" in text
        assert "\x1b[31m[link" not in text
        assert "[/nope]" in text
    plan = dataclasses.replace(planned(planted_study(model="[red]m")), question=evil, notes=(evil,))
    assert "[red]m" in shown(print_plan, plan)


def test_status_adds_up_and_names_the_driver():
    owner = Owner(pid=7, host="[h]", sweep_id="demo-1", started="2026-11-01T00:00:00")
    status = SweepStatus(
        sweep="demo",
        sweep_id="demo-1",
        judged_on="eval_loss, smaller is better",
        stage="screening",
        planned=21,
        completed=5,
        diverged=1,
        failed=0,
        running=2,
        driver=owner,
        command="bios-sweep run",
    )
    text = shown(print_status, status)
    assert "21 trials planned = 5 completed + 1 diverged + 0 failed + 2 running + 13 waiting" in flat(text)
    assert "process 7 on [h], since 2026-11-01T00:00:00" in text
    assert "no driver is running" in shown(print_status, dataclasses.replace(status, driver=None))


# Markdown


def test_markdown_begins_with_the_verdict_line(demo):
    text = to_markdown(demo)
    assert text.splitlines()[0] == "learning_rate: inconclusive · lora_rank: confirm" == verdict_line(demo)
    effect, bounds = effect_of(demo)
    assert (
        f"| learning_rate | 0.007353 | inconclusive | 0.001838 | {effect} \\{bounds[:-1]}\\] | 0.5 | 3 |"
        in text
    )
    assert "21 trials planned = 18 completed + 3 diverged + 0 failed." in text
    assert "    bios-sweep run sweeps=demo" in text


def test_markdown_tables_keep_their_columns_whatever_the_names(demo):
    summary = with_verdict(demo, best_level="a|b\n<script>", sentence="*x* [y](javascript:1) `z`")
    text = to_markdown(dataclasses.replace(summary, question="<img src=x> _q_ | \\"))
    assert "<script" not in text
    assert "<img" not in text
    assert "a\\|b &lt;script&gt;" in text
    assert "\\*x\\* \\[y\\](javascript:1) \\`z\\`" in text
    assert "\\_q\\_ \\| \\\\" in text
    row = next(line for line in text.splitlines() if line.startswith("| learning_rate | 0.007353 | inc"))
    assert row.replace("\\|", "").count("|") == 8
    assert escape("learning_rate x0.5") == "learning_rate x0.5"


def test_markdown_does_not_repeat_a_reason_that_the_sentence_says(demo):
    told = next(line for line in to_markdown(demo).splitlines() if line.startswith("- **learning_rate"))
    assert told.count("ends the grid") == 1
    assert "diverged: learning_rate x4" in told


def test_signs_that_could_not_be_judged_are_told_in_one_line(tmp_path):
    few = summary_of(planted_study(), tmp_path / "few", measurements=2)
    (line,) = [text for text in few.caveats if text.startswith("signs not judged")]
    assert line == "signs not judged: plateau, still improving (budget.measurements: 4 are needed)"
    assert line in flat(shown(print_verdicts, few))
    whole = summary_of(planted_study(), tmp_path / "whole")
    assert not [text for text in whole.caveats if text.startswith("signs not judged")]


# results table


def test_results_table_keeps_numbers_exactly_and_rows_in_order(tmp_path):
    plan, source = run_planted(planted_study(), tmp_path / "trials")
    rows = results_rows(plan, source.state, source.results)
    write_results(rows, tmp_path / "out" / "results.csv")
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == list(rows[0])
    assert list(read[0])[:3] == ["arm", "seed", "value"]
    assert [float(row["value"]) for row in read] == [row["value"] for row in rows]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.csv"]


def test_results_table_quotes_and_leaves_unknown_cells_empty(tmp_path):
    path = tmp_path / "r.csv"
    write_results([{"arm": 'a, "b"', "seed": 0, "value": None}], path)
    assert path.read_text() == 'arm,seed,value\n"a, ""b""",0,\n'
    write_results([], path)
    assert path.read_text() == "arm,seed,value\n"


def test_results_table_refuses_a_column_that_the_header_lacks(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="extra"):
        write_results([{"arm": "a"}, {"arm": "b", "extra": 1}], path)
    assert path.read_text() == "old"


def test_results_table_that_cannot_be_written_names_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"results\.csv: cannot be written"):
        write_results([{"arm": "a"}], tmp_path / "file" / "results.csv")


# figures


def drawn(summary, folder):
    files = save_figures(figures_of(summary), folder)
    assert sorted(folder.iterdir()) == sorted(files)
    for path in files:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000
    return [path.name for path in files]


@pytest.mark.filterwarnings("error::UserWarning")
def test_figures_of_a_sweep_with_a_diverged_arm(demo, tmp_path):
    names = ["effects.png", "response_learning_rate.png", "response_lora_rank.png", "curves.png"]
    assert drawn(demo, tmp_path) == names


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(
    ("options", "world", "effects"),
    [
        ({"seeds": (0,)}, {}, True),
        ({}, {"fail": {"lora_rank=8/1": "x", "baseline/0": "x"}}, False),
        ({}, {"wall": 0.001}, False),
        ({"factors": (Factor(name="repeat", values=(1,)),)}, {}, True),
        ({"factors": (Factor(name="schedule", values=("cosine",)),), "name": "$a_b$ [x]"}, {}, True),
    ],
    ids=["one seed", "failed trials", "all diverged", "A/A", "categories"],
)
def test_figures_of_sweeps_at_the_edges(tmp_path, options, world, effects):
    summary = summary_of(planted_study(**options), tmp_path / "trials", **world)
    assert ("effects.png" in drawn(summary, tmp_path / "figures")) is effects


def test_figures_of_a_refinement_show_the_fresh_seeds(tmp_path):
    study = planted_study(factors=(Factor(name="learning_rate", multiply=(0.125, 0.25, 0.5, 2)),))
    summary = summary_of(study, tmp_path / "trials", wall=None)
    assert summary.verdicts[0].verdict == "refine"
    assert "effects.png" in drawn(summary, tmp_path / "figures")


def test_figures_cope_with_losses_that_are_no_numbers(demo, tmp_path):
    arms = list(demo.arms)
    assert arms[5].arm == "lora_rank=8"
    arms[5] = dataclasses.replace(arms[5], finals={"screening": {**arms[5].finals["screening"], "0": None}})
    first, *others = demo.curves["lora_rank=8"]
    torn = (*first[:-1], dataclasses.replace(first[-1], value=None))
    curves = {**demo.curves, "lora_rank=8": (torn, *others)}
    drawn(dataclasses.replace(demo, arms=tuple(arms), curves=curves, margin=None), tmp_path)


def test_a_sweep_without_results_has_no_figures(tmp_path):
    assert drawn(summary_of(planted_study(), tmp_path / "t", at_most=0), tmp_path / "figures") == []


# progress


def spec(name, steps=100, batch=10):
    settings = dataclasses.replace(BASELINE, max_steps=steps, batch_size=batch)
    return TrialSpec(key=name, arm=name, seed=0, settings=settings)


def started(trial):
    return TrialEvent(kind=STARTED, key=trial.key)


def measured(trial, fraction, loss=3.0):
    steps = trial.settings.max_steps
    point = Measurement(step=round(fraction * steps), fraction=fraction, examples=0, tokens=0, eval_loss=loss)
    return TrialEvent(kind=MEASURED, key=trial.key, measurement=point)


def ended(trial, status=Status.COMPLETED, cause=""):
    final = {"eval_loss": 3.21389} if status != Status.FAILED else {}
    result = TrialResult(key=trial.key, status=status, final=final, cause=cause, wall_seconds=5.0)
    return TrialEvent(kind=ENDED, key=trial.key, result=result)


def after(progress, *steps):
    for now, event, trial in steps:
        progress = progress.after(event, trial, now)
    return progress


def test_time_left_weighs_trials_by_their_examples():
    small, large = spec("small"), spec("large", steps=300)
    progress = after(
        Progress(planned=2), (0, started(small), small), (0, started(large), large), (10, ended(small), small)
    )
    assert progress.seconds_left(10) == pytest.approx(30)  # 1000 examples in 10 s, 3000 to go
    halfway = after(progress, (20, measured(large, 0.5), large))
    assert halfway.seconds_left(20) == pytest.approx(20 * 1500 / 2500)


def test_trials_not_seen_yet_count_with_the_mean_of_those_seen():
    first = spec("first")
    progress = after(Progress(planned=4), (5, started(first), first), (15, ended(first), first))
    assert progress.seconds_left(15) == pytest.approx(30)
    assert progress.staged(6, 1).seconds_left(15) == pytest.approx(50)
    assert progress.staged(6, 3).seconds_left(15) == pytest.approx(30)


def test_nothing_is_estimated_before_something_was_measured():
    trial = spec("a")
    progress = Progress(planned=3)
    assert progress.seconds_left(5) is None
    assert (
        after(progress, (0, started(trial), trial), (1, measured(trial, 0.0), trial)).seconds_left(5) is None
    )


def test_a_trial_that_ends_early_counts_what_it_trained():
    trial = spec("a")
    events = [
        (0, started(trial), trial),
        (5, measured(trial, 0.5), trial),
        (5, ended(trial, Status.DIVERGED), trial),
    ]
    assert after(Progress(planned=2), *events).seconds_left(5) == pytest.approx(10)


class Clock:
    """Seconds that move when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def view_of(stream, clock, planned, trials_dir=None, **options):
    console = Console(file=stream, width=80, legacy_windows=False, **options)
    return LiveView(
        console, planned=planned, workers="2 workers", title="demo", trials_dir=trials_dir, clock=clock
    )


def test_outside_of_a_terminal_each_finished_trial_is_a_line(tmp_path):
    stream, clock = io.StringIO(), Clock()
    trials = [spec("learning_rate x0.5"), spec("[bold]b"), spec("c")]
    (tmp_path / "[bold]b").mkdir()
    (tmp_path / "[bold]b/stderr.txt").write_text("a script's own words")
    (tmp_path / "[bold]b/stdout.txt").touch()  # which says nothing
    with view_of(stream, clock, 12, tmp_path) as view:
        view.stage("screening", 12, finished=9)
        for trial in trials:
            view.event(started(trial), trial)
        clock.now = 8.1
        view.event(ended(trials[0]), trials[0])
        retry = TrialEvent(kind=RETRIED, key="c", attempt=2, cause="ActorDiedError: gone")
        view.event(retry, trials[2])
        clock.now = 120.0
        view.event(ended(trials[1], Status.FAILED, "RuntimeError: " + "long " * 30), trials[1])
        view.event(ended(trials[2], Status.DIVERGED, "loss is not finite"), trials[2])
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["demo: 12 trials, 2 workers", "stage screening: 12 trials in all, 9 finished before"]
    assert lines[2] == (
        "[10/12] learning_rate x0.5 seed 0: completed, eval_loss 3.214 (8.1 s), about 16 s left"
    )
    assert lines[3] == "c seed 0: retried (attempt 2): ActorDiedError: gone"
    assert lines[4].startswith("[11/12] [bold]b seed 0: failed: RuntimeError: long long")
    assert lines[5] == f"  log: bios-sweep logs [bold]b workspace={tmp_path.parent}"
    assert lines[6] == "[12/12] c seed 0: diverged: loss is not finite (2 min)"
    assert lines[7] == "3 trials ended in 2 min: 1 completed, 1 diverged, 1 failed"
    assert "\x1b" not in stream.getvalue()


def test_the_number_that_is_told_of_a_trial_is_the_one_that_it_is_judged_on():
    stream, trial = io.StringIO(), spec("a")
    console = Console(file=stream, width=80)
    with LiveView(console, planned=2, workers="", title="s", metric="em", clock=Clock()) as view:
        point = Measurement(
            step=50, fraction=0.5, examples=0, tokens=0, eval_loss=2.0, metrics={"f": 1, "em": 3}
        )
        view.event(TrialEvent(kind=MEASURED, key=trial.key, measurement=point), trial)
        frame = shown(lambda console: console.print(view.__rich__()))
        for final in ({"eval_loss": 2.0, "em": 0.5}, {"eval_loss": 2.0}):
            result = TrialResult(key=trial.key, status=Status.COMPLETED, final=final)
            view.event(TrialEvent(kind=ENDED, key=trial.key, result=result), trial)
    assert "step 50/100    em 3" in frame
    told = [line.partition(" (")[0] for line in stream.getvalue().splitlines() if line.startswith("[")]
    assert told == ["[1/2] a seed 0: completed, em 0.5", "[2/2] a seed 0: completed, eval_loss 2"]


def test_on_a_terminal_a_table_shows_what_runs_and_leaves_failures_standing(tmp_path):
    stream, clock = io.StringIO(), Clock()
    fine, bad = spec("learning_rate x0.5"), spec("[bold]b")
    with view_of(stream, clock, 4, tmp_path, force_terminal=True, _environ={"TERM": "xterm"}) as view:
        view.stage("screening", 4, finished=0)
        view.event(started(fine), fine)
        view.event(started(bad), bad)
        clock.now = 10.0
        view.event(measured(fine, 0.5, 3.21389), fine)
        view.event(ended(bad, Status.FAILED, "RuntimeError: x"), bad)
        frame = shown(lambda console: console.print(view.__rich__()))
        view.event(ended(fine), fine)
    assert "demo, screening" in frame
    assert "1/4 trials, 10 s so far, about 50 s left" in frame
    assert "1 failed" in frame
    assert "learning_rate x0.5 seed 0   50 %  step 50/100    eval_loss 3.214" in frame
    left = stream.getvalue()
    assert "[bold]b seed 0: failed: RuntimeError: x" in left
    assert "learning_rate x0.5 seed 0: completed" not in left
    assert left.rstrip().endswith("2 trials ended in 10 s: 1 completed, 0 diverged, 1 failed")


def test_many_running_trials_do_not_fill_the_screen():
    clock = Clock()
    view = view_of(io.StringIO(), clock, 64)
    for index in range(64):
        view.event(started(spec(f"arm{index}")), spec(f"arm{index}"))
    frame = shown(lambda console: console.print(view.__rich__()))
    assert len(frame.splitlines()) < 20
    assert "and 52 more trials" in frame


def test_a_quiet_console_shows_nothing():
    stream, trial = io.StringIO(), spec("a")
    with view_of(stream, Clock(), 1, quiet=True) as view:
        view.event(started(trial), trial)
        view.event(ended(trial), trial)
    assert stream.getvalue() == ""
    assert view.progress.finished == 1


def test_a_best_level_at_the_end_of_the_grid_comes_with_the_command_that_extends_it(tmp_path):
    from bios_sweep import open as open_sweep
    from bios_sweep.cli.main import main

    sweep = ["sweeps=demo", "model=planted", "cluster=inline", f"workspace={tmp_path}"]
    optimum = "model.planted.truth.learning_rate.optimum=3.0e-3"
    narrow = "sweeps.factors.learning_rate.multiply=[0.5,2]"
    assert main(["run", *sweep, optimum, narrow]) == 0
    verdict = open_sweep(tmp_path).verdicts[0]
    assert verdict.verdict == "inconclusive"
    assert verdict.extend.endswith("'sweeps.factors.learning_rate.multiply=[0.5,2,4]'")
    assert verdict.now.step.command == verdict.extend
