"""Learning curves of an arm: their signs, and what the guide advises for each. Pure."""
