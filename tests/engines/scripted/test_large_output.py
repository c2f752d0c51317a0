"""A script that writes without end: the worker's memory stays, and its last words are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bios_sweep.interpreter import python, with_package

SCRIPT = """
import os, sys
block = memoryview((("a chatty script says so at every step. " * 4)[:127] + "\\n").encode() * 8192)  # 1 MiB
for _ in range(int(sys.argv[1])):
    left = block
    while left:
        left = left[os.write(1, left):]
print('{"eval_loss": 2.5}')
"""
WORKER = """
import json, os, resource, sys
from pathlib import Path
from bios_sweep.engines.scripted.child import Child
from bios_sweep.engines.scripted.lines import LineReader
from bios_sweep.records.trial_logs import text_of

folder, words = Path(sys.argv[1]), sys.argv[2:]
reader, told = LineReader("eval_loss"), None
with Child(words, cwd=folder, folder=folder, environ=os.environ) as child:
    for line in filter(None, child.lines(None)):
        told = reader.read(line.text, error=line.error) or told
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes
print(json.dumps({"told": told.reading.values, "peak": peak, "artifact": len(text_of(folder))}))
"""


def read_by_a_worker(folder, megabytes):
    folder.mkdir()
    words = python("-c", WORKER, str(folder), sys.executable, "-c", SCRIPT, str(megabytes))
    done = subprocess.run(words, env=with_package(os.environ), capture_output=True, text=True, check=True)
    return json.loads(done.stdout), sum(file.stat().st_size for file in folder.iterdir())


@pytest.mark.slow  # two minutes: 17 MB a second
def test_two_gigabytes_of_a_script_take_no_more_memory_than_thirty_megabytes(tmp_path):
    little, _ = read_by_a_worker(tmp_path / "little", 30)
    much, kept = read_by_a_worker(tmp_path / "much", 2048)
    assert much["told"] == {"eval_loss": 2.5}
    assert much["peak"] < little["peak"] + 5_000
    assert kept < 11_500_000  # ten megabytes of its beginning, one of its end
    assert much["artifact"] < 1_500_000
