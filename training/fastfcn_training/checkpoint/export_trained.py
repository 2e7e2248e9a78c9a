"""``--export``: the final weights of a training as an artifact."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from fastfcn_export.convert import export, ready
from fastfcn_export.request import Request
from fastfcn_infer.artifact.manifest import Manifest
from fastfcn_infer.errors import CheckpointError
from fastfcn_training.checkpoint.files import BEST, LAST

_RUN_FILES = (BEST, LAST, "checkpoints", "log.jsonl", "visualdl")


def final_weights(run: Path) -> Path:
    """Find the final weights of a finished training: the best ones, or else the last.

    Raises:
        CheckpointError: there are none.
    """
    for name in (BEST, LAST):
        if (run / name).is_file():
            return run / name
    raise CheckpointError(
        f"{run} holds neither {BEST} nor {LAST}: no training has finished there. Continue it: "
        f"fastfcn-train --resume {run} --root DIR"
    )


def check_export(folder: Path, formats: Sequence[str], run: Path) -> None:
    """Check before the training that `export_trained` will be possible after it.

    Args:
        folder: of the artifact to be.
        formats: of the graph.
        run: folder of the training.

    Raises:
        BackendMissing: a package that a format needs is not installed.
        ValueError: an unknown format, or a folder that the training itself writes to.
        FileExistsError: `folder` exists.
    """
    ready(Request(formats=tuple(formats)))
    if folder.exists():
        raise FileExistsError(
            f"{folder} already exists, and a training replaces no artifact; choose another folder for "
            "--export"
        )
    real, inner = Path(os.path.realpath(folder)), Path(os.path.realpath(run))
    own = [inner / name for name in _RUN_FILES]
    if real in (inner, *inner.parents) or any(path in (real, *real.parents) for path in own):
        raise ValueError(
            f"--export {folder} is where the training writes to ({run}); choose another folder, such "
            f"as {run / 'artifact'}"
        )


def export_trained(
    run: Path,
    folder: Path,
    formats: Sequence[str] = ("onnx",),
    *,
    report: Callable[[str], None] = lambda stage: None,
) -> Manifest:
    """Export the final weights of a training, and verify the artifact against the network.

    Args:
        run: folder of the training.
        folder: of the artifact to be.
        formats: of the graph.
        report: called with the name of each stage as it starts.

    Raises:
        CheckpointError: there are no weights, or they are damaged.
        VerificationError: the graph differs from the network; nothing was written.
        FileExistsError: `folder` exists.
        BackendMissing: a package that the format or the verification needs is not installed.
        BackendError: a runtime refused the graph.
    """
    request = Request(formats=tuple(formats))
    return export(final_weights(run), folder, request, report=report)
