"""rasterio, and with it GDAL: imported when it is needed, and kept within bounds.

Only the driver for TIFF is ever used: GDAL recognises a hundred formats more, some of which name other
files or addresses to read.
"""

import importlib
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install

DRIVER = "GTiff"


@dataclass(frozen=True)
class Place:
    """Where a raster lies, as rasterio's objects say it; all None if unknown."""

    crs: Any = None
    transform: Any = None
    gcps: Any = None  # ground control points, in `crs`
    rpcs: Any = None
    tags: dict[str, str] = field(default_factory=dict)  # whether pixels are areas or points


def rasterio(wanted: str) -> Any:
    """Import rasterio.

    Args:
        wanted: what needs it, for the message.

    Raises:
        BackendMissing: it cannot be imported; names the extra.
    """
    try:
        return importlib.import_module("rasterio")
    except Exception as error:  # a broken installation may raise anything
        raise BackendMissing(
            f"{wanted} needs the package rasterio, which cannot be imported: "
            f"{printable(str(error), 1000)}. Run: {install('geo')}"
        ) from error


def bounded(package: Any, cache: int) -> Any:
    """Return a context in which GDAL is limited, for its cache in this whole process.

    Args:
        package: rasterio.
        cache: bytes of decoded blocks that GDAL may hold.
    """
    # PAM: files beside the raster (.aux.xml), which are neither trusted nor left behind.
    return package.Env(GDAL_CACHEMAX=cache, GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1")


# `catch_warnings` puts back what it found: threads that overlap would show the warning after all.
_ONE_AT_A_TIME = threading.Lock()


def open_tiff(package: Any, path: Any, mode: str = "r", **profile: Any) -> Any:
    """Open a TIFF with rasterio.

    Args:
        package: rasterio.
        path: a `Path`, or rasterio's file in memory.
        mode: as of `open`.
        **profile: of a file to be written.

    Raises:
        ImageError: the name of the file is not UTF-8, which rasterio's are.
        RasterioError: GDAL cannot.
    """
    if isinstance(path, Path) and not str(path).isascii():
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ImageError(
                f"{path}: rasterio opens files with names in UTF-8 only; rename the file or its folder"
            ) from error
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        # A raster without a place on the ground is no fault.
        warnings.simplefilter("ignore", package.errors.NotGeoreferencedWarning)
        if not isinstance(path, Path):
            return path.open(driver=DRIVER, sharing=False)
        # As a Path, it is never taken for an address.
        return package.open(path, mode, driver=DRIVER, sharing=False, **profile)


def reason(error: Exception) -> str:
    """Return what GDAL said of an error of rasterio, which may only refer to it."""
    return printable(str(error.__cause__ or error), 1000).rstrip(".")


def place(dataset: Any) -> Place:
    """Read where an open dataset lies."""
    gcps, gcp_crs = dataset.gcps
    unplaced = dataset.transform.is_identity
    tags = {k: v for k, v in dataset.tags().items() if k == "AREA_OR_POINT"}
    return Place(
        dataset.crs or (gcp_crs if gcps else None),
        None if unplaced else dataset.transform,
        gcps or None,
        dataset.rpcs,
        tags,
    )
