"""Parts that cost little and lose much stay in float32; more follow until the labels are right or the time is up."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto

from exports import described, recognised, write_onnx
from fastfcn_export import QuantizationSettings
from fastfcn_export.quantization import search
from fastfcn_export.quantization.parts import named
from fastfcn_export.quantization.pictures import Batches, of_files
from fastfcn_export.quantization.proof import Judge, Judged
from fastfcn_export.quantization.search import Found, Search
from fastfcn_infer.evaluation.agreement import Agreement
from fastfcn_infer.runtime.backend import RuntimeFacts
from quantised import needs_nncf, write_pictures

FACTS = RuntimeFacts("judge", "none", "cpu", 1, {})


class Fake(Judge):
    """Finds as many labels right as a list says."""

    def __init__(self, shares: list[int], settings: QuantizationSettings) -> None:
        self._shares, self._required = shares, settings

    def judge(self, graph: Path) -> Judged:
        return Judged(Agreement(100, self._shares.pop(0)), None, FACTS, self._required)


def searched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shares: list[int], seconds: float = 600
) -> Found:
    """Search with parts whose errors are given: the head's encoding makes half of it."""
    network = recognised("wuhuikai_encnet")
    graph = named(onnx.load(write_onnx(network, folder)))
    errors = {"head.encoding": 0.5, "backbone.stage1": 0.04, "backbone.stem": 0.01}

    def quantised(model: ModelProto, *_: object, **__: object) -> ModelProto:
        return model

    def in_float32(model: ModelProto, _: ModelProto, nodes: list[str]) -> ModelProto:
        copy = ModelProto()
        copy.CopyFrom(model)
        copy.doc_string = str(
            1 - sum(e for name, e in errors.items() if any(n.startswith(name) for n in nodes))
        )
        return copy

    def outputs(_: Search, model: ModelProto, precision: str) -> list[NDArray[np.float64]]:
        return [np.array([float(model.doc_string or 0)])]

    monkeypatch.setattr(search, "quantised", quantised)
    monkeypatch.setattr(search, "in_float32", in_float32)
    monkeypatch.setattr(Search, "_outputs", outputs)
    settings = QuantizationSettings(search_seconds=seconds)
    batches = Batches(of_files(str(write_pictures(folder / "p", 2))).samples, described(network))
    judge = Fake(shares, settings)
    return Search(
        graph, described(network), batches, judge, settings, folder, lambda stage: None
    ).run()


@needs_nncf
@pytest.mark.parametrize(
    ("shares", "kept"),
    [
        ([96], ["head.encoding"]),
        ([90, 96], ["head.encoding", "backbone.stage1"]),
        ([90, 90, 90], ["head.encoding", "backbone.stage1", "backbone.stem"]),
    ],
)
def test_parts_stay_in_float32_until_the_labels_are_right(
    shares: list[int], kept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = searched(tmp_path, monkeypatch, shares)

    assert [part.name for part in found.kept] == kept
    assert not shares


@needs_nncf
def test_without_time_to_search_everything_is_quantised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = searched(tmp_path, monkeypatch, [90], seconds=0)

    assert found.kept == ()
    assert not found.judged.holds
