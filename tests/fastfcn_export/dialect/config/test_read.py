from pathlib import Path
from typing import Any

import pytest

from exports import save_checkpoint, tensors_of
from fastfcn_export import describe_checkpoint
from fastfcn_export.dialect.changes import Changes
from fastfcn_export.dialect.config.read import read_config
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.errors import CheckpointError
from one_logit import save_with_one_logit

IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
NEW = """
_base_ = []
norm_cfg = dict(type='SyncBN', requires_grad=True)
data_preprocessor = dict(type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375], bgr_to_rgb=True, pad_val=0)
model = dict(type='EncoderDecoder', data_preprocessor=data_preprocessor,
    decode_head=dict(type='FCNHead', num_classes=19, norm_cfg=norm_cfg))
test_pipeline = [dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1024, 640), keep_ratio=True), dict(type='PackSegInputs')]
"""
OLD = """
img_norm_cfg = dict(mean=[1, 2, 3], std=[4.5, 5, 6], to_rgb=False)
client = dict(backend='disk')
test_pipeline = [
    dict(type='LoadImageFromFile', file_client_args=client.copy()),
    dict(type='MultiScaleFlipAug', img_scale=(640, 320), flip=False, transforms=[
        dict(type='Resize', keep_ratio=True), dict(type='Normalize', **img_norm_cfg)])]
model = dict(decode_head=dict(num_classes=2, out_channels=1, threshold=0.4))
"""


def put(folder: Path, text: str, name: str = "config.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def fit(size: int, limit: int) -> Resize:
    return Resize("fit", size, align_corners=False, limit=limit)


def test_a_configuration_of_mmsegmentation_1_is_read(tmp_path: Path) -> None:
    found = read_config(put(tmp_path, NEW))
    assert found == Changes(*IMAGENET, 255.0, "rgb", fit(1024, 640), None)


def test_a_configuration_of_mmsegmentation_0_is_read(tmp_path: Path) -> None:
    found = read_config(put(tmp_path, OLD))
    assert found == Changes((1, 2, 3), (4.5, 5, 6), 255.0, "bgr", fit(640, 320), 0.4)


def test_bases_are_read_and_merged_as_mmengine_merges_them(tmp_path: Path) -> None:
    put(tmp_path, NEW, "base/one.py")
    text = "_base_ = ['../base/one.py']\nmodel = dict(decode_head=dict(num_classes=1))\n"
    found = read_config(put(tmp_path, text, "mine/config.py"))
    assert found == Changes(*IMAGENET, 255.0, "rgb", fit(1024, 640), 0.3)


def test_nothing_of_a_configuration_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"import pathlib\npathlib.Path({str(mark)!r}).write_text('x')\n{NEW}"
    read_config(put(tmp_path, text))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("[123.675, 116.28, 103.53]", "mean()", r"mean is not a literal \(config.py, line 4\)"),
        ("116.28", "float('1')", "mean is not a literal"),
        ("(1024, 640)", "scale", "scale is not a literal"),
        ("dict(type='PackSegInputs')", "pack()", "test pipeline is not a literal"),
        ("type='Resize'", "type='ResizeShortestEdge'", "ResizeShortestEdge"),
        ("_base_ = []", "_base_ = 'gone.py'", "gone.py cannot be read"),
        ("_base_ = []", "_base_ = 'config.py'", "too many others"),
        ("_base_ = []", "_base_ = '/etc/passwd'", "does not name Python files"),
        ("model = dict(", "model = (", "not Python"),
    ],
)
def test_what_is_not_a_literal_or_not_possible_is_named(
    old: str, new: str, match: str, tmp_path: Path
) -> None:
    assert old in NEW
    with pytest.raises(CheckpointError, match=match):
        read_config(put(tmp_path, NEW.replace(old, new, 1)))


@pytest.mark.parametrize(
    "line",
    [
        "data_preprocessor['mean'] = [0, 0, 0]",
        "data_preprocessor.update(mean=0)",
        "x = data_preprocessor; x['mean'] = 1",
    ],
)
def test_a_value_that_is_changed_later_is_not_taken(line: str, tmp_path: Path) -> None:
    text = NEW.replace("model = dict(", f"{line}\nmodel = dict(", 1)
    with pytest.raises(CheckpointError, match="not a literal"):
        read_config(put(tmp_path, text))


YAML = """
val_dataset:
  type: Dataset
  transforms:
    - type: Resize
      target_size: [512, 256]
    - type: Normalize
      mean: [0.4, 0.5, 0.6]
      std: [0.1, 0.2, 0.3]
model: {type: FastFCN, num_classes: 6}
"""


def test_a_configuration_of_paddleseg_is_read(tmp_path: Path) -> None:
    found = read_config(put(tmp_path, YAML, "a.yml"))
    resize = Resize("exact", 256, align_corners=False, width=512, arithmetic="paddleseg")
    assert found == Changes((0.4, 0.5, 0.6), (0.1, 0.2, 0.3), 1.0, "rgb", resize, None)


def test_paddleseg_s_own_configuration_with_its_bases_is_the_published_recipe() -> None:
    folder = Path(__file__).parents[3] / "data" / "paddleseg" / "configs" / "fastfcn"
    (path,) = folder.iterdir()
    half = (0.5, 0.5, 0.5)
    assert read_config(path) == Changes(half, half, 1.0, "rgb", "none", None)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (YAML + "test_config: {use_multilabel: true}\n", "several labels"),
        ("model: {}\n", "no list of transforms"),
        (YAML.replace("type: Resize", "type: RandomBlur"), "RandomBlur"),
        ("[]", "no mapping"),
    ],
)
def test_a_yaml_that_cannot_be_exported_is_refused(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=match):
        read_config(put(tmp_path, text, "a.yml"))


def test_multi_label_of_one_class_is_a_threshold(tmp_path: Path) -> None:
    text = (
        YAML.replace("num_classes: 6", "num_classes: 1") + "test_config: {use_multilabel: true}\n"
    )
    assert read_config(put(tmp_path, text, "a.yml")).threshold == 0.5


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="neither a PaddleSeg"):
        read_config(tmp_path / "config.json")


def test_what_the_user_says_goes_before_the_configuration(tmp_path: Path) -> None:
    checkpoint = save_with_one_logit("mmseg_psp", tmp_path / "in")
    options: dict[str, Any] = {"output_stride": 32, "from_config": put(tmp_path, OLD)}
    found = describe_checkpoint(checkpoint, **options)
    assert found.class_names == ("background", "foreground")
    said = " ".join(found.network.assumed)
    assert "order BGR, as said by config.py" in said
    assert found.procedure is not None and found.procedure.resize == fit(640, 320)
    found = describe_checkpoint(checkpoint, resize="none", **options)
    assert found.procedure is not None and found.procedure.resize is None
    assert "as said by the user and config.py" in " ".join(found.network.assumed)


def test_what_the_user_says_need_not_be_a_literal_in_the_configuration(tmp_path: Path) -> None:
    path = put(tmp_path, NEW.replace("[123.675, 116.28, 103.53]", "mean()", 1))
    half = (0.5, 0.5, 0.5)
    found = read_config(path, Changes(half, half))
    assert found == Changes(half, half, None, "rgb", fit(1024, 640))


def test_the_threshold_of_a_configuration_for_another_network_is_an_error(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, "mmseg", tensors_of("mmseg_psp"))
    with pytest.raises(ValueError, match="networks with one logit"):
        describe_checkpoint(checkpoint, output_stride=32, from_config=put(tmp_path, OLD))
