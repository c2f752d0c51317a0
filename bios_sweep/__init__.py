"""bios_sweep: is the default right for this model and this data?

The map: `bios_sweep.defaults` turns a model into settings (standard library only); `bios_sweep.plan` says
what a sweep would run and cost, `bios_sweep.run` runs or resumes it, also over a function of your own;
`bios_sweep.open` and `bios_sweep.sweeps` give read-only views. Importing this package loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bios_sweep.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from bios_sweep.driver.calls import plan, run, sweeps
    from bios_sweep.driver.view import SweepView

__all__ = ["__version__", "open", "plan", "run", "sweeps"]


def open(workspace: Path | str, name: str | None = None) -> SweepView:  # named by the public contract
    """A read-only view of a finished or running sweep.

    workspace: the folder given to `run` (`./bios_runs` by default). name: a sweep's name or id; the
    latest sweep when left out. The view has `trials`, `curves`, `verdicts` and `tuned_defaults`.

    Raises:
        InputError: there is no such sweep; the message lists what is there.
    """
    from bios_sweep.driver.view import open_sweep  # here: it loads numpy and scipy

    return open_sweep(workspace, name)


def __getattr__(name: str) -> Any:
    """The calls of `driver.calls`, loaded when they are first asked for."""
    if name not in ("plan", "run", "sweeps"):
        raise AttributeError(f"module 'bios_sweep' has no attribute {name!r}")
    from bios_sweep.driver import calls

    return getattr(calls, name)


def __dir__() -> list[str]:
    """What is here, the calls that are not loaded yet included: completion asks for it."""
    return sorted({*globals(), *__all__})
