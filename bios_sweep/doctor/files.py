"""The folder that a run writes to: which file system, how much room, and whether writes and locks work."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.errors import ClusterError
from bios_sweep.execution.sessions import ray_folder
from bios_sweep.mounts import Mount, existing

GIB = 1024**3
RED_BYTES, SCARCE_BYTES = GIB // 2, 5 * GIB  # chosen, not measured
RAY_FULL = 0.95  # Ray's `local_fs_capacity_threshold`: from there on no object goes to the disk
SKEW_SECONDS = 2.0  # chosen: times of files say which sweep is the latest
IN_MEMORY, LAYER = ("tmpfs", "ramfs"), ("overlay", "aufs", "fuse.fuse-overlayfs")


def answers(path: str) -> bool:
    """Comes back where the disk under a path does; a network file system whose server is gone never does."""
    os.statvfs(existing(Path(path)))
    return True


def workspace_lines(root: Path, mount: Mount | None, *, ray: bool) -> Iterator[Line]:
    """ray: whether a Ray of our own will write to the folder of temporary files."""
    yield from _writing(root)
    yield _file_system(mount)
    yield _room("disk", root, "choose another workspace=, or make room")
    if ray:
        yield _temporary()


def _writing(root: Path) -> Iterator[Line]:
    """What a run does there, in a folder that goes again: a file, its time, a lock."""
    folder = existing(root)
    missing = "" if folder == root else ", to be made"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".bios-sweep-doctor-") as file:
            file.write(b"written")
            file.flush()
            os.fsync(file.fileno())
            skew = os.fstat(file.fileno()).st_mtime - time.time()
            locked = _locked(file.fileno())
    except OSError as error:
        way_out = "choose another workspace=, or change the folder's permissions"
        yield red("workspace", f"{root} cannot be written ({error.strerror})", way_out)
        return
    yield ok("workspace", f"{root}{missing}, can be written")
    if locked:
        way_out = "choose a workspace= on another file system: two drivers would not know of each other"
        yield red("locks", f"files under {folder} cannot be locked ({locked})", way_out)
    if abs(skew) > SKEW_SECONDS:
        found = (
            f"files are stamped {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'} of this machine's clock"
        )
        yield warning("time of files", found, "set the clocks of this machine and of the file server")


def _locked(descriptor: int) -> str:
    """Why a file there cannot be locked; empty where it can."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.strerror or "no reason"
    return ""


def _file_system(mount: Mount | None) -> Line:
    if mount is None:
        return warning("file system", "not told by the kernel", "see that it is a disk of this machine")
    found = f"{mount.kind} at {mount.point}"
    if mount.kind in IN_MEMORY:
        way_out = "choose a workspace= on a disk: this one is memory, and empty after a restart"
        return warning("file system", found, way_out)
    if mount.kind in LAYER:
        way_out = "mount a volume and choose a workspace= in it: this one goes with the container"
        return warning("file system", found, way_out)
    return ok("file system", f"{found}{', on the network' if mount.network else ''}")


def _room(check: str, place: Path, way_out: str) -> Line:
    """Bytes, and files where the file system counts them."""
    at = existing(place)
    status = os.statvfs(at)
    free = status.f_bavail * status.f_frsize
    found = f"{free / GIB:.1f} GiB free at {at}"
    if status.f_files and not status.f_favail:
        return red(check, f"{found}, and not one more file (no inodes)", way_out)
    if free < RED_BYTES:
        return red(check, f"{found}; the least is {RED_BYTES / GIB:g} GiB", way_out)
    if free < SCARCE_BYTES:
        return warning(check, f"{found}; adapters and checkpoints of a sweep may take more", way_out)
    return ok(check, found)


def _temporary() -> Line:
    """Ray keeps its sessions there."""
    try:
        folder = ray_folder().parent
    except ClusterError as error:
        return red("temporary files", str(error), "unset RAY_TMPDIR, or set it to a short path")
    used = shutil.disk_usage(existing(folder))
    share = 1 - used.free / used.total
    way_out = "make room there, or set RAY_TMPDIR to a short path on another disk"
    if share > RAY_FULL:
        found = f"{folder} is {share:.0%} full, and Ray puts no object there from {RAY_FULL:.0%} on"
        return warning("temporary files", found, way_out)
    return _room("temporary files", folder, way_out)
