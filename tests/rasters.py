"""Rasters in files, written by rasterio, tifffile or Pillow, and what is read back."""

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

PLACE: dict[str, Any] = {
    "crs": "EPSG:32633",
    "transform": Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 4_600_000.0),
}


def photograph(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture (H, W, 3), in which neighbouring pixels have the same class now and then."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def open_dataset(path: Path, *words: Any, **options: Any) -> Any:
    """Open a raster with rasterio, which warns of every one without a place on the ground."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        return rasterio.open(path, *words, **options)


def write_tiff(path: Path, bands: NDArray[Any], **options: Any) -> Path:
    """Write (H, W, bands) or (H, W) with rasterio; options are those of GDAL."""
    planes = bands[None] if bands.ndim == 2 else np.moveaxis(bands, -1, 0)
    count, height, width = planes.shape
    colormap = options.pop("colormap", None)
    colorinterp = options.pop("colorinterp", None)
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count}
    with open_dataset(path, "w", dtype=bands.dtype, **profile, **options) as dataset:
        if colormap is not None:
            dataset.write_colormap(1, colormap)
        if colorinterp is not None:
            dataset.colorinterp = colorinterp
        dataset.write(planes)
    return path


def labels_of(path: Path) -> NDArray[Any]:
    """Read the labels of a raster."""
    with open_dataset(path) as dataset:
        found: NDArray[Any] = dataset.read(1)
    return found


def names_in(folder: Path) -> list[str]:
    """List what a folder holds, hidden files too."""
    return sorted(path.name for path in folder.iterdir())
