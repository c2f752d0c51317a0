from __future__ import annotations

import subprocess
import sys

from bios_sweep.errors import ClusterLostError

HANGING = """
import threading
from bios_sweep.execution.ray import losses

losses.LOOK_SECONDS, losses.HEAD_SECONDS, losses.LAST_SECONDS = 0.05, 0.1, 0.1
with losses.HeadWatch("127.0.0.1:1"):
    threading.Event().wait()  # as a call to Ray that nobody will answer
"""


def test_a_call_that_hangs_because_the_head_is_gone_ends_with_a_sentence_and_its_exit_status():
    ended = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60)
    assert ended.returncode == ClusterLostError.exit_code
    assert ended.stderr.startswith("bios-sweep: the head of the Ray cluster at 127.0.0.1:1 has not answered")
    assert ended.stderr.count("\n") == 1
