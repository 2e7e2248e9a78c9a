"""Devices as they are asked for, with the arithmetic that a graph in float32 may use on them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

from fastfcn_infer.errors import DeviceUnavailable, UnknownDevice
from fastfcn_infer.system import registry

DeviceKind = Literal["auto", "cpu", "cuda", "tensorrt"]
Rounding = Literal["tf32", "bf16"]
DEVICES = ("auto", "cpu", "cuda", "cuda:1", "tensorrt")  # as users type them

_BACKENDS = "fastfcn_infer.runtime.backends"

_ROUNDINGS: Mapping[str, Rounding] = {"tf32": "tf32", "bf16": "bf16"}

# Kinds of devices that compute in a precision, the one that "auto" means first; and what to say of others.
_KINDS: Mapping[str, tuple[tuple[DeviceKind, ...], str]] = {
    "tf32": (
        ("cuda", "tensorrt"),
        "is a mode of NVIDIA GPUs, and device {} has none. Use device cuda, or precision fp32",
    ),
    "bf16": (
        ("cpu",),
        "is for processors, not for device {}. Use device cpu, or precision tf32 or fp16 on a GPU",
    ),
    "int8": (
        ("cpu", "tensorrt"),
        "is for processors and for TensorRT; on device {} it would be computed in float32, between "
        "conversions. Use device cpu or tensorrt, or precision fp16",
    ),
}


@dataclass(frozen=True)
class Device:
    """A device that was asked for; `index` counts the devices of a kind from 0."""

    kind: DeviceKind
    index: int = 0
    rounding: Rounding | None = None  # what factors in float32 may be rounded to; None: to nothing

    def __str__(self) -> str:
        """Write it as users type it."""
        return f"{self.kind}:{self.index}" if self.index else self.kind

    def precision(self, made_in: str) -> str:
        """Return the precision of the arithmetic, a key of `precision.PRECISIONS`, of a graph."""
        return self.rounding or made_in


def parse_device(text: str | int) -> Device:
    """Read a device as users type it.

    Args:
        text: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``tensorrt``; also, as other libraries
            write ``cuda:N``, ``gpu:N`` and the number N alone.

    Raises:
        UnknownDevice: anything else.
    """
    word = str(text).strip().lower()
    match = re.fullmatch(r"(auto|cpu|tensorrt)|(?:cuda|gpu)(?::(\d{1,3}))?|(\d{1,3})", word)
    if match is None:
        raise UnknownDevice(
            f"Device {text!r} is unknown; known: {', '.join(DEVICES)}; or the name of a backend: "
            f"{', '.join(registry.names(_BACKENDS))}."
        )
    kind = cast("DeviceKind", match[1] or "cuda")
    return Device(kind, int(match[2] or match[3] or 0))


def fitting(device: Device, precision: str) -> Device:
    """Return the device that is meant where one is to compute in a precision.

    Args:
        device: as it was asked for.
        precision: of the arithmetic, a key of `precision.PRECISIONS`, except "auto".

    Raises:
        DeviceUnavailable: devices of its kind cannot.
    """
    if precision in _KINDS:
        kinds, why = _KINDS[precision]
        if device.kind == "auto":
            device = replace(device, kind=kinds[0])
        elif device.kind not in kinds:
            raise DeviceUnavailable(f"Precision {precision} {why.format(device)}.")
    return replace(device, rounding=_ROUNDINGS.get(precision))
