"""Which way a metric is better, as its name says."""

from __future__ import annotations

import re

# fmt: off
FALLS = frozenset({
    "loss", "perplexity", "ppl", "error", "errors", "nll", "bits", "bpb", "wer", "cer", "mse", "mae", "rmse",
    "memory", "seconds", "time", "latency", "forgetting", "toxicity", "mismatch", "regret", "cost",
})
RISES = frozenset({
    "acc", "accuracy", "f1", "bleu", "rouge", "score", "reward", "auc", "exact", "win", "precision", "recall",
    "match", "pass", "correct", "success", "throughput",
})
# fmt: on


def direction_of(name: str) -> str | None:
    """`maximize` or `minimize` by the whole words of a name; None where it says neither, or both."""
    words = set(re.split(r"[^a-z0-9]+", name.casefold()))
    if bool(words & RISES) == bool(words & FALLS):
        return None
    return "maximize" if words & RISES else "minimize"
