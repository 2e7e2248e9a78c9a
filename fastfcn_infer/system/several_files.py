"""Several files that are flushed to the disk together, which takes less time than one after the other."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from fastfcn_infer.system.atomic import open_temporary, sync
from fastfcn_infer.system.writing import write_all, writing


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write some files; each stays as it was until it is replaced in one step, as `atomic.write_file` does it.

    All are flushed before the first one gets its name, and their folders once, after the last one.

    Args:
        files: the whole content by path; their folders exist.

    Raises:
        WriteError: one could not be written; unless it could not be renamed, all are what they were before.
    """
    opened: dict[Path, tuple[Path, int]] = {}  # under a temporary name
    closed = set[int]()
    try:
        for path, data in files.items():
            with writing(path):
                opened[path] = open_temporary(path.parent)
                write_all(opened[path][1], data)
        for path, (_, descriptor) in opened.items():
            with writing(path):
                os.fsync(descriptor)
        for path, (temporary, descriptor) in opened.items():
            with writing(path):
                if sys.platform == "win32":  # where an open file cannot be renamed
                    os.close(descriptor)
                    closed.add(descriptor)
                os.replace(temporary, path)  # noqa: PTH105 - every system call here goes through os
    except BaseException:
        for temporary, _ in opened.values():
            temporary.unlink(missing_ok=True)
        raise
    finally:
        for _, descriptor in opened.values():
            if descriptor not in closed:
                os.close(descriptor)
    for folder in {path.parent for path in files}:
        with writing(folder):
            sync(folder)
