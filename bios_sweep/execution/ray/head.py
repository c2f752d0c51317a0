"""Watches the head: without it Ray ends the driver after a minute, with status 1 and no word of ours."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable

from bios_sweep.errors import BiosSweepError, ClusterLostError

LOOK_SECONDS = 2.0  # chosen, not measured
HEAD_SECONDS = 40.0  # a head that is restarted has Ray's minute (2.60); ours ends before, to end in order
LAST_SECONDS = 15.0  # chosen: what the main thread gets to end; it may hang in a call to the head


class HeadWatch:
    """A thread for the time of a run. tell: gets the error that should end it, at any moment.

    Where nobody can end in order, for the main thread waits in one long call to Ray, tell does nothing.
    """

    def __init__(self, address: str, tell: Callable[[BiosSweepError], None] = lambda error: None) -> None:
        self._address, self._tell = address, tell
        self._over = threading.Event()

    def __enter__(self) -> HeadWatch:
        threading.Thread(target=self._watch, daemon=True, name="head").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        heard = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            if answers(self._address):
                heard = time.monotonic()
            elif time.monotonic() - heard > HEAD_SECONDS:
                self._end()
                return

    def _end(self) -> None:
        error = ClusterLostError(
            f"the head of the Ray cluster at {self._address} has not answered for {HEAD_SECONDS:g} s; "
            "start a cluster again, and the same command goes on from here"
        )
        self._tell(error)
        if not self._over.wait(LAST_SECONDS):
            sys.stderr.write(f"bios-sweep: {error}\n")
            sys.stderr.flush()
            os._exit(error.exit_code)  # as after kill -9: all that counts is on the disk


def answers(address: str) -> bool:
    """Whether something takes connections at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LOOK_SECONDS).close()
    except OSError:
        return False
    return True
