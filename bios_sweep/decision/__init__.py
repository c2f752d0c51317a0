"""From results to verdicts: the block model, its bounds, gates and claims. Pure, numpy and scipy."""
