"""Where Ray of our own keeps its sessions, and whose signals stay whose while it starts."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from ray._private import utils

from bios_sweep.errors import ClusterError
from bios_sweep.execution.ray.cluster import restored_signals
from bios_sweep.execution.sessions import LONGEST, SOCKET_BYTES, ray_folder

DEEP = f"/scratch/local/job.{'1' * 60}"
LAST = "/" + "a" * (SOCKET_BYTES - LONGEST - len("//ray"))  # the longest that fits


@pytest.mark.parametrize(
    ("given", "folder"),
    [
        ({}, "/tmp/ray"),
        ({"TMPDIR": "/scratch/me"}, "/scratch/me/ray"),
        ({"TMPDIR": "/scratch/me", "RAY_TMPDIR": "/fast"}, "/fast/ray"),
        ({"TMPDIR": LAST}, f"{LAST}/ray"),
        ({"TMPDIR": f"{LAST}a"}, "/tmp/ray"),
        ({"TMPDIR": DEEP}, "/tmp/ray"),
    ],
)
def test_a_folder_too_deep_for_sockets_is_passed_over(monkeypatch, given, folder):
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert ray_folder() == Path(folder)


def test_a_folder_that_was_asked_for_and_is_too_deep_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", DEEP)
    with pytest.raises(ClusterError, match=r"RAY_TMPDIR=/scratch.*bytes too long for Ray's sockets"):
        ray_folder()


def test_ray_takes_no_signal_from_us():
    before = signal.getsignal(signal.SIGTERM)
    with restored_signals():
        utils.set_sigterm_handler(lambda *_: None)
        assert signal.getsignal(signal.SIGTERM) is before
