"""The evidence for `defaults refit`: of folders and tables, and of experiments of a tracking store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bios_sweep.driver.experiments import experiments_like, read_experiment, store_uri
from bios_sweep.mirror.mlflow.rate_studies import collect_experiment
from bios_sweep.refit.collected import collect, together
from bios_sweep.refit.evidence import Collected


def rate_studies(
    paths: Sequence[Path], patterns: Sequence[str], *, tracking_uri: str | None, direction: str | None
) -> Collected:
    """Rate studies of folders and tables, and of the experiments that the names or patterns fit.

    direction: which way a metric is better of which nothing else says that.

    Raises:
        InputError: a path or a store that cannot be read.
    """
    parts = [collect(paths, direction)]
    if patterns:
        uri = store_uri(tracking_uri)
        names = dict.fromkeys(name for pattern in patterns for name in experiments_like(uri, pattern))
        parts += [collect_experiment(read_experiment(uri, name), direction) for name in names]
    return together(parts)
