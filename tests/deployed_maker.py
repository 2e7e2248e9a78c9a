"""Make the deployed models of the tests with PaddleSeg's own package, the reference for `deployed`.

    python tests/deployed_maker.py FOLDER CASE [CASE ...]

Needs paddlepaddle and paddleseg 2.8, and nothing of this project. Each case becomes a folder with the
program, its weights, its YAML, and `expected.npz`: a picture, what PaddleSeg's transforms make of
it, what the network answers to that, and the labels that PaddleSeg's inference finds, reverse
transform and all. The zips in `tests/data/deployed` hold such folders, made by Paddle 3.3.1
(all but one) and by Paddle 2.6.2, which wrote ``.pdmodel`` (``tiny_softmax``), each with the
`raw.onnx` that paddle2onnx 2.1.0 made of it (``--opset_version 17 --optimize_tool None``). The recorded
transforms there are the case ``transforms``.
"""

import importlib.util
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from deployed_cases import CASES, CLASSES, SIZES, TRANSFORMS, Case, picture

# Named by PaddleSeg's package at import and not needed: an empty module will do.
NOT_NEEDED = ("visualdl", "sklearn.metrics", "requests", "prettytable", "filelock", "tqdm")


def stub() -> None:
    """Stand in for packages that are not installed."""
    for name in NOT_NEEDED:
        top = name.partition(".")[0]
        if importlib.util.find_spec(top) is None:
            for part in dict.fromkeys((top, name)):
                module = types.ModuleType(part)
                module.__getattr__ = lambda attribute: None  # type: ignore[method-assign]
                module.__path__ = []
                sys.modules[part] = module


def fastfcn() -> Any:
    from paddleseg import models

    backbone = models.ResNet50_vd(output_stride=32)
    return models.FastFCN(CLASSES, backbone=backbone, num_codes=32, mid_channels=512)


def pp_liteseg() -> Any:
    from paddleseg import models

    return models.PPLiteSeg(CLASSES, backbone=models.STDC1())


def ocrnet() -> Any:
    from paddleseg import models

    return models.OCRNet(CLASSES, backbone=models.HRNet_W18(), backbone_indices=[0])


def segformer() -> Any:
    from paddleseg import models

    return models.SegFormer(CLASSES, models.MixVisionTransformer_B0(), embedding_dim=256)


def tiny_segformer() -> Any:
    from paddleseg import models
    from paddleseg.models.backbones.mix_transformer import MixVisionTransformer

    backbone = MixVisionTransformer(
        embed_dims=[4, 8, 8, 16], num_heads=[1, 1, 1, 1], mlp_ratios=[2] * 4, depths=[1] * 4
    )
    return models.SegFormer(5, backbone, embedding_dim=8)


def tiny_liteseg() -> Any:
    from paddleseg import models
    from paddleseg.models.backbones.stdcnet import STDCNet

    return models.PPLiteSeg(
        5,
        backbone=STDCNet(base=4, layers=[1, 1, 1], block_num=2),
        cm_bin_sizes=[1, 2],
        cm_out_ch=8,
        arm_out_chs=[8, 8, 8],
        seg_head_inter_chs=[8, 8, 8],
    )


def tiny_backbone() -> Any:
    """A pyramid of four grids, each half as wide as the one before."""
    import paddle

    class Pyramid(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.feat_channels = [4, 8, 8, 8]
            pairs = zip([3, 4, 8, 8], self.feat_channels, strict=True)
            steps = [paddle.nn.Conv2D(*pair, 3, stride=2, padding=1) for pair in pairs]
            self.steps = paddle.nn.LayerList(steps)

        def forward(self, grid: Any) -> list[Any]:
            grids = []
            for step in self.steps:
                grid = paddle.nn.functional.relu(step(grid))
                grids.append(grid)
            return grids

    return Pyramid()


def tiny_fastfcn() -> Any:
    """Repeats grids as often as there are code words."""
    from paddleseg import models

    return models.FastFCN(5, backbone=tiny_backbone(), num_codes=4, mid_channels=8)


def tiny_emanet() -> Any:
    """Repeats weights as often as there are pictures."""
    from paddleseg import models

    return models.EMANet(
        5,
        tiny_backbone(),
        ema_channels=8,
        gc_channels=8,
        num_bases=4,
        enable_auxiliary_loss=False,  # that head has a width of its own
    )


NETWORKS: dict[str, Callable[[], Any]] = {
    f.__name__: f
    for f in (
        *(fastfcn, pp_liteseg, ocrnet, segformer),
        *(tiny_segformer, tiny_liteseg, tiny_fastfcn, tiny_emanet),
    )
}


def scatter(network: Any, strength: float) -> None:
    """Give every norm numbers of its own, so that none is the identity.

    A deep network answers chaotically if they are strong, and then no two engines agree.
    """
    import paddle

    paddle.seed(1)
    for layer in network.sublayers():
        if strength < 1 and isinstance(layer, paddle.nn.Conv2D):
            # The package begins with weights so small that pictures leave hardly a trace.
            inputs = float(np.prod(layer.weight.shape[1:]))
            layer.weight.set_value(paddle.normal(0, (2 / inputs) ** 0.5, layer.weight.shape))
        if hasattr(layer, "_mean"):
            layer._mean.set_value(paddle.normal(0, 0.3 * strength, layer._mean.shape))
            layer._variance.set_value(
                paddle.uniform(layer._variance.shape, min=1 - 0.7 * strength, max=1)
            )
            layer.bias.set_value(paddle.normal(0, strength, layer.bias.shape))


def balance(network: Any, batch: Any, classes: int) -> None:
    """Take the mean out of the layers that answer the classes, or one of them would win everywhere."""
    import paddle

    means = {}

    def look(layer: Any, given: Any, answer: Any) -> None:
        means[layer] = given[0].mean(axis=[0, 2, 3])

    found = [x for x in network.sublayers() if isinstance(x, paddle.nn.Conv2D)]
    last = [layer for layer in found if layer.weight.shape[0] == classes]
    hooks = [layer.register_forward_post_hook(look) for layer in last]
    network(batch)
    for hook in hooks:
        hook.remove()
    for layer, mean in means.items():
        weight = layer.weight.flatten(1)
        if weight.shape[1] == mean.shape[0]:  # 1 x 1
            share = paddle.outer(weight @ mean, mean) / (mean * mean).sum()
            layer.weight.set_value((weight - share).reshape(layer.weight.shape))


def transformed(transforms: list[dict[str, Any]], rgb: Any) -> tuple[Any, Any]:
    """Run PaddleSeg's transforms; returns (3, h, w) float32 and what the way back needs."""
    from paddleseg import transforms as known

    steps = [
        getattr(known, item["type"])(**{k: v for k, v in item.items() if k != "type"})
        for item in transforms
    ]
    # As PaddleSeg loads a file: BGR, float32.
    data = known.Compose(steps)({"img": rgb[..., ::-1].astype(np.float32)})
    return data["img"], data["trans_info"]


def make(folder: Path, case: Case) -> None:
    """Build, export, answer."""
    import paddle
    from paddleseg.core.infer import inference
    from paddleseg.deploy.export import WrappedModel

    paddle.set_device("cpu")
    paddle.seed(0)
    network = NETWORKS[case.network]()
    is_tiny = case.network.startswith("tiny")
    scatter(network, 1.0 if is_tiny else 0.3)
    network.eval()
    rgb = picture(case.size)
    fed, info = transformed(case.transforms, rgb)
    with paddle.no_grad():
        batch = paddle.to_tensor(fed[None])
        balance(network, batch, 5 if is_tiny else CLASSES)
        logits = network(batch)[0].numpy()
        labels = inference(network, batch, info)[0].numpy()
    folder.mkdir(parents=True, exist_ok=True)
    keep = {"logits": logits} if case.output_op == "none" else {}
    np.savez_compressed(
        folder / "expected.npz",
        picture=rgb,
        fed=fed,
        labels=labels[0, 0].astype(np.uint8),
        **keep,
    )
    stem = "model" if case.layout == "paddleseg" else "inference"
    wrapped = network if case.output_op == "none" else WrappedModel(network, case.output_op)
    wrapped.eval()
    shape = case.shape or [None, 3, None, None]
    spec = [paddle.static.InputSpec(shape=shape, dtype="float32")]
    static = paddle.jit.to_static(wrapped, input_spec=spec, full_graph=True)
    paddle.jit.save(static, str(folder / stem))
    describe(folder, case, stem, shape)


def describe(folder: Path, case: Case, stem: str, shape: list[int | None]) -> None:
    """Write the YAML as PaddleSeg's tools/export.py does: it says .pdmodel whatever was written."""
    said: dict[str, Any] = {
        "Deploy": {
            "model": f"{stem}.pdmodel",
            "params": f"{stem}.pdiparams",
            "transforms": case.transforms,
            "input_shape": shape,
            "output_op": case.output_op,
            "output_dtype": "int32" if case.output_op == "argmax" else "float32",
        }
    }
    if case.layout == "paddlex":
        said["Global"] = {"model_name": case.network}
    name = "deploy.yaml" if case.layout == "paddleseg" else "inference.yml"
    (folder / name).write_text(yaml.safe_dump(said), encoding="utf-8")


def record_transforms(folder: Path) -> None:
    """Record what PaddleSeg's transforms make of small pictures, and the way back from it."""
    fed, lists = {}, []
    for size in SIZES:
        for index, transforms in enumerate(TRANSFORMS):
            values, info = transformed(transforms, picture(size))
            key = f"{size[0]}x{size[1]}_{index}"
            fed[key] = values.astype(np.float32)
            back = [[kind, [int(side) for side in sides]] for kind, sides in info]
            lists.append({"key": key, "size": size, "transforms": transforms, "back": back})
    np.savez_compressed(folder / "transforms.npz", **fed)
    text = ",\n".join(json.dumps(item) for item in lists)
    (folder / "transforms.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")


def main() -> int:
    """Make the cases that the arguments name."""
    folder = Path(sys.argv[1])
    stub()
    for name in sys.argv[2:]:
        if name == "transforms":
            record_transforms(folder)
        else:
            make(folder / name, CASES[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
