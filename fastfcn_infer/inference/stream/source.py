"""The pictures that `Segmenter.stream` is given: files, folders, globs, lists, videos, iterables."""

import glob
import os
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.results import is_result
from fastfcn_infer.inference.stream import video
from fastfcn_infer.picture.read import SUFFIXES, PictureSource
from fastfcn_infer.system.excerpt import excerpt, printable
from fastfcn_infer.system.small_file import LargerFileError, read_small_file

StreamSource: TypeAlias = PictureSource | Iterable[PictureSource]

LIST = ".txt"
_LONGEST_PATH = 32767  # characters: of Windows, more than other systems have


@dataclass(frozen=True)
class Item:
    """A picture of a stream that is not decoded yet, or a frame of a video, which is.

    Args:
        picture: what `read_picture` takes.
        source: path or address; None for arrays and other objects without one.
        frame: number of the frame in a video, from 0; None for a picture of its own.
        lent: an array that its owner may use again for the next picture.
        time: of a frame of a video file, seconds since the first one.
        error: why there is no picture, such as of a video that is cut off.
    """

    picture: PictureSource
    source: str | None = None
    frame: int | None = None
    lent: bool = False
    time: float | None = None
    error: ImageError | None = None


@dataclass(frozen=True)
class Source:
    """Where the pictures of a stream come from.

    Args:
        items: each picture, once.
        count: of pictures; None if unknown.
        camera: a live source, whose frames are dropped while the network is busy; None if there are
            no such frames.
        close: releases what the items hold, in the thread that ran through them; None: nothing.
    """

    items: Iterable[Item]
    count: int | None = None
    camera: "video.Camera | None" = None
    close: Callable[[], None] | None = None


def open_source(given: StreamSource, *, every: int = 1) -> Source:
    """Find the pictures of a source.

    Args:
        given: a picture, as `read_picture` takes it; an iterable of pictures, or an array
            (N, H, W, channels) of them; or, as text or path: a folder (its pictures, sorted by name), a
            glob, a list (``.txt``, a path in each line, relative to the list), a video file,
            ``camera:0``, or the address of a live stream such as ``rtsp://...``.
        every: of a video, use every so many frames only.

    Raises:
        FileNotFoundError: there is no such file, or nothing fits the glob, or a folder has no picture.
        ImageError: the list is no text; the video cannot be opened.
        BackendMissing: a video needs PyAV, which is not installed.
    """
    if every < 1 or every % 1:
        raise ValueError(f"every is {every!r}; a whole number, at least 1, was expected")
    if isinstance(given, str | os.PathLike):
        return _named(os.fspath(given), every)
    if isinstance(given, np.ndarray) and given.ndim == 4:
        return Source((Item(one) for one in given), len(given))
    if is_picture(given):
        return Source([Item(given)], 1)
    if isinstance(given, Iterable) and not isinstance(given, Mapping):
        if isinstance(given, Sequence):
            return Source(map(item_of, given), len(given))
        return Source(replace(item_of(one), lent=isinstance(one, np.ndarray)) for one in given)
    raise TypeError(
        f"{excerpt(given)} is not a source of pictures; a path, a glob, a picture, or an iterable of "
        'pictures was expected, or a camera, such as "camera:0"'
    )


def is_video(given: StreamSource) -> bool:
    """Tell by the name whether a source is a video file or a live stream."""
    if not isinstance(given, str | os.PathLike):
        return False
    name = os.fspath(given)
    return video.is_live(name) or Path(name).suffix.lower() in video.SUFFIXES


def is_picture(given: object) -> TypeGuard[PictureSource]:
    """Tell whether something is one picture, or a path, and no iterable of pictures."""
    if isinstance(given, np.ndarray):
        return given.ndim in (2, 3)
    single = isinstance(given, str | os.PathLike | bytes | bytearray | memoryview)
    return single or hasattr(given, "read") or hasattr(given, "getexif")


def item_of(picture: Any) -> Item:
    """Make an item of one picture; only paths have a source that can be named."""
    return Item(picture, str(picture) if isinstance(picture, str | os.PathLike) else None)


def _named(name: str, every: int) -> Source:
    if video.is_live(name):
        camera = video.Camera(name)
        frames = _frames(name, camera.frames(every))
        return Source(frames, camera=camera, close=frames.close)
    path = Path(name)
    kind = _kind(path, name)
    if kind == "folder":
        found = [each for each in sorted(path.iterdir()) if is_input(each)]
        if not found:
            raise FileNotFoundError(f"{name} has no picture; searched for {', '.join(SUFFIXES)}")
        return _paths(found)
    if kind == "file":
        if path.suffix.lower() == LIST:
            return _paths(listed(path))
        if path.suffix.lower() in video.SUFFIXES:
            frames = _frames(name, video.frames(path, every))
            return Source(frames, video.count(path, every), close=frames.close)
        return _paths([path])
    found = matching(name)
    endings = {each.suffix.lower() for each in found}
    if len(endings) > 1:  # a glob that names no ending
        found = [each for each in found if each.suffix.lower() in SUFFIXES]
    found = [each for each in found if each.is_file() and not is_result(each)]
    if not found:
        what = (
            f"what matches it is no picture; searched for {', '.join(SUFFIXES)}"
            if endings
            else "no such file or folder, and no file matches it as a glob"
        )
        raise FileNotFoundError(f"{printable(name)}: {what}")
    return _paths(found)


def _kind(path: Path, name: str) -> str:
    """Tell whether a path is a folder, a file, or neither, such as a glob."""
    if not name:
        raise FileNotFoundError("the source is an empty text; a path was expected")
    try:
        return "folder" if path.is_dir() else "file" if path.is_file() else ""
    except OSError as error:  # such as a name that is too long
        raise type(error)(error.errno, error.strerror, printable(name)) from error


def matching(pattern: str) -> list[Path]:
    """List what matches a glob, sorted. Links to folders are followed, but not in circles.

    Args:
        pattern: ``**`` stands for folders of any depth, but for hidden ones.
    """
    parts = Path(pattern).parts
    if "**" not in parts:
        found = glob.glob(pattern)  # noqa: PTH207 - absolute ones, too
        return [Path(each) for each in sorted(found)]
    begin = parts.index("**")
    rest = parts[begin + 1 :] or ("*",)
    tops = matching(str(Path(*parts[:begin])))
    below = [folder for top in tops if top.is_dir() for folder in _folders(top, frozenset())]
    files = {one for each in below for one in matching(str(Path(glob.escape(str(each)), *rest)))}
    return sorted(files, key=str)


def _folders(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Yield a folder and those below it, but for those that a link leads back to."""
    place = os.path.realpath(folder)
    if place in above:
        return
    yield folder
    for each in sorted(folder.iterdir()):
        if each.is_dir() and not each.name.startswith("."):
            yield from _folders(each, above | {place})


def _paths(paths: list[Path]) -> Source:
    return Source((Item(path, str(path)) for path in paths), len(paths))


def _frames(name: str, frames: Iterable[video.Frame]) -> Generator[Item, None, None]:
    try:
        for frame in frames:
            yield Item(frame.pixels, name, frame.number, time=frame.time)
    except ImageError as error:  # comes after the frames before it, as that of a picture
        yield Item(b"", name, error=error)


def is_input(path: Path) -> bool:
    """Tell whether a file in a folder is taken: a picture by its name, neither hidden nor an earlier result."""
    known = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return known and path.is_file() and not is_result(path)


def files_below(folder: Path) -> list[Path]:
    """List the files of a folder and of all folders in it, in no order; links to folders are not followed.

    Raises:
        OSError: one of the folders cannot be read; its pictures are not left out without a word.
    """

    def refuse(error: OSError) -> None:
        raise error

    walked = os.walk(folder, onerror=refuse)
    return [Path(place, name) for place, _, names in walked for name in names]


def listed(path: Path) -> list[Path]:
    """Read a list of paths; blank lines and those that begin with # are skipped.

    Args:
        path: of the list, which its paths are relative to.

    Raises:
        FileNotFoundError: it lists nothing.
        ImageError: it is too large, or no text.
    """
    try:
        lines = re.split("\r\n|[\r\n]", read_small_file(path).decode("utf-8-sig"))
    except LargerFileError as error:
        raise ImageError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ImageError(
            f"{path} is not a list of paths in UTF-8, a path in each line: {error}"
        ) from error
    names = [line.strip() for line in lines]
    for number, name in enumerate(names, 1):
        if len(name) > _LONGEST_PATH and not name.startswith("#"):
            raise ImageError(
                f"{path} is not a list of paths, a path in each line: line {number} has {len(name)} characters"
            )
    found = [path.parent / name for name in names if name and not name.startswith("#")]
    if not found:
        raise FileNotFoundError(f"{path} lists no picture; a path was expected in each line")
    return found
