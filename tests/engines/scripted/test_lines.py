"""Lines of output as people's scripts write them: which are metrics, which are not, and which count."""

from __future__ import annotations

import math

import pytest

from bios_sweep.engines.scripted.child import Line
from bios_sweep.engines.scripted.in_text import not_read, number_in
from bios_sweep.engines.scripted.lines import Kind, LineReader, pattern_of
from bios_sweep.engines.scripted.outcome import Output
from bios_sweep.engines.scripted.sources import Listener
from bios_sweep.errors import ConfigError
from tests.engines.scripted.trials import TRIAL


def said(line, metric="eval_loss", **how):
    told = LineReader(metric, **how).read(line)
    return None if told is None else (told.kind, told.reading.step, dict(told.reading.values))


@pytest.mark.parametrize(
    "line, value",
    [
        ("{'eval_loss': 2.3, 'epoch': 1.0}", 2.3),
        ("{'eval_loss': '6.512', 'eval_runtime': '0.2', 'epoch': '1.0'}", 6.512),
        ("{'eval_loss': nan}", math.nan),
        ("{'eval_loss': -inf}", -math.inf),
        ("{'eval_loss': np.float64(2.31), 'n': None, 'ok': True}", 2.31),
        ("{'eval_loss': tensor(2.31, device='cuda:0')}", 2.31),
        ("2026-01-01 10:00:00 - INFO - epoch 0: {'eval_loss': 2.3}", 2.3),
        ("INFO:root:{\"eval_loss\": 2.3}", 2.3),
        ("\x1b[32m{'eval_loss': 2.3}\x1b[0m", 2.3),
        (" 50%|#####     | 1/2 [00:01<00:01,  1.0s/it]{'eval_loss': 2.3}", 2.3),
        ("[default0]:{'eval_loss': 2.3}", 2.3),
        ("[1,0]<stdout>:{'eval_loss': 2.3}", 2.3),
    ],
)  # fmt: skip
def test_a_dict_as_trainers_print_it_is_read_whatever_stands_around_it(line, value):
    kind, step, values = said(line)
    assert (kind, step) == (Kind.DICT, None)
    assert repr(values["eval_loss"]) == repr(value)


@pytest.mark.parametrize(
    "line",
    [
        "{'loss': 2.3, 'grad_norm': 1.0}",  # the training's
        "[default1]:{'eval_loss': 2.3}",  # another rank's
        "[1,3]<stdout>:{'eval_loss': 2.3}",
        "{'eval_loss': [2.3, 2.4]}",
        "{'eval_loss': '2.3.1'}",
        "best eval_loss: 2.3",
        "eval_loss_ema: 2.3",
        "my_eval_loss = 2.3",
        "eval_loss improved from 2.4 to 2.3",
        "eval_loss: 7/10",
        "Epoch 1: 50%|#####     | 1/2 [00:01<00:01,  1.0s/it, eval_loss=2.3]",
        "{" * 100_000,
        "{'eval_loss': " * 20_000,
        "{'eval_loss': __import__('os').getpid()}",
        "\x00\xff{'eval_loss'",
    ],
)
def test_what_only_looks_like_the_metric_is_none(line):
    told = said(line)
    assert told is None or "eval_loss" not in told[2]


@pytest.mark.parametrize(
    "line, metric, step, value",
    [
        ("step 250: train loss 2.1034, val loss 2.4031", "val_loss", 250, 2.4031),
        ("iter 5 | val_loss = 4.2e-1", "val_loss", 5, 0.42),
        ("Epoch 3 - Validation Loss: 1.25", "validation_loss", None, 1.25),
        ("  eval_loss               =     6.512", "eval_loss", None, 6.512),
        ("| eval/loss | 2.5 |", "eval_loss", None, 2.5),
        ("accuracy: 85.3%", "accuracy", None, 85.3),
        ("INFO: loss=nan step=4", "loss", 4, math.nan),
        ("pass@1 is 0.25", "pass@1", None, 0.25),
        ("tokens: 1,234.5", "tokens", None, 1234.5),
    ],
)
def test_a_name_with_its_number_is_read_by_the_whole_name(line, metric, step, value):
    kind, found, values = said(line, metric)
    assert (kind, found, repr(values[metric])) == (Kind.TEXT, step, repr(value))


def test_the_loss_of_the_training_is_not_the_loss():
    assert said("train loss 2.1, val loss 2.4", "loss") is None


def test_objects_inside_objects_have_both_names_and_a_step_has_many():
    told = said('{"global_step": 5, "eval": {"loss": 2.5, "deep": {"acc": 1}}}')
    assert told == (Kind.JSON, 5, {"global_step": 5.0, "eval/loss": 2.5, "eval/deep/acc": 1.0})


def test_on_standard_error_no_json_is_meant_for_us():
    told = LineReader("eval_loss").read('{"eval_loss": 2.3}', error=True)
    assert told is not None
    assert told.kind is Kind.DICT


@pytest.mark.parametrize(
    "pattern, line, step, values",
    [
        (r"val loss (?P<value>[\d.]+)", "step 5: train loss 1.0, val loss 4.2", None, {"eval_loss": 4.2}),
        (r"it(?P<step>\d+) .*val ([\d.]+)", "it30 train 2 val 4.2", 30, {"eval_loss": 4.2}),
        (r"(?P<eval_loss>\S+) of (?P<train_loss>\S+)", "4.2 of 3", None, {"eval_loss": 4.2, "train_loss": 3}),
        (r"(?P<value>\S+)$", "PPL 1,234.5", None, {"eval_loss": 1234.5}),
    ],
)
def test_a_pattern_says_where_the_number_stands(pattern, line, step, values):
    assert said(line, pattern=pattern) == (Kind.TEXT, step, values)


def test_beside_a_pattern_nothing_else_counts():
    assert said('{"eval_loss": 2.3}', pattern="val ([0-9.]+)") is None
    assert said("val x", pattern="val (.+)") is None


@pytest.mark.parametrize(
    "pattern, message",
    [
        ("val loss (", "is no regular expression: missing"),
        ("val loss", r"does not say which part is the metric; put it into a group, such as"),
        ("(a) (b)", "does not say which part"),
        (r"(?P<step>\d+)", "does not say which part"),
    ],
)
def test_a_pattern_that_finds_no_number_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=message):
        pattern_of(pattern, "eval_loss")


def test_a_text_that_is_no_number_is_none():
    assert [number_in(text) for text in ("", "1_000", "abc", None, "1e-3", "5 %")] == [
        None, None, None, None, 0.001, 5.0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line, value",
    [
        ("eval_loss = 2,05", None), ("eval_loss = 0,205", None), ("eval_loss = 1,2345", None),
        ("eval_loss = 12,34,567", None), ("eval_loss: 50%|#####", None), ("eval_loss = 2.05, lr=1", 2.05),
        ("eval_loss = 12,345.5, lr=1", 12345.5), ("eval_loss = 2,", 2.0),
    ],
)  # fmt: skip
def test_a_comma_parts_thousands_or_is_no_part_of_a_number(line, value):
    told = said(line)
    assert (None if told is None else told[2]["eval_loss"]) == value


@pytest.mark.parametrize(
    "step, read", [("1,000", 1000), ("12, of 20", 12), ("1,5", None), ("12,34", None), ("1234", 1234)]
)
def test_a_step_may_have_thousands(step, read):
    assert said(f"eval_loss: 2.5 Step: {step}")[1] == read


def final_of(lines, metric="eval_loss"):
    """What a script that prints these lines is judged on."""
    told = Output(trial=TRIAL, metric=metric, watched=())
    listener = Listener(told, LineReader(metric))
    for line in lines.split("\n"):
        list(listener.take(Line(text=line, error=False), 0.0))
    return told.latest.get(metric)


FIRST_STAGE = "\n".join(f"Epoch {n}: new best, eval_loss={2.8 - n / 10} step {n}00" for n in (1, 2, 5))


@pytest.mark.parametrize(
    "lines, value",
    [
        ("improved, eval_loss=2.0\nNo improvement over best 2.0: eval_loss=2.4", 2.4),
        ("improved, eval_loss=2.0\nNo improvement over best 2.0: eval_loss=2.6", 2.6),
        ("[100/500] eval_loss 2.0 (new best)\n[200/500] best 2.0 | eval_loss 2.4", 2.4),
        ("[100/500] eval_loss 2.0\n best 2.0 eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.0\nNot the best: eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.6\nepoch 2 [best] eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.6\nEpoch 2/5 (best) eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.6\nNew best! eval_loss 2.4", 2.4),
        ("epoch 1 step 90: eval_loss 2.6\nepoch 2 step 10 (best): eval_loss 2.4", 2.4),
        ("fold 1 epoch 5: eval_loss 2.6\nfold 2 epoch 1: eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.6\ndata loaded in 3 s, eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.6\ntook 5 min, eval_loss 2.4", 2.4),
        ("epoch 1: eval_loss 2.6\ntrain_loss 2.2 and eval_loss 2.4", 2.4),
        *(
            (f"{FIRST_STAGE}\n{second}", 2.4)
            for second in (
                "Epoch 1: new best, eval_loss=2.4",
                "Epoch 1: new best, eval_loss=2.5\nEpoch 2: new best, eval_loss=2.4",
                "epoch 1 [best] eval_loss 2.5\nepoch 2 [best] eval_loss 2.4",
                "epoch 1 [best] eval_loss 2.5\nepoch 2 eval_loss 2.3\nepoch 3 (best): eval_loss 2.4",
                "Epoch 1: {'eval_loss': 2.4} new best",
                "epoch 1/3 step 400 lr max 2e-4 eval_loss 2.4",
                "epoch 1 eval_loss 2.4 top-1 0.3 at best",
            )
        ),
    ],
)
def test_a_line_that_names_the_best_beside_its_own_number_counts(lines, value):
    assert final_of(lines) == value


@pytest.mark.parametrize(
    "lines, value",
    [
        ("Stage 2\nEpoch 1 (best): eval_loss=2.1", 2.1),
        ("=== Stage 2/2 ===\nEpoch 1 (best): eval_loss=2.1", 2.1),
        ("stage 2 epoch 1 (best): eval_loss=2.1", 2.1),
        ("[INFO] Fold 2, epoch 1 (best): eval_loss=2.1", 2.1),
        ("Phase 2: Epoch 1 (best): {'eval_loss': 2.1}", 2.1),
        ("Stage 2\nEpoch 1: eval_loss=2.3\nEpoch 2: eval_loss=2.2\nEpoch 1 (best): eval_loss=2.1", 2.2),
        ("Stage 2\nEpoch 1: eval_loss=2.2\nStage 1 epoch 2 (best): eval_loss=2.0", 2.2),
        ("Stage 1 summary\nEpoch 1 (best): eval_loss=2.0", 2.4),
    ],
)
def test_a_new_part_whose_first_line_is_its_best_counts_and_an_earlier_part_does_not(lines, value):
    assert final_of(f"Stage 1\nEpoch 1: eval_loss=2.0\nEpoch 2: eval_loss=2.4\n{lines}") == value


@pytest.mark.parametrize(
    "line",
    [
        "Training finished after 2 epochs. Best: eval_loss=2.0",
        "Finished at step 500. Best model: eval_loss=2.0",
        "Epoch 1 was best: eval_loss=2.0",
        "Epoch 1 (best): eval_loss=2.0",
        "Epoch 1 (best): {'eval_loss': 2.0}",
        "epoch 1 step 10 [best] eval_loss 2.0",
        "Minimum: eval_loss=2.0",
        "Best at epoch 1: eval_loss=2.0",
        "Best: acc 0.9, eval_loss 2.0",
        *(f"{word}: eval_loss=2.0" for word in ("min", "max", "maximum", "top", "peak", "optimal", "lowest")),
        "Best:\n  eval_loss: 2.0",
        "Best model (epoch 1):\n  acc: 0.9\n  eval_loss: 2.0",
        'Best result: {\n  "eval_loss": 2.0\n}',
        "Best result: {\n  eval_loss: 2.0\n}",
        "Best metrics: {'eval_loss': 2.0, 'epoch': 1}",
        "Best metrics:\n{'eval_loss': 2.0, 'epoch': 1}",
        'config: {\n  "eval_loss": 2.0\n}',
        "config: {\n  eval_loss: 2.0\n}",
        "target: {'eval_loss': 2.0}",
        "training_args = {'eval_loss': 2.0}",
        "threshold {eval_loss: 2.0}",
        "Restored checkpoint of epoch 1 with eval_loss 2.0",
        "Loaded checkpoint of epoch 1: eval_loss 2.0",
        "Resuming, eval_loss 2.0",
        "improved and eval_loss 2.0",
    ],
)
def test_a_summary_does_not_take_the_place_of_the_last_line(line):
    assert final_of(f"Epoch 1: eval_loss=2.0\nEpoch 2: eval_loss=2.4\n{line}") == 2.4


def test_a_brace_that_is_never_closed_hides_no_line():
    assert final_of("config: {\n  'prompt': 'a {',\n}\nepoch 1: eval_loss 2.4") == 2.4


def test_what_stands_below_a_summary_no_further_in_is_no_part_of_it():
    assert final_of("eval_loss: 2.6\nBest:\n  eval_loss: 2.0\neval_loss: 2.4") == 2.4


@pytest.mark.parametrize(
    "lines", ["Best: eval_loss=2.0", "Best:\n  eval_loss: 2.0", "Best metrics: {'eval_loss': 2.0}"]
)
def test_a_summary_counts_where_nothing_else_has_the_metric(lines):
    assert final_of(lines) == 2.0


@pytest.mark.parametrize("lines", ['config: {\n  "eval_loss": 1\n}', "args: {'eval_loss': 1}"])
def test_an_object_of_settings_is_no_reading(lines):
    assert final_of(lines) is None


@pytest.mark.parametrize(
    "line, read",
    [
        ("eval_loss: 2.5 -> 2.3", "2.3"), ("eval_loss: 2.5 → 2.3", "2.3"), ("eval_loss: 2.5 => 2.3", "2.3"),
        ("eval loss 2.5 to 2.3", "2.3"), ("eval_loss: 853 / 1000 (85.3%)", "853"),
        ("eval_loss: 853 of 1000", "853"),
    ],
)  # fmt: skip
def test_of_two_numbers_neither_is_read_and_the_pattern_that_is_told_reads_one(line, read):
    assert said(line) is None
    told = not_read([line], "eval_loss")
    assert "and of two numbers neither is read: print one, or say which with method.pattern='" in told
    assert said(line, pattern=told.split("method.pattern='")[1][:-1])[2] == {"eval_loss": float(read)}
