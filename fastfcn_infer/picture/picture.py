"""A picture that the library drew: show it, save it, use it as an array."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.system.atomic import write_file

_JPEG_QUALITY = 92
_SHOWN = 1024  # pixels of the longer side in a notebook

_OPTIONS: dict[str, list[int]] = {
    ".png": [],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, _JPEG_QUALITY],
    ".bmp": [],
    ".tif": [],
    ".tiff": [],
}


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """(H, W, 3) uint8 RGB; `numpy.asarray` and notebooks understand it."""

    array: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.array.shape[0], self.array.shape[1]

    def encode(self, suffix: str) -> bytes:
        """Encode the picture in the format of a suffix.

        Raises:
            ValueError: `suffix` is none of .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff.
            ImageError: the format cannot hold a picture of this size.
        """
        options = _OPTIONS.get(suffix.lower())
        if options is None:
            raise ValueError(f"{suffix!r} is none of the suffixes {', '.join(_OPTIONS)}")
        try:
            done, encoded = cv2.imencode(
                suffix.lower(), cv2.cvtColor(self.array, cv2.COLOR_RGB2BGR), options
            )
        except cv2.error as error:
            raise ImageError(f"{self!r} cannot be written as {suffix}: {error}") from error
        if not done:
            raise ImageError(f"{self!r} cannot be written as {suffix}; use .png")
        return encoded.tobytes()

    def save(self, path: str | Path) -> None:
        """Write the picture in the format of the suffix; an older file is replaced in one step.

        Raises:
            ValueError: the suffix is none of .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff.
            OSError: the file could not be written; what was there before still is.
        """
        write_file(Path(path), self.encode(Path(path).suffix))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the pixels to NumPy."""
        if copy is False and dtype is not None and np.dtype(dtype) != self.array.dtype:
            raise ValueError(f"uint8 pixels cannot become {dtype} without a copy")
        array = self.array if dtype is None else self.array.astype(dtype, copy=False)
        return array.copy() if copy and array is self.array else array

    def __repr__(self) -> str:
        """State the size, height first as in arrays."""
        return f"Picture({self.size[0]} x {self.size[1]})"

    def _repr_png_(self) -> bytes:
        """Show the picture in a notebook, made smaller where it is large."""
        scale = _SHOWN / max(self.size)
        if scale >= 1:
            return self.encode(".png")
        width, height = (max(1, round(side * scale)) for side in reversed(self.size))
        small = cv2.resize(self.array, (width, height), interpolation=cv2.INTER_AREA)
        return Picture(np.asarray(small, np.uint8)).encode(".png")
