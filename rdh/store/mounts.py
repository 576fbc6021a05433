"""Tells which file system a path lies on, since SQLite's WAL mode is for local disks only."""

from collections.abc import Mapping
from pathlib import Path

import psutil

NETWORK = (
    *("nfs", "cifs", "smb", "fuse", "lustre", "gpfs"),
    *("ceph", "afs", "9p", "beegfs", "glusterfs"),
)


def is_on_network(path: Path) -> bool:
    """Whether the path lies on a network file system. False if that is not known."""
    try:
        mounts = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
    except (OSError, psutil.Error):
        return False
    return file_system_of(path.absolute(), mounts).startswith(NETWORK)


def file_system_of(path: Path, mounts: Mapping[str, str]) -> str:
    """Type of the deepest mount that holds the path ("ext4", "nfs4", ...).

    Args:
        path: An absolute path.
        mounts: Mount point -> type of its file system.
    """
    return next((mounts[str(one)] for one in (path, *path.parents) if str(one) in mounts), "")
