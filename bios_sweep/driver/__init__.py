"""Assembly and loop of a run: from overrides to verdicts."""
