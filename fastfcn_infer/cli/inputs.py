"""Find the pictures that a command line names, and where the results of each are written."""

import contextlib
import glob
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fastfcn_infer.inference.results import is_result
from fastfcn_infer.inference.stream.source import LIST, files_below, listed, matching
from fastfcn_infer.picture.read import SUFFIXES
from fastfcn_infer.system.excerpt import listing, printable

STDIN = "-"


@dataclass
class Skipped:
    """Files in the folders that were searched that are not taken as pictures."""

    unknown: list[Path] = field(default_factory=list)  # by their endings no pictures
    results: list[Path] = field(default_factory=list)  # of earlier runs

    def forget(self, taken: Collection[str]) -> None:
        """Keep each file once, and none whose absolute path is in `taken`."""
        for paths in (self.unknown, self.results):
            once = {os.path.abspath(path): path for path in paths}  # noqa: PTH100 - as below
            paths[:] = [path for place, path in once.items() if place not in taken]

    def lines(self) -> list[str]:
        """Count and name them, one line for each kind."""
        kinds = ((self.unknown, "not pictures"), (self.results, "results of earlier runs"))
        return [
            f"Skipped {len(paths)} files, {what}: {listing([p.name for p in paths], most=8)}"
            for paths, what in kinds
            if paths
        ]


@dataclass(frozen=True)
class Job:
    """A picture, and the path of its results without their endings.

    Args:
        source: the picture's file.
        target: of its results, without their endings.
        name: what the user calls the picture; None: the path of the file.
        picture: what a data set of all pictures calls it: its path below the folder that was named, or that
            all pictures share; None: the name of the file.
    """

    source: Path
    target: Path
    name: str | None = None
    picture: str | None = None

    @property
    def shown(self) -> str:
        """What messages call the picture."""
        return self.name or str(self.source)

    def told(self, message: object) -> str:
        """Say in a message what the user calls the picture, in place of its file."""
        return str(message).replace(str(self.source), self.shown)


@contextlib.contextmanager
def standard_input(output: Path) -> Iterator[Job]:
    """Receive the picture on standard input in a temporary file, which is deleted in the end.

    Args:
        output: folder of the results, whose names begin with ``stdin``.

    Raises:
        ValueError: standard input is a terminal, or closed.
    """
    stream = None if sys.stdin is None else sys.stdin.buffer
    if stream is None or stream.isatty():
        what = "closed" if stream is None else "a terminal"
        raise ValueError(
            f"{STDIN} reads a picture from standard input, which is {what} here; send one, as in "
            f"fastfcn predict {STDIN} -o masks < street.jpg"
        )
    with tempfile.TemporaryDirectory(prefix="fastfcn-") as folder:
        path = Path(folder, "stdin")
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file)
        yield Job(path, output / "stdin", "standard input")


def jobs(
    sources: Sequence[str], output: Path, *, recursive: bool, skipped: Skipped | None = None
) -> list[Job]:
    """List the pictures, each once, in a stable order.

    A list (``.txt``), which is the only source, gives the files that it names. Of a folder, and of a glob that names no ending, the files with the suffix of a picture are taken; files
    that are named are taken whatever their suffix. Results of earlier runs, which are known by what
    they say of themselves, are never taken. Results keep the sub-folders of a folder.
    Where two pictures have one name, the names of their results get the suffix, and if that does
    not tell them apart the folder.

    Args:
        sources: files, folders and globs (for shells that do not expand them).
        output: folder of the results.
        recursive: look into folders of folders.
        skipped: what is not taken is added here.

    Raises:
        FileNotFoundError: a source does not exist, or no picture was found.
        ImageError: a list is no text.
        ValueError: the results of two pictures would still have one name, or one of several sources
            is standard input.
    """
    pairs = pictures_of(sources, recursive=recursive, skipped=skipped)
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
    called = _in_data_set(sources, pairs)
    return [
        Job(path, output / name, picture=picture)
        for path, name, picture in zip(pairs, names, called, strict=True)
    ]


def _in_data_set(sources: Sequence[str], pairs: Mapping[Path, Path]) -> list[str]:
    """Return the path of each picture below the one folder that was named, or that all pictures share."""
    if len(sources) == 1 and Path(sources[0]).is_dir():
        return [relative.as_posix() for relative in pairs.values()]
    files = [os.path.abspath(path) for path in pairs]  # noqa: PTH100 - keeps links
    try:
        shared = os.path.commonpath([Path(file).parent for file in files])
    except ValueError:  # several drives of Windows
        return [Path(file).as_posix() for file in files]
    return [Path(file).relative_to(shared).as_posix() for file in files]


def pictures_of(
    sources: Sequence[str], *, recursive: bool, skipped: Skipped | None = None
) -> dict[Path, Path]:
    """List the pictures, each once, in a stable order, as `jobs` does.

    Returns:
        Files, and their paths below the folders that were searched.

    Raises:
        FileNotFoundError: a source does not exist, or no picture was found.
        ImageError: a list is no text.
        ValueError: one of the sources is standard input.
    """
    if STDIN in sources:
        raise ValueError(
            f"{STDIN} is standard input, the only picture of a run; give it alone (./{STDIN} is a file "
            "of that name)"
        )
    found: dict[str, tuple[Path, Path]] = {}
    left = Skipped() if skipped is None else skipped
    for source in sources:
        pictures = _expand(source, left, recursive=recursive)
        if len(sources) == 1 and Path(source).suffix.lower() == LIST and Path(source).is_file():
            # A line such as "/" names no file, and fails as one that cannot be read.
            pictures = ((path, Path(path.name or "folder")) for path in listed(Path(source)))
        for path, relative in pictures:
            # One picture, however its path is spelled; links are pictures of their own.
            found.setdefault(os.path.abspath(path), (path, relative))  # noqa: PTH100 - keeps links
    left.forget(found)
    pairs = dict(found.values())
    if not pairs:
        raise FileNotFoundError(
            f"no picture in {', '.join(sources)}{_without(left)}; searched for {', '.join(SUFFIXES)}"
            + ("" if recursive else " (--recursive looks into sub-folders)")
        )
    return pairs


def _without(left: Skipped) -> str:
    return f" ({'; '.join(left.lines())})" if left.unknown or left.results else ""


def _clashes(names: list[Path]) -> set[str]:
    # Ignoring case: two results must not collide on a file system that ignores it.
    counts = Counter(str(name).lower() for name in names)
    return {name for name, count in counts.items() if count > 1}


def _with_suffix(path: Path, relative: Path) -> Path:
    return relative.with_name(relative.name.replace(".", "_"))


def _with_folder(path: Path, relative: Path) -> Path:
    return relative.with_name(
        f"{Path(os.path.realpath(path)).parent.name}_{relative.name.replace('.', '_')}"
    )


def _expand(source: str, left: Skipped, *, recursive: bool) -> Iterator[tuple[Path, Path]]:
    path = Path(source)
    if path.is_dir():
        for file in _pictures(files_below(path) if recursive else path.iterdir(), left):
            yield file, file.relative_to(path)
    elif path.exists():
        if is_result(path):  # a shell expanded a glob
            left.results.append(path)
        else:
            yield path, Path(path.name)
    else:
        found = matching(source)
        if not found:
            raise FileNotFoundError(
                f"{printable(source)}: no such file or folder, and no file matches it as a glob"
            )
        ending = None if glob.has_magic(path.suffix) else path.suffix.lower() or None
        for file in _pictures(found, left, also=ending):
            yield file, Path(file.name)


def _pictures(files: Iterable[Path], left: Skipped, *, also: str | None = None) -> Iterator[Path]:
    """Yield the files that are pictures by their endings, or have the ending `also`."""
    for file in sorted(files):
        if file.name.startswith(".") or not file.is_file():
            continue
        if file.suffix.lower() not in (*SUFFIXES, also):
            left.unknown.append(file)
        elif is_result(file):
            left.results.append(file)
        else:
            yield file
