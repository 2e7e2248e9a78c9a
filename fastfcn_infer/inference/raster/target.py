"""Write the labels of a raster as a tiled, compressed (Geo)TIFF that is complete or absent."""

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError, WriteError
from fastfcn_infer.inference.raster import geo
from fastfcn_infer.inference.raster.geo import Place
from fastfcn_infer.inference.views import Size
from fastfcn_infer.system import atomic
from fastfcn_infer.system.writing import writing

TILE = 512  # pixels a side
_CACHE = 16 << 20  # bytes
_BIG = 1 << 31  # bytes of labels from which a classic TIFF might not have room for them

Read = Callable[[slice, slice], NDArray[Any]]  # returns some rows and columns of labels


def write_raster(
    target: Path,
    temporary: Path,
    size: Size,
    read: Read,
    *,
    columns: Sequence[slice],
    names: Sequence[str],
    colors: NDArray[np.uint8],
    dtype: type[np.uint8] | type[np.uint16],
    nodata: int | None,
    place: Place,
    tags: Mapping[str, str],
) -> None:
    """Write a raster; an existing file of that name is replaced in one step.

    Args:
        target: where; its folder exists.
        temporary: where it is written first, on the same disk; what is there is overwritten.
        size: height and width, pixels.
        read: returns parts of the labels.
        columns: that are read at a time; all but the last begin and end between tiles.
        names: of the classes; stored as JSON in the tag ``CLASS_NAMES``.
        colors: (C, 3) RGB; stored as the palette.
        dtype: of the labels.
        nodata: the label of pixels without data; None: there are none.
        place: where the raster lies.
        tags: more metadata.

    Raises:
        BackendMissing: rasterio is not installed.
        WriteError: it could not be written; `target` is what it was before.
    """
    package = geo.rasterio(f"The raster {target}")
    temporary.unlink(missing_ok=True)  # a process was killed while it wrote
    tops = range(0, size[0], TILE)
    parts = [(slice(top, min(top + TILE, size[0])), strip) for top in tops for strip in columns]
    widest = max(strip.stop - strip.start for strip in columns)
    row_of_tiles = -(-widest // TILE) * TILE * TILE * np.dtype(dtype).itemsize
    profile = {
        "height": size[0],
        "width": size[1],
        "count": 1,
        "dtype": np.dtype(dtype).name,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "photometric": "palette",
        "BIGTIFF": "YES" if size[0] * size[1] * np.dtype(dtype).itemsize >= _BIG else "NO",
        **({} if nodata is None else {"nodata": nodata}),
        **({} if place.crs is None or place.gcps else {"crs": place.crs}),
        **({} if place.transform is None else {"transform": place.transform}),
    }
    try:
        with writing(target, temporary):
            with geo.bounded(package, max(_CACHE, 2 * row_of_tiles)):
                with geo.open_tiff(package, temporary, "w", **profile) as dataset:
                    dataset.write_colormap(1, _palette(colors, nodata))
                    dataset.update_tags(CLASS_NAMES=json.dumps(list(names)), **tags, **place.tags)
                    dataset.set_band_description(1, "label")
                    if place.gcps:
                        dataset.gcps = (place.gcps, place.crs)
                    if place.rpcs is not None:
                        dataset.rpcs = place.rpcs
                    for part in parts:
                        dataset.write(read(*part), 1, window=_window(package, *part))
                _check(package, temporary, parts, read)
            atomic.sync(temporary)
            os.replace(temporary, target)  # noqa: PTH105 - as in system/atomic
    except package.errors.RasterioError as error:
        raise WriteError(errno.EIO, geo.reason(error), str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)
    atomic.sync(target.parent)


def read_raster_provenance(path: Path) -> dict[str, str] | None:
    """Read what made a raster of labels; None if it does not say.

    Raises:
        BackendMissing: rasterio is not installed.
        OSError: the file cannot be read.
    """
    package = geo.rasterio(f"The raster {path}")
    try:
        with geo.open_tiff(package, path) as dataset:
            text = dataset.tags().get("FASTFCN_PROVENANCE")
        found = None if text is None else json.loads(text)
    except package.errors.RasterioError as error:
        raise OSError(f"{path} cannot be read: {geo.reason(error)}") from error
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _check(package: Any, path: Path, parts: Sequence[tuple[slice, slice]], read: Read) -> None:
    """Read the file back: not every fault of a disk reaches rasterio as an error."""
    with geo.open_tiff(package, path) as dataset:
        for part in parts:
            if not np.array_equal(dataset.read(1, window=_window(package, *part)), read(*part)):
                why = "it differs from what was written; is the disk full?"
                raise WriteError(errno.EIO, why, str(path))


def _window(package: Any, rows: slice, columns: slice) -> Any:
    height, width = rows.stop - rows.start, columns.stop - columns.start
    return package.windows.Window(columns.start, rows.start, width, height)


def _palette(colors: NDArray[np.uint8], nodata: int | None) -> dict[int, tuple[int, int, int]]:
    """Return the colours of all labels; a pixel without data is black."""
    entries = {} if nodata is None else {nodata: (0, 0, 0)}
    for label, (red, green, blue) in enumerate(colors.tolist()):
        entries[label] = (red, green, blue)
    return entries


def check_target(target: Path) -> None:
    """Refuse a target before anything is computed.

    Raises:
        ImageError: its suffix is not that of a TIFF.
        OSError: its folder is missing or cannot be written, or it is a folder.
    """
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise ImageError(f"{target}: rasters are written as .tif or .tiff")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; the name of a .tif file was expected")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist; make it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {target.parent} cannot be written to")
