"""What a study would say, before it is paid for: the real procedure on planted outcomes, in memory. Pure."""
