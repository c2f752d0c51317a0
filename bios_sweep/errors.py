"""One tree of errors. Each message names the offender, what is allowed and the way out.

The exit code travels with the class, so that the command line never guesses it.
Every error is built from its message alone and therefore pickles across processes.
"""

from __future__ import annotations


class BiosSweepError(Exception):
    """The root. `exit_code` is what the command line returns when this error ends a verb."""

    exit_code = 2


class InputError(BiosSweepError):
    """The user's input cannot be used; nothing was started."""


class ConfigError(InputError):
    """A Hydra key, group or value is unknown or malformed."""


class PlanError(InputError):
    """A study cannot be expanded: no variation left, a bad level, too many trials."""


class ModelError(InputError):
    """The base model is missing, incomplete or of a kind that is not supported."""


class DataError(InputError):
    """The data cannot be used; the message names file and line."""


class ClusterError(InputError):
    """The cluster can never satisfy the request: needed against offered."""


class ClusterLostError(BiosSweepError):
    """The cluster went away while the sweep ran; the same command goes on from there."""

    exit_code = 4


class NoClockError(ConfigError):
    """The engine has no time to measure; claims of cost are then said to be without one."""


class MissingExtraError(InputError):
    """A verb needs packages of the extra `[run]` that are not installed."""


class DefaultsError(InputError):
    """A tuned-defaults file or a recommendation cannot be used."""


class NotTunedError(DefaultsError):
    """No place has tuned defaults for a model; `searched` are the places, in words."""

    def __init__(self, message: str, searched: tuple[str, ...] = ()) -> None:
        super().__init__(message, searched)
        self.searched = searched

    def __str__(self) -> str:
        return str(self.args[0])


class TrackingError(BiosSweepError):
    """The tracking server failed while the sweep ran; the journal has everything."""

    exit_code = 4


class StorageError(BiosSweepError):
    """The workspace cannot be written or holds something that cannot be read."""

    exit_code = 4


class WorkspaceBusyError(BiosSweepError):
    """Another live driver owns the workspace."""

    exit_code = 75


class ProbeError(BiosSweepError):
    """What was to be timed failed for a reason that nobody foresaw."""

    exit_code = 1


class DeviceError(BiosSweepError):
    """A GPU failed, and its process can compute nothing more; another process may."""

    exit_code = 4


# What a CUDA error says after which every call of the same process fails too (torch 2.13, c10/cuda and ATen).
_POISON = ("CUDA error", "HIP error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "cuDNN error", "device-side assert")


def poisons_its_process(error: BaseException) -> bool:
    """Whether a GPU failed so that its process can compute nothing more; memory that ran out does not."""
    names = {kind.__name__ for kind in type(error).__mro__}
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _POISON)
    return (told or "AcceleratorError" in names) and not ran_out_of_memory(error)


# What torch, cuBLAS and cuDNN say in plain RuntimeErrors (torch 2.13: c10 allocators, ATen/cuda exceptions).
_NO_MEMORY = ("out of memory", "can't allocate memory", "STATUS_ALLOC_FAILED")


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether a library's exception says that memory ran out; told by names, for torch is not loaded here."""
    names = {kind.__name__ for kind in type(error).__mro__}
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    return told or bool(names & {"MemoryError", "OutOfMemoryError"})
