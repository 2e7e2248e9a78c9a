"""The description that fastfcn-train writes into the metadata of its safetensors files.

Other people's checkpoints leave the half of it to be guessed from names; ours say everything, so
nothing is. The tensors have our names.
"""

import os
from dataclasses import dataclass, field
from typing import Literal

from fastfcn_export.checkpoint.read import CheckpointFile
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.artifact.manifest import RGB, ClassInfo, Convention, Input, TrainedOn, Values
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system import record

KEY = "fastfcn"  # of the metadata: a `Trained` as JSON


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
        convention: of the scores that validation reported.
        resize: how a picture is sized for the network; None: not at all.
        trained_on: the pictures that this training and those before it learned from; empty in the
            files of older versions, see `learned_from`.

    Raises:
        ValueError: values that no training has; lists all of them.
    """

    format_version: Literal[1]
    network: NetworkChoice
    classes: tuple[ClassInfo, ...]
    align_corners: bool
    mean: Values
    std: Values
    padding: Values
    dataset: str
    iterations: int
    convention: Convention = "paddleseg"
    resize: Resize | None = None
    trained_on: tuple[TrainedOn, ...] = field(default=(), metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Check what the types leave open."""
        faults = []
        if not 1 <= len(self.classes) <= 65535:
            faults.append(f"{len(self.classes)} classes; 1 to 65535 were expected")
        if len(self.mean) != RGB:
            faults.append(f"mean has {len(self.mean)} values; {RGB} were expected")
        try:
            Input("image", self.mean, self.std, self.padding)
        except ValueError as error:
            faults.append(str(error))
        if self.iterations < 0:
            faults.append(f"iterations is {self.iterations}; 0 or more was expected")
        if faults:
            raise ValueError("; ".join(faults))

    @property
    def learned_from(self) -> tuple[TrainedOn, ...]:
        """The pictures that the weights learned from; empty if unknown."""
        if self.trained_on:
            return self.trained_on
        name, _, part = self.dataset.partition(" ")
        return (TrainedOn(name, (part,)),) if part else ()


def read_trained(checkpoint: str | os.PathLike[str] | CheckpointFile) -> Trained | None:
    """Read a checkpoint's own description; None if fastfcn-train did not write the file.

    Args:
        checkpoint: of any kind, open or its path.

    Raises:
        CheckpointError: it cannot be read, or what it says is no `Trained`; lists all faults.
    """
    opened = checkpoint if isinstance(checkpoint, CheckpointFile) else CheckpointFile(checkpoint)
    text = opened.note(KEY)
    if text is None:
        return None
    try:
        return record.from_json(Trained, text)
    except record.RecordError as error:
        raise CheckpointError(
            f"{opened.path} has metadata under {KEY!r} that is not what fastfcn-train writes:\n  "
            + "\n  ".join(error.faults)
            + "\nTake the file as the training left it, or update fastfcn-infer if a newer version "
            "wrote it."
        ) from error
