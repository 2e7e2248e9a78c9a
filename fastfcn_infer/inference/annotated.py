"""What other tools read, made from the labels of a picture: the methods of `Segmentation` for formats."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.inference import areas, ground
from fastfcn_infer.picture import annotation
from fastfcn_infer.picture.geometry.regions import Region, find_regions
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.picture.run_lengths import coco_rle
from fastfcn_infer.system.opencv import cv2


class Exports:
    """Regions and formats of a `Segmentation`, which inherits them."""

    labels: NDArray[np.uint8 | np.uint16]
    names: tuple[str, ...]
    colors: NDArray[np.uint8]
    picture: NDArray[np.uint8]
    timings: Mapping[str, float]
    provenance: Mapping[str, str]
    source: str | None
    frame: int | None
    ignore_label: int | None

    def regions(self, min_area: int = 0, simplify: float = 0.0) -> list[Region]:
        """Return the connected regions of all classes, with area, box, centroid and polygon.

        Pixels belong together if they share a side. Neighbours share their border, also when it was
        simplified, so polygons neither overlap nor leave gaps: a pixel whose centre lies on a border
        belongs to one of them by the even-odd rule.

        Args:
            min_area: pixels; smaller regions are left out, and their place stays empty.
            simplify: pixels; corners of outlines that are within this distance of the simpler outline are
                left out. 0: the outlines follow the sides of the pixels.

        Returns:
            The largest first.

        Raises:
            ValueError: `min_area` or `simplify` is negative.
        """
        return find_regions(self.labels, self.names, min_area, simplify)

    def to_coco(self, image_id: int = 1, file_name: str | None = None) -> dict[str, Any]:
        """Return a COCO data set of this picture: an annotation for each class that is present.

        Masks are run lengths as pycocotools makes them. A category's id is the label of the class
        + 1, because some readers take 0 for no category; annotations are numbered from 1.

        Args:
            image_id: number of the picture.
            file_name: the file name of the picture; None: the name of `source`.
        """
        return _describe("coco", self, image_id, file_name)

    def to_coco_panoptic(
        self, image_id: int = 1, file_name: str | None = None
    ) -> tuple[Picture, dict[str, Any]]:
        """Return the picture of segment numbers of COCO panoptic, and its description.

        Each class that is present is one segment. Its number, R + 256 G + 65536 B, is the label + 1;
        0 is what has no class. Save the picture as PNG, under the name that the description gives it.
        """
        numbers, description = annotation.load("coco-panoptic").describe(self, image_id, file_name)
        return numbers, description

    def to_geojson(
        self,
        transform: Sequence[float] | None = None,
        *,
        crs: Any = None,
        min_area: int = 0,
        simplify: float = 0.0,
    ) -> dict[str, Any]:
        """Return the regions as GeoJSON, one polygon with holes each.

        The member "units" says what the coordinates are: "degrees", longitude and latitude in WGS84, where
        the reference system is known; "transform", what `transform` gives; "pixels", x to the right
        and y down from the upper left corner.

        Args:
            transform: from pixels to the ground, as rasterio gives it: a, b, c, d, e, f with
                x = a column + b row + c and y = d column + e row + f. None: that of the file `source` if
                it is a georeferenced TIFF, else coordinates are pixels.
            crs: reference system of `transform`, such as "EPSG:32633"; needs rasterio.
            min_area: as in `regions`.
            simplify: as in `regions`; pixels.

        Raises:
            ValueError: `transform`, `crs`, `min_area` or `simplify` makes no sense.
            BackendMissing: a reference system is known, and rasterio is not installed.
            ImageError: the file says where it lies in another way than by an affine transform.
        """
        if transform is None and crs is not None:
            raise ValueError("crs is that of a transform, which is missing")
        project: ground.Project | None
        if transform is None:
            project, units = ground.of_picture(self.source, self.labels.shape)
        else:
            project, units = ground.by_transform(transform, crs)
        return _describe(
            "geojson",
            self,
            self.regions(min_area, simplify),
            project=project,
            units=units,
            made=annotation.outlines(min_area, simplify),
        )

    def to_labelme(
        self,
        image_path: str | None = None,
        *,
        min_area: int = 0,
        simplify: float = 0.0,
    ) -> dict[str, Any]:
        """Return the content of a file of labelme: a polygon for each region.

        labelme's polygons have no holes and are painted one over the other, so they are sorted: what lies
        in a hole comes after what surrounds it. Pixels without a class are polygons with the label
        ``__ignore__``, as in labelme's examples. A hole that `min_area` leaves empty belongs to what surrounds it.

        Args:
            image_path: path of the picture from the folder of the file; None: the name of `source`.
            min_area: as in `regions`.
            simplify: as in `regions`; pixels.
        """
        return _describe("labelme", self, image_path, min_area=min_area, simplify=simplify)

    def to_label_studio(self, image: str | None = None) -> dict[str, Any]:
        """Return a task of Label Studio with a prediction: a brush mask for each class that is present.

        Args:
            image: address of the picture as Label Studio finds it; None: the name of `source`.
        """
        return _describe("label-studio", self, image)

    def save_cvat(self, folder: str | Path, name: str | None = None) -> None:
        """Write CVAT's "Segmentation mask 1.1": a folder, which CVAT imports as a ZIP file.

        Args:
            folder: made if it is missing.
            name: the name of the picture without its suffix; None: that of `source`. An older mask of that name is
                replaced.

        Raises:
            ValueError: `name` is no name of a file.
            ImageError: the name of a class cannot be written into CVAT's table, or the folder has masks of other
                classes.
            OSError: a file could not be written.
        """
        name = name or Path(annotation.picture_name(self) or "picture").stem
        annotation.write_folder("cvat", self, Path(folder), name)

    def to_sv(self) -> Any:
        """Return ``supervision.Detections``: a mask, box and name for each class that is present.

        Every pixel that has a class is in one mask. `class_id` is the label; class 0 is a class.

        Raises:
            BackendMissing: supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise BackendMissing(
                f"to_sv needs the package supervision ({error}). Run: pip install supervision"
            ) from error
        present = annotation.present(self)
        masks = np.array([self.labels == label for label in present], np.bool_)
        boxes = [_box(mask) for mask in masks]
        return supervision.Detections(
            xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            mask=masks.reshape(-1, *self.labels.shape),
            class_id=np.array(present, np.int64),
            data={"class_name": np.array([self.names[label] for label in present], np.str_)},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of the result except the picture, as numbers, texts, lists and dictionaries.

        `areas` has label, name, number of pixels and fraction of the picture of each class that is
        present, the largest first; `masks`, in the same order, its colour, box (left, top, right, bottom)
        and mask as COCO's run lengths, of which pycocotools makes an array.
        """
        counts = areas.count(self.labels, len(self.names))
        ignored: dict[str, Any] = {}
        if self.ignore_label is not None:
            share = 1 - int(counts.sum()) / self.labels.size
            ignored = {"ignore_label": self.ignore_label, "ignored": share}
        return {
            "source": self.source,
            "frame": self.frame,
            "size": list(self.labels.shape),
            "areas": areas.rows(self.names, counts.tolist()),
            "masks": [self._mask_facts(label) for label in areas.present(counts.tolist())],
            "names": list(self.names),
            **ignored,
            "timings": dict(self.timings),
            "provenance": dict(self.provenance),
        }

    def _mask_facts(self, label: int) -> dict[str, Any]:
        mask = self.labels == label
        return {
            "label": label,
            "name": self.names[label],
            "color": "#{:02x}{:02x}{:02x}".format(*self.colors[label].tolist()),
            "box": list(_box(mask)),
            "rle": coco_rle(mask),
        }

    def to_json(self) -> str:
        """Return `to_dict` as JSON: what `save` writes into ``.json`` files."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def _describe(kind: str, *args: Any, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = annotation.load(kind).describe(*args, **options)
    return found


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a mask."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return left, top, left + width, top + height
