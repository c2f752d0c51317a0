"""Models and data sets of the Hugging Face hub, by name and commit: from the cache, else downloaded."""
