"""Which source of a metric counts: what a script prints, in several ways, and what it leaves behind."""

from __future__ import annotations

import json
import struct
import sys

import pytest

from bios_sweep.engines.scripted.engine import CommandEngine
from bios_sweep.engines.scripted.event_files import BLOCK, tensorboard_entries, wandb_entries
from bios_sweep.study.trials import READ
from bios_sweep.vocabulary import Failure, Status
from tests.engines.scripted.trials import TRIAL

LEAVE = "import json, os, sys\nout = sys.argv[1]\n"
STATE = (
    "os.makedirs(out + '/checkpoint-10')\n"
    "history = [{'loss': 9.0, 'step': 5}]\n"
    "history += [{'eval_loss': v, 'step': s, 'epoch': s / 10} for s, v in POINTS]\n"
    "open(out + '/checkpoint-10/trainer_state.json', 'w').write(json.dumps({'log_history': history}))\n"
)


@pytest.fixture
def trial(tmp_path):
    """Runs a script that is given its folder; its result."""

    def run(text, **options):
        (tmp_path / "train.py").write_text(LEAVE + text)
        engine = CommandEngine(
            {
                "run": f"{sys.executable} -S train.py {{trial_dir}}",
                "cwd": str(tmp_path),
                "metric": "eval_loss",
                **options,
            }
        )
        return list(engine.run(TRIAL, tmp_path / "trial"))[-1]

    return run


def points(result):
    return [(point.step, point.eval_loss) for point in result.curve]


def test_the_exact_numbers_that_a_trainer_left_go_before_those_that_it_printed(trial):
    text = (
        "for v in ('3.123', '2.235'): print({'eval_loss': v, 'epoch': '1.0'})\n"
        + STATE.replace("POINTS", "((0, 3.12345), (10, 2.23456))")
    )  # fmt: skip
    result = trial(text)
    assert points(result) == [(0, 3.12345), (10, 2.23456)]
    assert result.provenance[READ] == "checkpoint-10/trainer_state.json, the state that a Trainer left"


def test_without_such_a_file_what_was_printed_counts_and_is_no_measurement_before_training(trial):
    result = trial("print({'loss': '9'}); print({'eval_loss': '2.235', 'epoch': '1.0'})")
    assert points(result) == [(1, 2.235)]
    assert result.provenance[READ] == "the dicts that it prints"


def test_json_lines_count_before_everything_else(trial):
    text = (
        "print({'eval_loss': '9.5'}); print('eval_loss: 8')\n"
        "print(json.dumps({'step': 10, 'eval_loss': 2.5}))\n"
        "print({'eval_loss': '9.5'})\n" + STATE.replace("POINTS", "((10, 7.5),)")
    )
    result = trial(text)
    assert points(result) == [(10, 2.5)]
    assert result.provenance[READ] == "JSON lines on its output"


def test_a_checkpoints_state_that_ends_earlier_is_not_the_last_word(trial):
    text = "for v in (3.1, 2.2): print({'eval_loss': v, 'epoch': 1})\n" + STATE.replace(
        "POINTS", "((0, 3.1),)"
    )
    assert [value for _, value in points(trial(text))] == [3.1, 2.2]


def test_two_sources_that_disagree_are_refused_with_the_ways_out(trial):
    result = trial("print({'eval_loss': 2.2, 'epoch': 1})\n" + STATE.replace("POINTS", "((10, 3.3),)"))
    assert (result.status, result.failure) == (Status.FAILED, Failure.NO_METRIC)
    assert (
        "says eval_loss 2.2 and trainer_state.json, which it left, 3.3; choose one: method.metrics_file"
        in (result.cause)
    )


def test_a_loggers_table_is_found(trial):
    text = (
        "os.makedirs(out + '/lightning_logs/version_0')\n"
        "open(out + '/lightning_logs/version_0/metrics.csv', 'w').write("
        "'epoch,eval_loss,step,train_loss\\n0,,4,3.5\\n0,3.25,9,\\n1,2.25,19,\\n')\n"
    )
    result = trial(text)
    assert points(result) == [(9, 3.25), (19, 2.25)]
    assert result.final == {"eval_loss": 2.25, "epoch": 1.0, "train_loss": 3.5}
    assert result.provenance[READ] == "lightning_logs/version_0/metrics.csv, the table that a CSVLogger left"


def test_a_word_in_a_log_on_standard_error_counts_where_nothing_else_does(trial):
    text = "import logging; logging.basicConfig(); logging.getLogger().error('step 10: eval_loss=2.5')"
    result = trial(text)
    assert points(result) == [(10, 2.5)]
    assert result.provenance[READ] == "the text that it prints"


def test_names_in_files_are_told_where_the_metric_is_in_none(trial):
    result = trial(STATE.replace("POINTS", "()"))
    assert "has no eval_loss; there are loss" in result.cause


def test_a_pattern_that_finds_nothing_names_the_command_that_shows_the_output(trial):
    cause = trial("print('val loss: x')", pattern="val loss: ([0-9.]+)").cause
    assert "method.pattern found no number in a line of its output" in cause
    result = trial("print('val loss: 2.5')", pattern="val loss: ([0-9.]+)")
    assert result.final == {"eval_loss": 2.5}
    assert result.provenance[READ] == "lines of its output, by method.pattern"


def varint(number):
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def message(number, content):
    """A field with bytes, a whole number or a double."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(step, name, value):
    scalar = message(1, name.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)
    content = message(1, 1.5) + message(2, step) + message(5, message(1, scalar))
    return struct.pack("<Q", len(content)) + b"cccc" + content + b"dddd"


def test_tensorboards_events_are_read_up_to_where_they_are_cut_off():
    content = event(0, "eval/loss", 3.5) + event(700, "eval/loss", 2.5)
    assert list(tensorboard_entries(content)) == [
        {"step": 0, "eval/loss": 3.5},
        {"step": 700, "eval/loss": 2.5},
    ]
    assert len(list(tensorboard_entries(content[:-9]))) == 1


def test_an_offline_run_of_wandb_is_read_over_the_borders_of_its_blocks():
    def history(values):
        items = [message(1, message(2, name.encode()) + message(6, value)) for name, value in values.items()]
        return message(2, b"".join(items))

    long = message(4, b"x" * 40_000)  # some other record
    content = b":W&B" + b"\xe1\xbe\x00"
    for record in (history({"eval/loss": 3.5, "_step": 0.0}), long, history({"eval/loss": 2.5})):
        first = True
        while record or first:
            room = BLOCK - len(content) % BLOCK
            if room < 7:
                content += b"\0" * room
                continue
            part, record = record[: room - 7], record[room - 7 :]
            kind = (1 if first else 4) if not record else (2 if first else 3)
            content += b"cccc" + struct.pack("<HB", len(part), kind) + part
            first = False
    assert list(wandb_entries(content)) == [{"eval/loss": 3.5}, {"eval/loss": 2.5}]
    with pytest.raises(ValueError, match="no offline run"):
        list(wandb_entries(b"text"))


def test_an_event_file_that_was_left_is_found_by_a_scripts_own_name_for_the_metric(trial, tmp_path):
    (tmp_path / "events").write_bytes(event(0, "eval/loss", 3.5) + event(20, "eval/loss", 2.5))
    text = "import shutil; os.mkdir(out + '/tb'); shutil.copy('events', out + '/tb/events.out.tfevents.1')"
    result = trial(text)
    assert points(result) == [(0, 3.5), (20, 2.5)]
    assert json.loads(json.dumps(dict(result.provenance)))[READ].endswith("TensorBoard's event files")


TABLES = (
    "def table(folder, *values):\n"
    "    os.makedirs(f'{out}/{folder}')\n"
    "    rows = ''.join(f'{10 * n},{v}\\n' for n, v in enumerate(values))\n"
    "    open(f'{out}/{folder}/metrics.csv', 'w').write('step,eval_loss\\n' + rows)\n"
)


def test_two_files_with_other_values_of_the_metric_are_refused_with_both_paths(trial):
    result = trial(TABLES + "table('valid', 3.0, 2.0)\ntable('train', 3.0, 1.5)\n")
    assert (result.status, result.failure) == (Status.FAILED, Failure.NO_METRIC)
    assert "2 in valid/metrics.csv" in result.cause
    assert "method.metrics_file={trial_dir}/train/metrics.csv" in result.cause


@pytest.mark.parametrize(
    "left",
    [
        "table('first', 3.0)\ntable('last', 3.0, 2.0)\n"
        "os.utime(out + '/first/metrics.csv', ns=(10**18,) * 2)\n",
        "table('valid', 3.0, 2.0)\ntable('train', 3.0, 1.5)\n"
        "print({'eval_loss': 3.0})\nprint({'eval_loss': 2.0})\n",
    ],
)
def test_a_checkpoint_is_no_other_file_and_what_is_printed_chooses_one(trial, left):
    assert [value for _, value in points(trial(TABLES + left))] == [3.0, 2.0]


@pytest.mark.parametrize(
    "field", [b"\x28\x01", b"\x29" + b"\1" * 8, b"\x2a\x02\x08\x01", b"\x2a\x04\x0a\x02\x10\x01"]
)
def test_a_damaged_event_file_hides_nothing_that_was_printed(trial, field):
    content = struct.pack("<QI", len(field), 0) + field + b"\0" * 4
    text = f"open(out + '/events.out.tfevents.1', 'wb').write({content!r})\nprint('eval_loss = 2.5')\n"
    assert [value for _, value in points(trial(text))] == [2.5]


def test_a_decimal_comma_is_named_where_nothing_else_is_read(trial):
    cause = trial("print('eval_loss = 2,05')").cause
    assert "it has 'eval_loss = 2,05', and a decimal comma is not read" in cause
