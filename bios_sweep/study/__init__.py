"""What is asked: studies, factors, arms, trials, and the expansion of a study into a plan. Pure values."""
