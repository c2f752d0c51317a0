"""MLflow: the mirror of a sweep, its stores and their birth, and runs read back."""
