"""Read pictures for models of other than three channels, such as the bands of satellites.

They come as arrays (H, W, bands), as TIFF files with as many bands, which rasterio reads, or, with one band
or four, as any other file that has as many. Values are not rounded to bytes.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import RGB, Input
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.raster import geo
from fastfcn_infer.picture import read, tiff
from fastfcn_infer.picture.depth import on_scale
from fastfcn_infer.picture.formats import DamagedError
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS, PictureSource, Stored

Pixels = NDArray[np.uint8] | NDArray[np.float32]

_PILLOW_MODES = ("1", "L", "LA", "RGBA", "I")  # whose values are taken as they are
_GREY, _COLOURS, _YCBCR = 1, 2, 6  # colour spaces of TIFF whose values are those of bands
_CACHE = 16 << 20  # bytes that GDAL may hold
_SAMPLED = 1 << 18  # pixels that the contrast of a drawing is measured on
_DRAWN = 64  # rows that are drawn together
_SHIFT = (7, 13)  # pixels down and across, between the copies of a photograph


def read_pixels(
    source: PictureSource,
    given: Input,
    color: Literal["rgb", "bgr"] = "rgb",
    depth: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Pixels:
    """Read a picture for a model.

    Args:
        source: as of `read_picture`; an array has as many channels as the model takes, or is (H, W) for a
            model of one.
        given: the input of the model.
        color: as of `read_picture`; makes sense for three channels only.
        depth: as of `read_picture`.
        max_pixels: as of `read_picture`.

    Returns:
        (H, W, channels), upright: of three channels as `read_picture`, else uint8, or float32 on the scale
        0..255, where 255 is the model's white.

    Raises:
        ImageError: it cannot be read, or has another number of bands.
        BackendMissing: it is a TIFF of other than three bands, and rasterio is not installed.
        ValueError: as `read_picture`; or `color` is "bgr" and the model does not take three channels.
    """
    if given.channels == RGB:
        return read.read_picture(source, color=color, depth=depth, max_pixels=max_pixels)
    read.check_reading(color, depth)
    if color != "rgb":
        raise ValueError(
            f"color is {color!r}, which is the order of three channels; the model takes {given.channels}, in the "
            "order of the picture"
        )
    stored = read_stored(source, given, max_pixels)
    return _upright(on_scale(stored.pixels, stored.where, depth, given.white), stored.orientation)


def read_oriented(source: Path, given: Input) -> tuple[NDArray[Any], int]:
    """Read a picture file for a model, with the values that it stores.

    Returns:
        What `read_pixels` takes for the same picture: (H, W, channels), upright; and the EXIF
        orientation, 1..8, of the file.

    Raises:
        ImageError, BackendMissing: as `read_pixels`.
    """
    if given.channels == RGB:
        return read.read_oriented(source)
    stored = read_stored(source, given, DEFAULT_MAX_PIXELS)
    return _upright(stored.pixels, stored.orientation), stored.orientation


def read_stored(source: PictureSource, given: Input, max_pixels: int) -> Stored:
    """Read a picture as it is stored: (H, W, channels) of any dtype, not turned."""
    if isinstance(source, np.ndarray):
        where = f"The array of shape {source.shape} and dtype {source.dtype}"
        return _with_channels(Stored(source, "rgb", where, 1), given, max_pixels)
    if read.is_pillow(source):
        found = read.of_pillow(source, max_pixels, as_stored=_PILLOW_MODES)
        return _with_channels(found, given, max_pixels)
    data, where = read.load(source)
    if data[:4] in tiff.MARKS:
        return _of_tiff(data, where, given, max_pixels)
    return _with_channels(read.decoded(data, where, max_pixels), given, max_pixels)


def _with_channels(stored: Stored, given: Input, max_pixels: int) -> Stored:
    pixels, wanted = stored.pixels, given.channels
    if pixels.ndim not in (2, 3):
        raise ImageError(
            f"{stored.where} is not a picture: (H, W, {wanted}) was expected; pass the pictures of a batch one by one."
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] != wanted:
        advice = wrong_count(wanted, pixels.shape[2])
        if pixels.shape[0] == wanted:
            advice += " With channels first, pass array.transpose(1, 2, 0)."
        raise ImageError(f"{stored.where}: {advice}")
    if stored.color == "bgr" and wanted > RGB:
        pixels = pixels[:, :, [2, 1, 0, *range(RGB, wanted)]]
    read.check_size(pixels.shape[0], pixels.shape[1], max_pixels, stored.where)
    return Stored(np.ascontiguousarray(pixels), "rgb", stored.where, stored.orientation)


def wrong_count(wanted: int, found: int) -> str:
    """Say that a picture has another number of bands than a model takes."""
    bands = "1 band" if wanted == 1 else f"{wanted} bands"
    like = "an array (H, W) or (H, W, 1)" if wanted == 1 else f"an array (H, W, {wanted})"
    return (
        f"the model takes {bands}, the picture has {found}: give {like} or a TIFF with the bands that it was "
        "trained with, in their order."
    )


def _of_tiff(data: bytes, where: str, given: Input, max_pixels: int) -> Stored:
    try:
        found = tiff.survey(data)
    except (DamagedError, struct.error) as error:
        raise ImageError(f"{where} is a TIFF file that cannot be used: {error}.") from error
    read.check_size(found.height, found.width, max_pixels, where)
    package = geo.rasterio(f"{where}, a TIFF for a model of {given.channels} bands,")
    with geo.bounded(package, _CACHE), package.MemoryFile(data) as file:
        try:
            with geo.open_tiff(package, file) as dataset:
                bands = bands_of(dataset, found.photometric, given, where)
                stored = dataset.read(bands)
        except package.errors.RasterioError as error:
            raise ImageError(
                f"{where} is a TIFF file that GDAL cannot read: {geo.reason(error)}."
            ) from error
    pixels = np.ascontiguousarray(np.moveaxis(stored, 0, -1))
    return Stored(pixels, "rgb", where, found.orientation)


def bands_of(dataset: Any, photometric: int, given: Input, where: str) -> tuple[int, ...]:
    """Choose the bands of an open TIFF that a model takes; alpha is left out where it is one too many.

    Args:
        dataset: of rasterio.
        photometric: number of the colour space, as in the file.
        given: the input of the model.
        where: names the file in messages.

    Returns:
        Numbers of the bands, from 1.

    Raises:
        ImageError: it has another number of bands, or its values are not those of bands.
    """
    if photometric not in (_GREY, _COLOURS, _YCBCR):
        raise ImageError(
            f"{where} holds a palette, or colours of another kind (colour space {photometric}), and the model takes "
            "bands of values. Convert it: gdal_translate -of GTiff -expand gray, or with your program."
        )
    types = set(dataset.dtypes)
    bits = {dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS") for band in dataset.indexes}
    if (
        len(types) != 1
        or not {"u", "i", "f"} >= {np.dtype(kind).kind for kind in types}
        or any(bits)
    ):
        kinds = ", ".join(sorted(types)) + "".join(
            f" of {n} bits" for n in sorted(filter(None, bits))
        )
        raise ImageError(
            f"{where} has values of the types {kinds}; one type of whole numbers or floats, of full 8, 16, 32 or 64 "
            "bits, was expected. Convert it: gdal_translate -ot UInt16 IN.tif OUT.tif"
        )
    bands: Sequence[int] = dataset.indexes
    if len(bands) == given.channels + 1:
        names = {band: kind.name for band, kind in zip(bands, dataset.colorinterp, strict=True)}
        bands = [band for band in bands if names[band] != "alpha"]
    if len(bands) != given.channels:
        pages = len(dataset.subdatasets)
        more = (
            f" It has {pages} pages, and the first is read: put the bands into one."
            if pages > 1
            else ""
        )
        raise ImageError(f"{where}: {wrong_count(given.channels, dataset.count)}{more}")
    return tuple(bands)


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn pixels upright; OpenCV turns four channels at most."""
    if orientation == 1:
        return pixels
    planes = [read.turned_upright(plane, orientation) for plane in np.moveaxis(pixels, -1, 0)]
    return np.stack(planes, axis=-1)


def visible(pixels: Pixels) -> NDArray[np.uint8]:
    """Make a picture that people can look at from the pixels that a model sees.

    Args:
        pixels: as `read_pixels` returns them.

    Returns:
        (H, W, 3) uint8: RGB itself; of more bands the first three as red, green and blue, of fewer the first
        one as grey, each scaled so that its 2nd and 98th percentile become 0 and 255.
    """
    channels = pixels.shape[2]
    if channels == RGB:
        return np.asarray(pixels, np.uint8)
    shown = pixels[:, :, :RGB] if channels > RGB else pixels[:, :, :1]
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / _SAMPLED) ** 0.5))
    low, high = np.percentile(shown[::step, ::step], (2, 98), axis=(0, 1))
    low, factor = (
        low.astype(np.float32),
        (255 / np.where(high > low, high - low, 1)).astype(np.float32),
    )
    drawn = np.empty((*pixels.shape[:2], RGB), np.uint8)
    for top in range(0, len(drawn), _DRAWN):
        rows = slice(top, top + _DRAWN)
        drawn[rows] = np.rint(np.clip((shown[rows] - low) * factor, 0, 255))  # grey is repeated
    return drawn


def with_channels_of(photograph: NDArray[np.uint8], given: Input) -> NDArray[Any]:
    """Make a picture with as many channels as a model takes, no two of them alike, from a photograph.

    It is for proofs, self-tests and benchmarks, where bands that a photograph has not got are needed.

    Args:
        photograph: (H, W, 3) uint8, RGB.
        given: the input of the model.

    Returns:
        (H, W, channels): the photograph itself if three are wanted; else its channels, and copies of them
        that are shifted further each time. uint8, or where the model says which value is white float32,
        spread over what its mean and deviation expect.
    """
    if given.channels == RGB:
        return photograph
    down, across = _SHIFT
    planes = [
        np.roll(
            photograph[:, :, index % RGB], (index // RGB * down, index // RGB * across), (0, 1)
        )
        for index in range(given.channels)
    ]
    pixels = np.stack(planes, axis=-1)
    if given.white is None:
        return pixels
    spread = (pixels.astype(np.float32) - pixels.mean(dtype=np.float32)) / pixels.std(
        dtype=np.float32
    )
    values = given.white * (np.array(given.mean) + np.array(given.std) * spread)
    return np.asarray(values, np.float32)
