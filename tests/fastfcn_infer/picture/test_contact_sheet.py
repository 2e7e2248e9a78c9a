from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastfcn_infer import contact_sheet
from fastfcn_infer.picture.annotation import Entry, write, write_collection
from fastfcn_infer.picture.contact_sheet import WIDTH, sheet_row
from fastfcn_infer.picture.provenance import read_provenance
from segmentations import segmentation


@pytest.mark.parametrize("size", [(240, 320), (20, 900), (900, 20), (1, 1), (2000, 3000)])
def test_a_row_has_the_same_width_for_any_picture(size: tuple[int, int]) -> None:
    row = sheet_row(segmentation(*size), "name.jpg")
    assert row.shape[1] == WIDTH
    assert 200 < len(row) < 500


def test_a_row_shows_the_picture_and_the_colours_of_its_classes() -> None:
    found = segmentation(380, 500, picture=np.full((380, 500, 3), (200, 100, 50), np.uint8))
    row = sheet_row(found, "name.jpg")
    colors = {tuple(color) for color in np.unique(row.reshape(-1, 3), axis=0).tolist()}
    assert (200, 100, 50) in colors
    for name in ("sky", "road", "car"):  # in the legend
        assert tuple(found.colors[found.names.index(name)].tolist()) in colors


def test_a_sheet_has_a_row_for_each_result() -> None:
    found = [segmentation(100, 150), segmentation(150, 100)]
    rows = [sheet_row(one, f"picture {number}") for number, one in enumerate(found, 1)]
    np.testing.assert_array_equal(contact_sheet(iter(found)), np.concatenate(rows))
    with pytest.raises(ValueError, match="at least one was expected"):
        contact_sheet([])


def test_a_folder_has_pages_of_twelve_rows(tmp_path: Path) -> None:
    facts = {"fastfcn-infer": "1", "model": "a"}
    names = [f"{index}" for index in range(13)]
    for name in names:
        write(
            "sheet", segmentation(30, 40, provenance=facts), Entry(tmp_path, name, f"{name}.png")
        )
    written = write_collection("sheet", tmp_path, names)
    assert [path.name for path in written] == ["sheet.jpg", "sheet_2.jpg"]
    first, second = (np.asarray(Image.open(path)).shape for path in written)
    assert (first[0], first[1]) == (12 * second[0], WIDTH)
    assert read_provenance(written[1]) == facts
