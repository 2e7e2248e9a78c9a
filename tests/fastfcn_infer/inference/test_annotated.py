"""The methods of a result for formats."""

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.errors import BackendMissing, ImageError
from fastfcn_infer.inference import ground
from fastfcn_infer.inference.segmentation import Segmentation
from segmentations import segmentation

UTM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)  # metres; north is up


def test_a_dictionary_holds_the_labels_without_loss() -> None:
    judge = pytest.importorskip("pycocotools.mask")
    found = segmentation(30, 40)
    facts = json.loads(found.to_json())
    assert facts == found.to_dict()
    labels = np.full(found.size, 999)
    with pytest.warns(DeprecationWarning):  # pycocotools was written before NumPy 2
        for one in facts["masks"]:
            mask = judge.decode(one["rle"]).astype(bool)
            left, top, right, bottom = one["box"]
            assert mask[top:bottom, left:right].sum() == mask.sum()
            labels[mask] = one["label"]
    np.testing.assert_array_equal(labels, found.labels)
    assert [row["name"] for row in facts["areas"]] == list(found.areas())


def test_regions_are_those_of_the_labels_the_largest_first() -> None:
    found = segmentation(40, 40)
    assert [(r.name, r.area) for r in found.regions()] == [
        ("sky", 800),
        ("road", 700),
        ("car", 100),
    ]
    assert [r.name for r in found.regions(min_area=101)] == ["sky", "road"]


def area(ring: list[list[float]]) -> float:
    x, y = np.array(ring, float).T
    return float(x[:-1] @ y[1:] - y[:-1] @ x[1:]) / 2


def nested() -> Segmentation:
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 5:25], labels[8:12, 10:20] = 1, 2
    names, colors = ("a", "b", "c"), np.eye(3, dtype=np.uint8)
    return segmentation(20, 30, labels=labels, names=names, colors=colors)


@pytest.mark.parametrize("transform", [None, UTM, (0, 2, 0, 2, 0, 0), (1, 0, 0, 0, 1, 0)])
def test_rings_of_geojson_are_closed_and_run_as_the_standard_says(transform: Any) -> None:
    found = nested().to_geojson(transform)
    assert found["units"] == ("pixels" if transform is None else "transform")
    for feature in found["features"]:
        exterior, *holes = feature["geometry"]["coordinates"]
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in (exterior, *holes))
        assert area(exterior) > 0  # counterclockwise, where y goes up
        assert all(area(hole) < 0 for hole in holes)
    a, b, c = (feature["geometry"]["coordinates"] for feature in found["features"])
    assert (len(a), len(b), len(c)) == (2, 2, 1)
    assert {tuple(p) for p in a[1]} == {tuple(p) for p in b[0]}  # they share their border


def test_a_transform_with_a_reference_system_gives_longitude_and_latitude() -> None:
    pytest.importorskip("rasterio")
    found = nested().to_geojson(UTM, crs="EPSG:32633")
    assert found["units"] == "degrees"
    points = np.concatenate(
        [ring for f in found["features"] for ring in f["geometry"]["coordinates"]]
    )
    # 500 000 m east is the meridian of zone 33, 15 degrees; a degree of latitude has 111 km.
    assert points[:, 0].min() == pytest.approx(15, abs=1e-9)
    north, south = points[:, 1].max(), points[:, 1].min()
    assert north - south == pytest.approx(200 / 111_130, rel=1e-2)
    assert north == pytest.approx(45.15, abs=0.01)
    assert area(found["features"][0]["geometry"]["coordinates"][0]) > 0


def test_the_place_of_a_georeferenced_picture_is_that_of_its_file(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    profile = {"width": 30, "height": 20, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    transform = rasterio.transform.Affine(*UTM)
    with rasterio.open(path, "w", driver="GTiff", transform=transform, **profile) as file:
        file.write(np.zeros((3, 20, 30), np.uint8))
    labels = nested().labels
    placed = segmentation(20, 30, labels=labels, source=str(path))
    expected = segmentation(20, 30, labels=labels).to_geojson(UTM, crs="EPSG:32633")
    assert placed.to_geojson() == expected
    assert placed.to_geojson((1, 0, 0, 0, 1, 0))["units"] == "transform"
    with pytest.raises(ImageError, match="not by an affine transform of its pixels as they were"):
        ground.of_picture(str(path), (30, 20))


@pytest.mark.parametrize(
    ("transform", "crs", "message"),
    [
        ((1, 0, 0), None, "six finite numbers"),
        ((1, 0, 0, 0, float("inf"), 0), None, "six finite numbers"),
        (5, None, "transform is 5; six finite numbers"),
        ("abcdef", None, "transform is 'abcdef'; six"),
        (np.eye(3), None, "six finite numbers"),
        ((1, 2, 0, 2, 4, 0), None, "onto a line"),
        (None, "EPSG:4326", "transform, which is missing"),
    ],
)
def test_a_transform_that_makes_no_sense_is_refused(
    transform: Any, crs: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        nested().to_geojson(transform, crs=crs)


def test_an_unknown_reference_system_is_refused() -> None:
    pytest.importorskip("rasterio")
    with pytest.raises(ValueError, match="crs 'EPSG:1' is not known"):
        nested().to_geojson(UTM, crs="EPSG:1")


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        ((1, 0, 1e12, 0, -1, 1e12), "EPSG:32633"),  # PROJ has no answer
        ((1, 0, 500_000, 0, -1, 5_000_000), "EPSG:4326"),  # metres taken for degrees
        ((1, 0, 0, 0, -1, 95), "EPSG:4326"),  # north of the pole
    ],
)
def test_coordinates_that_are_not_on_the_earth_are_refused(transform: Any, crs: str) -> None:
    pytest.importorskip("rasterio")
    with pytest.raises(ValueError, match=r"have no longitude and latitude in 'EPSG:.*check the"):
        nested().to_geojson(transform, crs=crs)


def test_formats_of_one_file_are_saved_by_suffix_or_kind(tmp_path: Path) -> None:
    found = segmentation(12, 16, source=str(tmp_path / "in" / "a.jpg"))
    found.save(tmp_path / "a.geojson")
    assert json.loads((tmp_path / "a.geojson").read_text()) == found.to_geojson()
    for kind, expected in (
        ("coco", found.to_coco()),
        ("labelme", found.to_labelme("in/a.jpg")),
        ("label-studio", found.to_label_studio()),
    ):
        path = tmp_path / "out.json"
        found.save(path, kind=kind)  # type: ignore[arg-type] # of a tuple
        assert json.loads(path.read_text()) == expected
    with pytest.raises(ValueError, match=r"'coco' is written to \.json files, not to '\.png'"):
        found.save(tmp_path / "a.png", kind="coco")


def test_cvat_gets_a_folder_that_several_pictures_share(tmp_path: Path) -> None:
    for name in ("b", "a"):
        segmentation(8, 8, source=f"{name}.jpg").save_cvat(tmp_path / "cvat")
    below = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert below == {
        "cvat/labelmap.txt",
        "cvat/SegmentationClass/a.png",
        "cvat/SegmentationClass/b.png",
        "cvat/ImageSets/Segmentation/default.txt",
    }
    listed = tmp_path / "cvat" / "ImageSets" / "Segmentation" / "default.txt"
    assert listed.read_text() == "a\nb\n"


def test_a_folder_of_cvat_holds_pictures_of_the_same_classes_and_none_outside(
    tmp_path: Path,
) -> None:
    segmentation(8, 8).save_cvat(tmp_path / "cvat", "a")
    other = segmentation(8, 8, names=tuple(f"class {n}" for n in range(150)))
    with pytest.raises(ImageError, match=r"labelmap\.txt is of other classes.*another folder"):
        other.save_cvat(tmp_path / "cvat", "b")
    for name in ("../b", "sub/b", ".."):
        with pytest.raises(ValueError, match="is no name of a file"):
            segmentation(8, 8).save_cvat(tmp_path / "cvat", name)
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png"]


def test_without_supervision_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def no_supervision(name: str, *rest: Any, **more: Any) -> Any:
        if name == "supervision":
            raise ImportError("No module named 'supervision'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_supervision)
    with pytest.raises(BackendMissing, match="pip install supervision"):
        segmentation(4, 4).to_sv()


def test_a_file_that_is_no_tiff_says_nothing_of_its_place(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"any")  # a frame of a video has its file as source
    for source in (str(path), str(tmp_path / "gone.tif"), "https://example.com/a.tif", None):
        assert segmentation(4, 4, source=source).to_geojson()["units"] == "pixels"
