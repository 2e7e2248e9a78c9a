"""What `gpu.py` measures of us: exactness on golden networks and the embedded model, and speed."""

import importlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import random_checkpoint
from benchmarks.gpu_settings import Form, Found, Settings, median_of, seconds_of
from fastfcn_export import Request, export
from fastfcn_export.description import model_of
from fastfcn_export.dialect.dialect import recognise
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import onnx_graph
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import FORMATS, Artifact, open_artifact
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_infer.inference.labels import labels_from_logits
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime.backend import open_backend
from fastfcn_infer.runtime.onnx_providers import provider_chain, unwanted_fusions
from fastfcn_infer.system.machine import cpu_budget

Array = NDArray[Any]


def golden(settings: Settings) -> Found:
    """Compare networks with what the codes that trained them compute."""
    sys.path.append(str(settings.golden.parents[1]))  # where the values of the tensors are made
    fill = importlib.import_module("fill")
    paths = [
        path
        for path in sorted(settings.golden.glob("*.json"))
        if path.with_suffix(".npz").is_file() and not path.name.startswith("proc_")
    ]
    if not paths:
        raise FileNotFoundError(f"{settings.golden} has no golden case")
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda path: _golden_graphs(path, fill, settings.folder), paths)
        cases = [
            _golden_case(path, each, fill, settings)
            for path, each in zip(paths, made, strict=True)
        ]
    return {"cases": [row for case in cases for row in case]}


def _golden_graphs(path: Path, fill: Any, folder: Path) -> dict[str, Artifact]:
    case = json.loads(path.read_text())
    tensors = {name: fill.tensor(name, shape, kind) for name, shape, kind in case["tensors"]}
    network = recognise(tensors, output_stride=case["network"]["output_stride"])
    classes, made = numbered_classes(network.architecture.classes), {}
    for precision in ("fp32", "fp16"):
        options = Options(precision=precision)
        model = model_of(network, path.stem, classes, Request(options=options))
        place = folder / "golden" / path.stem / precision
        place.mkdir(parents=True)
        onnx_graph.write(network.architecture, network.weights, model, place, options)
        file = place / FORMATS["onnx"]
        made[precision] = Artifact(None, model, None, {FORMATS["onnx"]: file})
    return made


def _golden_case(
    path: Path, made: Mapping[str, Artifact], fill: Any, settings: Settings
) -> list[Found]:
    seen, answers = json.loads(path.read_text())["input"], np.load(path.with_suffix(".npz"))
    image = fill.network_input(seen["seed"], seen["height"], seen["width"])
    rows = []
    for precision, artifact in made.items():
        opened = open_backend("onnx_runtime", artifact, device=settings.device, threads=4)
        # The first is run as it is, the second recorded, the third replayed.
        logits = [opened.run(image) for _ in range(3)]
        opened.close()
        worst = max(float(np.abs(one - answers["low"]).max()) for one in logits)
        found = labels_from_logits(
            logits[-1][0],
            (seen["height"], seen["width"]),
            align_corners=artifact.model.align_corners,
        )
        rows.append(
            {
                "name": path.stem,
                "precision": precision,
                "difference": worst / float(np.abs(answers["low"]).max()),
                "labels": float((found == answers["labels"][0]).mean()),
                "notes": list(opened.facts.chosen),
            }
        )
        artifact.path("onnx").unlink()
    return rows


def embedded(settings: Settings) -> Found:
    """Compare the embedded model with itself on the processor."""
    pictures = {
        f"{name} {height}x{width}": np.asarray(cv2.resize(photograph, (width, height)), np.uint8)
        for name, photograph in _photographs().items()
        for height, width in ((360, 480), (480, 360), (301, 427))
    }
    labels: dict[str, list[Array]] = {}
    for device in ("cpu", settings.device):
        with Segmenter.from_pretrained(device=device, backend="onnx_runtime") as segmenter:
            if (
                device != "cpu"
            ):  # the first batch of a shape is run as it is, those after it are replayed
                segmenter.predict_batch(pictures.values())
            results = segmenter.predict_batch(pictures.values())
            labels[device] = [one.labels for one in results if isinstance(one, Segmentation)]
    rows = [
        {"picture": name, "agreement": float((one == other).mean())}
        for name, one, other in zip(
            pictures, *[labels["cpu"], labels[settings.device]], strict=True
        )
    ]
    return {"pictures": rows}


def network(settings: Settings) -> Found:
    """Time the network alone, from memory of the device to memory of the device."""
    rows = []
    for name, form in settings.forms.items():
        artifact = _exported(settings, form)
        session, ort = _session(settings, artifact, form)
        for batch in settings.batches:
            run, first = _bound(settings, session, ort, artifact, batch)
            seconds = median_of(run, settings.seconds)
            rows.append(
                {
                    "form": name,
                    "batch": batch,
                    "per_second": batch / seconds,
                    "milliseconds": 1e3 * seconds,
                    "first_seconds": first,
                }
            )
        print(json.dumps({"rows": rows}), flush=True)
    return {"rows": rows, "onnxruntime": ort.__version__}


def callers(settings: Settings) -> Found:
    """Time decoded pictures through the Segmenter: one caller, eight at a time, and a batch of many."""
    pictures = _crops(settings)
    rows = []
    for name, form in settings.forms.items():
        began = time.perf_counter()
        artifact = _exported(settings, form)
        exported = time.perf_counter()
        opened = open_backend(
            "onnx_runtime",
            artifact,
            device=settings.device,
            threads=cpu_budget().threads,
            precision=form.precision,
        )
        with Segmenter(artifact, opened) as segmenter:
            opening = time.perf_counter() - exported
            first = seconds_of(lambda: segmenter.predict(pictures[0]))
            for _ in range(3):
                together = segmenter.predict_batch(pictures)
            agreement = min(
                float((segmenter.predict(picture).labels == found.labels).mean())
                for picture, found in zip(pictures, together, strict=True)
                if isinstance(found, Segmentation)
            )
            one = 1 / median_of(lambda: segmenter.predict(pictures[0]), settings.seconds)
            timings = segmenter.predict(pictures[0]).timings
            eight = _eight(segmenter, pictures, settings.seconds)
            many = pictures * -(-settings.pictures // len(pictures))
            stream = len(many) / min(_batch(segmenter, many), _batch(segmenter, many))
        rows.append(
            {
                "form": name,
                "network": "float16" if form.made_in == "fp16" else name,
                "one": one,
                "eight": eight,
                "stream": stream,
                "agreement": agreement,
                "stages_milliseconds": {k: 1e3 * v for k, v in timings.items()},
                "opening_seconds": opening,
                "first_seconds": first,
                "export_seconds": exported - began,
                "notes": list(opened.facts.chosen),
            }
        )
        print(json.dumps({"rows": rows}), flush=True)
    return {"rows": rows}


def tensorrt(settings: Settings) -> Found:
    """Time the network in TensorRT, from memory of the processor and back, and compare it with the processor."""
    rows = []
    for name, form in settings.forms.items():
        if form.pixels or form.precision == "tf32":
            continue
        artifact, began = _exported(settings, form), time.perf_counter()
        try:
            opened = open_backend("onnx_runtime", artifact, device="tensorrt", threads=4)
        except DeviceUnavailable as error:
            return {"rows": [], "note": f"not run: {error}"}
        opening = time.perf_counter() - began
        for batch in settings.batches:
            shape = (batch, 3, settings.size, settings.size)
            given = np.random.default_rng(0).normal(size=shape).astype(np.float32)
            first = seconds_of(partial(opened.run, given))
            seconds = median_of(partial(opened.run, given), settings.seconds)
            rows.append(
                {
                    "form": f"TensorRT, {name}, copies included",
                    "batch": batch,
                    "per_second": batch / seconds,
                    "opening_seconds": opening,
                    "first_seconds": first,
                }
            )
        reference = open_backend("onnx_runtime", artifact, device="cpu", threads=4)
        one = given[:1]
        same = opened.run(one).argmax(1) == reference.run(one).argmax(1)
        rows[-1] |= {"agreement": float(same.mean()), "notes": list(opened.facts.chosen)}
        opened.close()
        print(json.dumps({"rows": rows}), flush=True)
    return {"rows": rows}


def _batch(segmenter: Segmenter, pictures: list[Array]) -> float:
    """Return the seconds of many pictures."""
    began = time.perf_counter()
    segmenter.predict_batch(pictures)
    return time.perf_counter() - began


def _eight(segmenter: Segmenter, pictures: list[Array], seconds: float) -> float:
    """Return the pictures a second of eight threads that call at the same time."""
    counts, end = [0] * 8, [0.0]

    def call(number: int) -> None:
        while time.perf_counter() < end[0]:
            segmenter.predict(pictures[number % len(pictures)])
            counts[number] += 1

    for duration in (0.2 * seconds, 2 * seconds):
        counts[:] = [0] * 8
        began = time.perf_counter()
        end[0] = began + duration
        threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = time.perf_counter() - began
    return sum(counts) / taken


def _exported(settings: Settings, form: Form) -> Artifact:
    """Export the main network in a form, once."""
    name = f"{form.made_in}_{'pixels' if form.pixels else 'image'}_{form.output}"
    folder = settings.folder / name
    if not folder.exists():
        checkpoint = settings.folder / "random.safetensors"
        if not checkpoint.exists():
            random_checkpoint.write(settings.network, checkpoint)
        network = random_checkpoint.NETWORKS[settings.network]
        options = Options(precision=form.made_in)  # type: ignore[arg-type]
        request = Request(
            classes="ade20k",
            dialect=network.dialect,
            output_stride=network.output_stride,
            with_preprocess=form.pixels,
            output=form.output,  # type: ignore[arg-type]
            accept_own_size=True,
            options=options,
            verify=False,
        )
        export(checkpoint, folder, request)
    return open_artifact(folder)


def _session(settings: Settings, artifact: Artifact, form: Form) -> tuple[Any, Any]:
    """Open a session as `backends.onnx_runtime` does, to bind its input and output ourselves."""
    import onnxruntime

    kind = "cpu" if settings.device == "cpu" else "cuda"
    if kind == "cuda":
        onnxruntime.preload_dlls()
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        str(artifact.path("onnx")),
        options,
        providers=provider_chain(kind, settings.index, None, form.precision, record=True),
        disabled_optimizers=unwanted_fusions(kind),
    )
    return session, onnxruntime


def _bound(
    settings: Settings, session: Any, ort: Any, artifact: Artifact, batch: int
) -> tuple[Callable[[], None], float]:
    """Bind buffers on the device; returns a run, and the seconds of the first one."""
    model, size = artifact.model, (settings.size, settings.size)
    random = np.random.default_rng(0)
    if model.input.name == "pixels":
        given: Array = random.integers(0, 256, (batch, *size, 3), np.uint8)
    else:
        given = random.normal(size=(batch, 3, *size)).astype(np.float32)
    place = ("cpu" if settings.device == "cpu" else "cuda", settings.index)
    shape = model.output.shape(batch, len(model.classes), size)
    dtype = np.uint8 if model.output.name == "labels" else np.float32
    binding, options = session.io_binding(), ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(batch))
    source = ort.OrtValue.ortvalue_from_numpy(given, *place)
    target = ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, *place)
    binding.bind_ortvalue_input(model.input.name, source)
    binding.bind_ortvalue_output(model.output.name, target)

    def run(*_buffers: Any) -> None:
        session.run_with_iobinding(binding, options)

    # The binding does not keep its buffers.
    call = partial(run, source, target)
    return call, seconds_of(call)


def _photographs() -> dict[str, Array]:
    folder = resources.files("fastfcn_infer") / "assets" / "demo"
    names = ("china.jpg", "street.jpg")
    return {name: read_picture((folder / name).read_bytes()) for name in names}


def _crops(settings: Settings) -> list[Array]:
    """Cut pictures out of the photographs, all different."""
    size, found = settings.size, list[Array]()
    for photograph in _photographs().values():
        large = cv2.resize(photograph, (size * 3 // 2, size * 3 // 2))
        for n in range(16):
            top, left = n * size // 40, (n * 7 % 16) * size // 40
            found.append(
                np.ascontiguousarray(large[top : top + size, left : left + size], np.uint8)
            )
    return found
