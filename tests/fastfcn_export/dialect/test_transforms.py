from typing import Any

import numpy as np
import pytest

from deployed_cases import picture
from deployments import recorded_transforms
from fastfcn_export.dialect.transforms import preprocessing
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.artifact.procedure import SMALLEST, Frame, Resize
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import plan

RECORDED = recorded_transforms()
NORMALIZE = {"type": "Normalize"}


@pytest.mark.parametrize("item", RECORDED, ids=[item["key"] for item in RECORDED])
def test_the_network_is_fed_what_paddleseg_s_own_transforms_make_of_the_picture(
    item: dict[str, Any],
) -> None:
    found = preprocessing(item["transforms"], "deploy.yaml")
    size = (item["size"][0], item["size"][1])
    views = plan(found.procedure, (None, None), size)
    given = Input("image", found.mean, found.std, found.padding)
    (fed,) = prepare([(picture(size), view) for view in views], given, found.procedure.resize)
    expected = item["fed"]
    height, width = expected.shape[1:]
    # Graphs are never shown less than 33 x 33; these small pictures are padded to that.
    assert fed.shape[1:] == (max(height, SMALLEST), max(width, SMALLEST))
    part = fed[:, :height, :width]
    np.testing.assert_allclose(part, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("item", RECORDED, ids=[item["key"] for item in RECORDED])
def test_the_way_back_has_the_sizes_of_paddleseg_s_reverse_transform(item: dict[str, Any]) -> None:
    """PaddleSeg walks its notes backwards: to each size by resizing, or by cutting off."""
    found = preprocessing(item["transforms"], "deploy.yaml")
    size = (item["size"][0], item["size"][1])
    (view,) = plan(found.procedure, (None, None), size)
    back = [(kind, tuple(sides)) for kind, sides in item["back"]]
    resized = next((sides for kind, sides in back if kind == "resize"), None)
    after = [kind for kind, _ in back][-1:] == ["padding"]
    if resized is not None:
        assert (view.frame or size) == resized
    if after:
        assert view.size == back[-1][1]
    assert back[:1] == [] or back[0][1] == size


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        ({"type": "RandomHorizontalFlip"}, "'RandomHorizontalFlip' is unknown"),
        ({"type": "ResizeStepScaling"}, "'ResizeStepScaling' is unknown"),
        ({"kind": "Normalize"}, "transform None is unknown"),
        ({"type": ["Normalize"]}, "is unknown"),
        ({"type": "Normalize", "mean": [1, 2]}, "Normalize has 'mean'"),
        ({"type": "Normalize", "std": [0.5, 0, 0.5]}, "positive numbers"),
        ({"type": "Normalize", "std": float("nan")}, "Normalize has 'std'"),
        ({"type": "Normalize", "to_rgb": False}, "unknown arguments: 'to_rgb'"),
        ({"type": "Resize", "target_size": 512}, "a width and a height"),
        ({"type": "Resize", "target_size": [512, 0]}, "a width and a height"),
        ({"type": "Resize", "interp": "RANDOM"}, "random or unknown"),
        ({"type": "Resize", "size_divisor": 1.5}, "positive whole number"),
        ({"type": "ResizeByShort", "short_size": [400, 500]}, "positive whole number"),
        ({"type": "ResizeByLong"}, "ResizeByLong has no 'long_size'"),
        ({"type": "LimitLong", "max_long": 3, "min_long": 5}, "LimitLong has 'min_long' 5"),
        ({"type": "Padding"}, "Padding has no 'target_size'"),
        ({"type": "PaddingByAspectRatio", "aspect_ratio": 0}, "positive number"),
        ({"type": "Padding", "target_size": [9, 1 << 31]}, "Padding is not possible: sizes must"),
        ({"type": "Resize", "target_size": [9, 1 << 31]}, "Resize is not possible: sizes must"),
    ],
)
def test_what_cannot_be_said_in_a_manifest_is_refused_by_name(
    transform: dict[str, Any], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said) as caught:
        preprocessing([transform], "folder/deploy.yaml")
    assert str(caught.value).startswith("folder/deploy.yaml: ")


RESIZE = {"type": "Resize"}
PADDING = {"type": "Padding", "target_size": [9, 9]}


@pytest.mark.parametrize(
    ("transforms", "said"),
    [
        ([NORMALIZE, NORMALIZE], "Normalize is listed twice"),
        ([RESIZE, {"type": "ResizeByLong", "long_size": 3}], "ResizeByLong resizes a second time"),
        ([PADDING, PADDING], "pads a second time"),
        ([PADDING, RESIZE, {**PADDING, "im_padding_value": 0}], "another colour"),
        ([PADDING, RESIZE, NORMALIZE, PADDING], "another colour"),
    ],
)
def test_what_cannot_be_undone_in_one_step_is_refused(
    transforms: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(CheckpointError, match=said):
        preprocessing(transforms, "deploy.yaml")


def test_defaults_that_the_yaml_leaves_out_are_paddleseg_s() -> None:
    found = preprocessing([RESIZE, {"type": "PaddingByAspectRatio"}, NORMALIZE], "x")
    assert found.mean == found.std == found.padding == (0.5, 0.5, 0.5)
    size = Resize("exact", 512, align_corners=False, width=512, arithmetic="paddleseg")
    assert found.procedure.resize == size
    assert found.procedure.canvas == Frame(aspect_ratio=1.0)


def test_without_a_normalize_pixels_are_fed_as_bytes() -> None:
    found = preprocessing([], "x")
    given = Input("image", found.mean, found.std, found.padding)
    bright = np.full((40, 40, 3), 200, np.uint8)
    views = plan(found.procedure, (None, None), (40, 40))
    np.testing.assert_allclose(
        prepare([(bright, view) for view in views], given, None), 200, rtol=1e-6
    )
