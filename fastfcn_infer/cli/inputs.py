"""Find the pictures that a command line names, and where the results of each are written."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastfcn_infer.picture.read import SUFFIXES


@dataclass(frozen=True)
class Job:
    """A picture, and the path of its results without their endings."""

    source: Path
    target: Path


def jobs(sources: Sequence[str], output: Path, *, recursive: bool) -> list[Job]:
    """List the pictures, each once, in a stable order.

    Of a folder, the files with the suffix of a picture are taken; results keep its sub-folders.
    Where two pictures have one name, the names of their results get the suffix, and if that does
    not tell them apart the folder.

    Args:
        sources: files, folders and globs (for shells that do not expand them).
        output: folder of the results.
        recursive: look into folders of folders.

    Raises:
        FileNotFoundError: a source does not exist, or no picture was found.
        ValueError: the results of two pictures would still have one name.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for source in sources:
        for path, relative in _expand(source, recursive=recursive):
            # One picture, however its path is spelled; links are pictures of their own.
            found.setdefault(os.path.abspath(path), (path, relative))  # noqa: PTH100 - keeps links
    pairs = dict(found.values())
    if not pairs:
        raise FileNotFoundError(
            f"no picture in {', '.join(sources)}; searched for {', '.join(SUFFIXES)}"
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
            f"the results of several pictures would have one name ({', '.join(sorted(clashing))}); "
            "run the command once for each folder, with different -o"
        )
    return [Job(path, output / name) for path, name in zip(pairs, names, strict=True)]


def _clashes(names: list[Path]) -> set[str]:
    # Ignoring case: two results must not collide on a file system that ignores it.
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
            raise FileNotFoundError(
                f"{source}: no such file or folder, and no file matches it as a glob"
            )
        for name in found:
            if Path(name).is_file():
                yield Path(name), Path(Path(name).name)
