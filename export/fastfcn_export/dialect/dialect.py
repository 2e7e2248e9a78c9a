"""What a checkpoint dialect is, and how a checkpoint's is found; `dialects/` holds one file each.

A dialect is names *and* conventions: checkpoints that load into each other's networks without a
word still mean different arithmetic. A file in `dialects/` offers what `Dialect` lists.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.dialect.checks import check_shapes, check_values
from fastfcn_export.dialect.keys import Keys
from fastfcn_export.dialect.trained import Trained
from fastfcn_export.network.architecture import Architecture, Backbone
from fastfcn_export.network.primitives import Weights, float_array
from fastfcn_export.target.targets import cost
from fastfcn_infer.artifact.manifest import MOST_CHANNELS, ClassInfo, Convention, Values
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.errors import CheckpointError, UnknownDialect
from fastfcn_infer.system import registry
from fastfcn_infer.system.excerpt import excerpt, printable

_PACKAGE = "fastfcn_export.dialect.dialects"

FIRST = "backbone.stem.0.conv.weight"  # of the first convolution, in every network
Shape = tuple[int, ...]
Tensors = Mapping[str, NDArray[Any]]
NOTHING: Mapping[str, str] = MappingProxyType({})
UNUSED_ANYWHERE = {
    r".*\.num_batches_tracked": "batch counters of training",
    r"(auxiliary_head|aux_head|auxlayer|aux_layer|aux_classifier|fcn_head)s?(\.\d+)?\..*": "auxiliary head (training only)",
    r"ema_.*": "moving average of the weights (--use-ema takes it)",
    r"(.*\.)?(criterion|criterions|loss|losses|loss_\w+|\w+_loss)(\..*)?": "loss functions (training only)",
    r"(data_preprocessor\..*|(pixel_)?(mean|std))": "normalisation of the training program",
    r"(epoch|iter|iteration|step|steps|global_step|n_averaged|best_\w+)": "counters of training",
}
"""Regular expression of a key that inference never uses, whatever the dialect -> why."""
TRAINING_ONLY = {
    "auxiliary": "auxiliary head (training only)",
    "head.semantic": "semantic encoding layer (training only)",
}


@dataclass(frozen=True)
class Conventions:
    """The conventions of a dialect, which tensor names do not reveal.

    Args:
        align_corners: of the resize from logits to picture.
        mean: for each channel, RGB if there are three, on the scale 0..1.
        std: as the mean.
        padding: as the mean: the colour the authors pad pictures with.
        white: stored value that is 1 on that scale; None: as `manifest.Input`.
        matrices_transposed: matrices of linear layers are stored (in, out), as Paddle does.
        norm_parts: the dialect's names of a batch norm's weight, bias, mean and var.
        output_strides: of the backbone, those the authors' code can build.
        scores: how the authors score classes that occur nowhere, see `fastfcn_infer.evaluation.metrics`.
    """

    align_corners: bool
    mean: Values
    std: Values
    padding: Values
    matrices_transposed: bool
    norm_parts: tuple[str, str, str, str]
    output_strides: tuple[int, ...] = (8, 16, 32)
    white: float | None = None
    scores: Convention = "paddleseg"


TORCH_NORM = ("weight", "bias", "running_mean", "running_var")
PADDLE_NORM = ("weight", "bias", "_mean", "_variance")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Dialect(Protocol):
    """What every file in `dialects/` offers at module level."""

    CONVENTIONS: Conventions
    UNUSED: Mapping[str, str]  # regular expression of a key -> why it is not used

    def matches(self, keys: Keys) -> bool:
        """Tell whether a checkpoint is of this dialect."""
        ...

    def output_stride(self, keys: Keys) -> int:
        """Return the published default; the keys do not tell."""
        ...

    def architecture(self, keys: Keys, output_stride: int) -> Architecture:
        """Describe the network."""
        ...

    def layers(self, architecture: Architecture) -> Mapping[str, tuple[str, str]]:
        """Map our layers to the dialect's prefixes: of the layer itself, and of its norm."""
        ...

    def resize(self, classes: str | None) -> Resize | None:
        """Return how the authors size pictures of a data set; None: not at all."""
        ...

    def evaluation(self, classes: str | None, whole: Procedure) -> Procedure:
        """Return the procedure of the authors' published scores.

        Args:
            classes: name of the data set's class table; None if unknown.
            whole: one view of the whole picture, at the size of `resize` or the one that the user says;
                returned where the authors score with it.
        """
        ...


@dataclass(frozen=True)
class Recognised:
    """A checkpoint whose dialect and network are known.

    Args:
        dialect: name of the file in `dialects/`.
        architecture: the network.
        conventions: of the dialect.
        weights: tensors by our names, floats, without those of training unless they were asked
            for; the arrays may be views.
        output_stride: of the backbone.
        assumed: what the keys could not tell, in sentences.
        unused: why keys were left out -> how many.
        resize: how the authors size pictures of a data set; see `Dialect`.
        evaluation: what they score a data set with; see `Dialect`.
        trained: the checkpoint's own description; None if absent.
        found: which of several sets of weights was taken, and other choices that the file left open,
            in sentences.
        named: names and colours of the classes in the checkpoint's meta, as many as the network has.
        skipped: names of classes and functions that the file has beside the weights; they were
            neither built nor called.
        takes_bgr: the network was trained with pictures whose channels are in the order BGR.
    """

    dialect: str
    architecture: Architecture
    conventions: Conventions
    weights: Weights
    output_stride: int
    assumed: tuple[str, ...]
    unused: Mapping[str, int]
    resize: Callable[[str | None], Resize | None]
    evaluation: Callable[[str | None, Procedure], Procedure]
    trained: Trained | None = None
    found: tuple[str, ...] = ()
    named: tuple[ClassInfo, ...] | None = None
    skipped: tuple[str, ...] = ()
    takes_bgr: bool = False


def dialect_names() -> tuple[str, ...]:
    """List the dialects."""
    return registry.names(_PACKAGE)


def load_dialect(name: str) -> Dialect:
    """Load a dialect by its name.

    Raises:
        UnknownDialect: there is no such dialect.
    """
    try:
        return cast("Dialect", registry.load(_PACKAGE, name))
    except KeyError:
        known = ", ".join(dialect_names())
        raise UnknownDialect(f"unknown dialect {excerpt(name)}; known: {known}") from None


def recognise(
    tensors: Tensors,
    *,
    dialect: str | None = None,
    output_stride: int | None = None,
    training: bool = False,
    unread: Mapping[str, str] = NOTHING,
) -> Recognised:
    """Find a checkpoint's dialect and network, and give its tensors our names.

    Args:
        tensors: a checkpoint as `read_checkpoint` gives it.
        dialect: name of the dialect; None: found from the keys.
        output_stride: of the backbone, 8, 16 or 32; None: the dialect's published default.
        training: the weights hold the tensors of training, too.
        unread: name of a tensor of the checkpoint that cannot be read -> why.

    Raises:
        CheckpointError: no dialect or several fit; tensors are missing, unexpected, misshapen or
            hold values that cannot be right. All of them are listed.
    """
    keys = Keys({key: array.shape for key, array in tensors.items()})
    name = dialect or _only_match(keys, tensors)
    file = load_dialect(name)
    stride = _stride(file, name, keys, output_stride)
    architecture = _with_channels(file, keys, file.architecture(keys, stride))
    weights, unused = renamed(
        tensors,
        architecture,
        names_in(file, architecture),
        {**file.UNUSED, **UNUSED_ANYWHERE},
        matrices_transposed=file.CONVENTIONS.matrices_transposed,
        network=f"{name} network that its names describe",
        training=training,
        unread=unread,
    )
    assumed = () if output_stride else (_assumed(name, architecture.backbone),)
    return Recognised(
        name,
        architecture,
        file.CONVENTIONS,
        weights,
        stride,
        assumed,
        unused,
        resize=file.resize,
        evaluation=file.evaluation,
    )


def renamed(
    tensors: Tensors,
    architecture: Architecture,
    keys: Mapping[str, str],
    unused: Mapping[str, str],
    *,
    matrices_transposed: bool,
    network: str,
    training: bool,
    unread: Mapping[str, str] = NOTHING,
) -> tuple[Weights, Mapping[str, int]]:
    """Give a checkpoint's tensors our names.

    Unless `training`, tensors of training play no part: they may be missing or have any shape.

    Args:
        tensors: a checkpoint as `read_checkpoint` gives it.
        architecture: its network.
        keys: our names of all tensors, those of training included -> the checkpoint's.
        unused: regular expression of other keys that may be there -> why they are not used.
        matrices_transposed: as of `Conventions`.
        network: for the message.
        training: give the tensors of training, too.
        unread: name of a tensor of the checkpoint that cannot be read -> why.

    Returns:
        Tensors by our names, floats; and why others were left out -> how many.

    Raises:
        CheckpointError: tensors are missing, unexpected, misshapen or hold values that cannot be
            right. All of them are listed.
    """
    wanted = cost.tensors(architecture)
    turned = {ours for ours in keys if matrices_transposed and _is_matrix(ours, wanted[ours])}
    shapes = {
        key: wanted[ours][::-1] if ours in turned else wanted[ours] for ours, key in keys.items()
    }
    of_training = {} if training else {key: _reason(ours) for ours, key in keys.items()}
    needed = {ours: key for ours, key in keys.items() if not of_training.get(key)}
    # A matrix of training that lies the other way round betrays that the square ones do, too.
    expected = {
        key: shape
        for key, shape in shapes.items()
        if not of_training.get(key)
        or (key in tensors and len(shape) == 2 and tensors[key].shape == shape[::-1] != shape)
    }
    reasons = {re.escape(key): reason for key, reason in of_training.items() if reason}
    counts = check_shapes(tensors, expected, {**reasons, **unused}, network, unread)
    weights = {
        ours: _prepared(tensors[key], transpose=ours in turned) for ours, key in needed.items()
    }
    check_values(weights, keys)
    return weights, dict(counts)


def _reason(ours: str) -> str | None:
    """Say why inference has no need of a tensor; None if it has."""
    return next((why for part, why in TRAINING_ONLY.items() if ours.startswith(part)), None)


def _with_channels(file: Dialect, keys: Keys, architecture: Architecture) -> Architecture:
    """Let a network take as many channels as its first convolution has."""
    key = names_in(file, architecture, FIRST)[FIRST]
    _, channels, _, _ = keys.shape(key, (0, architecture.channels, 0, 0))
    known = 1 <= channels <= MOST_CHANNELS
    return replace(architecture, channels=channels) if known else architecture


def _only_match(keys: Keys, tensors: Tensors) -> str:
    matching = [name for name in dialect_names() if load_dialect(name).matches(keys)]
    if len(matching) == 1:
        return matching[0]
    sample = ", ".join(printable(key, 100) for key in list(tensors)[:5]) or "no tensors at all"
    which = f"several dialects ({', '.join(matching)})" if matching else "no known dialect"
    raise CheckpointError(
        f"the checkpoint's {len(tensors)} names fit {which}; they begin with: {sample}. "
        f"Known dialects: {', '.join(dialect_names())}. If it is a FastFCN checkpoint, name its "
        "dialect with --dialect."
    )


def _stride(file: Dialect, name: str, keys: Keys, asked: int | None) -> int:
    if asked is None:
        return file.output_stride(keys)
    if asked not in file.CONVENTIONS.output_strides:
        known = ", ".join(map(str, file.CONVENTIONS.output_strides))
        raise CheckpointError(f"output stride {asked} is not one of {name}'s: {known}")
    return asked


def _assumed(name: str, backbone: Backbone) -> str:
    dilations = ", ".join(str(stage.dilation) for stage in backbone.stages)
    return (
        f"output stride {backbone.output_stride} and dilations {dilations} of the backbone's "
        "stages: the keys cannot tell them, these are the published defaults of "
        f"{name} (--output-stride sets both)"
    )


def to_dialect(
    dialect: str, architecture: Architecture, weights: Weights
) -> dict[str, NDArray[Any]]:
    """Give our tensors a dialect's names and layout; the inverse of `recognise`.

    Args:
        dialect: name of the file in `dialects/`.
        architecture: the network.
        weights: all of its tensors by our names, those of training included.
    """
    file = load_dialect(dialect)
    wanted = cost.tensors(architecture)
    transposed = file.CONVENTIONS.matrices_transposed
    return {
        key: weights[ours].T if transposed and _is_matrix(ours, wanted[ours]) else weights[ours]
        for ours, key in names_in(file, architecture).items()
    }


def names_in(file: Dialect, architecture: Architecture, part: str = "") -> dict[str, str]:
    """Map our names of the tensors that begin with `part` to the dialect's."""
    layers = file.layers(architecture)
    parts = dict(zip(("weight", "bias", "mean", "var"), file.CONVENTIONS.norm_parts, strict=True))
    found = {}
    for tensor in (name for name in cost.tensors(architecture) if name.startswith(part)):
        layer, _, last = tensor.rpartition(".")
        if layer.endswith(".norm"):
            found[tensor] = f"{layers[layer.removesuffix('.norm')][1]}.{parts[last]}"
        else:
            found[tensor] = f"{layers[layer.removesuffix('.conv')][0]}.{last}"
    return found


def _is_matrix(ours: str, shape: Shape) -> bool:
    # Of a linear layer; code words are (K, C) in every dialect.
    return len(shape) == 2 and ours.endswith(".weight")


def _prepared(array: NDArray[Any], *, transpose: bool) -> NDArray[Any]:
    if array.dtype == np.uint16:  # Paddle stores bfloat16 so: the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    array = float_array(array)
    return array.T if transpose else array
