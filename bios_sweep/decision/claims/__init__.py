"""One judge for each thing that a default may claim of itself. Pure."""
