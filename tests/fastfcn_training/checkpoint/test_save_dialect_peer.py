"""PaddleSeg itself loads what `--save-dialect` wrote; runs where its package is installed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_export.dialect.dialect import load_dialect
from fastfcn_export.network import choice
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import reference
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_training.checkpoint.save_dialect import save_dialect
from trained_files import trained, write_trained

paddle = pytest.importorskip("paddle")
pytest.importorskip("paddleseg")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs

CLASSES = 5
WIDTH = 48  # of everything behind the backbone
SMALL = NetworkChoice(
    backbone="resnet18",
    form="vd",
    jpu_width=WIDTH,
    head_width=WIDTH,
    auxiliary_width=WIDTH,
    codes=7,
    family="paddleseg",
)
CHOICES = {
    "stride 32": SMALL,
    "stride 16, laterals": replace(SMALL, output_stride=16, laterals=True),
    "stride 8, no JPU": replace(SMALL, output_stride=8, jpu=None),
    "without parts of training": replace(SMALL, auxiliary=False, semantic=False),
    "bottlenecks": replace(SMALL, backbone="resnet50", output_stride=8),
}


def theirs(network: NetworkChoice, folder: Path) -> Any:
    """Build PaddleSeg's network from a configuration file, as its users do."""
    from paddleseg.cvlibs import Config, SegBuilder

    config = folder / "config.yml"
    config.write_text(
        f"""
batch_size: 1
iters: 1
train_dataset: {{type: Dataset, dataset_root: ., num_classes: {CLASSES}, mode: train}}
val_dataset: {{type: Dataset, dataset_root: ., num_classes: {CLASSES}, mode: val}}
optimizer: {{type: SGD}}
lr_scheduler: {{type: PolynomialDecay, learning_rate: 0.01}}
loss: {{types: [{{type: CrossEntropyLoss}}], coef: [1]}}
model:
  type: FastFCN
  num_classes: {CLASSES}
  num_codes: {network.codes}
  mid_channels: {WIDTH}
  use_jpu: {network.jpu is not None}
  aux_loss: {network.auxiliary}
  use_se_loss: {network.semantic}
  add_lateral: {network.laterals}
  backbone:
    type: {network.backbone.replace("resnet", "ResNet")}_vd
    output_stride: {network.output_stride}
"""
    )
    return SegBuilder(Config(str(config))).model


@pytest.mark.parametrize("name", CHOICES)
def test_paddleseg_loads_a_saved_file_whole_and_answers_what_our_network_does(
    name: str, tmp_path: Path
) -> None:
    network = CHOICES[name]
    conventions = load_dialect("paddleseg").CONVENTIONS
    said = replace(
        trained(network),
        classes=numbered_classes(CLASSES),
        align_corners=conventions.align_corners,
        mean=conventions.mean,
        std=conventions.std,
    )
    save_dialect(write_trained(tmp_path / "m", said), "paddleseg", tmp_path / "m.pdparams")
    model = theirs(network, tmp_path)
    missing, unexpected = model.set_state_dict(paddle.load(str(tmp_path / "m.pdparams")))
    assert (list(missing), list(unexpected)) == ([], [])
    model.eval()
    image = np.random.default_rng(1).standard_normal((1, 3, 97, 129)).astype(np.float32)
    with paddle.no_grad():
        found = model(paddle.to_tensor(image))[0].numpy()
    architecture = choice.architecture(network, CLASSES)
    ours = reference.logits(architecture, random_weights(architecture), image)
    expected = reference.resize(ours, (97, 129), align_corners=False)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
