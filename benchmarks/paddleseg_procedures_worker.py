"""PaddleSeg's side of `paddleseg_procedures`: its own sliding windows, scales and mirrors.

    python -m benchmarks.paddleseg_procedures_worker FOLDER

Runs in an environment of its own that has paddlepaddle and paddleseg. FOLDER holds `cases.json`, a
list of what to do, the checkpoints `NETWORK.pdparams` and the pictures `NUMBER.npy`, (H, W, 3) uint8.
The merged map of each case, (C, H, W) float32, is written to `merged_NUMBER.npy`, and a
JSON line about the environment is printed.

Source: PaddleSeg 2.8, paddleseg/core/infer.py, called as paddleseg/core/predict.py calls it.
"""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paddleseg_worker import facts, stub


def opened(name: str, settings: dict[str, Any], folder: Path) -> Any:
    """Build PaddleSeg's FastFCN and load a checkpoint."""
    from paddleseg.models import FastFCN, backbones
    from paddleseg.utils import utils

    backbone = getattr(backbones, settings["backbone"])(output_stride=32)
    network = FastFCN(
        num_classes=settings["classes"],
        backbone=backbone,
        num_codes=settings["codes"],
        mid_channels=settings["width"],
    )
    utils.load_entire_model(network, str(folder / f"{name}.pdparams"))
    network.eval()
    return network


def merged(network: Any, picture: np.ndarray[Any, Any], case: dict[str, Any]) -> Any:
    """Run a case by PaddleSeg's functions; returns (C, H, W)."""
    import paddle
    from paddleseg.core import infer

    pixels = (picture.astype(np.float32) / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    image = paddle.to_tensor(pixels.transpose(2, 0, 1)[None])
    windows = {"is_slide": case["crop"] is not None}
    if case["crop"] is not None:  # theirs are width first
        windows |= {"crop_size": case["crop"][::-1], "stride": case["stride"][::-1]}
    with paddle.no_grad():
        if case["scales"] == [1.0] and case["mirror"] == "none":
            _, found = infer.inference(network, image, trans_info=[], **windows)
        else:
            _, found = infer.aug_inference(
                network,
                image,
                trans_info=[],
                scales=case["scales"],
                flip_horizontal=case["mirror"] in ("horizontal", "both"),
                flip_vertical=case["mirror"] in ("vertical", "both"),
                **windows,
            )
    return found[0].numpy()


def main() -> int:
    """Run all cases."""
    folder = Path(sys.argv[1])
    given = json.loads((folder / "cases.json").read_text())
    stubbed, networks = stub(), {}
    with contextlib.redirect_stdout(sys.stderr):  # PaddleSeg logs to stdout
        import paddle

        paddle.set_device("cpu")
        for number, case in enumerate(given["cases"]):
            name = case["network"]
            if name not in networks:
                networks[name] = opened(name, given["networks"][name], folder)
            found = merged(networks[name], np.load(folder / f"{number}.npy"), case)
            np.save(folder / f"merged_{number}.npy", found.astype(np.float32))
    print(json.dumps(facts(stubbed)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
