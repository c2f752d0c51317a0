"""Who trains: the built-in trainer, a user's own script, or curves with a planted truth."""
