"""Pretrained weights to start from: a backbone, or a whole network.

All files that `fastfcn-export` reads are accepted, and no code in them is run. A tensor that does not
fit is an error and never skipped; notes name the layers that necessarily start from random weights.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fastfcn_export.checkpoint.read import CheckpointFile, read_checkpoint
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
from fastfcn_infer.artifact.manifest import TrainedOn
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_training.network.backbone_names import namings
from fastfcn_training.network.initial_weights import initial_weights

# Layers with one output per class.
_OF_CLASSES = ("head.classifier.", "auxiliary.classifier.", "head.semantic.")


@dataclass(frozen=True)
class Pretrained:
    """Weights to start from.

    Args:
        weights: by our names, float32; the network's other tensors start from random values.
        notes: what was not used or starts from random values, and why; one sentence each.
        trained_on: the pictures that the file's weights learned from, if it says so.
    """

    weights: Weights
    notes: tuple[str, ...]
    trained_on: tuple[TrainedOn, ...] = ()


def initial_network(
    architecture: Architecture,
    seed: int,
    *,
    backbone: PathLike | None = None,
    network: PathLike | None = None,
) -> Pretrained:
    """Give every initial tensor of a training: random, or from a file.

    Args:
        architecture: the network to train.
        seed: of the random weights.
        backbone: file with the backbone's weights.
        network: file with the whole network's weights.

    Raises:
        CheckpointError: the file cannot be read or does not fit.
        ValueError: both are given.
    """
    if backbone is not None and network is not None:
        raise ValueError(
            f"--pretrained {os.fspath(backbone)} and --weights {os.fspath(network)} both set the "
            "backbone; give one of them"
        )
    drawn = initial_weights(architecture, seed)
    if backbone is not None:
        found, learned_from = backbone_weights(backbone, architecture), _learned_from(backbone)
    elif network is not None:
        found, learned_from = network_weights(network, architecture), _learned_from(network)
    else:
        return Pretrained(drawn, ())
    return Pretrained({**drawn, **found.weights}, found.notes, learned_from)


def backbone_weights(path: PathLike, architecture: Architecture) -> Pretrained:
    """Read a backbone from a file.

    Args:
        path: an ImageNet checkpoint of PaddleClas, PaddleSeg, `paddle.vision`, torchvision, the
            original code or mmsegmentation; or a FastFCN checkpoint of any dialect, or of ours.
        architecture: the network to train.

    Raises:
        CheckpointError: the file cannot be read, or holds another backbone; lists every missing,
            misshapen or unexpected tensor.
    """
    tensors = read_checkpoint(path)
    best = max(
        namings(architecture), key=lambda naming: len(tensors.keys() & naming.keys.values())
    )
    backbone = _shown(architecture.backbone)
    if tensors.keys().isdisjoint(best.keys.values()):
        raise CheckpointError(
            f"{os.fspath(path)} holds no known backbone; its {len(tensors)} tensor names start with "
            f"{listing([printable(name) for name in list(tensors)[:5]])}. Expected a {backbone} of PaddleClas, PaddleSeg, "
            "torchvision, the original code or mmsegmentation, or a FastFCN checkpoint."
        )
    try:
        weights, unused = renamed(
            tensors,
            architecture,
            best.keys,
            best.unused,
            matrices_transposed=False,
            network=f"{backbone} to be trained",
            training=False,
        )
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error
    return Pretrained(_float32(weights), _unused_notes(unused))


def network_weights(path: PathLike, architecture: Architecture) -> Pretrained:
    """Read a whole network from a file, to fine-tune it.

    The classifiers start from random weights if the file has another number of classes, and so do
    training-only parts that the file lacks or has in another width.

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
                "the network in the checkpoint differs from the one to be trained:\n  "
                + "\n  ".join(differing)
            )
    except CheckpointError as error:
        named = os.fspath(path) in str(error)
        raise error if named else CheckpointError(f"{os.fspath(path)}: {error}") from error
    random = _random_layers(found.architecture, architecture)
    wanted = cost.tensors(architecture)
    weights = {
        name: array
        for name, array in found.weights.items()
        if name in wanted and not name.startswith(tuple(random))
    }
    return Pretrained(_float32(weights), tuple(dict.fromkeys(random.values())))


def _learned_from(path: PathLike) -> tuple[TrainedOn, ...]:
    trained = read_trained(path)
    return () if trained is None else trained.learned_from


def _recognised(path: PathLike) -> Recognised:
    opened = CheckpointFile(path)
    tensors: Tensors = opened.tensors()
    if is_own(tensors):
        return recognise_own(tensors, read_trained(opened), training=True)
    return recognise(tensors, training=True)


def _differences(theirs: Architecture, ours: Architecture) -> list[str]:
    """List the differences that make one network's weights unusable for the other."""
    parts = ("backbone", "jpu", "head")
    return [
        f"{part}: {getattr(theirs, part)} in the file, {getattr(ours, part)} to be trained"
        for part in parts
        if getattr(_plain(theirs), part) != getattr(_plain(ours), part)
    ]


def _plain(architecture: Architecture) -> Architecture:
    """Drop what no tensor depends on: dropout, and strides and dilations, which files do not record."""
    one, two, three, four = (Stage(s.blocks, s.width) for s in architecture.backbone.stages)
    head = architecture.head
    if isinstance(head, EncNet | Fcn):
        head = replace(head, dropout=0.0)
    backbone = replace(architecture.backbone, stages=(one, two, three, four))
    return replace(architecture, backbone=backbone, head=head)


def _random_layers(theirs: Architecture, ours: Architecture) -> dict[str, str]:
    """Find the layers that start from random weights: prefix of our names -> reason, a sentence."""
    random: dict[str, str] = {}
    if theirs.classes != ours.classes:
        sentence = (
            f"the classifiers start from random weights: the file has {theirs.classes} classes, not "
            f"{ours.classes}"
        )
        random |= dict.fromkeys(_OF_CLASSES, sentence)
    old, new = theirs.auxiliary, ours.auxiliary
    if new is not None and (old is None or (old.width, old.bias) != (new.width, new.bias)):
        found = "none" if old is None else "a different one"
        random["auxiliary."] = (
            f"the auxiliary head starts from random weights: the file has {found}"
        )
    if ours.semantic and not theirs.semantic:
        random["head.semantic."] = (
            "the semantic layer starts from random weights: the file has none"
        )
    return random


def _float32(weights: Weights) -> Weights:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def _unused_notes(unused: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(f"{count} tensors are not used: {reason}" for reason, count in unused.items())


def _shown(backbone: Backbone) -> str:
    stem = ", ".join(map(str, backbone.stem))
    return f"{backbone_name(backbone)} with a stem of {stem} channels"
