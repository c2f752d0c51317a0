"""What to do now, under every verdict: one concrete value, what it may give away, the cheapest next step."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from bios_sweep.cli.main import main
from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.finding import Finding
from bios_sweep.procedure.next_step import clusters_needed
from bios_sweep.report.content.expense import Tariff
from bios_sweep.vocabulary import Word
from tests.decision.test_contrasts import contrasts

RATE = ("sweeps=learning_rate", "baseline.learning_rate=5e-4")
RANK = ("sweeps=capacity",)
STEPS = ("sweeps=duration",)
BATCH = ("sweeps=batch_size", "decision.looks=[5]", "baseline.learning_rate=5e-4")
TRUTH = "model.planted.truth."
NOISY, QUIET = "model.planted.noise_percent=0.5", "model.planted.noise_percent=0.1"
STEEP = f"{TRUTH}learning_rate.curvature=2"
OTHERS = "of what was tested nothing gains more than "
FAIL = "+model.planted.fail={baseline/1: the disk is full, baseline/2: the disk is full}"


@pytest.fixture
def swept(tmp_path, capsys, monkeypatch):
    """A planted sweep's answer, and what its forms say."""
    monkeypatch.chdir(tmp_path)

    def run(*words, code=0):
        base = ["run", "model=planted", "cluster=inline", "tracking=none", "workspace=ws"]
        assert main([*base, *words, "--json"]) == code
        answer = json.loads(capsys.readouterr().out)
        main(["report", "--full", "workspace=ws"])
        folder = tmp_path / "ws" / "sweeps" / answer["sweep_id"]
        texts = [
            capsys.readouterr().out,
            *((folder / f"report.{kind}").read_text() for kind in ("md", "html")),
        ]
        return answer["verdicts"], [" ".join(text.replace("\\", "").split()) for text in texts]

    return run


MUST, LOWER_RATE = "must you choose now? ", "a lower learning rate"
BETTER, NOTHING = "shown to be better, and not settled", "nothing is shown to be better"
FLAT = (
    *(f"{TRUTH}learning_rate.optimum=5e-4", f"{TRUTH}learning_rate.curvature=0", "model.planted.wall=null"),
    *("model.planted.untouched=2.0", f"~{TRUTH}batch_size", f"~{TRUTH}lora_rank"),
)
CASES = {  # words, ground, value, how it is said, kind of the next step
    "confirm": (
        (*RATE, QUIET, f"{TRUTH}learning_rate.optimum=5e-4"),
        *("settled", 5e-4, "keep 0.0005; all else that was tested is worse (95 %)", None),
    ),
    "refine": ((*RATE, QUIET, STEEP), "settled", 1e-3, "use 0.001 instead of 0.0005; ", None),
    "open": (
        (*RATE, NOISY, "seeds=[0,1,2]", f"{TRUTH}learning_rate.optimum=4e-4"),
        *(NOTHING, 5e-4, f"{MUST}Keep 0.0005: {OTHERS}", "fresh seeds"),
    ),
    "edge": (
        (*RATE, QUIET, f"{TRUTH}learning_rate.optimum=4e-3", "model.planted.wall=null"),
        *(BETTER, 2e-3, f"{MUST}Use 0.002: it is better than 0.0005 by "),
        "one level beyond the end of the grid",
    ),
    "unconfirmed": (
        (*RATE, QUIET, STEEP, "decision.confirmation_seeds=0"),
        *(BETTER, 1e-3, f"{MUST}Use 0.001: it is better than 0.0005 by ", "a confirmation on fresh seeds"),
    ),
    "one seed": (
        (*RATE, QUIET, "seeds=[0]"),
        *("nothing is known of the others", 5e-4, f"{MUST}Keep 0.0005: one seed says nothing"),
        "several seeds instead of one",
    ),
    "diverged default": (
        ("sweeps=learning_rate", QUIET, "baseline.learning_rate=5e-3"),
        *("the default diverged", 2.5e-3, f"{MUST}Use 0.0025: the default 0.005 diverged", LOWER_RATE),
    ),
    "diverged default, another factor": (
        (*RANK, QUIET, "baseline.learning_rate=5e-3"),
        *("the default diverged", 32, f"{MUST}Keep 32, at a lower learning rate", LOWER_RATE),
    ),
    "insensitive": (
        (*RATE, QUIET, *FLAT),
        *(NOTHING, 5e-4, f"{MUST}Keep 0.0005: {OTHERS}", "a level that must be worse"),
    ),
    "better, by how much is open": (
        (*RATE, "model.planted.noise_percent=0.2", f"{TRUTH}learning_rate.curvature=0.9"),
        *(BETTER, 1e-3, f"{MUST}Use 0.001: it is better than 0.0005 by ", "fresh seeds"),
    ),
    "better by less than matters": (
        (*RATE, "model.planted.noise_percent=0.2", f"{TRUTH}learning_rate.curvature=0.7"),
        *(NOTHING, 5e-4, f"{MUST}Keep 0.0005: {OTHERS}", None),
    ),
    "better than the default trained as long": (
        (
            *BATCH,
            QUIET,
            "decision.purpose=publish",
            "+sweeps.factors.batch_size.claims=[balanced]",
            f"{TRUTH}batch_size.critical=16",
            f"{TRUTH}batch_size.cost=1.2",
        ),
        *(BETTER, 32, f"{MUST}Use 32: it is better than 128 trained as long by "),
        "one level beyond the end of the grid",
    ),
    "enough": ((*RANK, QUIET), "settled", 32, f"keep 32; {OTHERS}", None),
}


@pytest.mark.parametrize("name", CASES)
def test_every_verdict_names_one_value_and_every_form_says_it(name, swept):
    words, ground, value, said, step = CASES[name]
    (verdict,), texts = swept(*words)
    now = verdict["now"]
    assert (now["ground"], now["value"]) == (ground, value), now
    assert verdict["advice"].startswith(said)
    assert all(" ".join(verdict["advice"].split()) in text for text in texts)
    default = verdict["now"]["default"]
    assert value == default or "keep the default" not in " ".join(texts)  # one voice
    assert value != default or "Use " not in " ".join(texts)
    assert now.get("step", {}).get("kind") == step
    if step is not None:
        assert now["step"]["command"].startswith("bios-sweep run ")
        assert now["step"]["trials"] > 0
        assert all("heapest next step: " in text or "To settle learning_rate" in text for text in texts[:1])


def test_the_command_of_the_next_step_can_be_typed_and_runs_as_many_trials_as_it_says(swept, capsys):
    (verdict,), _ = swept(*CASES["edge"][0])
    step = verdict["now"]["step"]
    assert main(["plan", *step["command"].replace("'", "").split()[2:], "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["trials"] - planned["reused"] >= step["trials"] == 3
    assert step["hours"] > 0
    assert step["money"] is None


def test_failed_trials_are_run_again_and_the_default_is_kept_meanwhile(swept):
    (verdict,), _ = swept(*RATE, QUIET, "decision.looks=[3]", FAIL, code=3)
    assert verdict["verdict"] == "inconclusive"
    assert verdict["advice"].startswith(
        "must you choose now? Keep 0.0005: trials failed, so that too little is left to compare"
    )
    assert (verdict["now"]["step"]["kind"], verdict["now"]["step"]["trials"]) == (
        "the failed trials again",
        2,
    )


@pytest.mark.parametrize("factor", [BATCH, STEPS])
def test_each_claim_of_a_factor_has_a_value_of_its_own(factor, swept):
    verdicts, _ = swept(*factor, NOISY, "seeds=[0,1,2,3,4]")
    assert len(verdicts) >= 1
    for verdict in verdicts:
        assert isinstance(verdict["now"]["value"], int), verdict["claim"]
        assert verdict["advice"]


def test_what_is_given_away_over_a_refined_level_pays_for_having_picked_it(swept):
    (verdict,), _ = swept(*RATE, QUIET, STEEP)
    most = verdict["now"]["most"]
    assert verdict["now"]["value"] == 1e-3
    rows = {row["level"]: row for row in verdict["levels"]}
    plain = rows[most["level"]]["gain"] - rows[1e-3]["gain"] if most["level"] in rows else -rows[1e-3]["gain"]
    assert most["gain"] > plain


def test_a_price_is_told_in_money_where_a_gpu_hour_has_one():
    assert Tariff(gpus=2.0, per_gpu_hour=3.0).money(1.5) == 9.0
    assert Tariff(gpus=2.0).money(1.5) is None
    assert Tariff(per_gpu_hour=3.0).money(None) is None


def test_more_seeds_are_not_advised_where_the_evaluation_sets_own_error_decides():
    def found(own):
        noise = 0.04
        bound = Bound(
            arm="a", gain=0.2, lower=-0.6, upper=1.4, standard_error=math.sqrt(noise / 5 + own),
            clusters=30, seeds=5, noise=noise,
        )  # fmt: skip
        return Finding(factor="f", state=Word.UNDECIDED, bounds=(bound,), seeds=tuple(range(5)))

    assert clusters_needed(found(0.0001), 1.0, 0.05) is None
    more, most = (clusters_needed(found(own), 1.0, 0.05) for own in (0.2, 0.4))
    assert 30 < more < most
    assert most == pytest.approx(2 * more, rel=0.05)


def test_the_bound_over_a_picked_level_holds_though_it_was_picked_by_looking():
    """Of equal arms the best by mean is taken: what another gains over it, which is 0, is below the bound."""
    random, missed = np.random.default_rng(11), 0
    for _ in range(400):
        values = 2.0 + 0.02 * random.standard_normal((5, 5))
        found = contrasts(values)
        arms = found.blocks.arms
        best = arms[int(np.argmin(values.mean(axis=1)))]
        most = max(found.among(arm, best, arms, 5).upper for arm in arms if arm != best)
        missed += most < 0
    assert missed <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)
