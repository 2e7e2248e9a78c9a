"""Tiny models whose right output is known without running them, and artifacts made of them."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fastfcn_infer.artifact import onnx_metadata
from fastfcn_infer.artifact.add_variant import add_variant
from fastfcn_infer.artifact.artifact import open_artifact, seal
from fastfcn_infer.artifact.manifest import (
    ClassInfo,
    Input,
    Manifest,
    Model,
    Network,
    Output,
    Source,
)
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.artifact.variant import (
    VARIANTS,
    Calibration,
    GoldenAgreement,
    GraphPrecision,
    LabelAgreement,
    TaskLoss,
    Variant,
)

STRIDE = 8


def tiny_model(
    classes: int = 3,
    *,
    name: str = "tiny",
    input_name: Literal["image", "pixels"] = "image",
    channels: int = 3,
    white: float | None = None,
) -> Model:
    """Describe a network that looks at every eighth pixel of each row and column."""
    half = (0.5,) * channels
    return Model(
        name=name,
        classes=tuple(ClassInfo(f"class {i}", (i % 256, 128, 255)) for i in range(classes)),
        input=Input(input_name, half, half, half, white=white),
        output=Output("logits", STRIDE),
        align_corners=False,
        precision="fp32",
        procedure=Procedure("whole", None),
        network=Network("paddleseg", "resnet18", "encnet", None, STRIDE, False, 10, 100, ()),
    )


def tiny_weights(
    classes: int, channels: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (C, channels) and bias (C,) of the only layer."""
    random = np.random.default_rng(classes)
    return (
        random.normal(size=(classes, channels)).astype(np.float32),
        random.normal(size=classes).astype(np.float32),
    )


def tiny_output(batch: NDArray[np.generic], classes: int) -> NDArray[np.float32]:
    """Logits that the graph of `tiny_onnx` must give for an (N, channels, H, W) or (N, H, W, 3) batch."""
    if batch.dtype == np.uint8:
        batch = batch.transpose(0, 3, 1, 2)
    weights, bias = tiny_weights(classes, batch.shape[1])
    seen = batch[:, :, ::STRIDE, ::STRIDE].astype(np.float64)
    logits = np.einsum("kc,nchw->nkhw", weights, seen) + bias[:, None, None]
    return np.asarray(logits, np.float32)


def tiny_onnx(path: Path, model: Model, *, described: bool = True, shift: float = 0.0) -> None:
    """Write the network that `tiny_model` describes, `shift` being added to every logit."""
    classes, channels = len(model.classes), model.input.channels
    weights, bias = tiny_weights(classes, channels)
    bias = bias + np.float32(shift)
    nodes, fed = [], str(model.input.name)
    shape, kind = ["N", channels, "H", "W"], TensorProto.FLOAT
    if model.input.name == "pixels":
        shape, kind, fed = ["N", "H", "W", 3], TensorProto.UINT8, "cast"
        nodes = [
            helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Cast", ["planes"], ["cast"], to=TensorProto.FLOAT),
        ]
    nodes.append(
        helper.make_node("Conv", [fed, "weights", "bias"], ["logits"], strides=[STRIDE, STRIDE])
    )
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(model.input.name, kind, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes, "h", "w"])],
        [
            numpy_helper.from_array(weights[:, :, None, None], "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests"
    )
    if described:
        text = onnx_metadata.embed(
            model, hashlib.sha256(proto.graph.SerializeToString(deterministic=True)).hexdigest()
        )
        helper.set_model_props(proto, text)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))


def tiny_artifact(folder: Path, model: Model | None = None) -> Manifest:
    """Fill a folder with a complete artifact: the graph, a golden pair, the manifest."""
    model = model or tiny_model()
    (folder / "golden").mkdir(parents=True)
    tiny_onnx(folder / "model.onnx", model)
    (folder / "golden" / "input.png").write_bytes(b"picture")
    (folder / "golden" / "labels.png").write_bytes(b"labels")
    source = Source("checkpoint.pdparams", 1, "0" * 64)
    return seal(folder, model, source, None, {"fastfcn-infer": "0"})


VARIANT = Variant(
    file=VARIANTS["int8"],
    method="quantised by hand",
    agreement=LabelAgreement(8, "camvid, part val", 0.97, 0.95, 0.99, 4),
    golden=GoldenAgreement(0.98, 0.95),
    runtime="open_vino (CPU)",
    versions={"nncf": "3.4.0"},
    calibration=Calibration(16, "camvid, part train"),
    kept=("encoding",),
    task=TaskLoss("camvid, part val", 101, 0.559, 0.561, 0.005),
)


def add_tiny_variant(
    folder: Path, precision: GraphPrecision = "int8", *, shift: float = 1.0
) -> Variant:
    """Add a graph in another precision, whose logits are all larger by `shift`, to a tiny artifact."""
    found = open_artifact(folder)
    file = folder.parent / f"{folder.name}.{precision}.onnx"
    tiny_onnx(file, replace(found.model, precision=precision), shift=shift)
    made = replace(VARIANT, file=VARIANTS[precision])
    add_variant(found, precision, file, made)
    file.unlink()
    return made
