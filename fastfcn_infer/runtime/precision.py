"""The precision of the arithmetic: what users may ask for, and what a model allows."""

from collections.abc import Mapping
from typing import Literal, get_args

from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_infer.system.excerpt import excerpt, printable

DeviceKind = Literal["auto", "cpu", "cuda", "tensorrt"]
Precision = Literal["auto", "fp32", "tf32", "fp16"]
PRECISIONS: Mapping[Precision, str] = {
    "auto": "what the model was made in",
    "fp32": "float32",
    "tf32": "float32 whose products are rounded to TensorFloat-32, 10 bits of mantissa; on NVIDIA GPUs",
    "fp16": "float16, for GPUs",
}


def check_precision(wanted: str) -> None:
    """Refuse a name that is unknown.

    Raises:
        ValueError: it is none of `PRECISIONS`.
    """
    if wanted not in get_args(Precision):
        raise ValueError(f"precision {excerpt(wanted)} is unknown; known: {', '.join(PRECISIONS)}")


def choose_precision(wanted: str, made_in: str, model: str) -> str:
    """Return the precision to compute in.

    Args:
        wanted: one of `PRECISIONS`.
        made_in: precision of the graph, see `manifest.Model`.
        model: its name, for messages.

    Raises:
        ValueError: it is unknown, or the graph is of another precision.
    """
    check_precision(wanted)
    if wanted in ("auto", made_in):
        return made_in
    if wanted == "tf32" and made_in == "fp32":
        return wanted
    kept = "fp32" if wanted == "tf32" else wanted
    raise ValueError(
        f"precision {wanted} was asked for, and {printable(model, 200)} was made in {made_in}: a graph "
        f"keeps its precision. Export its checkpoint with --precision {kept}, or leave the option out."
    )


def precision_to_export(wanted: str) -> Literal["fp32", "fp16"]:
    """Return the precision that a checkpoint is converted to for one that was asked for."""
    return "fp16" if wanted == "fp16" else "fp32"


def kind_for_tf32(kind: DeviceKind) -> DeviceKind:
    """Return the kind of device that rounds to TensorFloat-32 where one of a kind was asked for.

    Raises:
        DeviceUnavailable: the processor was asked for.
    """
    if kind == "cpu":
        raise DeviceUnavailable(
            "Precision tf32 is a mode of NVIDIA GPUs, and device cpu has none. Use device cuda, or "
            "precision fp32."
        )
    return "cuda" if kind == "auto" else kind
