import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.inference.class_names import find_class
from fastfcn_infer.inference.segmentation import Kind, Segmentation
from segmentations import COLORS, NAMES, segmentation, wide

# Looking


def test_the_representation_names_size_and_largest_classes() -> None:
    assert repr(segmentation()) == (
        "Segmentation(240 x 320, 3 of 150 classes: sky 50 %, road 44 %, car 6 %)"
    )
    assert repr(wide()).startswith("Segmentation(15 x 20, 300 of 300 classes: class 0 < 1 %, ")
    assert repr(wide()).endswith(", ...)")


def test_areas_are_the_shares_of_the_present_classes_largest_first() -> None:
    areas = segmentation().areas()
    assert list(areas.items()) == [("sky", 0.5), ("road", 0.4375), ("car", 0.0625)]


def test_two_classes_of_one_name_are_added_up() -> None:
    labels = np.array([[58, 130, 130, 0]], np.uint8)
    both = segmentation(1, 4, labels=labels)
    assert both.areas() == {"screen": 0.75, "wall": 0.25}
    assert both.mask("screen").tolist() == [[True, True, True, False]]
    assert both.mask(58).tolist() == [[True, False, False, False]]


def test_a_mask_is_true_where_the_class_is_by_name_or_index() -> None:
    result = segmentation()
    expected = result.labels == NAMES.index("car")
    for which in ("car", NAMES.index("car"), np.int64(NAMES.index("car"))):
        found = result.mask(which)
        assert found.dtype == np.bool_
        assert (found == expected).all()
    assert not result.mask("wall").any()


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("buildin", "there is no class 'buildin'; did you mean 'building'"),
        ("Sky", "did you mean 'sky'"),
        ("xyzzy", "there are 150, listed in `.names`"),
        (150, "there is no class 150; expected 0 to 149"),
        (-1, "there is no class -1"),
    ],
)
def test_an_unknown_class_is_refused_with_those_spelled_alike(which: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmentation().mask(which)


def test_where_classes_are_few_a_message_lists_them() -> None:
    with pytest.raises(ValueError, match=r"no class 'xyzzy'; the classes are sky, road\\n$"):
        find_class(("sky", "road\n"), "xyzzy")


# Protecting


def test_the_arrays_of_a_result_cannot_be_written_to_and_the_callers_can() -> None:
    labels = np.zeros((240, 320), np.uint8)
    result = segmentation(labels=labels)
    for array in (result.labels, result.colors, result.picture):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    labels[0] = 1
    with pytest.raises(AttributeError):
        result.names = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros((240, 320), np.int64)}, "uint8 or uint16"),
        ({"labels": np.zeros((1, 240, 320), np.uint8)}, "uint8 or uint16"),
        ({"labels": np.full((240, 320), 150, np.uint8)}, "label 150 has no name"),
        ({"picture": np.zeros((320, 240, 3), np.uint8)}, "does not fit labels"),
        ({"colors": COLORS[:149]}, "do not fit 150 names"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmentation(**changes)


# Saving


def test_a_label_png_gives_back_labels_and_colours(tmp_path: Path) -> None:
    result = segmentation()
    result.save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "P"
    assert (np.asarray(image) == result.labels).all()
    assert (np.asarray(image.convert("RGB")) == COLORS[result.labels]).all()


@pytest.mark.parametrize("result", [segmentation(), wide()])
def test_raw_labels_are_plain_grey_and_read_back_by_readers_that_know_no_palettes(
    result: Segmentation, tmp_path: Path
) -> None:
    result.save(tmp_path / "a.png", kind="labels-raw")
    result.save_labels(tmp_path / "b.png", palette=False)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert found is not None
    assert found.dtype == result.labels.dtype
    np.testing.assert_array_equal(found, result.labels)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), result.labels)


def test_labels_and_overlay_are_saved_by_name(tmp_path: Path) -> None:
    result = segmentation()
    result.save_labels(tmp_path / "a.png")
    result.save(tmp_path / "b.png", kind="labels")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    result.save_overlay(tmp_path / "c.png", 0.3, "right", classes=["car"])
    found = np.asarray(Image.open(tmp_path / "c.png"))
    np.testing.assert_array_equal(found, result.overlay(0.3, "right", classes=["car"]))
    for path in ("d.jpg", "d"):
        with pytest.raises(ValueError, match=r"\.png"):
            result.save_labels(tmp_path / path)
    assert not list(tmp_path.glob("d*"))


def test_labels_above_255_become_a_16_bit_png(tmp_path: Path) -> None:
    wide().save(tmp_path / "a.png")
    assert (np.asarray(Image.open(tmp_path / "a.png")) == wide().labels).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (33, 65)])
def test_a_label_png_of_any_size_gives_back_the_labels(
    size: tuple[int, int], tmp_path: Path
) -> None:
    labels = np.random.default_rng(0).integers(0, 150, size, np.uint8)
    segmentation(*size, labels=labels).save(tmp_path / "a.png")
    assert (np.asarray(Image.open(tmp_path / "a.png")) == labels).all()


def test_npz_gives_back_arrays_without_pickle(tmp_path: Path) -> None:
    result = segmentation()
    result.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as saved:
        assert (saved["labels"] == result.labels).all()
        assert tuple(saved["names"]) == NAMES
        assert (saved["colors"] == COLORS).all()


def test_json_tells_size_areas_names_timings_and_provenance(tmp_path: Path) -> None:
    segmentation().save(tmp_path / "a.json")
    facts = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert facts["size"] == [240, 320]
    assert facts["areas"][0] == {"label": 2, "name": "sky", "pixels": 38400, "fraction": 0.5}
    assert [area["name"] for area in facts["areas"]] == ["sky", "road", "car"]
    assert facts["names"] == list(NAMES)
    assert facts["timings"] == {"decode": 0.01, "network": 0.6}
    assert facts["provenance"] == {"model": "a", "runtime": "b"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", None),
        ("a.JPEG", None),
        ("a.png", "overlay"),
        ("a.png", "color"),
        ("a.webp", "overlay"),
        ("a.png", "labels"),
    ],
)
def test_a_kind_is_written_where_the_suffix_allows_it(
    name: str, kind: Any, tmp_path: Path
) -> None:
    result = segmentation()
    result.save(tmp_path / name, kind=kind)
    image = Image.open(tmp_path / name)
    expected = {"color": result.colorize(), "labels": result.colorize()}.get(
        kind, result.overlay()
    )
    found = np.asarray(image.convert("RGB")).astype(int)
    assert found.shape == expected.array.shape
    if name == "a.png":
        assert (found == expected.array).all()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, None) for name in ("a", "a.gif", "a.tif")),
        *(("a.png", kind) for kind in ("npz", "json", "picture")),
        *(("a.jpg", "labels"), ("a.npz", "overlay")),
    ],
)
def test_a_suffix_and_kind_that_do_not_fit_are_refused(
    name: str, kind: Any, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"\.png|\.npz|\.json"):
        segmentation().save(tmp_path / name, kind=kind)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    segmentation().save(path)
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        wide().save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_several_results_are_those_that_are_saved_one_by_one(tmp_path: Path) -> None:
    result, folder = segmentation(), tmp_path / "each"
    folder.mkdir()
    paths: dict[Kind, Path] = {
        "labels": folder / "a.png",
        "overlay": folder / "b.jpg",
        "geojson": folder / "c.geojson",
        "json": folder / "d.json",
    }
    for kind, path in paths.items():
        result.save(tmp_path / path.name, kind=kind)
    result.save_each(paths)
    for path in paths.values():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()
    assert len([*folder.iterdir()]) == len(paths)


def test_results_before_one_that_cannot_be_written_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not to"):
        segmentation().save_each(
            {"labels": tmp_path / "a.png", "json": tmp_path / "a.jpg", "npz": tmp_path / "a.npz"}
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
