"""Contours, palettes, and results in notebooks."""

import base64
import re
from html.parser import HTMLParser
from typing import Any

import cv2
import numpy as np
import pytest

from fastfcn_infer.picture import legend
from fastfcn_infer.picture.palette import distinct, paddleseg
from segmentations import COLORS, NAMES, segmentation


@pytest.mark.parametrize(("height", "line"), [(240, 2), (960, 6)])
def test_contours_are_lines_that_scale_with_the_picture(height: int, line: int) -> None:
    result = segmentation(height, height * 4 // 3)
    drawn = result.overlay(0, legend=False, contours=True).array
    column = drawn[:, -5]  # sky above road
    changed = np.flatnonzero((column != result.picture[:, -5]).any(axis=1))
    edge = height // 2
    assert changed.tolist() == [*range(edge - line, edge + line)]
    assert (column[edge - line] == COLORS[NAMES.index("sky")]).all()
    assert (column[edge + line - 1] == COLORS[NAMES.index("road")]).all()
    assert (column[edge - 1 : edge + 1] == 0).all()  # a dark line between them


def test_contours_keep_to_the_classes_that_are_drawn() -> None:
    result = segmentation()
    drawn = result.overlay(0, legend=False, contours=True, classes="car").array
    changed = (drawn != result.picture).any(axis=2)
    assert changed.any()
    assert not (changed & ~result.mask("car")).any()


def test_a_palette_changes_the_colours_and_nothing_else() -> None:
    result = segmentation()
    for name, colors in (("distinct", distinct(150)), ("paddleseg", paddleseg(150))):
        other = result.with_palette(name)  # type: ignore[arg-type] # of a tuple
        np.testing.assert_array_equal(other.labels, result.labels)
        assert other.areas() == result.areas()
        np.testing.assert_array_equal(other.colors, colors)
        painted = result.colorize(name).array  # type: ignore[arg-type]
        np.testing.assert_array_equal(painted, colors[result.labels])
        overlay = result.overlay(1, legend=False, palette=name).array  # type: ignore[arg-type]
        np.testing.assert_array_equal(overlay, painted)
    np.testing.assert_array_equal(result.with_palette("dataset").colors, COLORS)
    with pytest.raises(ValueError, match="palette is 'hot'"):
        result.overlay(palette="hot")  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"alpha": "0.5"}, "alpha is '0.5'; 0 to 1"),
        ({"alpha": True}, "alpha is True; 0 to 1"),
        ({"min_share": float("nan")}, "min_share is nan; 0 to 1"),
        ({"min_share": [0.1]}, "min_share is .*; 0 to 1"),
        ({"legend": None}, "legend is None; one of auto, right"),
        ({"legend": ["right"]}, "legend is .*one of auto"),
        ({"contours": 3}, "contours is 3; True or False"),
        ({"contours": "no"}, "contours is 'no'; True or False"),
        ({"shade": True}, "shade is True"),
        ({"palette": np.zeros((150, 3), np.uint8)}, "palette is .*fastfcn relabel"),
        ({"palette": ["#ff0000"] * 150}, "palette is .*fastfcn relabel"),
        ({"palette": None}, "palette is None"),
        ({"classes": [True, False]}, "True is no class"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        segmentation().overlay(**options)


class Cells(HTMLParser):
    """Collects the texts of the cells of a table, and complains about what is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_notebook_shows_the_overlay_and_a_table_of_classes() -> None:
    names = ("<b>a & b</b>", "second")
    labels = np.zeros((300, 1600), np.uint8)
    labels[:75] = 1
    result = segmentation(300, 1600, names=names, labels=labels, colors=COLORS[:2])
    page = result._repr_html_()
    cells = Cells()
    cells.feed(page)
    assert cells.open == []
    assert cells.texts == ["class", "area", "<b>a & b</b>", "75 %", "second", "25 %"]
    found = re.search(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert found is not None
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(found[1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (135, 720, 3)  # made smaller


def test_a_notebook_names_classes_in_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser draws what the font of OpenCV may lack."""
    monkeypatch.setattr(legend, "_FONT_HAS_ONLY_ASCII", True)
    labels = np.repeat(np.arange(3, dtype=np.uint8), 4).reshape(3, 4)
    names = ("路面", "Straße", "")
    found = segmentation(3, 4, names=names, labels=labels, colors=COLORS[:3])
    cells = Cells()
    cells.feed(found._repr_html_())
    assert cells.texts[2::2] == ["路面", "Straße", "class 2"]


def test_a_result_without_any_class_can_be_shown() -> None:
    labels = np.full((30, 40), 255, np.uint8)
    found = segmentation(30, 40, labels=labels, ignore_label=255)
    assert repr(found) == "Segmentation(30 x 40, 0 of 150 classes)"
    np.testing.assert_array_equal(found.overlay(), found.picture)
    assert "<tbody></tbody>" in found._repr_html_()
