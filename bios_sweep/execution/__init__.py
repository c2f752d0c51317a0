"""Executors: `inline` runs trials in this process, `ray_tune` on the workers of a Ray cluster."""
