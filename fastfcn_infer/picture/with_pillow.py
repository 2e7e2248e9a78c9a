"""What Pillow does for this package where it is installed; nothing else here imports it.

It makes PIL images, opens the system's viewer, and decodes AVIF, JPEG 2000 and HEIC, which OpenCV's
wheels do not. Each file is given to the one decoder of its format; Pillow's own recognition, and its
dozens of other decoders, are never asked.
"""

import importlib
import io
import re
from collections.abc import Callable
from typing import Any

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package

SUFFIXES = (".avif", ".heic", ".heif", ".jp2", ".j2k")

_FORMATS = {
    rb".{4}ftyp(hei[cmsx]|he[vi]c|mif1|msf1)": ("HEIC", "pillow_heif.as_plugin", "HeifImageFile"),
    rb".{4}ftypavi[fs]": ("AVIF", "PIL.AvifImagePlugin", "AvifImageFile"),
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": (
        "JPEG 2000",
        "PIL.Jpeg2KImagePlugin",
        "Jpeg2KImageFile",
    ),
}


def reader_of(head: bytes, where: str) -> Callable[[bytes], Any] | None:
    """Return what opens a file of one of the three formats as a PIL image, without its pixels.

    Args:
        head: the beginning of the file.
        where: names the file in messages.

    Returns:
        None if the file is of none of the three. What is returned raises ImageError.

    Raises:
        ImageError: Pillow, or the part of it that decodes the format, is not installed.
    """
    found = next(
        (f for pattern, f in _FORMATS.items() if re.match(pattern, head, re.DOTALL)), None
    )
    if found is None:
        return None
    name, module, kind = found
    try:
        plugin = importlib.import_module(module)
    except ImportError as error:
        raise ImageError(
            f"{where} is a picture in the format {name}, which needs {missing_package(error)}. "
            f"Run: {install('formats')}, or convert it to PNG or JPEG."
        ) from error

    def opened(data: bytes) -> Any:
        try:
            return getattr(plugin, kind)(io.BytesIO(data))
        except Exception as error:  # decoders raise many types, SyntaxError among them
            raise ImageError(
                f"{where} cannot be opened as {name}: it was cut off, is damaged or of an unusual "
                f"kind, or this Pillow was built without the decoder "
                f"({type(error).__name__}: {printable(str(error), 300)})."
            ) from error

    return opened


def pillow() -> Any:
    """Import ``PIL.Image``.

    Raises:
        BackendMissing: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise BackendMissing(
            f"PIL images need {missing_package(error)}. Run: {install('formats')}"
        ) from error
    return Image


def show_in_viewer(image: Any) -> bool:
    """Open a PIL image in the system's viewer; False if there is none."""
    from PIL import ImageShow

    return bool(ImageShow.show(image))
