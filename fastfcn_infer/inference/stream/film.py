"""Write frames into a video file, through PyAV (extra ``video``)."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.stream.video import comment, failures, load, local
from fastfcn_infer.system.atomic import open_temporary, unlock
from fastfcn_infer.system.writing import writing

_KEY = "fastfcn "  # the beginning of the comment
_CODECS = ("libx264", "mpeg4")  # the first that this build of FFmpeg has
_FINEST = 60_000  # steps of a second; MPEG-4 knows no more than 65,535
# FFmpeg's numbers for the matrix that players expect of untagged videos in HD, and for 16 to 235.
_BT709, _LIMITED = 1, 1


class Film:
    """An MP4 file that appears under its name when all frames are written, or not at all."""

    def __init__(
        self, path: Path, rate: Fraction, made_by: Mapping[str, str] | None = None
    ) -> None:
        """Begin a film.

        Args:
            path: where; its folder exists. A file of that name is replaced in the end.
            rate: frames a second.
            made_by: model and options, kept in the file.

        Raises:
            BackendMissing: PyAV is not installed.
            ImageError: this PyAV cannot write MP4.
            WriteError: the file cannot be written.
        """
        self._av = load()
        self._path = path
        self._rate = Fraction(rate).limit_denominator(_FINEST)
        self._size: tuple[int, ...] | None = None
        self._tick = -1  # of the last frame that said when it was
        with writing(path):
            self._temporary, descriptor = open_temporary(path.parent)
        self._held: int | None = descriptor
        if sys.platform == "win32":  # where an open file cannot be renamed
            self._release()
        try:
            with writing(self._path), self._encoding():
                self._container = self._av.open(
                    local(self._temporary), "w", format="mp4", options={"movflags": "faststart"}
                )
        except BaseException:
            self._temporary.unlink(missing_ok=True)
            self._release()
            raise
        if made_by:
            self._container.metadata["comment"] = _KEY + json.dumps(dict(made_by))

    def add(self, frame: NDArray[np.uint8], at: float | None = None) -> None:
        """Write the next frame.

        Odd sides grow by a pixel, since half of the pixels have a colour in the usual formats.

        Args:
            frame: (H, W, 3) RGB; all have one size.
            at: seconds since the first frame, for all frames or for none; None: as the rate says.

        Raises:
            ImageError: the frame has another size than the first one, or cannot be encoded.
            WriteError: the file cannot be written.
        """
        height, width = frame.shape[:2]
        if self._size is None:
            self._size = (height, width)
            codec = next(name for name in _CODECS if name in self._av.codecs_available)
            self._stream = self._container.add_stream(codec, rate=self._rate)
            self._stream.height, self._stream.width = height + height % 2, width + width % 2
            self._stream.pix_fmt = "yuv420p"
            context = self._stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED
            if at is not None:
                self._stream.codec_context.time_base = Fraction(1, _FINEST)
        elif (height, width) != self._size:
            raise ImageError(
                f"{self._path}: a frame has {height} x {width} pixels (height x width), the first one "
                f"{self._size[0]} x {self._size[1]}, and a video has frames of one size; label maps (--save labels) "
                "may have any"
            )
        grown = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        drawn = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(grown), format="rgb24")
        coded = drawn.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
        if at is not None:
            self._tick = max(self._tick + 1, round(at * _FINEST))
            coded.pts, coded.time_base = self._tick, Fraction(1, _FINEST)
        with writing(self._path), self._encoding():
            self._container.mux(self._stream.encode(coded))

    def __enter__(self) -> "Film":
        """Write the film in a ``with``."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file and give it its name; after an error delete it."""
        try:
            with writing(self._path), self._encoding():
                if kind is None and self._size is not None:
                    self._container.mux(self._stream.encode())
                self._container.close()
                if kind is None and self._size is not None:
                    if self._held is not None:
                        os.fsync(self._held)
                    os.replace(self._temporary, self._path)  # noqa: PTH105 - in one step
        finally:
            self._temporary.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        unlock(self._held)
        self._held = None

    @contextmanager
    def _encoding(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except failures() as error:
            raise ImageError(f"{self._path} cannot be encoded: {error}") from error


def read_film_provenance(path: Path) -> dict[str, str] | None:
    """Read what made a video; None if it does not say.

    Raises:
        ImageError: it is not a video.
        BackendMissing: PyAV is not installed.
    """
    said = comment(path)
    if not said.startswith(_KEY):
        return None
    try:
        found = json.loads(said.removeprefix(_KEY))
    except (ValueError, RecursionError):
        return None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else None
