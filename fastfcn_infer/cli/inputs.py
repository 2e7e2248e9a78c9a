"""Which pictures a command line means, and where the results of each go."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastfcn_infer.picture.read import SUFFIXES


@dataclass(frozen=True)
class Job:
    """A picture, and the path of its results without their ending."""

    source: Path
    target: Path


def jobs(sources: Sequence[str], output: Path, *, recursive: bool) -> list[Job]:
    """List the pictures, each once, in a stable order.

    Folders give the pictures in them, by their suffix, and keep their sub-folders in `output`.
    Files of one name keep their suffix, and then their folder, in the names of their results.

    Args:
        sources: files, folders and globs (for shells that do not expand them).
        output: folder of the results.
        recursive: look into folders of folders.

    Raises:
        FileNotFoundError: a source is nothing of the kind, or no picture was found.
        ValueError: two pictures would still be written to one name.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for source in sources:
        for path, relative in _expand(source, recursive=recursive):
            # One picture, however its path is spelled; links are pictures of their own.
            found.setdefault(os.path.abspath(path), (path, relative))  # noqa: PTH100 - as said
    pairs = dict(found.values())
    if not pairs:
        raise FileNotFoundError(
            f"no picture in {', '.join(sources)}; looked for {', '.join(SUFFIXES)}"
            + ("" if recursive else " (--recursive looks into sub-folders)")
        )
    names = [relative.with_suffix("") for relative in pairs.values()]
    for longer in (_with_suffix, _with_folder):
        clashing = _clashes(names)
        names = [
            longer(path, relative) if str(name).lower() in clashing else name
            for (path, relative), name in zip(pairs.items(), names, strict=True)
        ]
    clashing = _clashes(names)
    if clashing:
        raise ValueError(
            f"several pictures would be written to one name ({', '.join(sorted(clashing))}); "
            "segment them into different folders with -o"
        )
    return [Job(path, output / name) for path, name in zip(pairs, names, strict=True)]


def _clashes(names: list[Path]) -> set[str]:
    # Case-insensitively: two results may not meet on a disk that does not tell cases apart.
    counts = Counter(str(name).lower() for name in names)
    return {name for name, count in counts.items() if count > 1}


def _with_suffix(path: Path, relative: Path) -> Path:
    return relative.with_name(relative.name.replace(".", "_"))


def _with_folder(path: Path, relative: Path) -> Path:
    return relative.with_name(f"{path.resolve().parent.name}_{relative.name.replace('.', '_')}")


def _expand(source: str, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    path = Path(source)
    if path.is_dir():
        files = path.rglob("*") if recursive else path.iterdir()
        for file in sorted(files):
            if file.suffix.lower() in SUFFIXES and file.is_file():
                yield file, file.relative_to(path)
    elif path.exists():
        yield path, Path(path.name)
    else:
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - absolute globs too
        if not found:
            raise FileNotFoundError(f"{source}: no such file, folder or glob")
        for name in found:
            if Path(name).is_file():
                yield Path(name), Path(Path(name).name)
