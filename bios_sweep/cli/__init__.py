"""The verbs. The only room that chooses adapters; imported lightly, so that `--help` is instant."""

from bios_sweep.cli.main import main

__all__ = ["main"]
