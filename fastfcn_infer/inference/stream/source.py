"""The pictures that `Segmenter.stream` is given: files, folders, globs, lists, videos, iterables."""

import glob
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.results import is_result
from fastfcn_infer.inference.stream import video
from fastfcn_infer.picture.read import SUFFIXES, PictureSource
from fastfcn_infer.system.excerpt import excerpt
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
    """

    picture: PictureSource
    source: str | None = None
    frame: int | None = None
    lent: bool = False


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
            (N, H, W, channels) of them; or as text or path: a folder (its pictures, sorted by name), a
            glob, a list (``.txt``, a path in each line, relative to the list), a video file,
            ``camera:0``, or the address of a live stream such as ``rtsp://...``.
        every: of a video, use every so many frames only.

    Raises:
        FileNotFoundError: there is no such file, or nothing fits the glob, or a folder has no picture.
        ImageError: the list is no text; the video cannot be opened.
        BackendMissing: a video needs PyAV, which is not installed.
    """
    if every < 1:
        raise ValueError(f"every is {every}; at least 1 was expected")
    if isinstance(given, str | os.PathLike):
        return _named(os.fspath(given), every)
    if isinstance(given, np.ndarray) and given.ndim == 4:
        return Source((Item(one) for one in given), len(given))
    if _is_picture(given):
        return Source([Item(given)], 1)  # type: ignore[arg-type] # that is what was asked
    if isinstance(given, Iterable):
        if isinstance(given, Sequence):
            return Source(map(item_of, given), len(given))
        return Source(replace(item_of(one), lent=isinstance(one, np.ndarray)) for one in given)
    raise TypeError(
        f"{excerpt(given)} is not a source of pictures; a path, a glob, a picture, or an iterable of "
        "pictures was expected"
    )


def is_video(given: StreamSource) -> bool:
    """Tell by the name whether a source is a video file or a live stream."""
    if not isinstance(given, str | os.PathLike):
        return False
    name = os.fspath(given)
    return video.is_live(name) or Path(name).suffix.lower() in video.SUFFIXES


def _is_picture(given: object) -> bool:
    single = isinstance(given, bytes | bytearray | memoryview | np.ndarray)
    return single or hasattr(given, "read") or hasattr(given, "getexif")


def item_of(picture: Any) -> Item:
    """Make an item of one picture; only paths have a source that can be named."""
    return Item(picture, os.fspath(picture) if isinstance(picture, str | os.PathLike) else None)


def _named(name: str, every: int) -> Source:
    if video.is_live(name):
        camera = video.Camera(name)
        frames = _frames(name, camera.frames(every))
        return Source(frames, camera=camera, close=frames.close)
    path = Path(name)
    if path.is_dir():
        found = [each for each in sorted(path.iterdir()) if is_input(each)]
        if not found:
            raise FileNotFoundError(f"{name} has no picture; searched for {', '.join(SUFFIXES)}")
        return _paths(found)
    if path.is_file():
        if path.suffix.lower() == LIST:
            return _paths(listed(path))
        if path.suffix.lower() in video.SUFFIXES:
            frames = _frames(name, video.frames(path, every))
            return Source(frames, video.count(path, every), close=frames.close)
        return _paths([path])
    found = [Path(each) for each in sorted(glob.glob(name, recursive=True))]  # noqa: PTH207
    endings = {each.suffix.lower() for each in found}
    if len(endings) > 1:  # a glob that names no ending
        found = [each for each in found if each.suffix.lower() in SUFFIXES]
    found = [each for each in found if each.is_file() and not is_result(each)]
    if not found:
        raise FileNotFoundError(
            f"{name}: no such file or folder, and no file matches it as a glob"
        )
    return _paths(found)


def _paths(paths: list[Path]) -> Source:
    return Source((Item(path, str(path)) for path in paths), len(paths))


def _frames(name: str, frames: Iterable[tuple[int, Any]]) -> Generator[Item, None, None]:
    for number, frame in frames:
        yield Item(frame, name, number)


def is_input(path: Path) -> bool:
    """Tell whether a file in a folder is taken: a picture by its name, neither hidden nor an earlier result."""
    known = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return known and path.is_file() and not is_result(path)


def listed(path: Path) -> list[Path]:
    """Read a list of paths; blank lines and those that begin with # are skipped.

    Args:
        path: of the list, which its paths are relative to.

    Raises:
        FileNotFoundError: it lists nothing.
        ImageError: it is too large, or no text.
    """
    try:
        lines = read_small_file(path).decode("utf-8-sig").splitlines()
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
