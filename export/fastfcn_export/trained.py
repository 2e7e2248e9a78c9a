"""What a checkpoint of our own training says of itself, in the metadata of its safetensors file.

Other people's checkpoints leave the half of it to be guessed from names; ours say everything, so
nothing is. The tensors have our names.
"""

from dataclasses import dataclass
from typing import Literal

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.manifest import ClassInfo

KEY = "fastfcn"  # of the metadata: a `Trained` as JSON
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Trained:
    """A trained network, described.

    Args:
        format_version: of this record.
        network: the network.
        classes: names and colours, in the order of the labels.
        align_corners: of the resize from logits to picture.
        mean: RGB, on the scale 0..1.
        std: RGB, on the scale 0..1.
        padding: RGB, on the scale 0..1.
        dataset: name of the data set and its part, such as "camvid train".
        iterations: steps that the optimiser has made.
    """

    format_version: Literal[1]
    network: NetworkChoice
    classes: tuple[ClassInfo, ...]
    align_corners: bool
    mean: Triple
    std: Triple
    padding: Triple
    dataset: str
    iterations: int
