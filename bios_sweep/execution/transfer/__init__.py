"""How a trial's files reach the node that needs them, and come home."""
