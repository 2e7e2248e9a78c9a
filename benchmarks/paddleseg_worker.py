"""PaddleSeg's side of `paddleseg_peer`: its own FastFCN, exported and run with its own defaults.

    python benchmarks/paddleseg_worker.py FOLDER < commands > replies

Runs in an environment of its own that has paddlepaddle and paddleseg, and knows nothing of this
project. FOLDER holds `random.pdparams` and `batch.npy`. Commands and replies are lines: first comes
a JSON line about the environment, then the reply to each command ``VARIANT`` is the seconds of one
run, and ``VARIANT -> FILE`` also saves the output.

Source of the export: PaddleSeg 2.8, tools/export.py; of the running: deploy/python/infer.py with
``--device cpu`` and its defaults (10 threads, no oneDNN). Paddle 3.3 turns oneDNN on by default and
then fails on this network, so it is turned off explicitly; one variant keeps it and drops the pass
that fails, which PaddleSeg's script cannot do.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

# Named by PaddleSeg's package at import, used only in training: an empty module is enough.
TRAINING_ONLY = ("visualdl", "sklearn.metrics", "requests", "prettytable", "filelock", "tqdm")
VARIANTS = {  # name -> output operation, threads, oneDNN
    "argmax, 10 threads": ("argmax", 10, False),
    "argmax, 2 threads": ("argmax", 2, False),
    "argmax, 2 threads, oneDNN": ("argmax", 2, True),
    "none, 2 threads": ("none", 2, False),
}
PACKAGES = ("paddlepaddle", "paddleseg", "numpy")


def installed(name: str) -> bool:
    """Tell whether a module can be imported."""
    return importlib.util.find_spec(name) is not None


def stub() -> list[str]:
    """Stand in for packages that are not installed and not needed; returns their names."""
    missing = [name for name in TRAINING_ONLY if not installed(name.partition(".")[0])]
    for name in missing:
        for part in dict.fromkeys((name.partition(".")[0], name)):
            module = types.ModuleType(part)
            # "from module import anything" works; calling the imported name is an error.
            module.__getattr__ = lambda attribute: None  # type: ignore[method-assign]
            module.__path__ = []
            sys.modules[part] = module
    return missing


def export(folder: Path) -> None:
    """Build the network, load the checkpoint, export it statically, once per output operation."""
    import paddle
    from paddleseg.deploy.export import WrappedModel
    from paddleseg.models import FastFCN, ResNet50_vd
    from paddleseg.utils import utils

    paddle.set_device("cpu")
    backbone = ResNet50_vd(output_stride=32)
    network = FastFCN(num_classes=150, backbone=backbone, num_codes=32, mid_channels=512)
    utils.load_entire_model(network, str(folder / "random.pdparams"))
    network.eval()
    spec = [paddle.static.InputSpec(shape=[None, 3, None, None], dtype="float32")]
    for operation in {operation for operation, *_ in VARIANTS.values()}:
        wrapped = network if operation == "none" else WrappedModel(network, operation)
        wrapped.eval()
        static = paddle.jit.to_static(wrapped, input_spec=spec, full_graph=True)
        paddle.jit.save(static, str(folder / operation))


def predictor(stem: Path, threads: int, onednn: bool) -> Any:
    """Open an export as the deployment script does."""
    from paddle import inference

    # Paddle 3 writes .json where Paddle 2 wrote .pdmodel.
    program = next(
        p for p in (stem.with_suffix(".json"), stem.with_suffix(".pdmodel")) if p.is_file()
    )
    config = inference.Config(str(program), str(stem.with_suffix(".pdiparams")))
    config.disable_glog_info()
    config.switch_ir_optim(True)
    if onednn:
        config.enable_mkldnn()
        config.delete_pass("onednn_placement_pass")
    else:
        config.disable_mkldnn()
    config.set_cpu_math_library_num_threads(threads)
    return inference.create_predictor(config)


def run(opened: Any, batch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Run a predictor as the deployment script does."""
    given = opened.get_input_handle(opened.get_input_names()[0])
    given.reshape(batch.shape)
    given.copy_from_cpu(batch)
    opened.run()
    output: np.ndarray[Any, Any] = opened.get_output_handle(
        opened.get_output_names()[0]
    ).copy_to_cpu()
    return output


def facts(stubbed: list[str]) -> dict[str, Any]:
    """Describe this environment."""
    return {
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "stubbed": stubbed,
        "variants": list(VARIANTS),
        "environment_variables": {
            name: os.environ[name]
            for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MKL_DEBUG_CPU_TYPE")
            if name in os.environ
        },
    }


def main() -> int:
    """Export, then run commands until there are no more."""
    folder = Path(sys.argv[1])
    stubbed = stub()
    replies = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # PaddleSeg logs to stdout
        export(folder)
        opened = {
            name: predictor(folder / operation, threads, onednn)
            for name, (operation, threads, onednn) in VARIANTS.items()
        }
    batch = np.load(folder / "batch.npy")
    print(json.dumps(facts(stubbed)), file=replies, flush=True)
    for line in sys.stdin:
        name, _, file = line.strip().partition(" -> ")
        start = time.perf_counter()
        output = run(opened[name], batch)
        seconds = time.perf_counter() - start
        if file:
            np.save(file, output)
        print(seconds, file=replies, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
