"""Where a default is judged: read from a model and data, from a script's words, or planted."""
