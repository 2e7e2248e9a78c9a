"""The files of a Paddle program, which Paddle runs without a word when they were cut or swapped."""

from pathlib import Path

from fastfcn_infer.artifact import FORMATS, Artifact, hash_file
from fastfcn_infer.errors import ArtifactError, BackendError, GraphRefused

FORMAT = "paddle"

_WEIGHTS = ".pdiparams"  # beside the graph, with its name


def whole_program(artifact: Artifact) -> tuple[Path, Path]:
    """Return the graph and its weights, whole at this moment.

    Args:
        artifact: holds a Paddle program; without a manifest, which lists hashes, only names can be
            checked.

    Raises:
        ArtifactError: a file is not listed, or was changed since the artifact was opened.
        GraphRefused: the program is of another version than Paddle 3's.
        BackendError: there are no weights.
    """
    graph = artifact.path(FORMAT)
    if graph.suffix != ".json":
        raise GraphRefused(
            f"{graph.name} of {artifact.model.name!r} is no .json; Paddle may crash on the programs "
            "of version 2."
        )
    name = FORMATS[FORMAT].removesuffix(graph.suffix) + _WEIGHTS
    if artifact.manifest is None:
        weights = graph.with_suffix(_WEIGHTS)
        if not weights.is_file():
            raise BackendError(f"{graph} has no {weights.name} beside it, its weights.")
        return graph, weights
    if name not in artifact.files:
        raise ArtifactError(
            f"{artifact.folder} lists no {name}, the weights of {FORMATS[FORMAT]}."
        )
    for each in (FORMATS[FORMAT], name):
        if hash_file(artifact.files[each]) != artifact.manifest.files[each]:
            raise ArtifactError(
                f"{artifact.files[each]} was changed since the artifact was opened; open it again."
            )
    return graph, artifact.files[name]
