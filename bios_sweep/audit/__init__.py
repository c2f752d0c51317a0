"""Runs made elsewhere: what they support, what they do not, and the roll-up over scenarios."""
