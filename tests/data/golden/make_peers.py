"""How the ``peer_*`` cases were made: by the packages that users would run these checkpoints with.

``python make_peers.py paddleseg`` needs paddlepaddle and paddleseg 2.8.0 (``--no-deps``);
``python make_peers.py mmseg`` needs torch, mmsegmentation 1.2.2, mmcv-lite 2.1.0 and mmengine. Weights
come from ``tests/fill.py``, so a case is names, shapes and the package's answer.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
import fill  # noqa: E402 - these environments do not hold the project

SIZE = (97, 129)
CLASSES = 19
NORM = {"type": "BN", "requires_grad": True}

# name -> backbone, output stride, JPU, laterals
PADDLESEG = {
    "peer_paddleseg_r18vd_os16_lateral": ("ResNet18_vd", 16, True, True),
    "peer_paddleseg_r50vd_os8_no_jpu": ("ResNet50_vd", 8, False, False),
    "peer_paddleseg_r101vd_os32": ("ResNet101_vd", 32, True, False),
}
# name -> head, depth, laterals
MMSEG = {
    "peer_mmseg_aspp_r50_jpu": ("aspp", 50, False),
    "peer_mmseg_encnet_r50_jpu": ("encnet", 50, False),
    "peer_mmseg_encnet_r101_jpu_lateral": ("encnet", 101, True),
}


def kind(name: str, shape: tuple[int, ...], *, paddle: bool) -> str:
    """Say what a tensor is for, in the words of `fill.tensor`."""
    last = name.rpartition(".")[2]
    table = {
        "num_batches_tracked": "count",
        "_variance": "norm_var",
        "running_var": "norm_var",
        "_mean": "norm_mean",
        "running_mean": "norm_mean",
        "codewords": "codewords",
        "scale": "enc_scale",
        "bias": "bias",
    }
    dense = "linear_paddle" if paddle else "linear_torch"
    return table.get(last) or {4: "conv", 2: dense, 1: "norm_weight"}[len(shape)]


def write(
    name: str,
    dialect: str,
    network: dict[str, Any],
    tensors: list[tuple[str, list[int], str]],
    low: NDArray[np.float32],
    full: NDArray[np.float32],
    seed: int,
) -> None:
    """Write the two files of a case."""
    case = {
        "dialect": dialect,
        "classes": CLASSES,
        "network": network,
        "input": {"seed": seed, "height": SIZE[0], "width": SIZE[1]},
        "tensors": tensors,
    }
    (HERE / f"{name}.json").write_text(json.dumps(case))
    labels = full.argmax(1).astype(np.uint8)
    np.savez_compressed(HERE / f"{name}.npz", low=low.astype(np.float32), labels=labels)


def paddleseg() -> None:
    """Run PaddleSeg's own FastFCN."""
    import paddle
    from paddleseg.models import FastFCN
    from paddleseg.models.backbones import resnet_vd

    for seed, (name, (backbone, stride, jpu, lateral)) in enumerate(PADDLESEG.items(), 501):
        body = getattr(resnet_vd, backbone)(output_stride=stride)
        model = FastFCN(CLASSES, body, use_jpu=jpu, add_lateral=lateral)
        shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
        tensors = [(k, list(s), kind(k, s, paddle=True)) for k, s in shapes.items()]
        model.set_state_dict({k: fill.tensor(k, s, what) for k, s, what in tensors})
        model.eval()
        kept: list[Any] = []
        model.cls_seg.register_forward_post_hook(lambda _, __, y, kept=kept: kept.append(y))
        with paddle.no_grad():
            full = model(paddle.to_tensor(fill.network_input(seed, *SIZE)))[0].numpy()
        facts = {
            "lateral": lateral,
            "output_stride": stride,
            "backbone": backbone.lower(),
            "head": "encnet",
            "jpu": "jpu" if jpu else None,
        }
        write(name, "paddleseg", facts, tensors, kept[0].numpy(), full, seed)


def mmseg() -> None:
    """Run mmsegmentation's own modules, put together as its FastFCN configurations do."""
    import torch
    from mmseg.models.backbones.resnet import ResNetV1c
    from mmseg.models.decode_heads import ASPPHead, EncHead, FCNHead
    from mmseg.models.necks.jpu import JPU

    both = {"channels": 512, "num_classes": CLASSES, "norm_cfg": NORM, "align_corners": False}
    for seed, (name, (head, depth, lateral)) in enumerate(MMSEG.items(), 601):
        model = torch.nn.Module()
        model.backbone = ResNetV1c(
            depth=depth,
            dilations=(1, 1, 2, 4),
            strides=(1, 2, 2, 2),
            out_indices=(1, 2, 3),
            norm_cfg=NORM,
            contract_dilation=True,
        )
        model.neck = JPU((512, 1024, 2048), 512, norm_cfg=NORM)
        if head == "aspp":
            model.decode_head = ASPPHead(
                (1, 12, 24, 36), in_channels=2048, in_index=2, dropout_ratio=0.1, **both
            )
        else:
            model.decode_head = EncHead(
                add_lateral=lateral, in_channels=[512, 1024, 2048], in_index=(0, 1, 2), **both
            )
        model.auxiliary_head = FCNHead(
            num_convs=1,
            concat_input=False,
            in_channels=1024,
            in_index=1,
            **both | {"channels": 256},
        )
        shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
        tensors = [(k, list(s), kind(k, s, paddle=False)) for k, s in shapes.items()]
        filled = {k: torch.from_numpy(np.asarray(fill.tensor(k, s, w))) for k, s, w in tensors}
        model.load_state_dict(filled)
        model.eval()
        with torch.no_grad():
            image = torch.from_numpy(fill.network_input(seed, *SIZE))
            answer = model.decode_head(model.neck(model.backbone(image)))
            low = answer[0] if isinstance(answer, tuple) else answer
            full = torch.nn.functional.interpolate(low, SIZE, mode="bilinear", align_corners=False)
        facts = {
            "lateral": lateral,
            "output_stride": 32,
            "backbone": f"resnet{depth}_v1c",
            "head": head,
            "jpu": "jpu",
        }
        write(name, "mmseg", facts, tensors, low.numpy(), full.numpy(), seed)


if __name__ == "__main__":
    {"paddleseg": paddleseg, "mmseg": mmseg}[sys.argv[1]]()
