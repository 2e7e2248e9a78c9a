"""What OpenVINO's Model API finds in our ONNX files."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from exports import recognised, write_onnx
from fastfcn_export.target.target import Options
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.model_api import PREFIX, model_api_metadata
from fastfcn_infer.artifact.relabel import relabel
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model


def found(path: Path) -> dict[str, str]:
    """Read the entries as the Model API does, by onnx."""
    properties = onnx.load(path).metadata_props
    keys = [entry.key for entry in properties]
    assert len(keys) == len(set(keys))
    return {e.key.removeprefix(PREFIX): e.value for e in properties if e.key.startswith(PREFIX)}


def test_a_file_says_how_pictures_of_opencv_are_normalised(tmp_path: Path) -> None:
    model = tiny_model()
    given = replace(model.input, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    tiny_artifact(tmp_path / "tiny", replace(model, input=given))
    assert found(tmp_path / "tiny" / "model.onnx") == {
        "model_type": "Segmentation",
        "labels": "class_0 class_1 class_2",
        "resize_type": "standard",
        "reverse_input_channels": "True",
        "blur_strength": "-1",
        "mean_values": "123.675 116.28 103.53",
        "scale_values": "58.395 57.12 57.375",
    }


def test_names_stay_apart_and_follow_a_relabelling(tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "tiny")
    table = tmp_path / "names.json"
    table.write_text(
        '[{"name": "traffic  light", "color": [1, 2, 3]}, '
        '{"name": "car", "color": [4, 5, 6]}, {"name": "sky", "color": [7, 8, 9]}]'
    )
    relabel(open_artifact(tmp_path / "tiny"), table, tmp_path / "new")
    assert found(tmp_path / "new" / "model.onnx")["labels"].split(" ") == [
        "traffic_light",
        "car",
        "sky",
    ]


def test_what_the_model_api_cannot_run_is_not_offered_to_it() -> None:
    model = tiny_model()
    labels = replace(model.output, name="labels", stride=1)
    bands = replace(model.input, mean=(0.5,) * 4, std=(1.0,) * 4, padding=(0.5,) * 4)
    assert model_api_metadata(replace(model, output=labels)) == {}
    assert model_api_metadata(replace(model, input=bands)) == {}
    for shape, offered in (((2, 64, 64), False), ((8, None, None), False), ((1, 64, 64), True)):
        given = replace(model.input, shape=shape)
        assert bool(model_api_metadata(replace(model, input=given))) is offered


def test_the_model_api_opens_a_fixed_shape_and_differs_at_boundaries_only(tmp_path: Path) -> None:
    """Its masks are the arg max of the logits, resized by nearest neighbours.

    Inside a cell whose four corners have one class they are ours. Of this noisy network's labels 79 % are equal.
    """
    models = pytest.importorskip("model_api.models")
    size = (64, 96)
    path = write_onnx(recognised("wuhuikai_encnet"), tmp_path, options=Options(shape=(1, *size)))
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    adapters = pytest.importorskip("model_api.adapters")
    adapter = adapters.OpenvinoAdapter(
        adapters.create_core(),
        str(path),
        device="CPU",
        # Otherwise bfloat16 on processors that have it.
        plugin_config={"INFERENCE_PRECISION_HINT": "f32"},
    )
    opened = models.SegmentationModel.create_model(adapter, preload=True)
    mask = opened(picture)
    mask = getattr(mask, "resultImage", mask)
    with Segmenter.from_pretrained(path, backend="open_vino", threads=1) as segmenter:
        ours = segmenter.predict(picture, color="bgr")
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        mean, std = (
            np.array(values) for values in (opened.params.mean_values, opened.params.scale_values)
        )
        batch = ((rgb - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
        coarse = segmenter._backend.run(batch)[0].argmax(0)
    assert opened.params.labels == [f"class_{label}" for label in range(7)]
    nearest = cv2.resize(coarse.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(mask, nearest)
    cells = np.array([coarse[dy : 7 + dy, dx : 11 + dx] for dy in (0, 1) for dx in (0, 1)])
    # align_corners: pixel y lies in cell floor(y * 7 / 63), and the nearest row, floor(y / 8), is one of its two.
    ys, xs = ((np.arange(side) * (n - 1)) // (side - 1) for side, n in ((64, 8), (96, 12)))
    inner = (cells == cells[0]).all(0)[np.minimum(ys, 6)[:, None], np.minimum(xs, 10)]
    assert (mask == ours.labels)[inner].all()
    assert 0.5 < (mask == ours.labels).mean() < 1
