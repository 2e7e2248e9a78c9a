"""Put the same network in another precision into an artifact, in one step."""

import shutil
from pathlib import Path

from fastfcn_infer.artifact import manifest
from fastfcn_infer.artifact.artifact import Artifact, seal, write_artifact
from fastfcn_infer.artifact.copy import copy_files, folder_and_manifest
from fastfcn_infer.artifact.manifest import Manifest
from fastfcn_infer.artifact.variant import VARIANTS, GraphPrecision, Variant
from fastfcn_infer.errors import ArtifactError


def add_variant(
    artifact: Artifact,
    precision: GraphPrecision,
    graph: Path,
    record: Variant,
    *,
    target: Path | None = None,
    force: bool = True,
) -> Manifest:
    """Write an artifact again with a graph in another precision; at no moment is half of it seen.

    One that it held in that precision is replaced. All other files are copied as they are.

    Args:
        artifact: as it was opened from a folder.
        precision: a key of `VARIANTS`.
        graph: an ``.onnx`` file outside the folder, which describes itself as the artifact's model in
            this precision (`onnx_metadata.embed`).
        record: how it was made and proven.
        target: folder of the result; None: the artifact's own.
        force: replace an artifact that is there.

    Returns:
        The new manifest.

    Raises:
        ArtifactError: `artifact` is a lone ``.onnx``, or was changed since it was opened; the graph does
            not fit it; `target` holds something else.
        FileExistsError: `target` exists, and `force` is false.
        OSError: a file cannot be read or written.
    """
    place, found = folder_and_manifest(artifact)
    target = target or place
    with write_artifact(target, replace=force) as folder, artifact.unchanged(*artifact.files):
        copy_files(artifact, folder, artifact.files.keys() - {VARIANTS[precision]})
        shutil.copyfile(graph, folder / VARIANTS[precision])
        sealed = seal(
            folder,
            found.model,
            found.source,
            found.verification,
            found.producer,
            {**found.variants, precision: record},
        )
        if target == place and not _is(found, place):
            raise ArtifactError(
                f"{place} was changed by another process meanwhile; nothing was added to it. Try again."
            )
    return sealed


def _is(found: Manifest, folder: Path) -> bool:
    """Tell whether a folder still is the artifact of a manifest."""
    file = folder / manifest.NAME
    return manifest.read_manifest(file.read_bytes(), str(file)) == found
