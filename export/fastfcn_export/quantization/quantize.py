"""Add a graph in int8 to an artifact: calibrate, search, prove, and only then write."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx
from onnx import ModelProto

import fastfcn_infer
from fastfcn_export.convert import export
from fastfcn_export.deployed.graph import describe
from fastfcn_export.quantization import pictures as of_pictures
from fastfcn_export.quantization.parts import named
from fastfcn_export.quantization.pictures import Batches, Pictures, check_readable, divided
from fastfcn_export.quantization.proof import (
    Judge,
    agreement_record,
    golden_record,
    loss_record,
    require,
)
from fastfcn_export.quantization.search import Found, Search
from fastfcn_export.quantization.settings import QuantizationSettings
from fastfcn_export.quantization.with_nncf import ready
from fastfcn_export.request import PathLike, Request
from fastfcn_infer.artifact import manifest
from fastfcn_infer.artifact.add_variant import add_variant
from fastfcn_infer.artifact.artifact import Artifact, listed_files, open_artifact
from fastfcn_infer.artifact.copy import folder_and_manifest
from fastfcn_infer.artifact.manifest import Manifest
from fastfcn_infer.artifact.variant import VARIANTS, Calibration, Variant
from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.data.learnable import nothing_to_score
from fastfcn_infer.errors import ArtifactError, DatasetError
from fastfcn_infer.evaluation.plan import check_classes
from fastfcn_infer.hub.download import HUB
from fastfcn_infer.hub.models import EMBEDDED, find_artifact
from fastfcn_infer.system.excerpt import name_of
from fastfcn_infer.system.writing import check_folder, scratch_folder

_PACKAGE = Path(fastfcn_infer.__file__).resolve().parent
PRECISION: Literal["int8"] = "int8"


@dataclass(frozen=True)
class _Work:
    """What a quantisation is made of."""

    held: Pictures
    calibration: Pictures
    settings: QuantizationSettings
    ignore_names: bool
    report: Callable[[str], None]


def quantize(
    model: PathLike,
    pictures: PathLike | Dataset,
    folder: PathLike | None = None,
    *,
    settings: QuantizationSettings | None = None,
    request: Request | None = None,
    ignore_names: bool = False,
    force: bool = False,
    report: Callable[[str], None] = lambda stage: None,
) -> Manifest:
    """Add a graph in int8 to an artifact: ``quantize("model", "photographs")``.

    The graph is written if it labels pictures that were held out of the calibration as float32 does, and with
    a labelled data set if it keeps the mean IoU. Layers stay in float32 as far as that takes. While NNCF works,
    what other threads of the process print is dropped.

    Args:
        model: folder of an artifact, ``hub:OWNER/NAME``, or the embedded model's name; or a checkpoint, as of
            `export`, which is exported first.
        pictures: such as the model will see: a folder, a glob, a text file with a path in each line, or
            a part of a data set as `open_dataset` returns it, with labels or without.
        folder: of the result; None: the artifact's own, to which a file is added.
        settings: what is required, and how long it may take.
        request: how a checkpoint is exported.
        ignore_names: accept a data set whose classes have other names; their order has to be the same.
        force: replace an artifact, or the graph in int8 that the artifact has.
        report: called with the name of each stage as it begins.

    Returns:
        The manifest of the artifact, with the record of the proof in `variants`.

    Raises:
        VerificationError: no graph was found that is good enough; nothing was written.
        ArtifactError: the artifact is a lone ``.onnx``, not in float32, or has no ONNX file.
        DatasetError: there are too few pictures, or a label map cannot be read.
        EvaluationError: the classes of the data set are not those of the model.
        ImageError: a picture cannot be read.
        FileExistsError: what is to be written exists, and `force` is false.
        BackendMissing: NNCF or a runtime is not installed.
        BackendError: NNCF or a runtime failed.
        ValueError: no folder is given, and the model is no folder to add a file to; or `request` cannot apply.
        CheckpointError and others: as of `export`.
    """
    ready()
    target = None if folder is None else Path(folder)
    settings = settings or QuantizationSettings()
    if is_artifact(model):
        artifact = _checked_artifact(model, target, request, force=force)
        work = _work(pictures, settings, ignore_names, report)
        return _add(artifact, target, work, force=force)
    if target is None:
        raise ValueError(
            f"{model} is no artifact; of a checkpoint one is made: give its folder (-o FOLDER)"
        )
    _check_request(request or Request())
    _check_target(target, replace=force)
    work = _work(pictures, settings, ignore_names, report)
    with scratch_folder() as scratch:
        made = scratch / name_of(Path(os.path.realpath(target)))
        export(model, made, request, report=report)
        return _add(open_artifact(made), target, work, force=force)


def is_artifact(model: PathLike) -> bool:
    """Tell an artifact from a checkpoint."""
    path, name = Path(model), str(model)
    if name.startswith(HUB) or (name == EMBEDDED and not path.exists()):
        return True
    return path.suffix.lower() == ".onnx" or (path / manifest.NAME).is_file()


def _work(
    pictures: PathLike | Dataset,
    settings: QuantizationSettings,
    ignore_names: bool,
    report: Callable[[str], None],
) -> _Work:
    """Choose the pictures, before anything is computed."""
    if isinstance(pictures, Dataset):
        found = of_pictures.of_dataset(pictures)
    else:
        found = of_pictures.of_files(str(pictures))
    calibration, held = divided(found, settings.calibration_pictures)
    if held.dataset is not None:
        shortage = nothing_to_score(held.dataset, held.samples).sentences
        if shortage:
            raise DatasetError(
                f"{'. '.join(shortage)}. To quantise without labels, give the folder of the pictures"
            )
    return _Work(held, calibration, settings, ignore_names, report)


def _checked_artifact(
    model: PathLike, target: Path | None, request: Request | None, *, force: bool
) -> Artifact:
    """Open an artifact, and refuse what would fail in the end."""
    if request not in (None, Request()):
        raise ValueError(
            f"{model} is an artifact, in which the network is frozen as it was exported: leave out the options that "
            "say how a checkpoint is exported"
        )
    artifact = find_artifact(model, None, local_files_only=False)
    place, _ = folder_and_manifest(artifact)
    if target is None and (
        not Path(model).exists() or _PACKAGE in Path(os.path.realpath(place)).parents
    ):
        raise ValueError(
            f"{model} belongs to the package or to the cache of downloads, where nothing is added: give the folder "
            "of a copy (-o FOLDER)"
        )
    _check_graph(artifact)
    if target is not None and os.path.realpath(target) != os.path.realpath(place):
        _check_target(target, replace=force)
    elif PRECISION in artifact.precisions and not force:
        raise FileExistsError(
            f"{place} holds a graph in {PRECISION} already; give --force (force=True) to replace it"
        )
    else:
        _check_target(place, replace=True)
    return artifact


def _check_request(request: Request) -> None:
    """Refuse to export what no graph in int8 can be made of, before that is done."""
    if "onnx" not in request.formats:
        raise ValueError(
            f"--format {','.join(request.formats)}: a graph in {PRECISION} is made of an ONNX file, and is one. Give "
            f"--format onnx,{','.join(request.formats)}"
        )
    if request.options.precision != "fp32":
        raise ValueError(
            f"precision {request.options.precision}: a graph in {PRECISION} is made of one in float32"
        )


def _check_target(folder: Path, *, replace: bool) -> None:
    """Refuse a folder that could not be written in the end.

    Raises:
        FileExistsError: it exists and `replace` is false.
        ArtifactError: it holds something, but no artifact.
        WriteError: it cannot be made or written to.
    """
    if folder.is_dir() and any(folder.iterdir()):
        if not replace:
            raise FileExistsError(
                errno.EEXIST,
                "exists already; give --force (force=True) to replace it",
                str(folder),
            )
        listed_files(folder)
    check_folder(folder.parent)


def _check_graph(artifact: Artifact) -> None:
    if artifact.model.precision != "fp32":
        raise ArtifactError(
            f"{artifact.folder} was made in {artifact.model.precision}, and {PRECISION} is made of a graph in "
            "float32. Export the checkpoint with --precision fp32 first."
        )
    artifact.path("onnx")


def _add(artifact: Artifact, target: Path | None, work: _Work, *, force: bool) -> Manifest:
    """Make, prove and add the graph."""
    _check_graph(artifact)
    if work.held.dataset is not None:
        check_classes(artifact.model.classes, work.held.dataset, ignore_names=work.ignore_names)
    work.report("read the pictures")
    check_readable(work.calibration, work.held, artifact.model.input)
    with scratch_folder() as scratch:
        graph = scratch / VARIANTS[PRECISION]
        with artifact.unchanged(artifact.graphs["onnx"]):
            found = _searched(artifact, work, scratch)
        require(found.judged, work.held)
        model = replace(artifact.model, precision=PRECISION)
        _write(graph, found.graph)
        describe(graph, model)
        work.report("seal")
        record = Variant(
            file=VARIANTS[PRECISION],
            method=_method(work.settings),
            agreement=agreement_record(found.judged, work.held),
            golden=golden_record(artifact, graph),
            runtime=f"{found.judged.facts.backend} ({found.judged.facts.provider})",
            versions={**ready(), **found.judged.facts.versions},
            calibration=Calibration(len(work.calibration.samples), work.calibration.source),
            kept=tuple(part.name for part in found.kept),
            task=loss_record(found.judged, work.held),
        )
        return add_variant(
            artifact, PRECISION, graph, record, target=target, force=force or target is None
        )


def _searched(artifact: Artifact, work: _Work, scratch: Path) -> Found:
    path, model = artifact.path("onnx"), artifact.model
    work.report("label the held-out pictures")
    judge = Judge(path, model, work.held, work.settings)
    batches = Batches(work.calibration.samples, model)
    original = named(onnx.load(path))
    return Search(original, model, batches, judge, work.settings, scratch, work.report).run()


def _write(path: Path, graph: ModelProto) -> None:
    """Write a graph without a description; it carries the one of the graph that it was made of."""
    bare = ModelProto()
    bare.CopyFrom(graph)
    del bare.metadata_props[:]
    path.write_bytes(bare.SerializeToString(deterministic=True))


def _method(settings: QuantizationSettings) -> str:
    bits = "7 bits of weights" if settings.reduce_range else "8 bits of weights"
    return (
        f"quantised after training by NNCF: preset mixed, {bits}, a scale for every output channel, mean errors "
        "corrected in biases"
    )
