"""The dialect of our own checkpoints: our names, and the file's own description in place of guesses."""

from fastfcn_export.dialect.dialect import FIRST, Conventions, Recognised, Tensors, renamed
from fastfcn_export.dialect.trained import KEY, Trained
from fastfcn_export.network import choice
from fastfcn_export.target.targets import cost
from fastfcn_infer.errors import CheckpointError

NAME = "fastfcn"  # in manifests, and as `--dialect`


def is_own(tensors: Tensors) -> bool:
    """Tell by the names whether a checkpoint is of our own training."""
    return FIRST in tensors  # in every network of ours, and in no other dialect


def recognise_own(
    tensors: Tensors,
    trained: Trained | None,
    *,
    dialect: str | None = None,
    output_stride: int | None = None,
    training: bool = False,
) -> Recognised:
    """Recognise a checkpoint of our own training.

    Args:
        tensors: a checkpoint as `read_checkpoint` gives it.
        trained: its own description, if it has one.
        dialect: the user's choice; None if unspecified.
        output_stride: the user's choice; None if unspecified.
        training: the weights hold the tensors of training, too.

    Raises:
        CheckpointError: the file says nothing, or something else than the user, or tensors are
            missing, unexpected, misshapen or hold values that cannot be right. All of them are listed.
    """
    if trained is None:
        raise CheckpointError(
            f"the checkpoint has no metadata {KEY!r}, in which fastfcn-train says what the network is; "
            "whatever saved it again lost that. Take the file as the training left it."
        )
    stride = trained.network.output_stride
    told = (("dialect", dialect, NAME), ("output stride", output_stride, stride))
    faults = [
        f"{what} {said} was asked for, it has {own}"
        for what, said, own in told
        if said not in (None, own)
    ]
    if faults:
        raise CheckpointError(
            "the checkpoint is of fastfcn-train and says itself what it is: "
            f"{'; '.join(faults)}. Leave these options out."
        )
    architecture = choice.architecture(trained.network, len(trained.classes))
    weights, unused = renamed(
        tensors,
        architecture,
        {name: name for name in cost.tensors(architecture)},
        {},
        matrices_transposed=False,
        network="network that its metadata describes",
        training=training,
    )
    conventions = Conventions(
        align_corners=trained.align_corners,
        mean=trained.mean,
        std=trained.std,
        padding=trained.padding,
        matrices_transposed=False,
        norm_parts=("weight", "bias", "mean", "var"),
        output_strides=(stride,),
    )
    return Recognised(
        NAME,
        architecture,
        conventions,
        weights,
        stride,
        assumed=(),
        unused=unused,
        resize=lambda classes: trained.resize,
        evaluation=lambda classes, whole: whole,
        trained=trained,
    )
