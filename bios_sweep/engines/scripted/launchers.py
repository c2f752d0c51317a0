"""What launchers of several processes need so that trials beside each other do not meet.

`torchrun` and its like have their processes talk over one port, 29500 unless told otherwise, and let them all
write at once.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

# Where words of a command begin one; `accelerate` takes its port from `--main_process_port` alone.
LAUNCHERS = re.compile(
    r"(?<![\w.-])(torchrun|torch\.distributed\.(run|launch)|accelerate|deepspeed)(?![\w.-])"
)
TEES = re.compile(r"(?<![\w-])(--tee|--redirects|-t|-r|--local[-_]ranks[-_]filter)\b")


HYDRA = re.compile(r"^\s*@hydra\.main\b|\bhydra_runner\b", re.MULTILINE)
OWN_PLACE = ("hydra.run.dir", "hydra.sweep.dir")
ACCELERATE = re.compile(r"(?<![\w.-])(accelerate[\s-]+launch|accelerate\.commands\.launch)\b")
OWN_PORT = re.compile(r"--main_process_port\b|--num_processes[ =]+1\b|--config_file\b")


def shared_by_trials(command: str, scripts: Mapping[str, str]) -> list[str]:
    """What trials that run at the same time would share, as sentences. scripts: their texts by name."""
    hydra = next((name for name, text in scripts.items() if HYDRA.search(text)), None)
    found = []
    if hydra and not any(word in command for word in OWN_PLACE):
        found.append(
            f"{hydra} is a Hydra script: trials that start in the same second share its folder "
            "outputs/DATE/TIME; add hydra.run.dir={trial_dir} to method.command"
        )
    if ACCELERATE.search(command) and not OWN_PORT.search(command):
        found.append(
            "accelerate launch: several processes per trial meet those of another trial on port 29500; add "
            "--main_process_port {free_port} to method.command, or --num_processes 1"
        )
    return found


def free_port() -> int:
    """A port of this node that nothing listens on, and the next that is asked for is another."""
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def launched_with(command: str, port: str) -> dict[str, str]:
    """Variables that the launcher in a command reads; none where there is none.

    PyTorch's launcher takes the default of each option from `PET_OPTION` (torch.distributed.argparse_util).
    With `--tee 3` it puts `[default1]:` before the lines of each process, which tells the first one's.
    """
    if not LAUNCHERS.search(command):
        return {}
    ports = {"MASTER_PORT": port, "PET_MASTER_PORT": port}
    return ports if TEES.search(command) else {**ports, "PET_TEE": "3"}
