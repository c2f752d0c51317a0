"""`ray job submit` for a Ray cluster that is there. Flags as in Ray 2.60 (`ray job submit --help`)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.checks import line, mapping, or_null, truth
from bios_sweep.errors import ConfigError
from bios_sweep.launch.job import JobOptions, StudyCommand, environment, form, option

ADDRESS = form(
    r"https?://[A-Za-z0-9._-]+(:\d+)?(/[A-Za-z0-9._/-]*)?",
    "the job server's address such as http://HEAD:8265, or null for RAY_API_SERVER_ADDRESS",
)


@dataclass(frozen=True, kw_only=True)
class RayJobOptions(JobOptions):
    """conf/submit/rayjob.yaml, checked. The comments there and docs/submit.md say what each is for."""

    group = "rayjob"
    address: str | None = option(or_null(ADDRESS))
    working_dir: str | None = option(or_null(line))
    runtime_env: Mapping[str, Any] = option(mapping)
    wait: bool = option(truth)

    def __post_init__(self) -> None:
        if "working_dir" in self.runtime_env:
            raise ConfigError("submit.runtime_env.working_dir: give it as submit.working_dir")
        environment("submit.runtime_env.env_vars", self.runtime_env.get("env_vars"))


def job_words(command: StudyCommand, options: RayJobOptions) -> tuple[str, ...]:
    """The `ray job submit` of a study, one argument each."""
    words = ["ray", "job", "submit"]
    if options.address:
        words += ["--address", options.address]
    if options.working_dir:
        words += ["--working-dir", options.working_dir]
    if options.runtime_env:
        words += ["--runtime-env-json", json.dumps(options.runtime_env, allow_nan=False)]
    if not options.wait:
        words.append("--no-wait")
    return (*words, "--", *command.words)


def job_script(command: StudyCommand, options: RayJobOptions) -> str:
    """The line as a file for `sh`."""
    told = "# Written by `bios-sweep submit --to rayjob`; docs/submit.md explains every flag."
    return f"#!/bin/sh\n{told}\n{shlex.join(job_words(command, options))}\n"
