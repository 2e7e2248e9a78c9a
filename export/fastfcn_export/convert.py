"""Export a checkpoint: read it, recognise the network, write its graphs, verify them, seal the artifact."""

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.read import CheckpointFile
from fastfcn_export.deployed.read import is_deployed
from fastfcn_export.description import Description, describe, model_of
from fastfcn_export.dialect.changes import Changes, changed
from fastfcn_export.dialect.config.read import read_config
from fastfcn_export.dialect.dialect import Recognised, load_dialect, recognise
from fastfcn_export.dialect.meta import named_classes
from fastfcn_export.dialect.one_logit import as_written, binary_classes, label_count
from fastfcn_export.dialect.own import NAME, is_own, recognise_own
from fastfcn_export.dialect.trained import read_trained
from fastfcn_export.dialect.weights import Chosen, choose
from fastfcn_export.request import PathLike, Request
from fastfcn_export.target.target import Options, Writer, writers
from fastfcn_export.verify import prove
from fastfcn_infer.artifact.artifact import seal, write_artifact
from fastfcn_infer.artifact.class_table import find_class_table, numbered_classes, tables_of
from fastfcn_infer.artifact.golden import write_golden
from fastfcn_infer.artifact.manifest import NAME as NAME_OF_MANIFEST
from fastfcn_infer.artifact.manifest import ClassInfo, Manifest, Model, Source, Verification
from fastfcn_infer.errors import BackendMissing, CheckpointError
from fastfcn_infer.system.excerpt import name_of
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package
from fastfcn_infer.system.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastfcn_export.request import ExportOptions


def export(
    checkpoint: PathLike,
    folder: PathLike,
    request: Request | None = None,
    *,
    force: bool = False,
    report: Callable[[str], None] = lambda stage: None,
    **options: "Unpack[ExportOptions]",
) -> Manifest:
    """Turn a checkpoint into an artifact: ``export("model.pdparams", "model", classes="ade20k")``.

    Args:
        checkpoint: path of a .pdparams, .pth, .pth.tar or .safetensors file; or the folder (or the
            YAML in it) of a model that PaddleSeg or PaddleX exported.
        folder: where the artifact is written.
        request: what to make; None: what `options` say, by default a verified ONNX graph that
            ends in logits.
        force: replace an existing artifact; other files in its folder are kept, and a warning names
            them.
        report: called with the name of each stage as it begins.
        **options: the fields of `Request` and `Options` by name, in place of `request`.

    Returns:
        The manifest of the finished artifact.

    Raises:
        CheckpointError: the checkpoint cannot be read, fits no network, or was written to meanwhile.
        VerificationError: the graph is not the network; nothing was written.
        ArtifactError: the class table is wrong, or `folder` holds something other than an artifact.
        FileExistsError: `folder` exists and `force` is false.
        BackendMissing: a package that the format or the verification needs is not installed.
        BackendError: a runtime or paddle2onnx rejected the graph.
        ValueError: an unknown format, options that cannot be combined, or a change of the labels
            that the request does not accept; or `checkpoint` is an artifact.
    """
    refuse_artifact(Path(checkpoint))
    request = with_config(request or Request.of(**options))
    if is_deployed(Path(checkpoint)):
        return _export_deployed(Path(checkpoint), Path(folder), request, force, report)
    makers = _writers(request)
    versions = ready(request)
    with write_artifact(Path(folder), replace=force) as partial:
        report("read")
        opened = CheckpointFile(checkpoint)
        with opened.unchanged() as facts:
            recognised = _recognise(opened, request)
            model = _model(recognised, name_of(Path(os.path.realpath(folder))), request)
            record = _make(makers, recognised, model, partial, request, report)
        report("seal")
        source = Source(name_of(opened.path), facts.size, facts.sha256)
        return seal(partial, model, source, record, _producer(versions))


def refuse_artifact(path: Path) -> None:
    """Refuse what was exported by this package already.

    Raises:
        ValueError: it is the folder of an artifact.
    """
    if (path / NAME_OF_MANIFEST).is_file():
        raise ValueError(
            f"{path} is an artifact already, whose graph stays as it was exported. --precision int8 --calibrate PICTURES "
            "adds a graph in int8 to it, and `fastfcn relabel` renames its classes; for anything else export the "
            "checkpoint it was made of"
        )


def _make(
    makers: Mapping[str, Writer],
    recognised: Recognised,
    model: Model,
    partial: Path,
    request: Request,
    report: Callable[[str], None],
) -> Verification | None:
    """Write and, if requested, verify the files of an artifact in the folder `partial`."""
    for format, writer in makers.items():
        report(f"write {format}")
        architecture, weights = as_written(recognised, request.threshold)
        writer.write(architecture, weights, model, partial, request.options)
    if not request.verify:
        return None
    proof = prove(partial, tuple(makers), model, recognised, report, request.min_agreement)
    write_golden(partial, proof.picture, proof.labels)
    return proof.record


def ready(request: Request) -> dict[str, str]:
    """Check, before anything is read or trained, that a request can be fulfilled on this machine.

    Returns:
        Import names of the packages that will be used -> their versions.

    Raises:
        BackendMissing: a package that a format needs is not installed.
        ValueError: an unknown format, or options that cannot be combined.
    """
    makers = _writers(request).values()
    return {k: v for maker in makers for k, v in maker.ready(request.options).items()}


def _export_deployed(
    path: Path, folder: Path, request: Request, force: bool, report: Callable[[str], None]
) -> Manifest:
    try:
        from fastfcn_export.deployed.convert import export_deployed
    except ImportError as error:
        raise _missing(error) from error

    def classes(count: int) -> tuple[ClassInfo, ...]:
        return _classes(request, count)

    return export_deployed(path, folder, request, classes, force=force, report=report)


def describe_checkpoint(
    checkpoint: PathLike, request: Request | None = None, **options: "Unpack[ExportOptions]"
) -> Description:
    """Describe a checkpoint and count what its network costs; nothing is written.

    Args:
        checkpoint: path of the file.
        request: what an export would make of it; None: what `options` say.
        **options: the fields of `Request` and `Options` by name, in place of `request`.

    Raises:
        CheckpointError: it cannot be read, fits no network, or has another number of classes.
        ArtifactError: the class table is wrong.
        ValueError: an export would change the labels, which the request does not accept; or it is an artifact.
    """
    refuse_artifact(Path(checkpoint))
    if is_deployed(Path(checkpoint)) and Path(checkpoint).exists():
        raise CheckpointError(
            f"{os.fspath(checkpoint)} is a folder or a YAML file, and only checkpoints can be described "
            "without exporting them. Give the file of a checkpoint; a model that PaddleSeg or PaddleX "
            "exported has to be exported again first, then fastfcn info describes the artifact."
        )
    request = with_config(request or Request.of(**options))
    recognised = _recognise(CheckpointFile(checkpoint), request, to_describe=True)
    return describe(recognised, _model(recognised, "", request))


def _recognise(
    checkpoint: CheckpointFile, request: Request, *, to_describe: bool = False
) -> Recognised:
    if request.dialect not in (None, NAME):
        load_dialect(request.dialect)  # a wrong name is an error now, whatever the file holds
    try:
        chosen = checkpoint.reading(
            lambda contents: choose(
                contents,
                dialect=request.dialect,
                weights_key=request.weights_key,
                use_ema=request.use_ema,
            )
        )
        trained = read_trained(checkpoint)
        said: dict[str, Any] = {"dialect": request.dialect, "output_stride": request.output_stride}
        if trained is not None or is_own(chosen.tensors):
            found = recognise_own(chosen.tensors, trained, **said)
        else:
            found = recognise(chosen.tensors, unread=chosen.unread, **said)
        found = changed(found, request.changes, request.source, to_describe=to_describe)
        label_count(found, request.threshold)
        return checkpoint.reading(lambda contents: _with_facts(found, chosen, contents))
    except CheckpointError as error:
        name = str(checkpoint.path)
        raise error if name in str(error) else CheckpointError(f"{name}: {error}") from error


def _with_facts(recognised: Recognised, chosen: Chosen, contents: Contents) -> Recognised:
    """Add what the file says beside the weights."""
    named, found = named_classes(contents), [*recognised.found, *chosen.found]
    count = recognised.architecture.classes
    fitting = (1, 2) if count == 1 else (count,)  # with or without the background
    if named is not None and len(named) not in fitting:
        found.append(
            f"names of the classes: the checkpoint's meta names {len(named)}, the network has {count}; "
            "they are not used"
        )
        named = None
    elif named is not None:
        found.append("names and colours of the classes: those of the checkpoint's meta")
    return replace(
        recognised,
        found=tuple(found),
        named=named,
        unused={**recognised.unused, **chosen.unused},
        skipped=contents.skipped,
    )


def with_config(request: Request) -> Request:
    """Read the configuration that a request names; what the request says itself goes before.

    Raises:
        CheckpointError: it cannot be read, or says something that is not possible.
        BackendMissing: PyYAML is not installed.
    """
    if request.from_config is None:
        return request
    path = Path(request.from_config)
    taken = read_config(path, request.changes)
    return replace(
        request,
        from_config=None,
        source=f"the user and {name_of(path)}" if request.changes != Changes() else name_of(path),
        **{field.name: getattr(taken, field.name) for field in fields(taken)},
    )


def _missing(error: ImportError) -> BackendMissing:
    return BackendMissing(f"Exporting needs {missing_package(error)}. Run: {install('export')}")


def _writers(request: Request) -> dict[str, Writer]:
    try:
        known = writers()
    except ImportError as error:
        raise _missing(error) from error
    unknown = [name for name in request.formats if name not in known]
    if unknown or not request.formats:
        raise ValueError(
            f"unknown format {', '.join(unknown) or '(none)'}; known: {', '.join(known)}"
        )
    makers = {name: known[name] for name in request.formats}
    if request.options.opset != Options().opset and (
        "onnx" not in makers or request.via != "direct"
    ):
        raise ValueError(
            "--opset is of ONNX files that are written directly (--format onnx, --via direct)"
        )
    if request.via == "direct":
        return makers
    # Imported late, like the targets: this file can be imported where onnx is missing.
    from fastfcn_export.target.onnx_emit import via_paddle as other

    if other.FORMAT not in makers:
        raise ValueError(
            f"via {request.via} makes ONNX files, but the formats asked for are "
            f"{', '.join(makers)}; add {other.FORMAT} to them"
        )
    return {**makers, other.FORMAT: other}


def _model(recognised: Recognised, name: str, request: Request) -> Model:
    count = label_count(recognised, request.threshold)
    if recognised.trained is not None and request.classes is None:
        classes = recognised.trained.classes
    elif recognised.named is not None and request.classes is None:
        classes = recognised.named
    else:
        classes = _classes(request, count)
    if request.threshold is not None:
        classes = binary_classes(classes)
    return model_of(recognised, name, classes, request)


def _classes(request: Request, count: int) -> tuple[ClassInfo, ...]:
    asked = request.classes
    if asked is None:
        return numbered_classes(count) if request.threshold is None else binary_classes(())
    found = find_class_table(asked)
    if request.threshold is not None and len(found) == 1:
        return binary_classes(found)
    if len(found) != count:
        fitting = tables_of(count)
        hint = f" Tables of {count} classes: {', '.join(fitting)}." if fitting else ""
        raise CheckpointError(
            f"The network has {count} classes, but {os.fspath(asked)} has {len(found)}.{hint}"
        )
    return found


def _producer(versions: Mapping[str, str]) -> dict[str, str]:
    return {"fastfcn-infer": __version__, "numpy": version("numpy"), **versions}
