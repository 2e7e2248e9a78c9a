"""Overlays and their legends."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture import legend
from segmentations import COLORS, NAMES, segmentation, wide


def test_colorize_gives_every_pixel_the_colour_of_its_class() -> None:
    result = segmentation()
    assert (np.asarray(result.colorize()) == COLORS[result.labels]).all()
    assert (np.asarray(wide().colorize()) == wide().colors[wide().labels]).all()
    turned = Segmentation(
        result.labels.T, result.names, result.colors, result.picture.swapaxes(0, 1)
    )
    assert (np.asarray(turned.colorize()) == COLORS[result.labels.T]).all()


def test_an_overlay_goes_from_the_picture_to_the_colours() -> None:
    result = segmentation()
    assert (result.overlay(0, legend=False).array == result.picture).all()
    assert (result.overlay(1, legend=False).array == COLORS[result.labels]).all()
    half = result.overlay(0.5, legend=False).array[5, 5].astype(float)
    mean = (result.picture[5, 5].astype(float) + COLORS[result.labels[5, 5]]) / 2
    assert np.abs(half - mean).max() <= 0.5
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="0 to 1 was expected"):
            result.overlay(alpha)


def test_an_overlay_draws_borders_in_full_colour() -> None:
    result = segmentation()
    row = result.size[0] // 2 - 1  # the last of the sky
    assert (result.overlay(legend=False).array[row, 200] == COLORS[NAMES.index("sky")]).all()


def changed(result: Segmentation) -> NDArray[np.bool_]:
    """Where the legend is."""
    difference = result.overlay().array != result.overlay(legend=False).array
    return np.asarray(difference.any(axis=2))


@pytest.mark.parametrize("size", [(120, 120), (146, 200), (480, 640), (1500, 2000), (200, 3000)])
def test_a_legend_covers_less_than_a_third_and_shows_the_colours(size: tuple[int, int]) -> None:
    result = segmentation(*size)
    where = changed(result)
    assert 0.004 < where.mean() < 0.34
    rows, columns = np.nonzero(where)
    assert rows.max() < size[0] - 1
    assert columns.max() < size[1] - 1
    legend = result.overlay().array[where]
    for name in ("sky", "road", "car"):
        color = COLORS[NAMES.index(name)]
        assert (legend == color).all(axis=1).sum() >= 30


def test_a_legend_of_endless_names_is_that_of_their_first_characters() -> None:
    names = ("x" * 20_000_000, "y" * 20_000_000)
    labels = np.zeros((240, 320), np.uint8)
    labels[:100] = 1
    parts: dict[str, Any] = {"labels": labels, "colors": COLORS[:2]}
    for place in ("auto", "right", "below"):
        endless, long = (
            segmentation(names=tuple(name[:length] for name in names), **parts).overlay(
                legend=place
            )
            for length in (None, 400)
        )
        np.testing.assert_array_equal(endless, long)
        short = segmentation(**parts, names=("x", "y")).overlay(legend=place)
        assert not np.array_equal(endless, short)


def test_a_legend_grows_with_the_picture() -> None:
    small, large = changed(segmentation(480, 640)), changed(segmentation(1920, 2560))
    assert large.sum() / small.sum() == pytest.approx(16, rel=0.15)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (119, 4000), (30, 30)])
def test_a_picture_too_small_for_a_legend_gets_none(size: tuple[int, int]) -> None:
    assert not changed(segmentation(*size)).any()


@pytest.mark.parametrize("size", [(64, 64), (480, 640), (3000, 200), (200, 3000), (1, 1)])
@pytest.mark.parametrize("place", ["right", "below"])
def test_a_legend_beside_the_picture_leaves_every_pixel_of_it(size: Any, place: Any) -> None:
    result = segmentation(*size)
    plain, beside = result.overlay(legend="none"), result.overlay(legend=place)
    np.testing.assert_array_equal(beside[: size[0], : size[1]], plain)
    grown = beside.shape[1] - size[1] if place == "right" else beside.shape[0] - size[0]
    assert grown > 20
    for label in np.unique(result.labels):
        outside = beside.array.copy()
        outside[: size[0], : size[1]] = 0
        assert (outside == COLORS[label]).all(axis=2).sum() >= 30


def test_a_legend_lies_where_it_hides_the_smallest_part_of_the_classes() -> None:
    for rows, columns in (
        (slice(0, 120), slice(0, 160)),
        (slice(120, 240), slice(0, 160)),
        (slice(120, 240), slice(160, 320)),
    ):
        labels = np.zeros((240, 320), np.uint8)
        labels[rows, columns][10:-10, 10:-10] = 1
        where = changed(segmentation(labels=labels))
        assert where.any()
        assert not where[labels == 1].any()


def lines(monkeypatch: pytest.MonkeyPatch, result: Segmentation, **options: Any) -> list[str]:
    """The lines of the legend, of name and share."""
    shown: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            legend, "_draw_entry", lambda _, e, *rest: shown.append(f"{e.name} {e.share}")
        )
        result.overlay(**options)
    return shown


def test_a_legend_counts_what_it_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(40, dtype=np.uint8).repeat(60 * 80).reshape(480, 400)
    found = segmentation(480, 400, labels=labels)
    shown = lines(monkeypatch, found)
    assert 2 < len(shown) <= 12
    rest = 40 - len(shown) + 1
    assert shown[-1] == f"others ({rest}) {rest / 40:.0%}".replace("%", " %")
    assert len(lines(monkeypatch, found, legend="right")) == 40
    assert len(lines(monkeypatch, wide(), legend="below", min_share=0)) == 40


def test_a_legend_counts_classes_of_a_small_share_as_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.zeros((200, 200), np.uint8)
    labels[:1] = 1  # 0.5 %
    labels[1, :199] = 2  # just below
    labels[2, :1] = 3
    labels = labels.repeat(3, 0).repeat(3, 1)
    found = segmentation(600, 600, labels=labels)
    name = NAMES.__getitem__
    assert lines(monkeypatch, found) == [f"{name(0)} 99 %", f"{name(1)} < 1 %", "others (2) < 1 %"]
    assert lines(monkeypatch, found, min_share=0.9) == [f"{name(0)} 99 %", "others (3) 1 %"]
    assert len(lines(monkeypatch, found, min_share=0)) == 4
    plain = {"legend": "none", "alpha": 1.0}
    assert (found.overlay(**plain).array[7, 1] == COLORS[3]).all()  # type: ignore[arg-type]
    assert lines(monkeypatch, found, classes=[2, 3]) == [f"{name(2)} < 1 %", f"{name(3)} < 1 %"]
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"min_share is .*0 to 1"):
            found.overlay(min_share=share)


@pytest.mark.parametrize("classes", ["car", ["car"], NAMES.index("car"), (NAMES.index("car"),)])
def test_an_overlay_of_some_classes_leaves_the_picture_elsewhere(
    classes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = segmentation()
    car = result.mask("car")
    found = result.overlay(legend="none", classes=classes).array
    np.testing.assert_array_equal(found[~car], result.picture[~car])
    np.testing.assert_array_equal(found[car], result.overlay(legend="none").array[car])
    assert lines(monkeypatch, result, classes=classes) == ["car 6 %"]
    assert lines(monkeypatch, result, classes=["wall"]) == []
    np.testing.assert_array_equal(result.overlay(classes=[]), result.picture)
    with pytest.raises(ValueError, match="there is no class 'carr'; did you mean 'car'"):
        result.overlay(classes=["sky", "carr"])


def test_an_unknown_place_of_the_legend_is_refused() -> None:
    with pytest.raises(ValueError, match="one of auto, right, below, none was expected"):
        segmentation().overlay(legend="left")  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["auto", "right"])
def test_a_black_swatch_has_an_outline(place: Any) -> None:
    colors = np.zeros_like(COLORS)
    result = segmentation(480, 640, colors=colors, picture=np.zeros((480, 640, 3), np.uint8))
    panel = result.overlay(legend=place).array
    black = ((panel == 0).all(axis=2)).astype(np.uint8)
    if place == "right":
        black[:, :640] = 0
    count, _, boxes, _ = cv2.connectedComponentsWithStats(black, connectivity=4)
    squares = [box for box in boxes[1:count] if box[2] == box[3] and 8 < box[2] < 40]
    assert len(squares) == 3
    for left, top, width, height, _ in squares:
        around = panel[top - 1 : top + height + 1, left - 1 : left + width + 1].copy()
        around[1:-1, 1:-1] = 255
        assert (around == 255).all()


def test_names_in_other_scripts_are_drawn_or_replaced_by_the_number_of_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = tuple(
        {0: "wei\u00dfe Stra\u00dfe", 1: "\u9053\u8def", 2: "route\nbarr\u00e9e"}.get(i, "x")
        for i in range(150)
    )
    labels = np.repeat(np.arange(3, dtype=np.uint8), [12000, 8000, 4000]).reshape(120, 200)
    labels = labels.repeat(4, 0).repeat(4, 1)
    result = segmentation(480, 800, labels=labels, names=names)
    monkeypatch.setattr(legend, "_FONT_HAS_ONLY_ASCII", True)
    old = lines(monkeypatch, result)
    assert old == ["weisse Strasse 50 %", "class 1 33 %", "route barree 17 %"]
    monkeypatch.setattr(legend, "_FONT_HAS_ONLY_ASCII", False)
    new = lines(monkeypatch, result)
    assert new == ["wei\u00dfe Stra\u00dfe 50 %", "\u9053\u8def 33 %", "route barr\u00e9e 17 %"]


def test_a_name_that_is_too_long_is_cut_and_its_share_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = tuple("car, automobile, machine, motorcar" for _ in NAMES)
    shown = lines(monkeypatch, segmentation(names=names))
    assert [line.split("...")[1] for line in shown] == [" 50 %", " 44 %", " 6 %"]
    assert all(line.startswith("car") for line in shown)


def test_a_notebook_shows_the_overlay() -> None:
    png = segmentation(1500, 2000)._repr_png_()
    assert png is not None
    assert Image.open(io.BytesIO(png)).size == (1024, 768)
