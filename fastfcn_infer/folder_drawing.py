"""What lies below a folder, drawn for an error message: a few levels, a few entries of each."""

import os
from pathlib import Path

_DEPTH = 3  # levels of folders
_ENTRIES = 6  # of one folder
_LINES = 40


def draw_folder(root: Path) -> str:
    """Draw a folder: one entry a line, indented by level, folders before files; links not followed."""
    lines = _branch(root, 1)
    more = [f"... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n".join([f"{root}/", *lines[:_LINES], *more])


def _branch(folder: Path, level: int) -> list[str]:
    indent = "  " * level
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (not entry.is_dir(follow_symlinks=False), entry.name, entry.is_symlink())
                for entry in entries
            )
    except OSError as error:
        return [f"{indent}({error.strerror})"]
    lines = [] if found else [f"{indent}(empty)"]
    for is_file, name, is_link in found[:_ENTRIES]:
        lines.append(f"{indent}{name}{' (link)' if is_link else '' if is_file else '/'}")
        if not is_file and level < _DEPTH:
            lines += _branch(folder / name, level + 1)
    if len(found) > _ENTRIES:
        lines.append(f"{indent}... {len(found) - _ENTRIES} more")
    return lines
