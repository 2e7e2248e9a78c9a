"""Writes the checkpoints in this folder, with torch and Paddle themselves, and what they load from them.

Run once with each (the two need not live in one environment)::

    python make.py torch
    python make.py paddle

For every file there is `<stem>.npz` with the arrays that the framework's own loader gives, bfloat16 of torch as
float32 and of Paddle as uint16. The files `*_expected.npz`, and those they belong to, are of the golden cases.
"""

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent


def write_torch() -> None:
    import torch

    torch.manual_seed(0)
    shared = torch.randn(4, 6)
    state = OrderedDict(
        {
            "conv.weight": torch.randn(3, 2, 3, 3),
            "half": torch.randn(5).half(),
            "brain": torch.randn(2, 3).bfloat16(),
            "double": torch.randn(3, dtype=torch.float64),
            "flags": torch.tensor([True, False, True]),
            "bytes": torch.arange(5, dtype=torch.uint8),
            "short": torch.arange(-3, 3, dtype=torch.int16),
            "norm.num_batches_tracked": torch.tensor(7),
            "empty": torch.zeros(0, 3),
            "shared": shared,
            "transposed": shared.t(),
            "sliced": shared[1:3, ::2],
            "expanded": torch.arange(4.0).expand(5, 4),
            "brain_view": torch.randn(4, 4).bfloat16().t()[1:],
            "parameter": torch.nn.Parameter(torch.randn(2)),
        }
    )
    nested = {
        "epoch": 3,
        "state_dict": state,
        "optimizer": {
            "state": {0: {"momentum_buffer": torch.randn(2)}},
            "param_groups": [{"lr": 0.1}],
        },
        "best_pred": np.float64(0.4321),
        "meta": {"note": "x" * 3000, "classes": ("a", "b")},
    }
    prefixed = OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())
    some = OrderedDict({"module.a": torch.ones(2), "head.encmodule.fc": torch.zeros(2)})
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3)).state_dict()
    for stem, value, loaded in (
        ("torch_types", state, state),
        ("torch_nested", nested, state),
        ("torch_prefixed", prefixed, state),
        ("torch_part_prefixed", some, some),
        ("torch_module", {"model": model}, model),
    ):
        for kind, zipped in (("zip", True), ("legacy", False)):
            file = HERE / f"{stem}_{kind}.pth"
            torch.save(value, file, _use_new_zipfile_serialization=zipped)
            torch.load(file, weights_only=False)
        arrays = {
            name: (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).detach().numpy()
            for name, tensor in loaded.items()
        }
        np.savez_compressed(HERE / f"{stem}.npz", **arrays)


def write_paddle() -> None:
    import paddle

    paddle.seed(0)
    layer: Any = paddle.nn.Sequential(
        paddle.nn.Conv2D(2, 3, 3), paddle.nn.BatchNorm2D(3), paddle.nn.Linear(3, 2)
    )
    state = layer.state_dict()
    state["brain"] = paddle.randn([2, 3]).astype("bfloat16")
    state["half"] = paddle.randn([4]).astype("float16")
    state["number"] = paddle.to_tensor(3.5)
    state["counts"] = paddle.arange(4)
    state["empty"] = paddle.zeros([0, 3])
    nested = {
        "epoch": 3,
        "state_dict": state,
        "best_pred": np.float64(0.4321),
        "optimizer": {"lr": 0.1},
    }
    for protocol in (2, 3, 4):
        paddle.save(
            state, str(HERE / f"paddle_layer_protocol{protocol}.pdparams"), protocol=protocol
        )
        paddle.save(
            nested, str(HERE / f"paddle_training_protocol{protocol}.pdparams"), protocol=protocol
        )
    loaded = paddle.load(str(HERE / "paddle_layer_protocol4.pdparams"), return_numpy=True)
    loaded.pop("StructuredToParameterName@@", None)
    np.savez_compressed(HERE / "paddle_layer.npz", **loaded)
    loaded = paddle.load(str(HERE / "paddle_training_protocol4.pdparams"), return_numpy=True)
    np.savez_compressed(HERE / "paddle_training.npz", **loaded["state_dict"])


if __name__ == "__main__":
    {"torch": write_torch, "paddle": write_paddle}[sys.argv[1]]()
