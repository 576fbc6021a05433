"""The one rule for paths that settings and data files name."""

from pathlib import PureWindowsPath

LONGEST = 400  # characters of a path


def relative_path(text: str) -> str:
    """A path below a folder, in one spelling: / between its parts, none of them empty or `.`.

    Raises:
        ValueError: the path is empty, absolute or endless, or climbs by `..`.
    """
    path = text.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    is_absolute = path.startswith("/") or bool(PureWindowsPath(path).drive)
    if not parts or ".." in parts or is_absolute or "\0" in path or len(path) > LONGEST:
        raise ValueError(
            f"must be a relative path, without `..`, and at most {LONGEST} characters long"
        )
    return "/".join(parts)
