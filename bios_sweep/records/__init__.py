"""What is kept: the workspace on disk, the journal that is the truth, and its mirror in MLflow."""
