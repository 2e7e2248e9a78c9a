"""Label maps as PNG files with a palette: the labels themselves, shown in their colours.

OpenCV reads such files but cannot write them.
"""

import struct
import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError


def encode_labels(labels: NDArray[np.uint8 | np.uint16], colors: NDArray[np.uint8]) -> bytes:
    """Write labels as a PNG file that gives the same labels back.

    Args:
        labels: (H, W); uint8 becomes a palette picture, uint16 a 16-bit grey one, which cannot
            have colours.
        colors: (C, 3) RGB; with uint8 labels at most 256.

    Returns:
        The file.

    Source: PNG, third edition, 11.2.
    """
    if labels.dtype == np.uint16:
        done, encoded = cv2.imencode(".png", labels)
        if not done:
            raise ImageError(f"labels of shape {labels.shape} could not be encoded as PNG")
        return encoded.tobytes()
    height, width = labels.shape
    rows = np.zeros((height, 1 + width), np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = labels
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", colors[:256].tobytes()),
            _chunk(b"IDAT", zlib.compress(rows.data, 6)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
    )
