"""Where the configuration files are. Light, for `--help` lists them."""

from __future__ import annotations

from pathlib import Path


def config_root() -> Path:
    """The folder that holds `conf/` and `sweeps/`: inside the installed package, else the clone's top."""
    package = Path(__file__).resolve().parent.parent
    return package if (package / "conf").is_dir() else package.parent
