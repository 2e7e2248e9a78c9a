import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fill
from exports import difference, write_onnx
from fastfcn_export.dialect.dialect import recognise
from paddle_programs import open_program, run_program, write_paddle

onnxruntime = pytest.importorskip("onnxruntime")

PROMISE = 1e-5  # of the largest logit, Paddle against ONNX; measured 2.4e-6
GOLDEN = 1e-4  # against the code that trained the checkpoint
CASES = sorted(
    path
    for path in (Path(__file__).parents[1] / "data" / "golden").glob("*.npz")
    if not path.name.startswith("proc_")  # whole procedures; see test_golden_procedures
)

# ResNet-50 in full: 200 MB of weights a case are drawn, exported twice and run twice.
pytestmark = pytest.mark.slow


def both(case: dict[str, Any], image: NDArray[np.float32]) -> tuple[Any, Any]:
    """The logits of the Paddle program and of the ONNX graph."""
    tensors = {name: fill.tensor(name, shape, kind) for name, shape, kind in case["tensors"]}
    network = recognise(tensors, output_stride=case["network"]["output_stride"])
    with TemporaryDirectory() as place:  # pytest would keep gigabytes of its own folders
        graph = write_onnx(network, Path(place))
        program = open_program(write_paddle(network, Path(place)))
        session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return run_program(program, image), session.run(None, {"image": image})[0]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_paddle_program_answers_as_the_onnx_graph(path: Path) -> None:
    case, answers = json.loads(path.with_suffix(".json").read_text()), np.load(path)
    seen = case["input"]
    image = fill.network_input(seen["seed"], seen["height"], seen["width"])
    paddle, onnx = both(case, image)
    assert difference(paddle, onnx) <= PROMISE
    assert difference(paddle, answers["low"]) <= GOLDEN


def test_there_is_a_case_of_every_dialect() -> None:
    assert len(CASES) == 15
