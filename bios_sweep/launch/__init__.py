"""Ways to launch a study on a cluster, as texts: an sbatch file, a RayJob manifest, a `ray job submit`."""
