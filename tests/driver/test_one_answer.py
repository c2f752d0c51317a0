"""A sweep gives one answer: what its report recommends for a goal is what its file serves and exports write.

Planted sweeps of every class run through the command line's own entry. Each form of the report (terminal,
Markdown, page, JSON, what MLflow is to hold) is read as a person reads it and held against the tuned file;
what was settled and is served to nobody has to stand in the first line of every form.
"""

from __future__ import annotations

import dataclasses
import html
import json
import os
import re

import pytest

import bios_sweep
from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.decision.statement import question_titles
from bios_sweep.mirror.content import NOTE, parent_content
from bios_sweep.mirror.mlflow.note import experiment_note
from bios_sweep.records.reading import read_journal
from bios_sweep.records.replay import replay
from bios_sweep.report.content.wording import number
from bios_sweep.settings import TrainingSettings
from tests.cli.planted import CLASSES, FURTHER, QUIET

MANY = int(os.environ.get("BIOS_SWEEP_PLANTED", "20"))
GOALS = ("quality", "balanced", "speed")
FOR_ALL = ("optimum", "balanced", "enough")
DECIDED = ("confirm", "refine")
ADVICE = re.compile(r"(?<![\w-])(?:use|keep) ([\d.]+)", re.I)
SEEDS = re.compile(r"(\d+) (?:paired seeds|fresh seeds|seeds that chose it|seeds\b)")

ALL = {**{name: planted.words for name, planted in CLASSES.items()}, **FURTHER}
SOME = (
    "all four defaults, the learning rate low by two",
    "no fresh seeds",
    "the baseline against itself",
    "two that do not hold together",
    "cells with it, of different words",
)


@dataclasses.dataclass
class Told:
    """One finished sweep in all its forms."""

    terminal: str
    report: str
    answer: dict
    view: bios_sweep.driver.view.SweepView

    @property
    def verdicts(self):
        return self.answer["verdicts"]

    @property
    def file(self):
        return self.view.folder / "bios_defaults.json"

    @property
    def markdown(self):
        return plain((self.view.folder / "report.md").read_text())

    @property
    def page(self):
        return html.unescape((self.view.folder / "report.html").read_text())

    @property
    def baseline(self):
        return self.view.plan.study.baseline

    def of_own_cell(self):
        own = self.view.plan.cells[0] if self.view.plan.cells else self.view.plan
        if own.baseline.name != "baseline":
            return []
        return [pair for pair in self.named() if pair[1]["cell"] == own.cell]

    def named(self):
        asked = [(verdict["factor"], verdict["claim"], verdict["cell"]) for verdict in self.verdicts]
        return list(zip(question_titles(asked), self.verdicts, strict=True))


def ran(words, folder, capsys, noise_seed=0):
    more = (f"model.planted.noise_seed={noise_seed}", f"workspace={folder}")
    asked = [*QUIET, *words, *more]  # the last word of a setting counts
    assert main(["run", "--full", *{word.partition("=")[0]: word for word in asked}.values()]) == 0
    terminal = capsys.readouterr().out
    assert main(["report", "--json", f"workspace={folder}"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert main(["report", "--full", f"workspace={folder}"]) == 0
    return Told(terminal, capsys.readouterr().out, answer, bios_sweep.open(folder))


def plain(text):
    return re.sub(r"\\(.)", r"\1", html.unescape(text))


def flat(text):
    return " ".join(text.split())


def goal_of(verdict):
    if verdict["claim"] in ("quality", "speed"):
        return verdict["claim"]
    return "balanced" if verdict["claim"] in FOR_ALL else None


def contradictions(told):
    """Every sentence of the report that another form, or the file, does not bear out."""
    checks = (about_the_file, about_advice, about_first_lines, about_rows, about_seeds, about_records)
    return [text for check in checks for text in check(told)]


def about_the_file(told):
    """There is a file where a setting's value was asked for, and every line that speaks of it agrees."""
    line = next(line for line in told.terminal.splitlines() if line.startswith("tuned defaults: "))
    if line not in told.report:
        yield f"run and report say different things of the file: {line}"
    if not told.file.exists():
        if not line.startswith("tuned defaults: none, ") or "no tuned defaults: " not in first(told):
            yield f"without a file: {line}"
        if told.view.tuned_defaults is not None:
            yield "the view has tuned defaults without a file"
        return
    tuned = defaults.read_tuned(told.file)
    if str(told.file) not in line or not tuned.tells:
        yield f"with a file: {line}"
    for goal in GOALS:
        want = told.answer["recommended"][goal]
        for name, value in settings_for(tuned, told, goal).items():
            if name in want and want[name] != value:
                yield f"{goal}: recommended {name} {want[name]}, the file gives {value}"
        if told.answer["profiles"] and not told.answer["profiles"][goal].items() <= want.items():
            yield f"{goal}: settings by goal are not the recommended ones"
        yield from exported(tuned, told, goal)
    if tuned.values != told.answer["served"]:
        yield "served is not the file's values"


def settings_for(tuned, told, goal):
    return tuned.settings(TrainingSettings.from_dict(told.baseline.to_dict()), goal).to_dict()


def exported(tuned, told, goal):
    want = settings_for(tuned, told, goal)
    trl = defaults.export(tuned, to="trl", profile=goal)
    run, adapter = trl["SFTConfig"], trl["LoraConfig"]
    batch = run["per_device_train_batch_size"] * run["gradient_accumulation_steps"]
    written = {
        "learning_rate": run["learning_rate"],
        "max_steps": run["max_steps"],
        "batch_size": batch,
        "lora_rank": adapter["r"],
    }
    for name, value in written.items():
        if value != pytest.approx(want[name]):
            yield f"{goal}: trl is written {name} {value}, the file gives {want[name]}"
    key = tuned.key
    found = defaults.serve(
        family=key.family, hidden_size=key.hidden_size, goal=goal, path=told.file, environment={}
    )
    given = {**tuned.values, **tuned.profiles.get(goal, {})}
    for name, value in given.items():
        if name != "max_steps" and getattr(found.settings, name) != value:
            yield f"{goal}: serve gives {name} {getattr(found.settings, name)}, the file has {value}"
    if bool(given) != ("bios_defaults.json" in found.source):
        yield f"{goal}: serve names {found.source} as its source"
    from bios_sweep.defaults.vendored_loader import tuned as vendored

    for name, value in vendored(key.family, key.hidden_size, profile=goal, path=told.file)["values"].items():
        if value != want[name]:
            yield f"{goal}: the vendored loader gives {name} {value}, the file {want[name]}"


def about_advice(told):
    """Each form gives the same advice, and the value in it is what the claim's goal is served."""
    terminal = flat(told.terminal)
    values = {}
    if told.file.exists():
        tuned = defaults.read_tuned(told.file)
        values = {goal: settings_for(tuned, told, goal) for goal in GOALS}
    shown = [flat(text) for text in re.findall(r'<span class="advice">(.*?)</span>', told.page)]
    own = [title for title, _ in told.of_own_cell()]
    for place, (title, verdict) in enumerate(told.named()):
        advice = verdict["advice"]
        for form, text in (("terminal", terminal), ("Markdown", flat(told.markdown)), ("page", shown[place])):
            if flat(advice) not in text:
                yield f"{title}: the {form} does not say {advice!r}"
        found, goal = ADVICE.search(advice), goal_of(verdict)
        if title not in own or goal is None or verdict["factor"] == "repeat" or not values:
            continue
        if found is None:
            yield f"{title}: {advice!r} names no value"
            continue
        given = {number(values[goal][verdict["factor"]])}
        if verdict["factor"] == "max_steps" and "at the batch size that is served" in advice:
            given |= {number(told.baseline.max_steps)}
        used = found[1].rstrip(".")
        if used not in given and verdict["now"]["ground"].startswith("shown to be better"):
            used = re.search(r"the tuned file keeps ([\d.]+)", advice)[1]  # not settled, so not served
        if used not in given:
            yield f"{title}: {advice!r}, but {goal} is served {given}"
        if verdict["sentence"].find("use ") >= 0 and verdict["verdict"] == "refine":
            used = re.search(r"use ([\d.]+)", verdict["sentence"])[1].rstrip(".")
            if used not in {*given, str(verdict["best_level"])} or verdict["withheld"]:
                yield f"{title}: the sentence says use {used}, {goal} is served {given}"


def first(told):
    """The first lines of all forms, as one text each must be part of."""
    return told.answer["headline"]


def about_first_lines(told):
    """What was settled and is not served stands in the first line of every form."""
    forms = {
        "terminal": flat(report_of(told)),
        "Markdown": flat(told.markdown.splitlines()[0]),
        "page": flat(re.sub(r"<[^>]+>", " ", told.page.partition("<header>")[2].partition("</p>")[0])),
        "JSON": first(told),
        "MLflow": flat(plain(experiment_note(journal_of(told), "").splitlines()[0])),
    }
    own = dict(told.of_own_cell())
    tuned = defaults.read_tuned(told.file) if told.file.exists() else None
    for title, verdict in told.named():
        goal = goal_of(verdict)
        if goal is None or verdict["factor"] == "repeat" or verdict["verdict"] not in DECIDED:
            continue
        given = settings_for(tuned, told, goal) if tuned else {}
        raw = {**tuned.values, **tuned.profiles.get(goal, {})} if tuned else {}
        value = verdict["best_level"]
        served = title in own and value in (raw.get(verdict["factor"]), given.get(verdict["factor"]))
        if served != (verdict["served"] == value) or served == bool(verdict["withheld"]):
            yield f"{title}: {value}, the verdict says served {verdict['served']!r}, {verdict['withheld']!r}"
        for form, text in () if served else forms.items():
            told_why = "not served" in text and f"{title} {number(value)}" in text
            if not told_why and "no tuned defaults" not in text:
                yield f"{title}: {value} is not served and the {form} begins {text[:100]!r}"


def report_of(told):
    """The report on the terminal up to its question: the first line, however narrow the console."""
    head = told.report.partition(told.answer["question"][:30])[0]
    return head or told.report.splitlines()[0]


def about_rows(told):
    """Effect, bounds, level and margin of a row are of one contrast, the one its sentence speaks of."""
    margin = told.answer["margin"]
    for title, verdict in told.named():
        effect, lower, upper = (verdict[name] for name in ("effect_percent", "lower", "upper"))
        if effect is None:
            continue
        if not verdict["effect_over"] or verdict["effect_of"] is None:
            yield f"{title}: an effect of nothing over nothing"
        if lower is not None and not lower <= effect <= upper:
            yield f"{title}: {effect} is not between {lower} and {upper}"
        confirmed = verdict["verdict"] == "confirm"
        if confirmed and verdict["claim"] in (*FOR_ALL, "identical") and not upper < verdict["margin"]:
            yield f"{title}: confirmed, with an upper bound of {upper} above its margin"
        if confirmed and verdict["claim"] == "speed" and not lower > -verdict["margin"]:
            yield f"{title}: confirmed, and may lose {lower} of {verdict['margin']}"
        if confirmed and verdict["claim"] in ("quality", "minimum") and not lower > 0:
            yield f"{title}: confirmed, with a lower bound of {lower}"
        if verdict["claim"] == "balanced" and verdict["iso_cost_percent"] not in (None, effect):
            yield f"{title}: {effect} is not the gain over the default trained as long"
        if verdict["claim"] in ("optimum", "enough", "quality") and margin and verdict["margin"] is None:
            yield f"{title}: no margin"
        told_bounds = [float(text) for text in re.findall(r"bound ([+-][\d.]+) %", verdict["sentence"])]
        row = [round(value, 2) for value in (lower, upper) if value is not None]
        if any(value not in row for value in told_bounds):
            yield f"{title}: the sentence has bounds {told_bounds}, the row {row}"
        over = f"over {verdict['effect_over']}"
        usual = number(verdict["best_level"]), number(verdict["default"])
        if (number(verdict["effect_of"]), verdict["effect_over"]) != usual and verdict["claim"] != "joint":
            for form, text in (
                ("terminal", flat(told.report)),
                ("Markdown", told.markdown),
                ("page", told.page),
            ):
                if over.split()[-1] not in text or "over" not in text:
                    yield f"{title}: the {form} does not say {over!r}"


def about_seeds(told):
    """Fresh seeds are said of effects from fresh seeds, and the number is that of the row."""
    shared = set(told.view.plan.study.seeds)
    rows = re.findall(r"(\d+) (fresh|shared) seeds</td>", told.page)
    for (title, verdict), (count, kind) in zip(told.named(), rows, strict=True):
        seeds = set(verdict["seeds"])
        fresh = bool(seeds) and not seeds & shared
        if int(count) != len(verdict["seeds"]) or (kind == "fresh") != fresh:
            yield f"{title}: {count} {kind} seeds, measured on {sorted(seeds)}"
        if (verdict["stage"] == "confirmation") != fresh:
            yield f"{title}: stage {verdict['stage']}, measured on {sorted(seeds)}"
        if "fresh seeds not used to choose it" in verdict["sentence"] and not fresh:
            yield f"{title}: its sentence says fresh seeds, measured on {sorted(seeds)}"
        said = SEEDS.search(verdict["sentence"])
        if said and "would decide" not in verdict["sentence"] and int(said[1]) != len(seeds):
            yield f"{title}: its sentence says {said[0]}, measured on {sorted(seeds)}"


def journal_of(told):
    return replay(read_journal(told.view.folder / "journal.jsonl"))


def about_records(told):
    """Journal, report.json, the view and what MLflow is to hold say the same, and of which sweep."""
    state = journal_of(told)
    stored = json.loads((told.view.folder / "report.json").read_text())
    for name in ("verdicts", "served", "profiles", "recommended", "not_served", "no_file", "headline"):
        if stored[name] != told.answer[name]:
            yield f"report.json has other {name} than the report"
    if state.verdict["verdicts"] != told.verdicts:
        yield "the journal has other verdicts than the report"
    if told.file.exists() != ("bios_defaults.json" in state.report):
        yield "the journal names other files than there are"
    content = parent_content(state, alive=False)
    if told.view.sweep_id not in content.tags["verdict"] or first(told) not in content.tags["verdict"]:
        yield f"the run's verdict is {content.tags['verdict']!r}"
    if plain(content.tags[NOTE]).splitlines()[0] != told.markdown.splitlines()[0]:
        yield "the run's note begins with another line than the report"
    if told.view.sweep_id not in experiment_note(state, "").splitlines()[0]:
        yield "the experiment's note does not name the sweep"
    tags = {name: text for name, text in content.tags.items() if name.startswith("effect.")}
    shown = {name: float(text.removesuffix(" percent")) for name, text in tags.items()}
    effects = [v["effect_percent"] for v in told.verdicts if v["effect_percent"] is not None]
    if sorted(shown.values()) != sorted(effects):
        yield f"MLflow's effects are {shown}, the report's {effects}"


@pytest.mark.parametrize("name", SOME)
def test_what_is_recommended_is_what_is_served(name, tmp_path, capsys):
    assert contradictions(ran(ALL[name], tmp_path, capsys)) == []


def test_a_contradiction_is_found(tmp_path, capsys):
    told = ran(ALL["twice the batch saves time at little loss"], tmp_path, capsys)
    assert contradictions(told) == []
    told.answer["recommended"]["speed"]["batch_size"] = 128
    speed = told.answer["verdicts"][2]
    speed.update(
        advice="when time is short, use 128", stage="confirmation", lower=speed["effect_percent"] + 1
    )
    found = " ".join(contradictions(told))
    for part in ("recommended batch_size 128", "speed is served {'256'}", "is not between", "stage conf"):
        assert part in found, found


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ALL)
def test_what_is_recommended_is_what_is_served_whatever_the_noise(name, tmp_path, capsys):
    for seed in range(MANY):
        noise = f"model.planted.noise_percent={(0.1, 0.3, 0.8)[seed % 3]}"
        told = ran((*ALL[name], noise), tmp_path / str(seed), capsys, noise_seed=seed)
        assert contradictions(told) == [], seed
