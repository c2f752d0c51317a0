"""`ray job submit` for a Ray cluster that is there. Flags as in Ray 2.60 (`ray job submit --help`)."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from bios_sweep import checks
from bios_sweep.errors import ConfigError
from bios_sweep.launch import job_values
from bios_sweep.launch.study_command import StudyCommand


@dataclass(frozen=True, kw_only=True)
class RayJobOptions:
    """conf/submit/rayjob.yaml, checked. The comments there and docs/submit.md say what each is for."""

    address: str | None
    working_dir: str | None
    runtime_env: dict[str, Any]
    wait: bool

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> RayJobOptions:
        """The options of a composed group.

        Raises:
            ConfigError: a value is not allowed; the message names its key.
        """
        given = job_values.fields("rayjob", values, tuple(field.name for field in fields(cls)))
        given["runtime_env"] = checks.mapping("submit.runtime_env", given["runtime_env"])
        return cls(**given)

    def __post_init__(self) -> None:
        if self.address is not None:
            checks.matching(
                "submit.address",
                self.address,
                r"https?://[A-Za-z0-9._-]+(:\d+)?(/[A-Za-z0-9._/-]*)?",
                "the job server's address such as http://HEAD:8265, or null for RAY_API_SERVER_ADDRESS",
            )
        if self.working_dir is not None:
            checks.line("submit.working_dir", self.working_dir)
        checks.truth("submit.wait", self.wait)
        if "working_dir" in self.runtime_env:
            raise ConfigError("submit.runtime_env.working_dir: give it as submit.working_dir")
        job_values.environment("submit.runtime_env.env_vars", self.runtime_env.get("env_vars"))


def job_words(command: StudyCommand, options: RayJobOptions) -> tuple[str, ...]:
    """The `ray job submit` of a study, one argument each.

    Raises:
        ConfigError: the workspace's path is relative, so it would lie in a folder that Ray deletes.
    """
    if not PurePosixPath(command.workspace).is_absolute():
        raise ConfigError(f"workspace: {command.workspace} is relative; give an absolute path")
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
