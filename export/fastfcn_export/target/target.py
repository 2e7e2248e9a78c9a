"""The contract of a target, which implements the primitives of the network; `targets/` holds one file each.

A target implements the primitives (`network.primitives.Ops`): it computes them in NumPy, emits ONNX nodes, or counts
multiply-adds. A target that writes a model to disk also offers, at module level,

``FORMAT``
    the name users type after ``--format``;
``ready(options) -> dict[str, str]``
    check that such a model can be written here (see `Writer`);
``write(architecture, weights, model, folder, options) -> None``
    write the model's files into `folder` (see `Writer`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.system import registry

_PACKAGE = "fastfcn_export.target.targets"


OPSETS = range(15, 22)


@dataclass(frozen=True)
class Options:
    """Properties of a written graph that a user may choose.

    Args:
        shape: N, H, W; None if free.
        precision: precision of weights and arithmetic; input and output stay float32.
        opset: operator set of an ONNX file, one of `OPSETS`.
    """

    shape: tuple[int | None, int | None, int | None] = (None, None, None)
    precision: Literal["fp32", "fp16"] = "fp32"
    opset: int = 17


class Writer(Protocol):
    """A target file that writes models."""

    FORMAT: str

    def ready(self, options: Options) -> dict[str, str]:
        """Check, before anything is read, that a model can be written.

        Returns:
            Import names of the packages that write it -> their versions.

        Raises:
            BackendMissing: one of them is not installed; says what to install.
            ValueError: this format does not support these options.
        """
        ...

    def write(
        self,
        architecture: Architecture,
        weights: Weights,
        model: Model,
        folder: Path,
        options: Options,
    ) -> None:
        """Write the network as described by `model` into `folder`."""
        ...


def writers() -> dict[str, Writer]:
    """Find the targets that write models, by the format users ask for.

    Raises:
        ImportError: a target needs a package that is not installed.
    """
    files = [registry.load(_PACKAGE, name) for name in registry.names(_PACKAGE)]
    return {file.FORMAT: cast("Writer", file) for file in files if hasattr(file, "FORMAT")}
