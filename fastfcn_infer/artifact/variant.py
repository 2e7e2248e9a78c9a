"""The same network in another precision, beside the artifact's own graph, and the proof of it.

A variant is a file of its own. It was made from the graph in float32, so labels may differ, and
`Variant` records by how much they did on pictures that nothing was adjusted to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastfcn_infer.artifact.procedure import refuse
from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import excerpt

GraphPrecision = Literal["fp32", "fp16", "int8"]
VARIANTS: Mapping[GraphPrecision, str] = {"fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}


@dataclass(frozen=True)
class Calibration:
    """The pictures that the ranges of quantised values were measured on.

    Args:
        pictures: their number.
        source: what they were: a data set and its part, or the name of a folder.
    """

    pictures: int
    source: str

    def __post_init__(self) -> None:
        """Check the number."""
        if self.pictures < 1:
            raise ValueError(f"{self.pictures} calibration pictures; at least 1 was expected")


@dataclass(frozen=True)
class LabelAgreement:
    """How many labels equal those of float32, on pictures that were held out of the calibration.

    Args:
        pictures: their number.
        source: what they were, as in `Calibration`.
        overall: share of all pixels, 0..1.
        required: of `overall`, without which the file would not have been kept.
        interior: share of the pixels away from boundaries between classes, 0..1; None: there were none.
        margin: how far that is, pixels.
    """

    pictures: int
    source: str
    overall: float
    required: float
    interior: float | None = None
    margin: int = 0

    def __post_init__(self) -> None:
        """Check that shares are shares, and that what was required was reached."""
        faults = _faults_of_shares(
            overall=self.overall, required=self.required, interior=self.interior
        )
        if self.pictures < 1 or self.margin < 0:
            faults.append(f"{self.pictures} pictures and a margin of {self.margin} pixels")
        refuse(faults or _faults_of_proof("overall", self.overall, self.required))


@dataclass(frozen=True)
class GoldenAgreement:
    """How many pixels of the golden picture get the exact label, and how many have to anywhere.

    Args:
        found: share of its pixels, 0..1, when the file was made.
        required: that `fastfcn verify` demands on every machine.
    """

    found: float
    required: float

    def __post_init__(self) -> None:
        """Check both shares."""
        faults = _faults_of_shares(found=self.found, required=self.required)
        refuse(faults or _faults_of_proof("found", self.found, self.required))


@dataclass(frozen=True)
class TaskLoss:
    """Mean IoU on a labelled data set before and after, 0..1.

    Args:
        dataset: its name, and of its part.
        pictures: their number.
        mean_iou: of the variant.
        mean_iou_fp32: of the graph in float32, on the same pictures.
        allowed_loss: difference above which the file would not have been kept.
    """

    dataset: str
    pictures: int
    mean_iou: float
    mean_iou_fp32: float
    allowed_loss: float

    def __post_init__(self) -> None:
        """Check that the loss is an allowed one."""
        faults = _faults_of_shares(
            mean_iou=self.mean_iou,
            mean_iou_fp32=self.mean_iou_fp32,
            allowed_loss=self.allowed_loss,
        )
        if self.pictures < 1:
            faults.append(f"{self.pictures} pictures; at least 1 was expected")
        if not faults and self.loss > self.allowed_loss:
            faults.append(f"a loss of {self.loss} is more than the allowed {self.allowed_loss}")
        refuse(faults)

    @property
    def loss(self) -> float:
        """Mean IoU that was lost; negative if the variant is better."""
        return self.mean_iou_fp32 - self.mean_iou


@dataclass(frozen=True)
class Variant:
    """How a graph in another precision was made, and what it was compared with.

    Args:
        file: name inside the artifact, one of `VARIANTS`.
        method: how it was made, in a sentence.
        agreement: how many labels equal those of the graph in float32.
        golden: agreement on the artifact's golden picture; None if it carries none.
        runtime: with which all this was measured.
        versions: package -> version, of what made and ran it.
        calibration: the pictures; None if none were needed.
        kept: layers or kinds of operations that still compute in float32.
        task: mean IoU on a labelled data set; None if none was given.
    """

    file: str
    method: str
    agreement: LabelAgreement
    golden: GoldenAgreement | None
    runtime: str
    versions: Mapping[str, str]
    calibration: Calibration | None = field(default=None, metadata=record.OMITTED)
    kept: tuple[str, ...] = field(default=(), metadata=record.OMITTED)
    task: TaskLoss | None = field(default=None, metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Check the name of the file."""
        if self.file not in VARIANTS.values():
            known = ", ".join(VARIANTS.values())
            raise ValueError(f"file {excerpt(self.file)} is none of {known}")


def faults_of_variants(
    variants: Mapping[str, Variant], files: Mapping[str, object], made_in: str
) -> list[str]:
    """Compare the records of variants with the files that a manifest lists.

    Args:
        variants: precision -> record.
        files: of the manifest.
        made_in: precision of the artifact's own graph.
    """
    faults = []
    if made_in == "int8":
        faults.append("a graph in int8 is a variant; the artifact's own has to be in fp32 or fp16")
    known: dict[str, str] = {each: file for each, file in VARIANTS.items() if each != made_in}
    for precision, variant in variants.items():
        if precision not in known:
            faults.append(f"variants: {excerpt(precision)} is none of {', '.join(known)}")
        elif variant.file != known[precision]:
            faults.append(
                f"variants.{precision}: its file is {known[precision]}, not {variant.file}"
            )
        elif variant.file not in files:
            faults.append(f"variants.{precision}: {variant.file} is not among the files")
    for precision, file in VARIANTS.items():
        if file in files and precision not in variants:
            faults.append(f"{file} is among the files, and variants has no record of it")
    return faults


def _faults_of_shares(**shares: float | None) -> list[str]:
    return [
        f"{name} {share} must be in 0..1"
        for name, share in shares.items()
        if share is not None and not 0 <= share <= 1
    ]


def _faults_of_proof(name: str, share: float, required: float) -> list[str]:
    return [f"{name} {share} is less than the required {required}"] if share < required else []
