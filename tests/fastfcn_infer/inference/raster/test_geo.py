"""TIFFs are opened without warnings, in threads, too."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.raster.geo import open_tiff

rasterio = pytest.importorskip("rasterio")


def test_threads_that_open_tiffs_at_the_same_time_show_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with open_tiff(rasterio, path, "w", width=8, height=6, count=1, dtype="uint8") as file:
        file.write(np.ones((1, 6, 8), np.uint8))

    def read(_: int) -> int:
        with open_tiff(rasterio, path) as file:
            return int(file.read().sum())

    with ThreadPoolExecutor(8) as pool:  # a warning is an error in these tests
        assert set(pool.map(read, range(400))) == {48}


@pytest.mark.parametrize("name", [b"\xff.tif", b"folder \xc3/a.tif"])
def test_a_name_that_is_not_utf_8_is_an_error_of_this_file(name: bytes) -> None:
    with pytest.raises(ImageError, match="names in UTF-8 only; rename"):
        open_tiff(rasterio, Path(os.fsdecode(name)))
