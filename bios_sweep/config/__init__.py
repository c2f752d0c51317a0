"""Hydra configs -> Study. The border is crossed once, here; nothing below sees a DictConfig."""
