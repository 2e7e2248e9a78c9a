"""What becomes of a finished training: an artifact that is run without a framework."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fastfcn_export.convert import export, ready
from fastfcn_export.request import Request
from fastfcn_infer.artifact.manifest import Manifest
from fastfcn_infer.errors import CheckpointError

BEST, LAST = "best.safetensors", "model.safetensors"  # in a run's folder


def delivered(run: Path) -> Path:
    """Find the weights that a finished training is judged by: the best, else the last.

    Raises:
        CheckpointError: the training has left none.
    """
    for name in (BEST, LAST):
        if (run / name).is_file():
            return run / name
    raise CheckpointError(
        f"{run} holds neither {BEST} nor {LAST}: no training has come to its end there. Go on with "
        f"it: fastfcn-train --resume {run}"
    )


def check_export(folder: Path, formats: Sequence[str]) -> None:
    """Check what `export_trained` will need; to be asked before the training.

    Args:
        folder: where the artifact is to be.
        formats: of the graph.

    Raises:
        BackendMissing: a package that a format needs is not installed.
        ValueError: an unknown format.
        FileExistsError: `folder` is there.
    """
    ready(Request(formats=tuple(formats)))
    if folder.exists():
        raise FileExistsError(
            f"{folder} exists already, and a training does not replace artifacts; name another folder"
        )


def export_trained(
    run: Path,
    folder: Path,
    formats: Sequence[str] = ("onnx",),
    *,
    report: Callable[[str], None] = lambda stage: None,
) -> Manifest:
    """Turn the weights of a finished training into an artifact, proven equal to the network.

    Args:
        run: folder of the training.
        folder: where the artifact is to be.
        formats: of the graph.
        report: told the name of each stage as it begins.

    Raises:
        CheckpointError: there are no weights, or they are damaged.
        VerificationError: the graph is not the network; nothing was written.
        FileExistsError: `folder` is there.
        BackendMissing: a package that the format or the verification needs is not installed.
        BackendError: a runtime refused the graph.
    """
    request = Request(formats=tuple(formats))
    return export(delivered(run), folder, request, report=report)
