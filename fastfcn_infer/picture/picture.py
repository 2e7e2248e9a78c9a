"""A picture that the library drew: an array that can be shown and saved."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.bands import converted
from fastfcn_infer.picture.with_pillow import pillow, show_in_viewer
from fastfcn_infer.system.atomic import write_file
from fastfcn_infer.system.opencv import cv2

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


class Picture(np.ndarray[tuple[int, ...], np.dtype[np.uint8]]):
    """An array (H, W, 3) uint8 RGB that can be shown and saved.

    It is a NumPy array, so ``PIL.Image.fromarray``, matplotlib and OpenCV's functions take it as it
    is. OpenCV expects B, G, R: give it ``cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)``. `size` is
    NumPy's, the number of values: `shape` begins with height and width, ``to_pil().size`` is width
    and height.
    """

    def __new__(cls, array: NDArray[np.uint8]) -> "Picture":
        """View an array as a picture.

        Raises:
            ValueError: it is not (H, W, 3) uint8.
        """
        if not _is_picture(array):
            raise ValueError(
                f"an array of {array.dtype} {array.shape}; uint8 (H, W, 3) was expected"
            )
        return np.asarray(array).view(cls)

    @property
    def array(self) -> NDArray[np.uint8]:
        """The same pixels as a plain array."""
        return np.asarray(self)

    def to_pil(self) -> Any:
        """Return a copy as a ``PIL.Image.Image`` of mode RGB.

        Raises:
            BackendMissing: Pillow is not installed.
        """
        return pillow().fromarray(self.array)

    def show(self) -> None:
        """Show the picture: in a notebook below the cell, elsewhere in the system's viewer.

        Raises:
            BackendMissing: there is no notebook, and Pillow, which finds the viewer, is not installed.
            OSError: this machine has no viewer.
        """
        ipython = sys.modules.get("IPython")
        shell = None if ipython is None else ipython.get_ipython()
        if hasattr(shell, "kernel"):
            import IPython.display

            IPython.display.display(self)
        elif not show_in_viewer(self.to_pil()):
            raise OSError("this machine has no program that shows pictures; use `save`")

    def encode(self, suffix: str) -> bytes:
        """Encode the picture in the format of a suffix.

        Raises:
            ValueError: `suffix` is none of .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff; or this is a
                part of a picture, or of another type, and no longer (H, W, 3) uint8.
            ImageError: the format cannot hold a picture of this size.
        """
        if not _is_picture(self):
            raise ValueError(
                f"{self.dtype} {self.shape} is no picture; uint8 (H, W, 3) was expected"
            )
        options = _OPTIONS.get(suffix.lower())
        if options is None:
            raise ValueError(f"{suffix!r} is none of the suffixes {', '.join(_OPTIONS)}")
        try:
            done, encoded = cv2.imencode(
                suffix.lower(), converted(self.array, cv2.COLOR_RGB2BGR), options
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

    def __array_wrap__(
        self, array: NDArray[Any], context: Any = None, return_scalar: bool = False
    ) -> Any:
        """Results of arithmetic are plain arrays, not pictures."""
        plain = np.asarray(array)
        return plain[()] if return_scalar else plain

    def __repr__(self) -> str:
        """State the size, height first as in arrays; parts print as plain arrays do."""
        if not _is_picture(self):
            return repr(self.array)
        return f"Picture({self.shape[0]} x {self.shape[1]})"

    def __str__(self) -> str:
        """State the size."""
        return repr(self) if _is_picture(self) else str(self.array)

    def _repr_png_(self) -> bytes | None:
        """Show the picture in a notebook, made smaller where it is large."""
        if not _is_picture(self) or not self.size:
            return None  # part of a picture; the notebook prints it
        scale = _SHOWN / max(self.shape[:2])
        if scale >= 1:
            return self.encode(".png")
        height, width = (max(1, round(side * scale)) for side in self.shape[:2])
        small = cv2.resize(self.array, (width, height), interpolation=cv2.INTER_AREA)
        return Picture(np.asarray(small, np.uint8)).encode(".png")


def _is_picture(array: NDArray[Any]) -> bool:
    return array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3
