"""The regions of a raster that was labelled, as GeoJSON on the ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference import ground
from fastfcn_infer.inference.raster import geo
from fastfcn_infer.inference.raster.target import read_raster_provenance
from fastfcn_infer.picture import annotation
from fastfcn_infer.picture.geometry.regions import find_regions

MOST_PIXELS = 100_000_000
"""Of a raster whose regions are traced: unlike the labelling, that needs all labels in memory."""


@dataclass(frozen=True, eq=False)
class _Labelled:
    colors: NDArray[np.uint8]
    provenance: dict[str, str]


def raster_geojson(
    path: Path, names: Sequence[str], min_area: int = 0, simplify: float = 0.0
) -> dict[str, Any]:
    """Return the regions of a raster; see `RasterResult.to_geojson`."""
    package = geo.rasterio(f"The raster {path}")
    try:
        with geo.open_tiff(package, path) as dataset:
            if dataset.width * dataset.height > MOST_PIXELS:
                raise ImageError(
                    f"{path} has {dataset.width} x {dataset.height} pixels, and the regions of rasters "
                    f"of up to {MOST_PIXELS:,} are traced. gdal_polygonize takes larger ones: its input "
                    "is this file."
                )
            labels, colormap = dataset.read(1), dataset.colormap(1)
    except package.errors.RasterioError as error:
        raise ImageError(f"{path} cannot be read: {geo.reason(error)}") from error
    colors = np.array([colormap[label][:3] for label in range(len(names))], np.uint8)
    project, units = ground.of_picture(str(path), labels.shape)
    found = _Labelled(colors, read_raster_provenance(path) or {})
    regions = find_regions(labels, names, min_area, simplify)
    result: dict[str, Any] = annotation.load("geojson").describe(
        found,  # type: ignore[arg-type] # all that is needed of a picture
        regions,
        project=project,
        units=units,
        made=annotation.outlines(min_area, simplify),
    )
    return result
