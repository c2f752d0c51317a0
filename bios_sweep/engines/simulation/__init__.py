"""A trial engine with planted truth: the contract of real training, in microseconds and without torch."""
