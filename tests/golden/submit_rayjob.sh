#!/bin/sh
# Written by `bios-sweep submit --to rayjob`; docs/submit.md explains every flag.
ray job submit --address http://head:8265 --working-dir /home/ada/study --runtime-env-json '{"pip": ["bios-sweep"], "env_vars": {"GREETING": "it'"'"'s $HOME"}}' -- bios-sweep run sweeps=learning_rate model=planted budget=demo cluster=existing cluster.address=auto workspace=/mnt/bios/runs
