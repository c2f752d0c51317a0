"""A trial engine with planted truth: the same contract as real training, in microseconds and without torch."""
