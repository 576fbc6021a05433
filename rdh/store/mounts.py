"""Which file system a path lies on: SQLite's WAL mode is for local disks only."""

from pathlib import Path

NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "fuse",
    "lustre",
    "gpfs",
    "ceph",
    "afs",
    "9p",
    "beegfs",
    "glusterfs",
)


def is_on_network(path: Path) -> bool:
    """Whether the path lies on a network file system; False where the system does not say (no
    /proc).
    """
    try:
        table = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return file_system_of(path.absolute(), table).startswith(NETWORK)


def file_system_of(path: Path, mount_table: str) -> str:
    """Type of the deepest mount that holds the path ("ext4", "nfs4", ...).

    mount_table: the text of /proc/mounts.
    """
    mounts = [line.split() for line in mount_table.splitlines() if len(line.split()) >= 3]
    places = {
        Path(fields[1].encode().decode("unicode_escape")): fields[2] for fields in mounts
    }  # \\040 is a blank
    return next((places[place] for place in (path, *path.parents) if place in places), "")
