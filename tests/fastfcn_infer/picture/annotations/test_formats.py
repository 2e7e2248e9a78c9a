"""Formats of annotations, each read by its own tool where that is installed."""

import contextlib
import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from command_line import python
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture import annotation
from fastfcn_infer.picture.annotation import Entry, write, write_collection
from segmentations import segmentation

# pycocotools 2.0.11 was written before NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SIZES = ((40, 56), (33, 21))


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, list[Segmentation]]:
    """Two pictures with all formats, as ``fastfcn predict --save`` writes them."""
    found = []
    for index, (height, width) in enumerate(SIZES):
        source = tmp_path / f"{index}.png"
        labels = segmentation(height, width).labels.copy()
        labels[0, 0], labels[-3:, -4:] = 0, 20  # class 0 is a class
        one = segmentation(height, width, labels=labels, source=str(source))
        cv2.imwrite(str(source), one.picture)
        found.append(one)
    out = tmp_path / "out"
    for kind in annotation.NAMES:
        for index, one in enumerate(found):
            write(kind, one, Entry(out, f"{index}", f"{index}.png"))
        write_collection(kind, out, {"0": "0.png", "1": "1.png"})
    return out, found


def test_pycocotools_reads_the_labels_of_all_pictures_back(
    folder: tuple[Path, list[Segmentation]],
) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    out, found = folder
    with contextlib.redirect_stdout(io.StringIO()):
        read = coco.COCO(str(out / "annotations.json"))
    assert [image["file_name"] for image in read.loadImgs(read.getImgIds())] == ["0.png", "1.png"]
    assert sorted(read.anns) == list(range(1, len(read.anns) + 1))
    for image_id, one in enumerate(found, 1):
        labels = np.full(one.size, 999)
        for item in read.loadAnns(read.getAnnIds(image_id)):
            mask = read.annToMask(item).astype(bool)
            assert (labels[mask] == 999).all()
            assert (item["area"], item["iscrowd"]) == (mask.sum(), 0)
            labels[mask] = item["category_id"] - 1
        np.testing.assert_array_equal(labels, one.labels)
    assert read.cats[1]["name"] == found[0].names[0]


def test_supervision_reads_the_coco_file_and_takes_a_result_as_detections(
    folder: tuple[Path, list[Segmentation]],
) -> None:
    supervision = pytest.importorskip("supervision")
    out, (first, _) = folder
    read = supervision.DetectionDataset.from_coco(
        str(out.parent), str(out / "annotations.json"), force_masks=True
    )
    by_name = {Path(path).name: detections for path, _, detections in read}
    own = first.to_sv()
    assert len(set(read.classes)) == len(first.names)  # also of ADE20K's two screens
    numbers = [label for label, name in enumerate(first.names) if first.names.index(name) < label]
    assert numbers
    for label, name in enumerate(first.names):
        assert read.classes[label] == (f"{name} ({label})" if label in numbers else name)
    np.testing.assert_array_equal(by_name["0.png"].class_id, own.class_id)
    np.testing.assert_array_equal(by_name["0.png"].mask, own.mask)
    assert own.class_id.tolist() == np.unique(first.labels).tolist()
    assert (own.mask.sum(axis=0) == 1).all()  # every pixel is in one mask
    assert own.data["class_name"].tolist() == [first.names[i] for i in own.class_id]
    np.testing.assert_array_equal(
        own.xyxy, np.add(supervision.mask_to_xyxy(own.mask), [0, 0, 1, 1])
    )


def test_panoptic_pictures_and_descriptions_fit(folder: tuple[Path, list[Segmentation]]) -> None:
    out, found = folder
    description = json.loads((out / "panoptic.json").read_text())
    names = {image["id"]: image["file_name"] for image in description["images"]}
    for one, item in zip(found, description["annotations"], strict=True):
        assert names[item["image_id"]] == Path(str(one.source)).name
        read = cv2.imread(str(out / "panoptic" / item["file_name"]))
        assert read is not None
        blue, green, red = np.moveaxis(read.astype(int), 2, 0)
        numbers = red + 256 * green + 65536 * blue  # as panopticapi's rgb2id
        np.testing.assert_array_equal(numbers, one.labels.astype(int) + 1)
        segments = {s["id"]: (s["category_id"], s["area"]) for s in item["segments_info"]}
        ids, areas = np.unique(numbers, return_counts=True)
        assert segments == {int(i): (int(i), int(a)) for i, a in zip(ids, areas, strict=True)}


@pytest.mark.parametrize("kind", ["coco_instances", "coco_panoptic"])
def test_datumaro_reads_coco_and_loses_no_class(
    folder: tuple[Path, list[Segmentation]], tmp_path: Path, kind: str
) -> None:
    datumaro = pytest.importorskip("datumaro")
    out, found = folder
    (tmp_path / "set" / "annotations").mkdir(parents=True)  # as COCO names its files
    (tmp_path / "set" / "images").mkdir()
    annotations = tmp_path / "set" / "annotations"
    if kind == "coco_panoptic":
        shutil.copy(out / "panoptic.json", annotations / "panoptic_default.json")
        shutil.copytree(out / "panoptic", annotations / "panoptic_default")
    else:
        shutil.copy(out / "annotations.json", annotations / "instances_default.json")
    read = datumaro.Dataset.import_from(str(tmp_path / "set"), kind)
    names = [label.name for label in read.categories()[datumaro.AnnotationType.label]]
    for index, one in enumerate(found):
        every = read.get(str(index), subset="default").annotations
        masks = [one for one in every if one.type is datumaro.AnnotationType.mask]
        assert {names[mask.label] for mask in masks} == set(one.areas())
        for mask in masks:
            np.testing.assert_array_equal(mask.image, one.mask(names[mask.label]))


def test_labelme_reads_the_polygons_and_paints_the_labels(
    folder: tuple[Path, list[Segmentation]],
) -> None:
    out, (first, _) = folder
    path = out / "labelme" / "0.json"
    shapes = json.loads(path.read_text())["shapes"]
    # As labelme does: in their order, one over the other; sampled at the centres of pixels.
    labels = np.full(first.size, 999, np.int32)
    for shape in shapes:
        big = np.zeros([2 * side + 1 for side in first.size], np.uint8)
        points = np.round(2 * np.array(shape["points"])).astype(np.int32)
        cv2.fillPoly(big, [points], 1)
        labels[big[1::2, 1::2] > 0] = first.names.index(shape["label"])
    np.testing.assert_array_equal(labels, first.labels)
    assert (path.parent / json.loads(path.read_text())["imagePath"]).resolve() == Path(
        str(first.source)
    )


def test_labelme_gets_polygons_of_pixels_without_a_class_also_in_holes() -> None:
    labels = np.full((40, 50), 2, np.uint8)
    labels[5:30, 5:40], labels[10:20, 10:20], labels[12:15, 12:15] = 6, 255, 2  # a hole, an island
    labels[:, 45:], labels[25, 25] = 255, 255
    found = segmentation(40, 50, labels=labels, ignore_label=255)
    drawn = np.full(labels.shape, 999)
    for shape in found.to_labelme()["shapes"]:  # as labelme does
        name = shape["label"]
        big = np.zeros([2 * side + 1 for side in labels.shape], np.uint8)
        cv2.fillPoly(big, [np.int32(2 * np.array(shape["points"]))], 1)  # type: ignore[list-item]
        drawn[big[1::2, 1::2] > 0] = 255 if name == "__ignore__" else found.names.index(name)
    np.testing.assert_array_equal(drawn, labels)


def test_labelme_itself_reads_its_file(folder: tuple[Path, list[Segmentation]]) -> None:
    module = pytest.importorskip("labelme._label_file")
    out, (first, _) = folder
    read = module.read_label_file(str(out / "labelme" / "0.json"))
    assert [shape["label"] for shape in read.shapes] == [
        first.names[label] for label in (2, 6, 20, 20, 0)
    ]


def test_datumaro_reads_the_masks_of_cvat(folder: tuple[Path, list[Segmentation]]) -> None:
    datumaro = pytest.importorskip("datumaro")
    out, found = folder
    read = datumaro.Dataset.import_from(str(out / "cvat"), "voc_segmentation")
    names = [label.name for label in read.categories()[datumaro.AnnotationType.label]]
    for index, one in enumerate(found):
        item = read.get(str(index), subset="default")
        assert {names[mask.label] for mask in item.annotations} == set(one.areas())
        for mask in item.annotations:
            np.testing.assert_array_equal(mask.image, one.mask(names[mask.label]))


def test_every_pixel_of_cvats_masks_has_the_colour_of_its_class_in_the_table(
    folder: tuple[Path, list[Segmentation]],
) -> None:
    out, (first, _) = folder
    lines = (out / "cvat" / "labelmap.txt").read_text().splitlines()[1:]
    table = {line.split(":")[0]: line.split(":")[1] for line in lines}
    # ADE20K gives road and skyscraper one colour; a mask could not tell them apart.
    assert len(set(table.values())) == len(table) == len(set(first.names)) + 1
    assert table["background"] == "0,0,0"
    read = cv2.imread(str(out / "cvat" / "SegmentationClass" / "0.png"))
    assert read is not None
    for label in np.unique(first.labels).tolist():
        color = tuple(map(int, table[first.names[label]].split(",")))
        mask = (read[:, :, ::-1] == color).all(axis=2)
        np.testing.assert_array_equal(mask, first.labels == label)
    listed = (out / "cvat" / "ImageSets" / "Segmentation" / "default.txt").read_text()
    assert listed == "0\n1\n"


def test_label_studio_tasks_fit_the_interface(folder: tuple[Path, list[Segmentation]]) -> None:
    out, (first, _) = folder
    tasks = json.loads((out / "label-studio.json").read_text())
    view = ElementTree.parse(out / "label-studio.xml").getroot()
    image, brushes = view
    assert [task["data"] for task in tasks] == [{"image": "0.png"}, {"image": "1.png"}]
    assert (image.get("name"), image.get("value")) == ("image", "$image")
    assert [label.get("value") for label in brushes] == list(dict.fromkeys(first.names))
    (prediction,) = tasks[0]["predictions"]
    for result in prediction["result"]:
        assert (result["from_name"], result["to_name"]) == (brushes.get("name"), "image")
        assert (result["original_height"], result["original_width"]) == first.size
    painted = [result["value"]["brushlabels"][0] for result in prediction["result"]]
    assert painted == [first.names[label] for label in np.unique(first.labels)]


def test_geojson_is_read_by_gdal_and_covers_the_picture(
    folder: tuple[Path, list[Segmentation]],
) -> None:
    features = pytest.importorskip("rasterio.features")
    out, (first, _) = folder
    read = json.loads((out / "0.geojson").read_text())
    assert (read["type"], read["units"]) == ("FeatureCollection", "pixels")
    shapes = [(one["geometry"], one["properties"]["label"]) for one in read["features"]]
    drawn = features.rasterize(shapes, out_shape=first.size, fill=255, dtype="uint8")
    np.testing.assert_array_equal(drawn, first.labels)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("a", "b", "a"), ["a", "b", "a (2)"]),
        (("a", "a", "a (1)"), ["a", "a (1) (1)", "a (1)"]),
        (("a (2)", "a", "a", "a"), ["a (2)", "a", "a (2) (2)", "a (3)"]),
        (("", "", 'é,"<'), ["", " (1)", 'é,"<']),
    ],
)
def test_categories_have_different_names_and_keep_those_that_are_alone(
    names: tuple[str, ...], expected: list[str]
) -> None:
    colors, labels = np.zeros((len(names), 3), np.uint8), np.zeros((2, 2), np.uint8)
    found = segmentation(2, 2, names=names, colors=colors, labels=labels)
    for description in (found.to_coco(), found.to_coco_panoptic()[1]):
        assert [one["name"] for one in description["categories"]] == expected


@pytest.mark.parametrize("name", ["a\x01", "\x00", "\ud800", "\ufffe"])
def test_a_name_that_xml_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    def written(name: str) -> ElementTree.Element:
        colors, labels = np.eye(2, 3, dtype=np.uint8), np.ones((4, 4), np.uint8)
        found = segmentation(4, 4, names=("x", name), colors=colors, labels=labels)
        write("label-studio", found, Entry(tmp_path, "a", "a.png"))
        return ElementTree.parse(tmp_path / "label-studio.xml").getroot()[1][1]

    with pytest.raises(ImageError, match="XML, which cannot hold the name"):
        written(name)
    assert not [*tmp_path.iterdir()]
    other = "a\r\n\t\"<&>'路🚗"
    assert written(other).get("value") == other


@pytest.mark.parametrize("name", ["", "a:b", "#a", " a", "a\nb"])
def test_a_name_that_cvats_table_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    colors = np.eye(2, 3, dtype=np.uint8)
    found = segmentation(4, 4, names=("x", name), colors=colors, labels=np.ones((4, 4), np.uint8))
    with pytest.raises(ImageError, match="CVAT's table of labels cannot hold the name"):
        found.save_cvat(tmp_path)


def test_pixels_of_no_class_are_in_no_annotation() -> None:
    labels = segmentation(6, 6).labels.copy()
    labels[:2] = 255
    found = segmentation(6, 6, labels=labels, ignore_label=255)
    assert sum(item["area"] for item in found.to_coco()["annotations"]) == 24
    assert found.to_coco_panoptic()[0].max(axis=(1, 2)).tolist() == [0, 0, 3, 21, 7, 7]
    assert sum(region.area for region in found.regions()) == 24
    assert len(found.to_label_studio()["predictions"][0]["result"]) == 3


def test_black_is_the_background_alone_in_cvats_table(tmp_path: Path) -> None:
    names = ("void", "background", "car", "bus")
    colors = np.array([(0, 0, 0), (0, 0, 0), (9, 9, 9), (9, 9, 9)], np.uint8)
    labels = np.arange(4, dtype=np.uint8).reshape(2, 2)
    found = segmentation(2, 2, names=names, colors=colors, labels=labels)
    found.save_cvat(tmp_path, "a")
    lines = (tmp_path / "labelmap.txt").read_text().splitlines()[1:]
    table = {line.split(":")[0]: line.split(":")[1] for line in lines}
    assert (table["background"], table["car"]) == ("0,0,0", "9,9,9")
    assert len(set(table.values())) == 4
    read = cv2.imread(str(tmp_path / "SegmentationClass" / "a.png"))
    assert read is not None
    painted = [",".join(map(str, color)) for color in read[:, :, ::-1].reshape(-1, 3).tolist()]
    assert painted == [table[name] for name in names]


def test_a_format_is_added_by_one_file(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "tags.py").write_text(
        "READER, PLACE, ALONE = 'a reader', 'tagged/{}.png', ('.tags',)\n"
        "def describe(found): return found.names\n"
        "def encode(found, entry): return {PLACE.format(entry.name): '\\n'.join(describe(found)).encode()}\n"
        "def collect(folder, names): return iter(())\n"
    )
    script = (
        "import sys; from pathlib import Path\n"
        "from fastfcn_infer.picture import annotations\n"
        "annotations.__path__.append('more')\n"  # before the names of the formats are listed
        "from fastfcn_infer.cli.output import choose_output\n"
        "from fastfcn_infer.inference.results import is_result\n"
        "from segmentations import segmentation\n"
        "one = segmentation(8, 8, provenance={'fastfcn-infer': '1'})\n"
        "one.save('saved.tags', kind='tags')\n"
        "for name in ('tagged', 'other'):\n"
        "    Path(name).mkdir(); one.save(f'{name}/street.png')\n"
        "print(choose_output('a.tags', None).kinds, choose_output('out', 'labels,tags').kinds)\n"
        "print([is_result(Path(name, 'street.png')) for name in ('tagged', 'other')])\n"
    )

    ended = python("-c", script, cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["('tags',) ('labels', 'tags')", "[True, False]"]
    assert (tmp_path / "saved.tags").read_text().splitlines() == list(segmentation(8, 8).names)


def test_a_format_that_is_a_folder_is_not_saved_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'cvat' is a folder of files, which fastfcn predict --save"
    ):
        segmentation(8, 8).save(tmp_path / "x.png", kind="cvat")  # type: ignore[arg-type] # as users may
