"""The files that the pages of the documentation speak of; each function makes some in a folder."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pytest import MonkeyPatch

from camvid_tree import camvid_artifact, camvid_tree
from command_line import EMBEDDED, PACKAGE, PHOTOGRAPH
from dataset_trees import numbers, write_labels, write_picture
from exports import save_checkpoint
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import Auxiliary
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.hub import models
from networks import CASES
from paddleseg_files import CONFIGS
from rasters import PLACE, write_tiff
from small_trainings import pictures
from trained_files import trained, write_trained

ADE20K = 150
CLASSES = ("floor", "wall", "crack")


def read_photograph() -> NDArray[np.uint8]:
    """Read the street of the demonstration, (H, W, 3) BGR."""
    found = cv2.imread(str(PHOTOGRAPH))
    assert found is not None, PHOTOGRAPH
    return found.astype(np.uint8, copy=False)


def demo(folder: Path, _: MonkeyPatch, share: float = 1.0) -> None:
    """Put the photograph at its path in a clone, and as street.jpg."""
    photograph = read_photograph()
    copy = folder / PHOTOGRAPH.relative_to(PACKAGE.parent)
    copy.parent.mkdir(parents=True)
    if share == 1.0:
        shutil.copy(PHOTOGRAPH, copy)
    else:
        cv2.imwrite(str(copy), cv2.resize(photograph, None, fx=share, fy=share))
    shutil.copy(copy, folder / "street.jpg")


def small_demo(folder: Path, _: MonkeyPatch) -> None:
    """The same at a quarter of the size, for procedures that look at it often."""
    demo(folder, _, 0.25)


def photos(folder: Path, _: MonkeyPatch) -> None:
    """Two small photographs in photos/."""
    (folder / "photos").mkdir()
    photograph = read_photograph()
    for name, columns in (("a", slice(0, 320)), ("b", slice(320, 640))):
        cv2.imwrite(str(folder / "photos" / f"{name}.jpg"), photograph[:240, columns])


def bad_pictures(folder: Path, _: MonkeyPatch) -> None:
    """Three files that are called pictures."""
    (folder / "notes.jpg").write_text("hello\n")
    (folder / "cut.jpg").write_bytes(PHOTOGRAPH.read_bytes()[:2000])
    (folder / "empty.jpg").touch()


def bad_checkpoints(folder: Path, _: MonkeyPatch) -> None:
    """A pickle that calls a function, evil.pdparams."""
    (folder / "evil.pdparams").write_bytes(b"\x80\x02cposix\nsystem\nX\x04\0\0\0echo\x85R.")


def model(folder: Path, _: MonkeyPatch) -> None:
    """The embedded model as an artifact, model/."""
    shutil.copytree(EMBEDDED, folder / "model")


def tiny_model(folder: Path, monkeypatch: MonkeyPatch) -> None:
    """The embedded model replaced by one that computes next to nothing, for pages that look at pictures often."""
    artifact = open_artifact(camvid_artifact(folder / "tiny"))
    monkeypatch.setattr(models, "_embedded", lambda: artifact)


def camvid(folder: Path, _: MonkeyPatch) -> None:
    """A data set in CamVid's layout, CamVid/, with two pictures of every part."""
    for split in ("train", "val", "test"):
        camvid_tree(folder / "CamVid", pictures=2, split=split)


def prediction(folder: Path, _: MonkeyPatch) -> None:
    """A label map DIR/NAME.png."""
    (folder / "DIR").mkdir()
    cv2.imwrite(str(folder / "DIR" / "NAME.png"), np.zeros((8, 8), np.uint8))


def paddleseg_checkpoint(folder: Path, _: MonkeyPatch) -> None:
    """A small network of PaddleSeg with ADE20K's classes, model.pdparams, and its configuration."""
    _checkpoint(folder, "paddleseg_os8_laterals").rename(folder / "model.pdparams")


def original_checkpoint(folder: Path, _: MonkeyPatch) -> None:
    """A small network of the original code with ADE20K's classes, model_best.pth.tar."""
    _checkpoint(folder, "wuhuikai_encnet").rename(folder / "model_best.pth.tar")


def _checkpoint(folder: Path, case: str) -> Path:
    dialect, small, _ = CASES[case]
    architecture = replace(small, classes=ADE20K)
    assert isinstance(architecture.auxiliary, Auxiliary | None)
    tensors = to_dialect(dialect, architecture, random_weights(architecture))
    return save_checkpoint(folder, dialect, tensors)


def own_data(folder: Path, _: MonkeyPatch) -> None:
    """A data set of three classes as docs/datasets.md lays it out, mydata/."""
    root = folder / "mydata"
    for part, first, last in (("train", 0, 4), ("val", 4, 7)):
        lines = []
        for sample in pictures(root / part, last, void=False).samples[first:]:
            assert sample.label is not None
            lines.append(f"{part}/{sample.picture.name} {part}/{sample.label.name}\n")
        (root / f"{part}.txt").write_text("".join(lines))
    classes = [{"name": name, "color": [40 * i, 90, 10]} for i, name in enumerate(CLASSES)]
    (root / "classes.json").write_text(json.dumps(classes))


def trained_checkpoint(folder: Path, _: MonkeyPatch) -> None:
    """What a training on these classes writes, run_full/best.safetensors."""
    (folder / "run_full").mkdir()
    classes = tuple(ClassInfo(name, (40 * i, 90, 10)) for i, name in enumerate(CLASSES))
    write_trained(folder / "run_full" / "best.safetensors", replace(trained(), classes=classes))


def ade20k(folder: Path, _: MonkeyPatch) -> None:
    """Two labelled pictures in ADE20K's layout, ADE20K/."""
    for name in ("a", "b"):
        write_picture(folder / "ADE20K/images/validation" / f"{name}.jpg")
        labels = folder / "ADE20K/annotations/validation" / f"{name}.png"
        write_labels(labels, numbers(0, 1, 75, 150))


def paddleseg_configuration(folder: Path, _: MonkeyPatch) -> None:
    """PaddleSeg's published configuration where PaddleSeg has it, configs/fastfcn/."""
    shutil.copytree(CONFIGS, folder / "configs")


def raster(folder: Path, _: MonkeyPatch) -> None:
    """A georeferenced photograph, map.tif."""
    photograph = read_photograph()
    write_tiff(folder / "map.tif", photograph[:500, :600, ::-1], **PLACE)


def film(folder: Path, _: MonkeyPatch) -> None:
    """A film of four frames, film.mp4."""
    import av

    photograph = read_photograph()
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for shift in range(4):
            pixels = photograph[:240, 10 * shift : 10 * shift + 320, ::-1].astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


SETUPS = {
    setup.__name__.replace("_", " "): setup
    for setup in (
        *(
            demo,
            small_demo,
            photos,
            bad_pictures,
            bad_checkpoints,
            model,
            tiny_model,
            camvid,
            prediction,
            own_data,
        ),
        *(
            raster,
            film,
            trained_checkpoint,
            ade20k,
            paddleseg_configuration,
            paddleseg_checkpoint,
            original_checkpoint,
        ),
    )
}
