"""In which precisions this machine can compute, with which runtime, and why not with others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fastfcn_infer.runtime.backend import Availability, refusal
from fastfcn_infer.runtime.precision import PRECISIONS, PRODUCTS_OF_BYTES


@dataclass(frozen=True)
class Ability:
    """What of this machine computes in a precision."""

    precision: str
    backends: tuple[str, ...]
    refusals: Mapping[str, str]  # other installed runtimes -> why not
    note: str | None  # what to expect


def abilities(
    backends: Collection[Availability], features: tuple[str, ...] | None, no_gpu: str | None
) -> tuple[Ability, ...]:
    """Ask every installed runtime about every precision.

    Args:
        backends: what is known of the runtimes.
        features: of the processor; None: unknown.
        no_gpu: why there is no GPU; None if there is one.
    """
    usable = [each for each in backends if each.installed and each.fault is None]
    found = []
    for precision in PRECISIONS:
        if precision == "auto":
            continue
        answers = {each.name: _refusal(each, precision, no_gpu) for each in usable}
        refusals = {name: why for name, why in answers.items() if why is not None}
        able = tuple(name for name in answers if name not in refusals)
        note = _note(precision, features, no_gpu) if able else None
        found.append(Ability(precision, able, refusals, note))
    return tuple(found)


def _refusal(backend: Availability, precision: str, no_gpu: str | None) -> str | None:
    if precision == "tf32":
        if "cuda" not in backend.devices:
            return f"it is for GPUs, and this runtime supports {', '.join(backend.devices)}"
        if no_gpu is not None:
            return f"it is for GPUs: {no_gpu}"
        if not any("CUDA" in provider for provider in backend.providers):
            return "it is for GPUs, and what is installed was built without CUDA"
        return None
    if precision == "fp16" and backend.reads != "onnx":
        return "fastfcn-export writes graphs in fp16 in the format onnx only"
    return refusal(backend.name, precision)


def _note(precision: str, features: tuple[str, ...] | None, no_gpu: str | None) -> str | None:
    if precision == "fp16" and no_gpu is not None:
        return "no faster than fp32 on a processor"
    if precision == "int8" and features is not None and not set(features) & set(PRODUCTS_OF_BYTES):
        known = ", ".join(PRODUCTS_OF_BYTES)
        return f"this processor has none of {known}: not much faster than fp32, and less exact"
    return None
