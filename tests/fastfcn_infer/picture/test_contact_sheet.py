from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastfcn_infer import contact_sheet
from fastfcn_infer.inference.segmentation import Segmentation
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
    other: list[tuple[Any, str]] = [
        (found[0], "results is <Segmentation>; a list of results"),
        (None, "results is None; a list"),
        ([found[0], None], "number 2 of the results is None, not a result"),
        (["a.jpg"], "number 1 of the results is 'a.jpg', not a result"),
    ]
    for given, said in other:
        with pytest.raises(ValueError, match=said):
            contact_sheet(given)


def test_pixels_without_a_class_stay_as_they_are_and_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = np.full((380, 500, 3), (200, 100, 50), np.uint8)
    labels = np.full((380, 500), 255, np.uint8)
    labels[:95] = 2
    found = segmentation(380, 500, picture=picture, labels=labels, ignore_label=255)
    row = sheet_row(found, "")
    right = row[-270:-20, 700:1000]  # of the overlay, below what has a class
    assert (right == (200, 100, 50)).all()
    assert lines_of(found, monkeypatch) == [(found.names[2], "100 %")]


def test_the_last_of_sixteen_lines_counts_the_other_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for count, last in ((16, ("6 %", True)), (17, ("12 %", False)), (100, ("85 %", False))):
        labels = np.repeat(np.arange(count, dtype=np.uint8)[:, None], 30, axis=1)
        lines = lines_of(segmentation(count, 30, labels=labels), monkeypatch)
        assert len(lines) == 16
        name, share = lines[-1]
        assert (share, name != f"others ({count - 15})") == last


def lines_of(found: Segmentation, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the lines of the legend."""
    lines: list[tuple[str, str]] = []

    def add_legend(picture: Any, entries: Any, *_: Any) -> Any:
        lines.extend((one.name, one.share) for one in entries)
        return picture

    monkeypatch.setattr("fastfcn_infer.picture.contact_sheet.add_legend", add_legend)
    sheet_row(found, "")
    return lines


def test_titles_show_the_end_of_long_paths_and_the_frames_of_videos(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[str] = []
    real = cv2.putText

    def put(panel: Any, text: str, *rest: Any) -> Any:
        drawn.append(text)
        return real(panel, text, *rest)

    monkeypatch.setattr("fastfcn_infer.picture.legend.cv2.putText", put)
    monkeypatch.setattr("fastfcn_infer.picture.legend._FONT_HAS_ONLY_ASCII", True)
    folder = "a folder/" * 60
    contact_sheet(
        [
            segmentation(20, 30, source=f"{folder}one.jpg"),
            segmentation(20, 30, source="film.mp4", frame=7),
            segmentation(20, 30, source="路/two.jpg"),
            segmentation(20, 30),
        ]
    )
    titles = [text for text in drawn if text.endswith((".jpg", "7", "4"))]
    assert titles[0].startswith("...")
    assert titles[0].endswith("a folder/one.jpg")
    assert titles[1:] == ["film.mp4, frame 7", "?/two.jpg", "picture 4"]


def test_a_folder_has_pages_of_twelve_rows(tmp_path: Path) -> None:
    facts = {"fastfcn-infer": "1", "model": "a"}
    names = [f"{index}" for index in range(13)]
    for name in names:
        write(
            "sheet", segmentation(30, 40, provenance=facts), Entry(tmp_path, name, f"{name}.png")
        )
    written = write_collection("sheet", tmp_path, {name: f"{name}.png" for name in names})
    assert [path.name for path in written] == ["sheet.jpg", "sheet_2.jpg"]
    first, second = (np.asarray(Image.open(path)).shape for path in written)
    assert (first[0], first[1]) == (12 * second[0], WIDTH)
    assert read_provenance(written[1]) == facts
