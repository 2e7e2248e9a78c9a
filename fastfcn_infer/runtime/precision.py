"""The precision of the arithmetic: what users may ask for, and what a model and a processor allow."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.variant import GraphPrecision
from fastfcn_infer.system.excerpt import excerpt, printable
from fastfcn_infer.system.machine import cpu_features

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16", "int8"]
PRECISIONS: Mapping[Precision, str] = {
    "auto": "what the model was made in",
    "fp32": "float32",
    "tf32": "float32 whose products are rounded to TensorFloat-32, 10 bits of mantissa; on NVIDIA GPUs",
    "bf16": "bfloat16, 7 bits of mantissa, from a graph in float32; on processors that have it",
    "fp16": "float16, for GPUs",
    "int8": "8-bit integers, from a graph that was quantised and proven; on processors and TensorRT",
}

# Of `machine.cpu_features`, those that sum up products of bytes in 32 bits.
PRODUCTS_OF_BYTES = ("AVX-VNNI", "AVX512-VNNI", "AMX-INT8", "Arm DotProd")

_PACKAGE = Path(__file__).resolve().parents[1]
_GRAPHS: Mapping[str, GraphPrecision] = {"fp16": "fp16", "int8": "int8"}
_BFLOAT16 = ("AVX512-BF16", "AMX-BF16", "Arm BF16")  # of `machine.cpu_features`


def check_precision(wanted: str) -> None:
    """Refuse a name that is unknown.

    Raises:
        ValueError: it is none of `PRECISIONS`.
    """
    if wanted not in get_args(Precision):
        raise ValueError(f"precision {excerpt(wanted)} is unknown; known: {', '.join(PRECISIONS)}")


def choose_precision(wanted: str, artifact: Artifact) -> tuple[Artifact, str]:
    """Return the artifact with the graph to run, and the precision to compute in.

    Args:
        wanted: one of `PRECISIONS`.
        artifact: as it was opened; "auto" is the precision of its `model`.

    Returns:
        `artifact` in the precision of the graph, and a key of `PRECISIONS`, except "auto".

    Raises:
        ValueError: it is unknown, or the artifact holds no graph for it.
    """
    check_precision(wanted)
    if wanted == "auto":
        return artifact, artifact.model.precision
    graph = graph_precision(wanted)
    if graph in artifact.precisions:
        return artifact.in_precision(graph), wanted
    model = printable(artifact.model.name, 200)
    if wanted == "int8":
        raise ValueError(
            f"precision int8 was asked for, and {model} holds no graph in it, only in "
            f"{', '.join(artifact.precisions)}. {_how_to_quantise(artifact)}"
        )
    raise ValueError(
        f"precision {wanted} was asked for, and {model} was made in "
        f"{artifact.model.precision}: a graph keeps its precision. Export its checkpoint with "
        f"--precision {graph}, or leave the option out."
    )


def graph_precision(wanted: str) -> GraphPrecision:
    """Return the precision of the graph that is run, or exported, where one of the arithmetic is wanted."""
    return _GRAPHS.get(wanted, "fp32")


def _how_to_quantise(artifact: Artifact) -> str:
    if artifact.folder is None:
        return "Give the folder of an artifact that does, or its model.int8.onnx."
    folder, name = artifact.folder, artifact.model.name
    words = ["fastfcn-export", str(folder), "--precision", "int8"]
    if _PACKAGE in Path(os.path.realpath(folder)).parents or folder.parent.name == "snapshots":
        # To the package's model, and to one that was downloaded, nothing is added.
        words += ["-o", f"{name}-int8"]
    return f"To make one: {printable(shlex.join(words))} --calibrate PICTURES"


def no_products_of_bytes() -> bool:
    """Tell whether this processor has no instructions for int8; false where the system cannot tell."""
    found = cpu_features()
    return found is not None and not set(found) & set(PRODUCTS_OF_BYTES)


def no_bfloat16() -> str | None:
    """Say why this processor would only emulate bfloat16; None if it has it, or the system cannot tell."""
    found = cpu_features()
    if found is None or set(found) & set(_BFLOAT16):
        return None
    return (
        f"this processor has no instructions for bfloat16 (none of {', '.join(_BFLOAT16)}; it has "
        f"{', '.join(found) or 'none of those that matter here'}), and emulating it is slower than float32"
    )
