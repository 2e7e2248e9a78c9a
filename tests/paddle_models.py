"""The tiny network of `models.py` as a Paddle program, if Paddle is installed."""

import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any

from fastfcn_infer.artifact.manifest import Model
from models import STRIDE, tiny_weights

PADDLE = importlib.util.find_spec("paddle") is not None


def tiny_paddle(folder: Path, model: Model) -> None:
    """Write ``paddle/inference.json`` and ``inference.pdiparams`` of what `tiny_model` describes."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paddle

    (folder / "paddle").mkdir(parents=True)
    paddle.enable_static()
    try:
        main, startup, scope = (
            paddle.static.Program(),
            paddle.static.Program(),
            paddle.static.Scope(),
        )
        with paddle.static.scope_guard(scope), paddle.static.program_guard(main, startup):
            given, logits = _network(paddle, model)
            executor = paddle.static.Executor(paddle.CPUPlace())
            executor.run(startup)
            paddle.static.save_inference_model(
                os.fspath(folder / "paddle" / "inference"),
                [given],
                [logits],
                executor,
                program=main,
            )
    finally:
        paddle.disable_static()


def _network(paddle: Any, model: Model) -> tuple[Any, Any]:
    weights, bias = tiny_weights(len(model.classes))
    if model.input.name == "pixels":
        given = paddle.static.data("pixels", [-1, -1, -1, 3], "uint8")
        planes = given.transpose([0, 3, 1, 2]).astype("float32")
    else:
        given = planes = paddle.static.data("image", [-1, 3, -1, -1], "float32")
    assign = paddle.nn.initializer.Assign
    kernel = paddle.create_parameter(
        [len(bias), 3, 1, 1], "float32", default_initializer=assign(weights[:, :, None, None])
    )
    shift = paddle.create_parameter([len(bias)], "float32", default_initializer=assign(bias))
    return given, paddle.nn.functional.conv2d(planes, kernel, shift, stride=STRIDE)
