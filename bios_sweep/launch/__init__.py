"""Ways to launch a study: behind, in a process of its own, and on a cluster, as texts.

The texts: an sbatch file, a RayJob manifest, a `ray job submit`.
"""
