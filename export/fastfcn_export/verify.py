"""Verify, on a real runtime, that an exported graph computes what its network computes.

The reference is the target `reference`: NumPy, nothing fused. Both are fed the same photograph.

At which size? What is proven is that two programs are the same function of their input; how pictures are
resized before is no part of either. A graph whose height and width are free is therefore fed a
photograph that is large enough and no larger, 214 x 320 pixels for most networks, even if the authors enlarge
pictures (mmsegmentation to 2048 x 1024 for Cityscapes, which is 23 times the work). That is no weaker:

- Every tap of every kernel meets pixels. The maps are larger than the widest dilation: 8 in the JPU, for which
  27 x 40 cells are enough; 36 in atrous pooling, for which 301 x 339 pixels of the photograph are taken at
  stride 8, because taps beyond the border would be multiplied by zero, and a wrong weight there not seen.
- All other arithmetic takes the same weights at any size, so a wrong one shows at any.
- What depends on the size (rounding of strides, cells of pooling grids, the resizes of the JPU) is tried
  where it goes wrong: neither 214 nor 301 is a multiple of 4, let alone of the stride, as the authors' sizes are,
  and height and width differ, so that one taken for the other shows.

Half precision is fed the size of the authors' procedure all the same: sums over all pixels, such as the
encoding's, may overflow on a large map only. So is a graph of a fixed shape, which takes no other size. Nothing
is computed twice then: the labels of the self-test are made of the same outputs.

Elsewhere the graph that was proven labels the picture of the self-test once more, at the size of the authors. That is no
part of the proof, so the picture may be one that this size is cheap for: where the photograph would be fed as more
than 400,000 pixels (as 1024 x 1531 by mmsegmentation's procedure for Cityscapes), a strip of it is taken,
96 x 640 pixels, which the same procedure makes 307 x 2048. Its map, 39 x 256, is larger than the widest dilation, too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.network.architecture import Architecture, Aspp, DeepLab
from fastfcn_export.network.heads import ATROUS
from fastfcn_export.target.targets import reference
from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.manifest import RGB, Input, Model, Verification
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.errors import VerificationError
from fastfcn_infer.inference.merge import merge
from fastfcn_infer.inference.multiband import read_pixels, with_channels_of
from fastfcn_infer.inference.pipeline import Job, segment
from fastfcn_infer.inference.views import View, plan
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import RuntimeFacts, open_backend
from fastfcn_infer.system.machine import cpu_budget
from fastfcn_infer.system.opencv import cv2
from fastfcn_infer.system.percent import percent

Array = NDArray[Any]

WIDTH = 320  # pixels of the golden picture, unless the graph's shape is smaller
CREDIT = "china.jpg by danielbuechele (Flickr), CC BY 2.0, reduced or cut"
CREDIT_BANDS = f"{CREDIT}; its channels, and shifted copies of them, as bands"
STRIP = (96, 640)  # pixels, height and width, of the middle of the photograph
MOST_FED = 400_000  # pixels that a network sees of the golden picture, if it sees fewer of a strip
_OWN_SIZE = Procedure("whole")

# Worst difference of the outputs, as a fraction of the largest; share of pixels with equal labels.
LIMITS = {"fp32": (1e-4, 0.999), "fp16": (2e-2, 0.98)}
# Of half precision an export demands more than `fastfcn verify` does later, on any GPU.
_HALF = 0.995


@dataclass(frozen=True)
class Proof:
    """The result of a verification.

    `picture` and `labels` are for the self-test, by the model's own procedure: the reference's labels, or
    where the reference was fed another size, those of the graph that was just proven.
    """

    record: Verification
    picture: Array  # (H, W, channels); three are uint8 RGB
    labels: Array  # (H, W)


def golden_picture(largest: tuple[int | None, int | None] = (None, None)) -> NDArray[np.uint8]:
    """Return the photograph that graphs are verified on, (H, W, 3) uint8, RGB, W at most 320.

    Args:
        largest: height and width to stay within, pixels; None: no limit.
    """
    photograph = _photograph()
    height, width = photograph.shape[:2]
    limits = (largest[0] or height, min(largest[1] or WIDTH, WIDTH))
    factor = min(limits[0] / height, limits[1] / width)
    size = (round(width * factor), round(height * factor))
    reduced = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.uint8)


def _photograph() -> NDArray[np.uint8]:
    file = resources.files("fastfcn_infer") / "assets" / "demo" / "china.jpg"
    return read_picture(file.read_bytes())


def _middle(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Cut a size (height, width) out of the middle of the photograph, enlarged if it is smaller."""
    photograph = _photograph()
    height, width = photograph.shape[:2]
    factor = max(1, size[0] / height, size[1] / width)
    whole = (math.ceil(width * factor), math.ceil(height * factor))
    photograph = np.asarray(cv2.resize(photograph, whole), np.uint8)
    top, left = ((side - part) // 2 for side, part in zip(photograph.shape[:2], size, strict=True))
    return np.ascontiguousarray(photograph[top : top + size[0], left : left + size[1]])


def self_test_picture(model: Model) -> NDArray[np.uint8]:
    """Return the golden picture, or a strip of the photograph if that is cheaper by the model's procedure."""
    golden, strip = golden_picture(), _middle(STRIP)
    costs = [_cost(model, picture) for picture in (golden, strip)]
    return strip if costs[0] > MOST_FED and costs[1] < costs[0] else golden


def _cost(model: Model, picture: NDArray[np.uint8]) -> int:
    """Count the pixels that the network sees of a picture by the model's procedure."""
    views = plan(model.procedure, model.input.shape[1:], (picture.shape[0], picture.shape[1]))
    return sum(prod(view.canvas) for view in views)


def prove(
    folder: Path,
    formats: Sequence[str],
    model: Model,
    recognised: Recognised,
    report: Callable[[str], None] = lambda stage: None,
    min_agreement: float | None = None,
) -> Proof:
    """Run the graphs in `folder` and, once, the reference network on a photograph and compare.

    Args:
        folder: holds the graphs, not sealed yet.
        formats: of the graphs, keys of `artifact.FORMATS`; at least one.
        model: their description.
        recognised: the checkpoint they came from.
        report: called with the name of each stage as it begins.
        min_agreement: of labels in half precision, 0..1; None: 0.995.

    Raises:
        VerificationError: one of them differs by more than `LIMITS`, or has fewer equal labels than that.
        BackendMissing: no runtime for a format is installed.
    """
    photograph, procedure = _fed(model, recognised.architecture)
    picture = with_channels_of(photograph, model.input)
    job = Job([read_pixels(picture, model.input)], model, procedure=procedure)
    ((call,), ((view,),)) = job.calls, job.views
    batch = job.batch(call)
    shown, kept = picture, None
    outputs: list[tuple[Array, RuntimeFacts]] = []
    for format in formats:
        report(f"verify {format}")
        artifact = Artifact(None, model, None, {FORMATS[format]: folder / FORMATS[format]})
        backend = open_backend("auto", artifact, device="cpu", threads=cpu_budget().threads)
        try:
            outputs.append((backend.run(batch)[:1], backend.facts))
            if procedure != model.procedure and kept is None:
                shown = with_channels_of(self_test_picture(model), model.input)
                kept = segment([read_pixels(shown, model.input)], model, backend)[0]
        finally:
            backend.close()
    expected = _expected(batch[:1], model, recognised)
    golden = _labels(expected, view, model, procedure)
    required = LIMITS[model.precision][1]
    if model.precision == "fp16":
        required = _HALF if min_agreement is None else min_agreement
    records = []
    for output, facts in outputs:
        worst = difference(*comparable(output, expected, model))
        found = job.label(0, {0: output[0]})
        agreement = float((found == golden).mean())
        records.append(_record(facts, model, worst, agreement, required))
        require_agreement(records[-1], required)
    exact = golden.astype(np.uint8 if len(model.classes) <= 256 else np.uint16)
    return Proof(joined(records), shown, exact if kept is None else kept)


def _record(
    facts: RuntimeFacts, model: Model, worst: float, agreement: float, required: float
) -> Verification:
    return Verification(
        reference="NumPy, unfused, float32",
        runtime=f"{facts.backend} ({facts.provider})",
        picture=CREDIT if model.input.channels == RGB else CREDIT_BANDS,
        worst_difference=worst,
        allowed_difference=LIMITS[model.precision][0],
        label_agreement=agreement,
        required_agreement=min(required, LIMITS[model.precision][1]),
        versions=dict(facts.versions),
    )


def _fed(model: Model, architecture: Architecture) -> tuple[NDArray[np.uint8], Procedure]:
    """Choose the picture and how it is fed to both, in one view; the module's docstring says why."""
    procedure, shape = model.procedure, model.input.shape[1:]
    golden = golden_picture()
    if shape != (None, None):
        # Labels cannot be resized, so a graph that outputs them must be fed the picture at its own size.
        return golden_picture(shape) if model.output.name == "labels" else golden, procedure
    if model.precision == "fp16" and procedure.resize is not None:
        return golden, procedure
    if isinstance(architecture.head, DeepLab | Aspp):
        side = max(ATROUS) * architecture.logits_stride + 13
        return _middle((side, side + 38)), _OWN_SIZE
    if procedure.resize is None or _cost(model, golden) >= golden[..., 0].size:
        return golden, _OWN_SIZE
    return golden, procedure


def joined(records: Sequence[Verification]) -> Verification:
    """Join the records of an artifact's formats: every runtime, and the worst figures.

    Args:
        records: at least one; of the same network, picture and limits.
    """
    return replace(
        records[0],
        runtime=" and ".join(record.runtime for record in records),
        worst_difference=max(record.worst_difference for record in records),
        label_agreement=min(record.label_agreement for record in records),
        versions={k: v for record in records for k, v in record.versions.items()},
    )


def _expected(batch: Array, model: Model, recognised: Recognised) -> Array:
    """Compute the output for a batch with the reference."""
    image = _normalised(batch, model.input)
    if recognised.takes_bgr:
        image = np.ascontiguousarray(image[:, ::-1])
    logits = reference.logits(recognised.architecture, recognised.weights, image)
    return _as_asked(logits, model, (image.shape[2], image.shape[3]))


def _normalised(batch: Array, given: Input) -> Array:
    """Normalise as a graph that takes pixels does inside."""
    if given.name == "image":
        return batch
    scaled = (batch / 255 - np.array(given.mean)) / np.array(given.std)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)


def _labels(output: Array, view: View, model: Model, procedure: Procedure) -> Array:
    """Compute labels of one view of the whole picture as the pipeline does, the textbook way."""
    height, width = view.height, view.width
    if procedure.twice:
        # Class by class: 150 of 1024 x 2048 pixels would be 1.3 GB.
        maps = np.split(output, output.shape[1], 1)
        full = np.concatenate([_twice(one, view, model, procedure) for one in maps], 1)
        found = decided(full, model)
    elif model.output.name == "labels":
        found = output
    else:
        merged = merge([view], [output[0]], (height, width))
        scores = merged.scores[None]
        full = reference.resize(scores, merged.size, align_corners=model.align_corners)
        found = decided(full, model)
    return np.asarray(found[0, :height, :width])


def _twice(logits: Array, view: View, model: Model, procedure: Procedure) -> Array:
    """Resize logits to what the network was fed, and that without its padding to the picture."""
    fed = reference.resize(logits, view.canvas, align_corners=model.align_corners)
    fed = fed[..., : view.size[0], : view.size[1]]
    picture = (view.height, view.width)
    return reference.resize(fed, picture, align_corners=procedure.align_corners)


def _as_asked(logits: Array, model: Model, size: tuple[int, int]) -> Array:
    """Turn the reference's logits into the kind of output that the graph has."""
    if model.output.name == "logits":
        return logits
    full = reference.resize(logits, size, align_corners=model.align_corners)
    if model.output.name == "labels":
        return decided(full, model)
    if model.output.threshold is not None:
        return np.concatenate([1 - sigmoid(full), sigmoid(full)], 1)
    share = np.exp(full - full.max(1, keepdims=True))
    return np.asarray(share / share.sum(1, keepdims=True))


def decided(scores: Array, model: Model) -> Array:
    """Label pixels from scores (N, C, H, W) as the authors do: arg max, or one logit's sigmoid."""
    threshold = model.output.threshold
    if threshold is None or scores.shape[1] != 1:
        return np.asarray(scores.argmax(1))
    return np.asarray(sigmoid(scores[:, 0]) > threshold).astype(np.int64)


def sigmoid(logits: Array) -> Array:
    """Compute ``1 / (1 + exp(-x))`` in float64, without overflow."""
    return np.asarray((1 + np.tanh(logits.astype(np.float64) / 2)) / 2)


def comparable(output: Array, expected: Array, model: Model) -> tuple[Array, Array]:
    """Make the two logits of a graph with a threshold comparable with the network's one."""
    threshold = model.output.threshold
    if threshold is None or model.output.name != "logits":
        return output, expected
    # By how much the class leads; of the network, over the logit whose sigmoid is the threshold.
    return output[:, 1:] - output[:, :1], expected - math.log(threshold / (1 - threshold))


def difference(output: Array, expected: Array) -> float:
    """Return the worst difference as a fraction of the largest expected value; 0 for labels.

    Raises:
        VerificationError: another shape was expected, or some values are not finite.
    """
    if output.shape != expected.shape:
        raise VerificationError(
            f"The graph's output is {output.shape}, the network's is {expected.shape}."
        )
    if np.issubdtype(output.dtype, np.integer):
        return 0.0  # labels have no distance; their agreement is checked instead
    if not np.isfinite(output).all():
        raise VerificationError(
            "The graph's output holds values that are not finite. In half precision some may be "
            "too large: export with --precision fp32. Nothing was written."
        )
    worst = np.abs(output - expected).max() / max(
        np.abs(expected).max(), np.finfo(np.float32).tiny
    )
    return float(worst) if np.isfinite(worst) else float(np.finfo(np.float32).max)


def require_agreement(record: Verification, required: float | None = None) -> None:
    """Reject a graph that differs by more than is allowed.

    Args:
        record: with what it allows.
        required: share of equal labels; None: what the record says.

    Raises:
        VerificationError: it does.
    """
    required = record.required_agreement if required is None else required
    if record.worst_difference <= record.allowed_difference and record.label_agreement >= required:
        return
    versions = ", ".join(f"{k} {v}" for k, v in record.versions.items())
    advice = f"Update the runtime ({versions}) and report this."
    if (
        record.worst_difference <= record.allowed_difference
        and required > record.required_agreement
    ):
        advice = "Export in float32, or accept less: --min-agreement (min_agreement)."
    raise VerificationError(
        f"The exported graph does not compute what its network computes: on {record.runtime} the "
        f"outputs differ by {record.worst_difference:.2g} of the largest (allowed: "
        f"{record.allowed_difference:.2g}) and {percent(record.label_agreement, 2)}% of the labels agree "
        f"(required: {required:.2%}). Nothing was written. {advice}"
    )
