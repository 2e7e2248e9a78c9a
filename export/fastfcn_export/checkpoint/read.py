"""Read the tensors of a checkpoint of any kind, without running any of the code that it may name.

Which kind a file is, its first bytes say; the kinds are the modules of `containers/`.
"""

import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint import unknown_files
from fastfcn_export.checkpoint.container import HEAD_BYTES, Annotated, Container
from fastfcn_export.checkpoint.state_dict import tensors_of
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system import registry
from fastfcn_infer.system.excerpt import excerpt

T = TypeVar("T")

_CONTAINERS = "fastfcn_export.checkpoint.containers"
# What a damaged file can make Python and NumPy raise where a check of ours did not stand before.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, NDArray[np.generic]]:
    """Read the tensors of a `.pdparams`, `.pth`, `.pth.tar` or `.safetensors` file.

    The file is mapped, not loaded: arrays are read-only views of it and keep it open. They hold what the
    file holds, with its types; only torch's and safetensors' bfloat16 becomes float32, exactly, because NumPy has
    no such type. (Paddle stores bfloat16 as uint16 and does not say so: it stays uint16.) Of a training
    checkpoint the model's tensors are given, and neither optimizer nor epoch. Do not write to the file
    while its arrays are in use.

    Args:
        path: of the file; its name does not matter, its first bytes say what it is.

    Returns:
        Name -> read-only array, in the file's order; a `module.` before every name is taken off.

    Raises:
        CheckpointError: no such file, not a checkpoint, damaged, it names code (all names are listed and
            nothing was run), or it holds no tensors.
    """
    return _reading(path, lambda container, data: tensors_of(container.read(data)))


def read_note(path: str | os.PathLike[str], name: str) -> str | None:
    """Read a text that a checkpoint carries beside its tensors; None: it carries no such text.

    Args:
        path: of the file.
        name: of the text.

    Raises:
        CheckpointError: no such file, not a checkpoint, or damaged.
    """

    def read(container: Container, data: memoryview) -> str | None:
        return container.note(data, name) if isinstance(container, Annotated) else None

    return _reading(path, read)


def _reading(path: str | os.PathLike[str], read: Callable[[Container, memoryview], T]) -> T:
    file = Path(path)
    try:
        data = _mapped(file)
        return read(_container(bytes(data[:HEAD_BYTES])), data)
    except CheckpointError as error:
        raise CheckpointError(f"{file} {error}") from error
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror or error}.") from error
    except _DAMAGE as error:
        raise CheckpointError(
            f"{file} is damaged: reading it ended in {type(error).__name__} {excerpt(error.args)}."
        ) from error


def _mapped(file: Path) -> memoryview:
    """Map a file into memory."""
    # Before it is opened: a named pipe would wait for ever.
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist or is not a regular file"
        raise CheckpointError(f"{what}. Expected the path of a checkpoint.")
    with file.open("rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise CheckpointError(f"{unknown_files.described(b'')}.")
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _container(head: bytes) -> Container:
    """Choose the one container that knows a file by its first bytes."""
    known = (
        cast(Container, registry.load(_CONTAINERS, name)) for name in registry.names(_CONTAINERS)
    )
    matching = [container for container in known if container.matches(head)]
    if len(matching) != 1:
        raise CheckpointError(f"{unknown_files.described(head)}.")
    return matching[0]
