"""Search the parts of a network that have to stay in float32; bounded in time, and the same every time.

First everything is quantised. Then the error of the outputs is measured again with each part in float32. A part
whose share of the error is several times its share of the multiply-adds stays in float32, as EncNet's encoding does,
where a hundredth of the work makes most of the error; with it in float32 the other parts are measured once more, until
none is worth it. If labels still differ too much, the parts that lower the error most for what they cost follow, one
after the other.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from fastfcn_export.quantization.parts import Part, in_float32
from fastfcn_export.quantization.pictures import Batches
from fastfcn_export.quantization.proof import Judge, Judged, opened
from fastfcn_export.quantization.settings import QuantizationSettings
from fastfcn_export.quantization.with_nncf import parts_of, quantised
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.variant import GraphPrecision
from fastfcn_infer.system.progress import Progress

_WORTH = (
    4.0  # share of the error that a part in float32 removes, over its share of the multiply-adds
)
_SHOWS = 0.005  # of the error; less may be chance
_LOOKED_AT = 8  # inputs that the error is measured on


@dataclass(frozen=True)
class Found:
    """The graph that a search ended with.

    Args:
        graph: as NNCF made it.
        kept: the parts that compute in float32.
        judged: how it compares with float32.
    """

    graph: ModelProto
    kept: tuple[Part, ...]
    judged: Judged


@dataclass(frozen=True)
class Ranked:
    """A part, and what is gained if it computes in float32."""

    part: Part
    gain: float  # share of the error that is gone; negative: there is more of it
    cost: float  # share of all multiply-adds

    @property
    def worth(self) -> float:
        """Gain for the cost."""
        return self.gain / self.cost


class Search:
    """Finds a graph in int8 that labels pictures as one in float32 does.

    Args:
        original: the graph in float32, with named nodes.
        model: its description.
        batches: to calibrate on.
        judge: that compares graphs.
        settings: what is required, and how long it may take.
        scratch: a folder for graphs that are tried.
        report: called with the name of each stage as it begins.
    """

    def __init__(
        self,
        original: ModelProto,
        model: Model,
        batches: Batches,
        judge: Judge,
        settings: QuantizationSettings,
        scratch: Path,
        report: Callable[[str], None],
    ) -> None:
        self._original, self._model, self._batches = original, model, batches
        self._judge, self._settings = judge, settings
        self._file, self._report = scratch / "candidate.onnx", report

    def run(self) -> Found:
        """Search; the graph that is found may still not be good enough.

        Raises:
            BackendError: NNCF or a runtime failed.
            ImageError: a picture cannot be read.
        """
        end = time.monotonic() + self._settings.search_seconds
        self._report("quantise")
        graph, kept, rest = self._quantised(()), list[Part](), list[Ranked]()
        while time.monotonic() < end:
            rest = self._rank(graph, kept, end)
            worth = [r.part for r in rest if r.worth >= _WORTH and r.gain >= _SHOWS]
            if not worth:
                break
            kept += worth
        if kept:
            graph = self._quantised(kept)
        judged = self._judged(graph)
        rest = [each for each in rest if each.part not in kept and each.gain > 0]
        rest.sort(key=lambda each: each.worth, reverse=True)
        while not judged.holds and rest and time.monotonic() < end:
            kept.append(rest.pop(0).part)
            graph = self._quantised(kept)
            judged = self._judged(graph)
        return Found(graph, tuple(kept), judged)

    def _quantised(self, kept: Sequence[Part]) -> ModelProto:
        if kept:
            self._report(f"quantise again, in float32: {', '.join(part.name for part in kept)}")
        return quantised(
            self._original,
            self._batches,
            count=len(self._batches),
            float32=[name for part in kept for name in part.nodes],
            reduce_range=self._settings.reduce_range,
        )

    def _judged(self, graph: ModelProto) -> Judged:
        self._report("compare")
        onnx.save(graph, self._file)
        return self._judge.judge(self._file)

    def _rank(self, graph: ModelProto, kept: Sequence[Part], end: float) -> list[Ranked]:
        """Measure what each part gains beside those that are kept already, until the time is up."""
        self._report("measure the error of each part")
        everything = sum(part.multiply_adds for part in self._parts)

        def error(more: Sequence[Part]) -> float:
            nodes = [name for part in (*kept, *more) for name in part.nodes]
            without = in_float32(graph, self._original, nodes)
            return _error(self._outputs(without, "int8"), self._expected)

        whole, ranked = error(()), []
        left = [part for part in self._parts if part not in kept]
        with Progress("search", total=len(left), unit="parts") as bar:
            for part in left:
                if not whole or time.monotonic() >= end:
                    break
                gain = 1 - error((part,)) / whole
                ranked.append(Ranked(part, gain, part.multiply_adds / everything))
                bar.advance()
        return ranked

    @cached_property
    def _looked_at(self) -> list[NDArray[Any]]:
        return list(islice(self._batches, _LOOKED_AT))

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        return parts_of(self._original, self._looked_at[0])

    @cached_property
    def _expected(self) -> list[NDArray[Any]]:
        return self._outputs(self._original, "fp32")

    def _outputs(self, graph: ModelProto, precision: GraphPrecision) -> list[NDArray[Any]]:
        onnx.save(graph, self._file)
        with opened(self._file, self._model, precision) as backend:
            return [backend.run(batch) for batch in self._looked_at]


def _error(found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]]) -> float:
    """Return the root mean square of the differences; of labels those that differ count as 1."""
    squares, labels = 0.0, np.issubdtype(expected[0].dtype, np.integer)
    for one, other in zip(found, expected, strict=True):
        difference = one != other if labels else one - other
        squares += float(np.square(difference, dtype=np.float64).sum())
    return float(np.sqrt(squares / sum(other.size for other in expected)))
