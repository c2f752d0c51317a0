"""From results to verdicts: the block model, its bounds and the decision rule. Pure, numpy and scipy."""
