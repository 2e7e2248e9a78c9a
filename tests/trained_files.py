"""Checkpoints as fastfcn-train writes them, of small networks with random weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.numpy import save_file

from fastfcn_export.dialect.trained import KEY, Trained
from fastfcn_export.network import choice
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.system.record import to_json

_SMALL = NetworkChoice(
    backbone="resnet18",
    form="vd",
    backbone_width=8,
    jpu_width=8,
    head_width=12,
    codes=5,
    auxiliary_width=4,
    family="paddleseg",
)
_WUHUIKAI = replace(_SMALL, form="plain", family="wuhuikai")

# Some that published dialects build, and some that none of them does.
CHOICES: dict[str, NetworkChoice] = {
    "paddleseg": _SMALL,
    "paddleseg_stride_16_laterals": replace(_SMALL, output_stride=16, laterals=True),
    "wuhuikai": _WUHUIKAI,
    "wuhuikai_v1c_laterals": replace(
        _WUHUIKAI, form="v1c", laterals=True, output_stride=8, semantic=False
    ),
    "wuhuikai_dilated": replace(_WUHUIKAI, jpu=None, output_stride=8, auxiliary=False),
    "wuhuikai_jpu_x": replace(_WUHUIKAI, jpu="jpu_x", jpu_width=64),
    "psp": replace(_WUHUIKAI, head="psp", semantic=False),
    "deeplab": replace(_WUHUIKAI, form="deep", head="deeplab", semantic=False),
    "fcn_bottleneck": replace(
        _WUHUIKAI, backbone="resnet50", backbone_width=4, head="fcn", semantic=False
    ),
    "ncpaddle": replace(_SMALL, form="plain", family="ncpaddle"),
}


def trained(network: NetworkChoice = _SMALL) -> Trained:
    """Describe a network of four classes with conventions that no dialect has."""
    return Trained(
        1,
        network,
        tuple(ClassInfo(name, (i, 2 * i, 255)) for i, name in enumerate(("sky", "sea", "é", "d"))),
        align_corners=network.family != "paddleseg",
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        padding=(0.7, 0.8, 0.9),
        dataset="beach train",
        iterations=12345,
        convention="mmseg",
    )


def write_trained(
    path: Path, described: Trained | None = None, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write a checkpoint with the seeded weights of `described`.

    Args:
        path: of the file.
        described: the network.
        metadata: in place of the description.
    """
    described = described or trained()
    network = choice.architecture(described.network, len(described.classes))
    said = {KEY: to_json(described, indent=None)} if metadata is None else dict(metadata)
    save_file(dict(random_weights(network)), path, said)
    return path
