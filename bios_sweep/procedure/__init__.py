"""What to run next, given the results so far; and what was decided. Pure."""
