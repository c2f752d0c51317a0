"""Where the configuration files are. Light, for `--help` lists them."""

from __future__ import annotations

from pathlib import Path

from bios_sweep.paths import resolved


def config_root() -> Path:
    """The folder that holds `conf/` and `sweeps/`: inside the installed package, else the clone's top."""
    package = Path(__file__).resolve().parent.parent
    return package if (package / "conf").is_dir() else package.parent


def user_paths(config_dir: Path | None) -> list[Path]:
    """Where files of groups are looked for in a person's own folder."""
    folders = [] if config_dir is None else [resolved(config_dir), resolved(config_dir) / "conf"]
    return [path for path in folders if path.is_dir()]


def sweep_names(config_dir: Path | None = None) -> list[str]:
    """The sweeps that can be chosen, the user's own included."""
    roots = [config_root(), *user_paths(config_dir)]
    return sorted({file.stem for root in roots for file in (root / "sweeps").glob("*.yaml")})
