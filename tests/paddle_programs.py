"""Paddle programs in tests: written for a network, run by Paddle Inference without oneDNN."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from exports import described
from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import paddle_static

Array = NDArray[Any]

os.environ.setdefault("GLOG_minloglevel", "2")  # read once, when Paddle is imported
paddle = pytest.importorskip("paddle")
inference = pytest.importorskip("paddle.inference")


def write_paddle(
    network: Recognised,
    folder: Path,
    *,
    output: Literal["logits", "probabilities", "labels"] = "logits",
    with_preprocess: bool = False,
    options: Options | None = None,
) -> Path:
    """Write the program of a network and return its folder."""
    options = options or Options()
    model = described(network, output=output, with_preprocess=with_preprocess, options=options)
    paddle_static.write(network.architecture, network.weights, model, folder, options)
    return folder / "paddle"


def open_program(folder: Path) -> Any:
    """Open a program; oneDNN is off, because it is wrong or refuses in some versions."""
    files = (str(folder / "inference.json"), str(folder / "inference.pdiparams"))
    config = inference.Config(*files)
    config.disable_gpu()
    config.disable_glog_info()
    if hasattr(config, "disable_mkldnn"):
        config.disable_mkldnn()
    return inference.create_predictor(config)


def run_program(program: Any, feed: Array) -> Array:
    """Run an open program."""
    (given,) = program.get_input_names()
    (answer,) = program.get_output_names()
    program.get_input_handle(given).copy_from_cpu(np.ascontiguousarray(feed))
    program.run()
    found: Array = program.get_output_handle(answer).copy_to_cpu()
    return found
