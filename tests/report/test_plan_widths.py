"""A plan at the widths that people have, in a pipe and without colours: no word is cut."""

from __future__ import annotations

import re

import pytest

from bios_sweep.cli.main import main

WIDTHS = (60, 80, 140)
PLAN = ("plan", "sweeps=defaults", "model=planted", "cluster=inline", "tracking=none")
NAMES = ("learning_rate x0.25", "batch_size", "lora_rank", "max_steps", "published")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_fits_its_width_with_every_name_whole_and_no_colour_in_a_pipe(
    width, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(list(PLAN)) == 0
    told = capsys.readouterr().out
    commands = ("    bios-sweep", "bios-sweep")
    long = [one for one in told.splitlines() if len(one.rstrip()) > width and not one.startswith(commands)]
    assert long == []
    assert [name for name in NAMES if name not in told] == []
    assert "\x1b" not in told


def test_where_no_width_is_known_a_plan_is_printed_all_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "0")  # as serial consoles and some containers have it
    assert main(list(PLAN)) == 0
    told = capsys.readouterr().out
    assert [name for name in NAMES if name not in told] == []


def test_a_plan_on_a_terminal_without_colours_has_none(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if it were a terminal
    assert main(list(PLAN)) == 0
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", capsys.readouterr().out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(list(PLAN)) == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", capsys.readouterr().out)
