"""Regions and their outlines; GDAL (rasterio) and OpenCV judge them."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.picture.geometry.outlines import signed_area
from fastfcn_infer.picture.geometry.regions import Region, find_regions

NAMES = ("a", "b", "c", "d")


def blobs(seed: int, height: int, width: int, classes: int, grain: float) -> NDArray[np.uint8]:
    """Draw smooth areas of some classes, as masks of pictures have them."""
    noise = np.random.default_rng(seed).random((classes, height, width)).astype(np.float32)
    smooth = [cv2.GaussianBlur(one, (0, 0), grain) for one in noise]
    return np.asarray(np.argmax(smooth, axis=0), np.uint8)


def polygon(region: Region) -> dict[str, Any]:
    rings = [[*ring.tolist(), ring[0].tolist()] for ring in region.polygon]
    return {"type": "Polygon", "coordinates": rings}


def cover(regions: list[Region], size: tuple[int, ...]) -> NDArray[np.int64]:
    """Count the regions that cover the centre of each pixel, by GDAL."""
    features = pytest.importorskip("rasterio.features")
    total = np.zeros(size, np.int64)
    for region in regions:
        total += features.rasterize([polygon(region)], out_shape=size, dtype="uint8")
    return total


maps = st.builds(
    lambda seed, height, width, classes, zoom: np.repeat(
        np.repeat(
            np.random.default_rng(seed).integers(0, classes, (height, width), np.uint8), zoom, 0
        ),
        zoom,
        1,
    ),
    *(st.integers(0, 1 << 30), st.integers(1, 8), st.integers(1, 8), st.integers(1, 4)),
    st.integers(1, 3),
)


@settings(deadline=None, max_examples=40)
@given(maps)
def test_rasterised_back_the_outlines_are_the_label_map(labels: NDArray[np.uint8]) -> None:
    features = pytest.importorskip("rasterio.features")
    regions = find_regions(labels, NAMES)
    drawn = np.full(labels.shape, 99, np.uint8)
    for region in regions:
        inside = features.rasterize([polygon(region)], out_shape=labels.shape).astype(bool)
        assert inside.sum() == region.area
        assert (drawn[inside] == 99).all()  # in one region only
        drawn[inside] = region.label
    np.testing.assert_array_equal(drawn, labels)


@settings(deadline=None, max_examples=40)
@given(maps, st.sampled_from([0.4, 0.8, 1.5, 4.0, 50.0]))
def test_simplified_outlines_leave_no_gap_and_no_overlap(
    labels: NDArray[np.uint8], tolerance: float
) -> None:
    regions = find_regions(labels, NAMES, 0, tolerance)
    assert (cover(regions, labels.shape) == 1).all()
    for region in regions:
        assert all(len(ring) >= 3 for ring in region.polygon)
        exterior, *holes = map(signed_area, region.polygon)
        assert exterior > 0
        assert all(hole < 0 for hole in holes)


def test_every_side_of_an_outline_is_that_of_one_neighbour_or_of_the_frame() -> None:
    labels = blobs(0, 60, 80, 4, 3.0)
    for tolerance in (0.0, 2.0):
        regions = find_regions(labels, NAMES, 0, tolerance)
        sides = [
            (tuple(a), tuple(b))
            for region in regions
            for ring in region.polygon
            for a, b in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True)
        ]
        assert len(set(sides)) == len(sides)
        alone = [(a, b) for a, b in sides if (b, a) not in set(sides)]
        frame = [(a, b) for a, b in alone if a[0] == b[0] in (0, 80) or a[1] == b[1] in (0, 60)]
        assert alone == frame


def test_simplification_keeps_points_within_the_tolerance_and_saves_most_of_them() -> None:
    labels = blobs(1, 120, 160, 4, 5.0)
    exact, simple = (find_regions(labels, NAMES, 0, tolerance) for tolerance in (0.0, 1.5))
    assert sum(len(r.polygon[0]) for r in simple) < 0.3 * sum(len(r.polygon[0]) for r in exact)
    for before, after in zip(exact, simple, strict=True):
        assert (before.label, before.area, before.box) == (after.label, after.area, after.box)
        outer, inner = (r.polygon[0].astype(np.float32) for r in (before, after))
        distances = [abs(cv2.pointPolygonTest(inner, point, True)) for point in outer.tolist()]
        assert max(distances) <= 1.5 + 1e-6


def test_facts_of_a_region_are_those_of_its_pixels() -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[1:5, 2:6] = 1
    labels[2:4, 3:5] = 2
    sky, ring, core = find_regions(labels, ("sky", "ring", "core"))
    assert (sky.name, sky.area, sky.box, len(sky.polygon)) == ("sky", 32, (0, 0, 8, 6), 2)
    assert (ring.label, ring.area, ring.box) == (1, 12, (2, 1, 6, 5))
    assert ring.centroid == pytest.approx((4.0, 3.0))
    exterior, hole = ring.polygon
    assert {tuple(p) for p in exterior.tolist()} == {(2, 1), (6, 1), (6, 5), (2, 5)}
    assert {tuple(p) for p in hole.tolist()} == {(3, 2), (5, 2), (5, 4), (3, 4)}
    assert core.area == 4
    assert core.centroid == pytest.approx((4.0, 3.0))
    assert repr(core) == "Region('core', 4 pixels, box (3, 2, 5, 4))"


def test_pixels_that_touch_at_a_corner_are_two_regions_with_simple_outlines() -> None:
    found = find_regions(np.eye(2, dtype=np.uint8), ("a", "b"))
    assert [region.area for region in found] == [1, 1, 1, 1]
    # One region that touches itself at a corner: the hole is a ring of its own.
    labels = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.uint8)
    largest = find_regions(labels, ("a", "b"))[0]
    assert [len({tuple(p) for p in ring.tolist()}) for ring in largest.polygon] == [
        len(ring) for ring in largest.polygon
    ]


def test_small_regions_are_left_out_and_labels_without_a_name_are_no_region() -> None:
    labels = np.array([[0, 0, 0, 1], [0, 0, 0, 255]], np.uint8)
    assert [(r.name, r.area) for r in find_regions(labels, ("a", "b"))] == [("a", 6), ("b", 1)]
    assert [r.name for r in find_regions(labels, ("a", "b"), min_area=2)] == ["a"]


@pytest.mark.parametrize(
    ("area", "tolerance"),
    [(-1, 0.0), (0, -0.5), (0, float("nan")), (0, float("inf")), ("5", 0.0), (0, None)],
)
def test_what_makes_no_sense_is_refused(area: Any, tolerance: Any) -> None:
    with pytest.raises(ValueError, match="at least 0 was expected"):
        find_regions(np.zeros((2, 2), np.uint8), ("a",), area, tolerance)


def test_there_are_as_many_regions_as_gdal_finds() -> None:
    features = pytest.importorskip("rasterio.features")
    labels = blobs(2, 90, 70, 4, 2.0)
    expected = sorted(int(label) for _, label in features.shapes(labels, connectivity=4))
    assert sorted(region.label for region in find_regions(labels, NAMES)) == expected
