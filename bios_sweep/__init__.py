"""bios_sweep: is the default right for this model and this data?

The map: `bios_sweep.defaults` turns a model into settings (standard library only); `bios_sweep.open`
gives a read-only view of a sweep. Importing this package loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bios_sweep.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from bios_sweep.driver.view import SweepView

__all__ = ["__version__", "open"]


def open(workspace: Path | str, name: str | None = None) -> SweepView:  # named by the public contract
    """A read-only view of a finished or running sweep.

    workspace: the folder given to `run` (`./bios_runs` by default). name: a sweep's name or id; the
    latest sweep when left out. The view has `trials`, `curves`, `verdicts` and `tuned_defaults`.

    Raises:
        InputError: there is no such sweep; the message lists what is there.
    """
    from bios_sweep.driver.view import open_sweep  # here: it loads numpy and scipy

    return open_sweep(workspace, name)
