#!/bin/sh
# Written by `bios-sweep submit --to rayjob`; docs/submit.md explains every flag.
ray job submit --no-wait -- bios-sweep run sweeps=learning_rate model=planted budget=demo cluster=existing cluster.address=auto workspace=/mnt/bios/runs
