"""From pixels to the ground: where the pixels of a georeferenced picture lie."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.raster import geo
from fastfcn_infer.inference.raster.source import survey_tiff
from fastfcn_infer.system.excerpt import excerpt

Points = NDArray[np.float64]  # (N, 2), x and y
Project = Callable[[Points], Points]

_DECIMALS = 9  # of degrees; a tenth of a millimetre
_MOST_DEGREES = (360.0, 90.0 + 1e-9)  # longitude, from -180 or from 0 eastwards, and latitude
_WGS84 = "EPSG:4326"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, in both byte orders


def by_transform(transform: Sequence[float], crs: Any = None) -> tuple[Project, str]:
    """Return what turns pixels into coordinates, and the units of these.

    Args:
        transform: a, b, c, d, e, f (rasterio's and affine's order; more values are ignored):
            x = a column + b row + c, y = d column + e row + f.
        crs: reference system of x and y, as rasterio takes it; None: x and y are written as they are.

    Returns:
        The function, and "degrees" (longitude and latitude in WGS84) with `crs`, else "transform".

    Raises:
        ValueError: there are no six finite numbers, they map a picture onto a line, or `crs` is unknown. The function
            raises it for points that have no longitude and latitude.
        BackendMissing: `crs` is given, and rasterio is not installed.
    """
    try:
        numbers = np.array([*transform][:6], np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (6,) or not np.isfinite(numbers).all():
        raise ValueError(
            f"transform is {excerpt(transform)}; six finite numbers a, b, c, d, e, f were expected"
        )
    matrix = numbers.reshape(2, 3)
    if matrix[0, 0] * matrix[1, 1] == matrix[0, 1] * matrix[1, 0]:
        raise ValueError(f"transform {numbers.tolist()} maps all pixels onto a line")

    def plane(points: Points) -> Points:
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float64)

    if crs is None:
        return plane, "transform"
    package = geo.rasterio("Longitude and latitude")
    try:
        with package.Env():  # lest GDAL prints what is raised
            system = package.crs.CRS.from_user_input(crs)
    except package.errors.CRSError as error:
        raise ValueError(f"crs {excerpt(crs)} is not known: {geo.reason(error)}") from error
    from_system = _warp(package)

    def sphere(points: Points) -> Points:
        x, y = plane(points).T
        beyond = (
            f"coordinates such as {x[0]:.10g}, {y[0]:.10g} have no longitude and latitude in "
            f"{excerpt(str(system))}: check the transform and its reference system"
        )
        try:
            with package.Env():
                found = np.stack(from_system(system, _WGS84, x, y), axis=1)
        except package._err.CPLE_BaseError as error:  # of no public class
            raise ValueError(beyond) from error
        if not (np.abs(found) <= _MOST_DEGREES).all():
            raise ValueError(beyond)
        return np.asarray(np.round(found, _DECIMALS))

    return sphere, "degrees"


def of_picture(source: str | None, size: tuple[int, int]) -> tuple[Project | None, str]:
    """Return what turns the pixels of a picture into coordinates, if its file says where it lies.

    Args:
        source: path of the picture.
        size: height and width of its labels, pixels.

    Returns:
        As `by_transform`; None and "pixels" if the file is no georeferenced TIFF, or is gone.

    Raises:
        BackendMissing: it is georeferenced, and rasterio is not installed.
        ImageError: it says where it lies in a way that is not an affine transform.
    """
    path = None if source is None else Path(source)
    if path is None or not path.is_file():
        return None, "pixels"
    with path.open("rb") as file:
        is_tiff = file.read(4) in _TIFF
    survey = survey_tiff(path) if is_tiff else None
    if survey is None or not survey.georeferenced:
        return None, "pixels"
    package = geo.rasterio(f"The place of {path}")
    try:
        with geo.open_tiff(package, path) as dataset:
            place, found = geo.place(dataset), (dataset.height, dataset.width)
    except package.errors.RasterioError as error:
        raise ImageError(f"{path} cannot be read: {geo.reason(error)}") from error
    if place.transform is None or found != size:
        raise ImageError(
            f"{path} says where it lies, but not by an affine transform of its pixels as they were "
            "labelled. Warp it first (gdalwarp), or give transform=(1, 0, 0, 0, 1, 0) for pixels."
        )
    return by_transform(tuple(place.transform), place.crs)


def _warp(package: Any) -> Any:
    import importlib

    return importlib.import_module(f"{package.__name__}.warp").transform
