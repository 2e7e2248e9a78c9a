"""Export a model that PaddleSeg or PaddleX deployed: read, convert, describe, verify, seal."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_export.deployed.graph import DeployedGraph, add_background, describe, tidy
from fastfcn_export.deployed.read import Deployed, read_deployed
from fastfcn_export.deployed.verify import Trial, prove_deployed, require_paddle
from fastfcn_export.dialect.changes import Changes
from fastfcn_export.dialect.one_logit import BACKGROUND, count_with
from fastfcn_export.dialect.procedure import fixed_shape
from fastfcn_export.dialect.transforms import Preprocessing, preprocessing
from fastfcn_export.target.onnx_emit import paddle2onnx_process
from fastfcn_export.target.target import Options
from fastfcn_export.verify import Proof, golden_picture
from fastfcn_infer.artifact.artifact import FORMATS, Artifact, seal, write_artifact
from fastfcn_infer.artifact.checked_file import check_file
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.artifact.golden import write_golden
from fastfcn_infer.artifact.manifest import (
    ClassInfo,
    Input,
    Manifest,
    Model,
    Network,
    Output,
    Source,
)
from fastfcn_infer.errors import BackendError, CheckpointError
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import open_backend
from fastfcn_infer.system.excerpt import excerpt, name_of
from fastfcn_infer.system.machine import cpu_budget
from fastfcn_infer.system.version import __version__

if TYPE_CHECKING:
    from fastfcn_export.request import Request

DIALECT = "paddleseg-deployed"


def export_deployed(
    path: Path,
    folder: Path,
    request: "Request",
    classes: Callable[[int], tuple[ClassInfo, ...]],
    *,
    force: bool,
    report: Callable[[str], None],
) -> Manifest:
    """Turn a deployed model into an artifact.

    Args:
        path: the folder of the export, or its YAML.
        folder: of the artifact.
        request: what to make; only `classes` and `verify` can be chosen here.
        classes: gives the class table for a number of classes.
        force: replace an existing artifact; other files in its folder are kept, and a warning names
            them.
        report: called with the name of each stage as it begins.

    Raises:
        CheckpointError: the YAML, its transforms or the program cannot be an artifact.
        ArtifactError: the program or its weights were changed meanwhile.
        VerificationError: the graph does not compute what the program does; nothing was written.
        BackendMissing: paddle2onnx, PyYAML, a runtime, or Paddle for the verification is missing.
        BackendError: the program cannot be converted or run.
        FileExistsError: `folder` exists and `force` is false.
        ValueError: the request asks for something that the program does not allow.
    """
    _check(request)
    if request.verify:
        require_paddle()
    with write_artifact(folder, replace=force) as partial:
        report("read")
        deployed = read_deployed(path)
        with _unchanged(deployed) as source:
            model, proof = _make(
                deployed,
                partial,
                name_of(Path(os.path.realpath(folder))),
                request,
                classes,
                report,
            )
        report("seal")
        return seal(partial, model, source, proof.record if proof else None, _producer())


@contextmanager
def _unchanged(deployed: Deployed) -> Iterator[Source]:
    """Guard a block in which other programs read a model's files; give what it is made from."""
    program, _ = check_file(deployed.program)
    params, facts = check_file(deployed.params)
    with program.unchanged(), params.unchanged():
        yield Source(name_of(deployed.params), facts.size, facts.sha256)


def _make(
    deployed: Deployed,
    partial: Path,
    name: str,
    request: "Request",
    classes: Callable[[int], tuple[ClassInfo, ...]],
    report: Callable[[str], None],
) -> tuple[Model, Proof | None]:
    """Write and, if requested, verify the files of the artifact `name` in the folder `partial`."""
    prepared = preprocessing(deployed.transforms, str(deployed.yaml))
    report("write onnx")
    file = partial / FORMATS["onnx"]
    graph = _convert(deployed, file)
    try:
        model = _model(deployed, prepared, graph, name)
    except CheckpointError:
        raise
    except ValueError as error:  # what a manifest cannot combine
        raise CheckpointError(f"{deployed.yaml} cannot be an artifact: {error}.") from error
    report("verify onnx" if request.verify else "look")
    trial = _try(file, model)
    count = _count(trial, graph, request.threshold)
    if request.threshold is not None:
        add_background(file, request.threshold)
        trial = _try(file, model)
    model = replace(
        model,
        classes=_named(classes(count), deployed, request),
        output=Output("logits", _stride(trial), request.threshold),
    )
    describe(file, model)
    if not request.verify:
        return model, None
    proof = prove_deployed(deployed, graph.end, model, trial)
    write_golden(partial, proof.picture, proof.labels)
    return model, proof


def _check(request: "Request") -> None:
    asked = {
        "--format " + ",".join(request.formats): tuple(request.formats) != ("onnx",),
        "--dialect": request.dialect is not None,
        "--output-stride": request.output_stride is not None,
        f"--output {request.output}": request.output != "logits",
        "--accept-own-size": request.accept_own_size,
        "--mean, --std, --channel-order, --resize or --from-config": (
            replace(request.changes, threshold=None) != Changes()
        ),
        "--opset": request.options.opset != Options().opset,
        "--with-preprocess": request.with_preprocess,
        "--shape": request.options.shape != (None, None, None),
        f"--precision {request.options.precision}": request.options.precision != "fp32",
    }
    refused = [name for name, is_asked in asked.items() if is_asked]
    if refused:
        raise ValueError(
            f"{', '.join(refused)}: not possible for a model that was exported already, as its program "
            "fixes that. It becomes an ONNX graph from float32 pictures to logits (--format onnx); "
            "for anything else export the checkpoint it came from."
        )


def _convert(deployed: Deployed, file: Path) -> DeployedGraph:
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch, "raw.onnx")
        try:
            paddle2onnx_process.convert(deployed.program, deployed.params, raw)
        except BackendError as error:
            if "static input shape" not in str(error):
                raise
            raise BackendError(
                f"{error}\nThis network can be converted at a fixed size only: export it again "
                "with PaddleSeg's tools/export.py --input_shape 1 3 HEIGHT WIDTH."
            ) from error
        return tidy(raw, file)


def _named(
    classes: tuple[ClassInfo, ...], deployed: Deployed, request: "Request"
) -> tuple[ClassInfo, ...]:
    """Take the names in the YAML if it has one for every class and the user gave none."""
    labels = deployed.labels
    if request.threshold is not None and len(labels) == 1:
        labels = (BACKGROUND.name, *labels)
    if request.classes is not None or len(labels) != len(classes):
        return classes
    pairs = zip(labels, classes, strict=True)
    return tuple(ClassInfo(name, numbered.color) for name, numbered in pairs)


def _model(deployed: Deployed, prepared: Preprocessing, graph: DeployedGraph, name: str) -> Model:
    """Describe the model, except for what only its output shows: classes and stride."""
    resize, (_, height, width) = prepared.procedure.resize, graph.shape
    if resize is not None and resize.width is not None and prepared.procedure.canvas is None:
        seen = tuple(
            -(-side // resize.divisor) * resize.divisor for side in (resize.size, resize.width)
        )
        if (height or seen[0], width or seen[1]) != seen:
            raise CheckpointError(
                f"{deployed.yaml} resizes pictures to {seen[0]} x {seen[1]}, but the program "
                f"accepts {height or 'any'} x {width or 'any'} only (height x width)."
            )
    model = Model(
        name=name,
        classes=numbered_classes(2),
        input=Input("image", prepared.mean, prepared.std, prepared.padding, graph.shape),
        output=Output("logits", 1),
        align_corners=False,
        precision="fp32",
        procedure=prepared.procedure,
        network=Network(
            dialect=DIALECT,
            backbone="unknown",
            head=deployed.network or "unknown",
            jpu=None,
            output_stride=None,
            laterals=False,
            parameters=graph.parameters,
            multiply_adds=0,
            assumed=_assumed(deployed, graph),
        ),
    )
    return replace(model, notes=tuple(_notes(model)))


def _notes(model: Model) -> Iterator[str]:
    """Say where the artifact gives other labels than PaddleSeg's deploy script."""
    procedure = model.procedure
    undone = {
        "resizing": procedure.resize is not None,
        "padding": procedure.frame is not None or procedure.canvas is not None,
    }
    names = " and ".join(name for name, is_undone in undone.items() if is_undone)
    if names:
        yield (
            f"{names} of the transforms is undone: labels have the size of the picture, where "
            "PaddleSeg's deploy script leaves them at the size that the network was fed"
        )
    yield from fixed_shape(model)


def _assumed(deployed: Deployed, graph: DeployedGraph) -> tuple[str, ...]:
    sentences = []
    said = deployed.output_op
    if said is not None and said != graph.end:
        sentences.append(
            f"{deployed.yaml.name} says output_op {excerpt(said)}, but the program ends in {graph.end!r}, "
            "which was taken"
        )
    if graph.end != "none":
        sentences.append(
            f"the program's {graph.end} at the end was left out: the graph ends in logits"
        )
    if graph.more_outputs:
        sentences.append(
            f"the first output of the program is the segmentation; {graph.more_outputs} more were "
            "left out"
        )
    if not any(item.get("type") == "Normalize" for item in deployed.transforms):
        sentences.append("no Normalize among the transforms: pixels are fed as 0..255")
    return tuple(sentences)


def _try(file: Path, model: Model) -> Trial:
    """Run the graph on the golden picture."""
    canvas = model.procedure.canvas
    largest: tuple[int | None, int | None] = (None, None)
    if canvas is not None and model.procedure.resize is None:
        largest = (canvas.height, canvas.width)
    picture = golden_picture(largest)
    job = Job([picture], model)
    (call,) = job.calls
    batch = job.batch(call)
    artifact = Artifact(None, model, None, {FORMATS["onnx"]: file})
    backend = open_backend("auto", artifact, device="cpu", threads=cpu_budget().threads)
    try:
        logits = backend.run(batch)
    finally:
        backend.close()
    if logits.ndim != 4:
        raise CheckpointError(
            f"The program's output for one picture is {logits.shape}; scores (N, C, h, w) were expected."
        )
    return Trial(picture, job, batch, logits, backend.facts)


def _count(trial: Trial, graph: DeployedGraph, threshold: float | None) -> int:
    """Return how many classes the labels have."""
    logits = trial.logits.shape[1]
    if graph.end == "sigmoid" and logits > 1:
        raise CheckpointError(
            f"The program ends in a sigmoid of {logits} classes: it gives a pixel several labels, each by a "
            "threshold of its own (multi-label). An artifact has one label for a pixel, so it cannot be exported."
        )
    return count_with(threshold, logits)


def _stride(trial: Trial) -> int:
    height, width = trial.batch.shape[2:]
    found = trial.logits.shape[2:]
    for stride in (1, 2, 4, 8, 16, 32):
        if found == (-(-height // stride), -(-width // stride)):
            return stride
    raise CheckpointError(
        f"The program outputs {found[0]} x {found[1]} scores for a picture of {height} x {width}, "
        "which is none of the strides 1, 2, 4, 8, 16 and 32."
    )


def _producer() -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "onnx")}
    return {"fastfcn-infer": __version__, **packages, "paddle2onnx": paddle2onnx_process.version()}
