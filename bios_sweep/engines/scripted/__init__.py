"""Trials of a user's own script: a command, or a Python callable, as a `ports.TrialEngine`."""
