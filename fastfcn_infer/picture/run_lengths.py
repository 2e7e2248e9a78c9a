"""Masks as lengths of runs: COCO's compressed text, and the bits of Label Studio's brush."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_BRUSH_SIZES = np.array([3, 4, 8, 16])  # bits of a length, of which each run names one


def coco_rle(mask: Mask) -> dict[str, object]:
    """Encode a mask (H, W) as pycocotools does: its size, and the compressed lengths of runs."""
    return {"size": list(mask.shape), "counts": compress(runs(mask.T))}


def runs(mask: Mask) -> NDArray[np.int64]:
    """Return the lengths of runs, row after row, of zeros and ones in turn; the first is of zeros."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(changes, prepend=0, append=flat.size)
    return np.concatenate(([0], lengths)) if flat.size and flat[0] else lengths


def compress(counts: NDArray[np.int64]) -> str:
    """Write lengths as COCO's text.

    From the fourth on, a length is the difference from the second before it. A number is written in groups
    of five bits, the lowest first; a sixth bit says that another follows, and the last group's fifth bit is
    the sign. 48 is added to each group, for ASCII.

    Source: cocoapi, common/maskApi.c, rleToString.
    """
    left = counts.astype(np.int64)
    left[3:] -= counts[1:-2]
    groups: list[NDArray[np.uint8]] = []
    written: list[NDArray[np.bool_]] = []
    active = np.ones(len(left), np.bool_)
    while active.any():
        low = left & 31
        left = left >> 5
        more = np.where(low & 16, left != -1, left != 0)
        groups.append((low | (more << 5)).astype(np.uint8) + np.uint8(48))
        written.append(active)
        active = active & more
    if not groups:
        return ""
    table, used = np.stack(groups, axis=1), np.stack(written, axis=1)
    return table[used].tobytes().decode("ascii")


def brush(mask: Mask) -> list[int]:
    """Encode a mask (H, W) as Label Studio's brush does: bytes, as numbers.

    The mask is a picture of four channels, each 0 or 255. 32 bits say how many values follow, 5 bits their
    size less 1, four times 4 bits the sizes of lengths less 1. Each run is a 1, two bits that choose the size
    of its length, the length less 1, and the value.

    Source: thi.ng/rle-pack; label-studio-sdk, converter/brush.py.
    """
    lengths = 4 * runs(mask)
    values = np.arange(len(lengths)) % 2 * 255
    longest = 1 << int(_BRUSH_SIZES[-1])
    pieces = -(-lengths // longest)  # a run of zeros in the beginning may be empty
    values = np.repeat(values, pieces)
    last = np.cumsum(pieces)[pieces > 0] - 1
    rest = np.full(len(values), longest)
    rest[last] = (lengths - (pieces - 1) * longest)[pieces > 0]
    choice = np.searchsorted(1 << _BRUSH_SIZES, rest)
    size = _BRUSH_SIZES[choice]
    words = ((((1 << 2) | choice) << size | (rest - 1)) << 8) | values
    length = 1 + 2 + size + 8
    table = (words << (32 - length)).astype(">u4").view(np.uint8).reshape(-1, 4)
    bits = np.unpackbits(table, axis=1)[np.arange(32) < length[:, None]]
    header = f"{4 * mask.size:032b}{8 - 1:05b}" + "".join(f"{s - 1:04b}" for s in _BRUSH_SIZES)
    start = np.array([*header]).astype(np.uint8)
    packed: list[int] = np.packbits(np.concatenate((start, bits))).tolist()
    return packed
