"""``--save-dialect``: the trained weights in a file that another Paddle project can load.

A `.pdparams` file holds names and numbers but no conventions: the project that loads it applies its
own. So only networks that the project can build, trained with its conventions, are written.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_export.dialect.dialect import dialect_names, load_dialect, recognise, to_dialect
from fastfcn_export.dialect.trained import Trained, read_trained
from fastfcn_export.network import choice
from fastfcn_export.network.architecture import EncNet, Jpu
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_export.target.targets import cost
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.atomic import write_file

SUFFIX = ".pdparams"
_PROTOCOL = 4  # of pickle, Paddle 3's default
_NAME_TABLE = "StructuredToParameterName@@"

# The networks that a project's code can build: dialect -> field of `NetworkChoice` -> values.
# Source: reference/fastfcn_semantics.md, 1.1 and 1.5; PaddleSeg 2.8.0; FastFCN-paddle cff1ac6.
_BUILDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "ncpaddle": {
        "backbone": ("resnet50",),
        "form": ("plain",),
        "backbone_width": (64,),
        "jpu_width": (512,),
        "head_width": (None, 512),
        "codes": (32,),
        "auxiliary_width": (None, 256),
    },
    "paddleseg": {
        "backbone": ("resnet18", "resnet50", "resnet101"),
        "backbone_width": (64,),
    },
}


def save_dialects() -> tuple[str, ...]:
    """List the dialects that can be written."""
    return tuple(_BUILDS)


def check_dialect(dialect: str, trained: Trained) -> None:
    """Check, before the training, that another project can run the network.

    Args:
        dialect: name of the project's dialect.
        trained: the network and its conventions.

    Raises:
        CheckpointError: it cannot; lists every reason.
    """
    if dialect not in _BUILDS:
        known = "it can only be read" if dialect in dialect_names() else "it is unknown"
        raise CheckpointError(
            f"the dialect {dialect!r} cannot be saved: {known}. Expected {' or '.join(_BUILDS)}."
        )
    faults = _family_faults(dialect, trained.network) + _convention_faults(dialect, trained)
    if not faults and not _recognised_again(dialect, trained):
        faults.append("its tensor names would be recognised as another network")
    if faults:
        raise CheckpointError(
            f"the network cannot be saved as a checkpoint of {dialect}, whose code could not load it, or "
            "would compute something else:\n  " + "\n  ".join(faults)
        )


def save_dialect(checkpoint: Path, dialect: str, path: Path) -> None:
    """Convert one of our checkpoints to another project's format.

    Files written with NumPy 2 cannot be loaded with NumPy older than 1.26.

    Args:
        checkpoint: a safetensors file that a training wrote.
        dialect: name of the other project's dialect.
        path: of the `.pdparams` file; its folder must exist.

    Raises:
        CheckpointError: `checkpoint` is not ours or is damaged, or the dialect cannot express it.
        OSError: it could not be written; `path` is unchanged.
    """
    trained = read_trained(checkpoint)
    if trained is None:
        raise CheckpointError(f"{checkpoint} is not a checkpoint that fastfcn-train wrote.")
    check_dialect(dialect, trained)
    architecture = choice.architecture(trained.network, len(trained.classes))
    in_dialect = to_dialect(dialect, architecture, read_checkpoint(checkpoint))
    # Paddle stores its own name of every parameter beside the tensors, and needs it to load them.
    state: dict[str, Any] = {
        key: np.ascontiguousarray(array, np.float32) for key, array in in_dialect.items()
    }
    state[_NAME_TABLE] = {key: key for key in in_dialect}
    write_file(path, pickle.dumps(state, protocol=_PROTOCOL))


def _family_faults(dialect: str, network: NetworkChoice) -> list[str]:
    faults = []
    if network.family != dialect:
        faults.append(f"the network is of the family {network.family}, expected {dialect}")
    for field, values in _BUILDS[dialect].items():
        found = getattr(network, field)
        if found not in values:
            expected = " or ".join(str(value) for value in values if value is not None)
            faults.append(f"{field} is {found}; {dialect} has {expected}")
    if dialect == "paddleseg":
        faults += _width_faults(network)
    return faults


def _width_faults(network: NetworkChoice) -> list[str]:
    """Find parts of different widths: PaddleSeg has a single setting for all of them."""
    built = choice.architecture(network, 1)
    widths = {}
    if isinstance(built.jpu, Jpu):
        widths["jpu_width"] = built.jpu.width
    if isinstance(built.head, EncNet):
        widths["head_width"] = built.head.width
    if built.auxiliary is not None:
        widths["auxiliary_width"] = built.auxiliary.width
    if len(set(widths.values())) < 2:
        return []
    shown = ", ".join(f"{name} {width}" for name, width in widths.items())
    return [f"widths differ ({shown}); paddleseg has a single one, mid_channels"]


def _convention_faults(dialect: str, trained: Trained) -> list[str]:
    conventions = load_dialect(dialect).CONVENTIONS
    return [
        f"{name} is {found}; {dialect} computes with {expected}"
        for name in ("align_corners", "mean", "std")
        if (found := getattr(trained, name)) != (expected := getattr(conventions, name))
    ]


def _recognised_again(dialect: str, trained: Trained) -> bool:
    """Tell whether the file would be recognised as this very network."""
    architecture = choice.architecture(trained.network, len(trained.classes))
    placeholders = {
        name: np.broadcast_to(np.float32(1), shape)
        for name, shape in cost.tensors(architecture).items()
    }
    found = recognise(
        to_dialect(dialect, architecture, placeholders),
        dialect=dialect,
        output_stride=trained.network.output_stride,
    )
    return found.architecture == architecture
