"""What is kept on the disk: the workspace, its lock, and the journal that is the truth."""
