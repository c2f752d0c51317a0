"""In how many cells (a model on one data) each rule's rate is nearly as good as the best tested one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bios_sweep.refit.evidence import RateStudy

LITTLE = 0.5  # percent of the loss: what the published rule claims to stay below


@dataclass(frozen=True, kw_only=True)
class Cells:
    """How many cells there are, and per rule in how many its rate loses less than LITTLE against the best.

    known: cells of which the losses are known, not only a bracket. less: rule -> how many of them. beyond:
    rule -> how many cannot be said, for its rate lies beyond those that were tested. held_out: whether the
    fitted rules were fitted without the cell's model.
    """

    cells: int
    known: int
    less: Mapping[str, int]
    beyond: Mapping[str, int]
    held_out: bool


def cells_of(
    studies: Sequence[RateStudy], rates: Mapping[str, Mapping[str, float]], *, held_out: bool
) -> Cells:
    """Count the cells. rates: model -> rule -> the rate that the rule gives it.

    A cell with several ladders (as of several ranks) loses their mean; a rate that diverges on one of them
    loses more than little.
    """
    cells: dict[tuple[str, str], list[RateStudy]] = {}
    for study in studies:
        cells.setdefault((study.model, study.data), []).append(study)
    known = [[one for one in ladders if one.gains] for ladders in cells.values()]
    known = [ladders for ladders in known if ladders and ladders[0].model in rates]
    rules = dict.fromkeys(name for ladders in known for name in rates[ladders[0].model])
    losses = {name: [_loss(ladders, rates[ladders[0].model][name]) for ladders in known] for name in rules}
    return Cells(
        cells=len(cells),
        known=len(known),
        less={name: sum(loss is not None and loss < LITTLE for loss in own) for name, own in losses.items()},
        beyond={name: sum(loss is None for loss in own) for name, own in losses.items()},
        held_out=held_out,
    )


def _loss(ladders: Sequence[RateStudy], rate: float) -> float | None:
    """Percent of the loss given away in a cell; None where it is little only as far as was tested."""
    if any(one.diverges_at(rate) for one in ladders):
        return float("inf")
    loss = float(np.mean([one.regret(rate) for one in ladders]))
    outside = any(not one.rates[0] * 0.999 <= rate <= one.rates[-1] * 1.001 for one in ladders)
    return None if outside and loss < LITTLE else loss
