"""What others have learned, to begin a training with: a backbone, or a whole network.

Files of any kind that `fastfcn-export` reads are taken, and nothing in them is run. Whatever does not
fit is an error, never skipped; what begins anew by its nature is named in a note.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_export.dialect.dialect import Recognised, Tensors, recognise, renamed
from fastfcn_export.dialect.own import is_own, recognise_own
from fastfcn_export.dialect.trained import read_trained
from fastfcn_export.network.architecture import (
    Architecture,
    Backbone,
    EncNet,
    Fcn,
    Stage,
    backbone_name,
)
from fastfcn_export.network.primitives import Weights
from fastfcn_export.request import PathLike
from fastfcn_export.target.targets import cost
from fastfcn_infer.errors import CheckpointError
from fastfcn_training.network.backbone_names import namings
from fastfcn_training.network.initial_weights import initial_weights

# Layers with one output for each class.
_OF_CLASSES = ("head.classifier.", "auxiliary.classifier.", "head.semantic.")


@dataclass(frozen=True)
class Pretrained:
    """What a file gives to begin with.

    Args:
        weights: by our names, float32; the network's other tensors begin anew.
        notes: what was not taken, or begins anew, and why; a sentence each.
    """

    weights: Weights
    notes: tuple[str, ...]


def first_weights(
    architecture: Architecture,
    seed: int,
    *,
    backbone: PathLike | None = None,
    network: PathLike | None = None,
) -> Pretrained:
    """Give every tensor that a training begins with: drawn from `seed`, or from a file.

    Args:
        architecture: the network to train.
        seed: of what is drawn.
        backbone: file whose backbone is taken.
        network: file whose network is taken.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
        ValueError: both are given.
    """
    if backbone is not None and network is not None:
        raise ValueError(
            f"the backbone of {os.fspath(backbone)} and the network of {os.fspath(network)}, which "
            "has a backbone, were asked for; give one of them"
        )
    drawn = initial_weights(architecture, seed)
    if backbone is not None:
        found = backbone_weights(backbone, architecture)
    elif network is not None:
        found = network_weights(network, architecture)
    else:
        return Pretrained(drawn, ())
    return Pretrained({**drawn, **found.weights}, found.notes)


def backbone_weights(path: PathLike, architecture: Architecture) -> Pretrained:
    """Take the backbone from a file.

    Args:
        path: an ImageNet checkpoint of PaddleClas, PaddleSeg, `paddle.vision`, torchvision, the
            original code or mmsegmentation; or a FastFCN checkpoint of any dialect, or of ours.
        architecture: the network to train.

    Raises:
        CheckpointError: the file cannot be read, or its backbone is another: every tensor that is
            missing, misshapen or unexpected is listed.
    """
    tensors = read_checkpoint(path)
    best = max(
        namings(architecture), key=lambda naming: len(tensors.keys() & naming.keys.values())
    )
    backbone = _shown(architecture.backbone)
    if tensors.keys().isdisjoint(best.keys.values()):
        raise CheckpointError(
            f"{os.fspath(path)} holds no backbone of a known kind; its {len(tensors)} names begin "
            f"with {', '.join(list(tensors)[:5])}. Expected a {backbone} of PaddleClas, PaddleSeg, "
            "torchvision, the original code or mmsegmentation, or a FastFCN checkpoint."
        )
    try:
        weights, unused = renamed(
            tensors,
            architecture,
            best.keys,
            best.unused,
            matrices_transposed=False,
            network=f"{backbone} that is to be trained",
            training=False,
        )
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error
    return Pretrained(_float32(weights), _unused_notes(unused))


def network_weights(path: PathLike, architecture: Architecture) -> Pretrained:
    """Take a whole network from a file, to go on with another data set or rate (fine-tuning).

    The layers that tell classes begin anew where the file has another number of them, and so do
    parts of training that the file has not, or has in another width.

    Args:
        path: a FastFCN checkpoint of any dialect, or of ours.
        architecture: the network to train.

    Raises:
        CheckpointError: the file cannot be read, or holds another network; says how they differ.
    """
    try:
        found = _recognised(path)
        differing = _differences(found.architecture, architecture)
        if differing:
            raise CheckpointError(
                "the checkpoint's network is not the one to be trained:\n  "
                + "\n  ".join(differing)
            )
    except CheckpointError as error:
        told = os.fspath(path) in str(error)
        raise error if told else CheckpointError(f"{os.fspath(path)}: {error}") from error
    anew = _anew(found.architecture, architecture)
    wanted = cost.tensors(architecture)
    weights = {
        name: array
        for name, array in found.weights.items()
        if name in wanted and not name.startswith(tuple(anew))
    }
    return Pretrained(_float32(weights), tuple(dict.fromkeys(anew.values())))


def _recognised(path: PathLike) -> Recognised:
    tensors: Tensors = read_checkpoint(path)
    if is_own(tensors):
        return recognise_own(tensors, read_trained(path), training=True)
    return recognise(tensors, training=True)


def _differences(theirs: Architecture, ours: Architecture) -> list[str]:
    """Compare what is the same in every network that could go on with the other's weights."""
    parts = ("backbone", "jpu", "head")
    return [
        f"{part}: {getattr(theirs, part)} in the file, {getattr(ours, part)} to be trained"
        for part in parts
        if getattr(_plain(theirs), part) != getattr(_plain(ours), part)
    ]


def _plain(architecture: Architecture) -> Architecture:
    """Drop what no tensor depends on: strides and dilations, which files do not tell, and dropout."""
    one, two, three, four = (Stage(s.blocks, s.width) for s in architecture.backbone.stages)
    head = architecture.head
    if isinstance(head, EncNet | Fcn):
        head = replace(head, dropout=0.0)
    backbone = replace(architecture.backbone, stages=(one, two, three, four))
    return replace(architecture, backbone=backbone, head=head)


def _anew(theirs: Architecture, ours: Architecture) -> dict[str, str]:
    """Find beginnings of our names that cannot be taken over -> why, in a sentence."""
    anew: dict[str, str] = {}
    if theirs.classes != ours.classes:
        sentence = (
            f"the layers that tell classes begin anew: the file has {theirs.classes} classes, "
            f"not {ours.classes}"
        )
        anew |= dict.fromkeys(_OF_CLASSES, sentence)
    old, new = theirs.auxiliary, ours.auxiliary
    if new is not None and (old is None or (old.width, old.bias) != (new.width, new.bias)):
        found = "none" if old is None else "another"
        anew["auxiliary."] = f"the auxiliary head begins anew: the file has {found}"
    if ours.semantic and not theirs.semantic:
        anew["head.semantic."] = "the semantic layer begins anew: the file has none"
    return anew


def _float32(weights: Weights) -> Weights:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def _unused_notes(unused: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{count} tensors are not used: {reason}" for reason, count in unused.items())


def _shown(backbone: Backbone) -> str:
    stem = ", ".join(map(str, backbone.stem))
    return f"{backbone_name(backbone)} with a stem of {stem} channels"
