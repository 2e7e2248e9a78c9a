import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from fastfcn_infer import BackendMissing, ImageError, Procedure, Segmenter, Windows
from fastfcn_infer.inference.raster import journal
from models import tiny_artifact, tiny_model
from rasters import PLACE, labels_of, names_in, open_dataset, photograph, write_tiff

SMALL = Procedure(windows=Windows(64, 40))


def compare(
    segmenter: Segmenter, path: Path, picture: NDArray[Any], procedure: str | Procedure = SMALL
) -> None:
    """A raster has the labels of the same picture in memory."""
    target = path.with_name("labels.tif")
    segmenter.predict_raster(path, target, procedure)
    expected = segmenter.predict(picture, procedure).labels
    np.testing.assert_array_equal(labels_of(target), expected)
    assert len(np.unique(expected)) > 1
    assert not [name for name in names_in(path.parent) if name.startswith(".")]


@pytest.mark.parametrize("size", [(40, 50), (64, 64), (211, 307), (300, 90), (1, 200), (33, 1)])
def test_rasters_of_every_size_have_the_labels_of_the_picture(
    size: tuple[int, int], segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)
    compare(segmenter, write_tiff(tmp_path / "a.tif", picture), picture)


@pytest.mark.parametrize(
    "procedure",
    [
        "tiles",
        "paddleseg-slide",
        Procedure(windows=Windows(64, 64)),
        Procedure(windows=Windows((80, 48), (33, 40), "pad"), mirror="horizontal"),
        Procedure(windows=Windows(64, 40), mirror="both"),
        Procedure(windows=Windows(70, 30, "shift", "gaussian"), merge="exp"),
        Procedure(windows=Windows(64, 40), merge="probabilities", mirror="vertical"),
    ],
)
def test_every_procedure_with_windows_has_the_labels_of_the_picture(
    procedure: str | Procedure, segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = photograph(613, 521)
    compare(segmenter, write_tiff(tmp_path / "a.tif", picture), picture, procedure)


@pytest.mark.parametrize(
    "options",
    [
        {"tiled": True, "blockxsize": 64, "blockysize": 128, "compress": "deflate"},
        {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "lzw", "predictor": 2},
        {"blockysize": 1},
        {"blockysize": 300, "compress": "zstd"},
        {"blockysize": 7, "interleave": "band", "compress": "packbits"},
        {"BIGTIFF": "YES", "tiled": True, "blockxsize": 32, "blockysize": 32},
        {"ENDIANNESS": "BIG"},
    ],
)
def test_every_layout_gives_the_same_labels(
    options: dict[str, Any], segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = photograph(300, 270)
    compare(segmenter, write_tiff(tmp_path / "a.tif", picture, **options), picture)


def test_files_of_other_writers_are_read(segmenter: Segmenter, tmp_path: Path) -> None:
    picture = photograph(300, 270)
    layouts: dict[str, dict[str, Any]] = {
        "striped": {"rowsperstrip": 33},
        "tiled": {"tile": (48, 96), "compression": "zlib"},
        "planar": {"planarconfig": "separate", "photometric": "rgb"},
        "big": {"bigtiff": True},
    }
    for name, options in layouts.items():
        path = tmp_path / f"{name}.tif"
        stored = np.moveaxis(picture, -1, 0) if name == "planar" else picture
        tifffile.imwrite(path, stored, **{"photometric": "rgb", **options})
        compare(segmenter, path, picture)
    Image.fromarray(picture).save(tmp_path / "pillow.tif", compression="tiff_lzw")
    compare(segmenter, tmp_path / "pillow.tif", picture)


KINDS: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "grey": (photograph(150, 90)[..., 0], {}),
    "RGBA": (
        np.dstack([photograph(150, 90), photograph(150, 90, 1)[..., :1]]),
        {"photometric": "rgb"},
    ),
    "RGB, 16 bits": (photograph(150, 90).astype(np.uint16) * 200 + 17, {"photometric": "rgb"}),
    "grey, 16 bits": (photograph(150, 90)[..., 0].astype(np.uint16) * 250, {}),
    "RGB, float": (photograph(150, 90).astype(np.float32) / 255, {"photometric": "rgb"}),
    "palette": (
        photograph(150, 90)[..., 0],
        {"photometric": "palette", "colormap": {i: (i, 255 - i, i // 2) for i in range(256)}},
    ),
    "1 bit": (photograph(150, 90)[..., 0] // 128, {"nbits": 1}),
    "grey, white is 0": (photograph(150, 90)[..., 0], {"photometric": "miniswhite"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_pixel_is_read_as_the_picture_of_that_file_is(
    kind: str, segmenter: Segmenter, tmp_path: Path
) -> None:
    pixels, options = KINDS[kind]
    path = write_tiff(tmp_path / "a.tif", pixels, **options)
    segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    np.testing.assert_array_equal(
        labels_of(tmp_path / "labels.tif"), segmenter.predict(path, SMALL).labels
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("count", [3, 4])
def test_three_or_four_bands_without_a_colour_begin_with_red_green_and_blue(
    dtype: str, count: int, segmenter: Segmenter, tmp_path: Path
) -> None:
    bands = np.dstack([photograph(150, 90), photograph(150, 90, 1)])[..., :count].astype(dtype)
    bands *= 257 if dtype == "uint16" else 1
    path = write_tiff(tmp_path / "a.tif", bands, photometric="minisblack")
    compare(segmenter, path, np.ascontiguousarray(bands[..., :3]))


def test_a_photograph_that_is_no_tiff_is_decoded_once(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = photograph(200, 300)
    Image.fromarray(picture).save(tmp_path / "a.png")
    compare(segmenter, tmp_path / "a.png", picture)
    with pytest.raises(ImageError, match="limit of 1,000"):
        segmenter.predict_raster(tmp_path / "a.png", tmp_path / "b.tif", SMALL, max_pixels=1000)


def test_a_turned_tiff_is_turned_upright(segmenter: Segmenter, tmp_path: Path) -> None:
    picture = photograph(100, 160)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="rgb", extratags=[(274, 3, 1, 6, True)]
    )
    compare(segmenter, tmp_path / "a.tif", np.ascontiguousarray(np.rot90(picture, -1)))


def test_place_palette_and_names_are_in_the_result(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(700, 600), photometric="rgb", **PLACE)
    found = segmenter.predict_raster(path, tmp_path / "labels.tif")
    assert names_in(tmp_path) == ["a.tif", "labels.tif"]  # no .aux.xml
    with open_dataset(found.path) as dataset:
        assert dataset.crs == PLACE["crs"]
        assert dataset.transform == PLACE["transform"]
        assert dataset.shape == found.size == (700, 600)
        assert (dataset.count, dataset.dtypes, dataset.nodata) == (1, ("uint8",), None)
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.compression.name == "deflate"
        palette, tags = dataset.colormap(1), dataset.tags()
        labels = dataset.read(1)
    classes = segmenter.model.classes
    assert [palette[i][:3] for i in range(len(classes))] == [one.color for one in classes]
    assert json.loads(tags["CLASS_NAMES"]) == [one.name for one in classes]
    assert json.loads(tags["FASTFCN_PROCEDURE"])["kind"] == "tiles"
    assert json.loads(tags["FASTFCN_PROVENANCE"])["model"] == "tiny"
    for index, one in enumerate(classes):
        assert found.areas().get(one.name, 0) == np.mean(labels == index)
    assert sum(found.areas().values()) == pytest.approx(1)
    with Image.open(found.path) as image:  # a reader that knows nothing of GDAL
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)


def test_ground_control_points_are_kept(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(100, 100), photometric="rgb")
    points = [
        GroundControlPoint(row, col, x, y, 0.0)
        for row, col, x, y in ((0, 0, 10.0, 50.0), (0, 100, 11.0, 50.0), (100, 0, 10.0, 49.0))
    ]
    with open_dataset(path, "r+") as dataset:
        dataset.gcps = (points, "EPSG:4326")
    found = segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    with open_dataset(found.path) as dataset:
        kept, crs = dataset.gcps
    assert crs == "EPSG:4326"
    assert [(p.row, p.col, p.x, p.y) for p in kept] == [(p.row, p.col, p.x, p.y) for p in points]


def test_pixels_without_data_get_a_label_of_their_own(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = np.maximum(photograph(200, 150), 1)
    picture[:90, :70] = 0
    picture[150, 100, 1] = 0  # one band of three: there is data
    path = write_tiff(tmp_path / "a.tif", picture, photometric="rgb", nodata=0, **PLACE)
    found = segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    labels, expected = labels_of(found.path), segmenter.predict(picture, SMALL).labels.copy()
    with open_dataset(path) as dataset:
        expected[dataset.dataset_mask() == 0] = 255
    np.testing.assert_array_equal(labels, expected)
    assert (labels == 255).sum() == 90 * 70
    with open_dataset(found.path) as dataset:
        assert dataset.nodata == found.nodata == 255
    assert sum(found.areas().values()) == pytest.approx(1)


def test_alpha_is_a_mask_where_the_raster_has_a_place_on_the_ground(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    rgba = np.dstack([photograph(200, 150), np.full((200, 150, 1), 255, np.uint8)])
    rgba[120:, :, 3] = 0
    path = write_tiff(
        tmp_path / "a.tif", rgba, photometric="rgb", alpha="NON-PREMULTIPLIED", **PLACE
    )
    found = segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    expected = segmenter.predict(rgba, SMALL).labels.copy()
    expected[120:] = 255
    np.testing.assert_array_equal(labels_of(found.path), expected)


def test_many_classes_have_labels_of_16_bits(tmp_path: Path) -> None:
    model = tiny_model(300)
    tiny_artifact(tmp_path / "tiny", model)
    picture = photograph(150, 90)
    path = write_tiff(tmp_path / "a.tif", picture, photometric="rgb")
    with Segmenter.from_pretrained(tmp_path / "tiny", threads=1) as segmenter:
        found = segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
        expected = segmenter.predict(picture, SMALL).labels
    np.testing.assert_array_equal(labels_of(found.path), expected)
    with open_dataset(found.path) as dataset:
        assert dataset.dtypes == ("uint16",)
        assert dataset.colormap(1)[299][:3] == model.classes[299].color
        assert len(json.loads(dataset.tags()["CLASS_NAMES"])) == 300


@pytest.mark.parametrize(("classes", "dtype"), [(255, "uint8"), (256, "uint16")])
def test_the_label_without_data_is_no_class(classes: int, dtype: str, tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "tiny", tiny_model(classes))
    picture = photograph(80, 90)
    picture[:10] = 0
    path = write_tiff(tmp_path / "a.tif", picture, photometric="rgb", nodata=0)
    with Segmenter.from_pretrained(tmp_path / "tiny", threads=1) as segmenter:
        found = segmenter.predict_raster(path, tmp_path / "labels.tif", SMALL)
    labels = labels_of(found.path)
    assert labels.dtype == dtype
    assert found.nodata == np.iinfo(labels.dtype).max
    assert (labels[:10] == found.nodata).all()


def test_fewer_bits_in_16_are_noticed_once_and_read_with_a_depth(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    bands = photograph(300, 150).astype(np.uint16) * 16
    bands[:90] //= 50  # a dark band is no sign of fewer bits
    path = write_tiff(tmp_path / "a.tif", bands, photometric="rgb")
    with pytest.warns(RuntimeWarning, match=r"no value above 4095.*depth=12") as caught:
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)
    assert len(caught) == 1
    segmenter.predict_raster(path, tmp_path / "b.tif", SMALL, depth=12)
    expected = segmenter.predict(bands, SMALL, depth=12).labels
    np.testing.assert_array_equal(labels_of(tmp_path / "b.tif"), expected)
    with pytest.raises(ImageError, match="depth=8 allows 255"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL, depth=8)
    with pytest.raises(ValueError, match="8 to 16 bits"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL, depth=7)
    path = write_tiff(tmp_path / "a.tif", photograph(90, 90), photometric="rgb")
    with pytest.raises(ImageError, match="depth=12 is for pixels of 16 bits"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL, depth=12)


def test_two_runs_write_the_same_bytes(segmenter: Segmenter, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(300, 200), photometric="rgb", **PLACE)
    first = segmenter.predict_raster(path, tmp_path / "b.tif", SMALL).path.read_bytes()
    again = segmenter.predict_raster(path, tmp_path / "b.tif", SMALL).path.read_bytes()
    assert first == again


@pytest.mark.parametrize("procedure", ["whole", "fastfcn", "mmseg-tta", Procedure(scales=(0.5,))])
def test_procedures_that_see_the_whole_picture_are_refused(
    procedure: str | Procedure, segmenter: Segmenter, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(90, 90))
    with pytest.raises(ValueError, match=r"tiles or paddleseg-slide"):
        segmenter.predict_raster(path, tmp_path / "b.tif", procedure)
    assert names_in(tmp_path) == ["a.tif"]


def test_bands_that_are_not_said_to_be_colours_are_refused(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = np.dstack([photograph(90, 90), photograph(90, 90, 1)])
    path = write_tiff(tmp_path / "a.tif", picture)
    with pytest.raises(ImageError, match=r"6 bands.*gdal_translate"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)
    named = [ColorInterp.undefined] * 3 + [ColorInterp.blue, ColorInterp.green, ColorInterp.red]
    path = write_tiff(tmp_path / "c.tif", picture, colorinterp=named)
    found = segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)
    expected = segmenter.predict(np.ascontiguousarray(picture[..., :2:-1]), SMALL).labels
    np.testing.assert_array_equal(labels_of(found.path), expected)


VRT = (
    '<VRTDataset rasterXSize="9" rasterYSize="9"><SourceFilename>{}</SourceFilename></VRTDataset>'
)


def test_damaged_and_foreign_files_are_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    good = write_tiff(tmp_path / "good.tif", photograph(300, 200), tiled=True, compress="deflate")
    data = good.read_bytes()
    faults = {
        "empty": b"",
        "vrt": VRT.format(good).encode(),
        "text": b"no raster at all",
        "cut": data[: len(data) // 2],
        "head": data[:20],
        "cut a little": data[:-40],
    }
    for name, content in faults.items():
        path = tmp_path / f"{name}.tif"
        path.write_bytes(content)
        with pytest.raises(ImageError, match=name):
            segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)
    for missing in (tmp_path / "missing.tif", tmp_path, "https://example.org/a.tif", "/vsimem/a"):
        with pytest.raises(ImageError):
            segmenter.predict_raster(missing, tmp_path / "b.tif", SMALL)
    assert not (tmp_path / "b.tif").exists()
    assert not [name for name in names_in(tmp_path) if name.startswith(".")]


def test_a_tile_that_was_damaged_inside_is_reported(segmenter: Segmenter, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 200, 3), np.uint8)
    path = write_tiff(tmp_path / "a.tif", noise, blockysize=50, compress="deflate")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 999] = b"\xff" * 999
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.tif cannot be read in the rows"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)
    assert not (tmp_path / "b.tif").exists()


@pytest.mark.parametrize("side", [50_000, 1_000_000, 2_000_000_000])
def test_a_small_file_that_claims_to_be_huge_is_refused(
    side: int, segmenter: Segmenter, tmp_path: Path
) -> None:
    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, photograph(16, 16), photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[name].overwrite(side, dtype="I")
    with pytest.raises(ImageError, match="huge"):
        segmenter.predict_raster(path, tmp_path / "b.tif")
    assert names_in(tmp_path) == ["huge.tif"]


def test_targets_that_cannot_be_written_are_refused_first(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(90, 90))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        segmenter.predict_raster(path, tmp_path / "missing" / "b.tif", SMALL)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        (tmp_path / "folder.tif").mkdir()
        segmenter.predict_raster(path, tmp_path / "folder.tif", SMALL)
    with pytest.raises(ValueError, match=r"\.tif or \.tiff"):
        segmenter.predict_raster(path, tmp_path / "b.png", SMALL)
    with pytest.raises(ValueError, match="the raster itself"):
        segmenter.predict_raster(path, path, SMALL)


def test_without_rasterio_the_error_says_what_to_install(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(90, 90))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(BackendMissing, match=r"pip install .*\[geo\]"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)


def test_a_source_that_changes_meanwhile_is_noticed(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "a.tif", photograph(200, 90))
    append = journal.Progress.append

    def change(self: journal.Progress, labels: NDArray[Any]) -> None:
        append(self, labels)
        path.write_bytes(path.read_bytes() + b"more")

    monkeypatch.setattr(journal.Progress, "append", change)
    with pytest.raises(ImageError, match="was changed"):
        segmenter.predict_raster(path, tmp_path / "b.tif", SMALL)
    assert not (tmp_path / "b.tif").exists()
