"""Reasons as a reader sees them: what a test may compare with a sentence."""

from __future__ import annotations


def texts(reasons):
    """Each reason in words."""
    return tuple(map(str, reasons))
