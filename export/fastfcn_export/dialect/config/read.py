"""Read the configuration that a network was trained with, by the kind of its file."""

from pathlib import Path

from fastfcn_export.dialect.changes import Changes
from fastfcn_export.dialect.config import mmseg, paddleseg
from fastfcn_infer.errors import CheckpointError

NOTHING = Changes()


def read_config(path: Path, said: Changes = NOTHING) -> Changes:
    """Read a PaddleSeg YAML, or an mmsegmentation configuration in Python, which is not run.

    Args:
        path: of the file.
        said: by the user, which goes before; what the file has in its place need not be a literal.

    Raises:
        CheckpointError: the file is of neither kind, cannot be read, or says something that is not possible.
        BackendMissing: PyYAML is not installed.
    """
    readers = {".py": mmseg.read, ".yml": paddleseg.read, ".yaml": paddleseg.read}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise CheckpointError(
            f"{path} is neither a PaddleSeg configuration (.yml, .yaml) nor one of mmsegmentation (.py)"
        )
    try:
        return said.over(reader(path, said))
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
