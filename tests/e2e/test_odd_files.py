"""Damaged files through the command line: a plan, or one sentence with exit code 2; nothing else."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from bios_sweep.assets import base_model_path
from bios_sweep.cli.main import main
from bios_sweep.containers.source import source_of
from bios_sweep.engines.training.shapes.reading import Reader
from tests.containers.test_fuzz import damaged
from tests.e2e.files_people_have import CASES, CHAT, TEMPLATES

TINY = (
    *("sweeps=aa", "cluster=inline", "tracking=none", "seeds=[0]", "method.max_length=128"),
    *("baseline.batch_size=2", "budget.max_steps=2", "baseline.train_examples=2", "model.path=model"),
)
OF_LIBRARIES = re.compile(
    r"Traceback|pyarrow|Errno|NoneType|has no attribute|codec can't|object at 0x|int_max_str"
)
FILES = [
    (next(iter(case.files)).rpartition("/")[2], content, case.words)
    for case in CASES
    for content in case.files.values()
    if isinstance(content, bytes)
    and len(case.files) == 1
    and len(content) < 1 << 16
    and case.kind != "paths"
    and not any(word.startswith("data.path=") for word in case.words)
]


@pytest.fixture
def planned(tmp_path, monkeypatch, capsys):
    """Plans with a damaged file, and says whether it was accepted."""
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    for path in base_model_path().iterdir():
        Path("model", path.name).symlink_to(path)
    Path("model", "chat_template.jinja").write_text(TEMPLATES[CHAT])

    def plan(number: int) -> bool:
        chance = random.Random(number)
        name, content, words = chance.choice(FILES)
        path = Path(f"{number}-{name}")
        path.write_bytes(damaged(content, chance))
        code = main(["plan", *TINY, f"data.path={path}", *words])
        out, err = capsys.readouterr()
        assert code in (0, 2), f"{path}: {err}"
        if code == 2:
            assert not out
            assert err.startswith("bios-sweep: "), f"{path}: {err}"
            assert err.count("\n") == 1, f"{path}: {err}"
            assert not OF_LIBRARIES.search(err), f"{path}: {err}"
        elif not words:
            examples = list(Reader()(source_of(path).read()))
            assert len(examples) > 1, path
            assert all(one.completion.strip() for one in examples), path
        path.unlink()
        return code == 0

    return plan


def test_damaged_files_are_planned_with_or_refused_by_a_sentence(planned):
    accepted = sum(map(planned, range(6)))
    assert 0 < accepted < 6


@pytest.mark.slow
@pytest.mark.parametrize("begin", range(30, 2030, 100))  # of two thousand files
def test_a_hundred_damaged_files_are_planned_with_or_refused_by_a_sentence(planned, begin):
    assert sum(map(planned, range(begin, begin + 100))) < 100
