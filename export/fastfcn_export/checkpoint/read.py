"""Read the tensors of a checkpoint of any kind, without running any of the code that it may name.

The first bytes of a file say which kind it is; the kinds are the modules of `containers/`.
"""

import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint import unknown_files
from fastfcn_export.checkpoint.container import HEAD_BYTES, Annotated, Container, Contents
from fastfcn_export.checkpoint.state_dict import tensors_of
from fastfcn_infer.artifact.manifest import FileFacts
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system import registry
from fastfcn_infer.system.excerpt import excerpt

T = TypeVar("T")

_CONTAINERS = "fastfcn_export.checkpoint.containers"
# What Python and NumPy can raise for a damaged file that none of the checks caught.
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

    What stands beside the model's tensors is neither built nor called, whatever it is; a file that names
    code which could do harm (`os.system`, `eval`, ...) is refused wherever the name stands. The file is
    mapped, not loaded: arrays are read-only views of it and keep it open. They hold what the
    file holds, with its types; only torch's and safetensors' bfloat16 becomes float32, exactly, because NumPy has
    no such type. (Paddle stores bfloat16 as uint16 and does not say so: it stays uint16.) Of a training
    checkpoint the model's tensors are given, and neither optimizer nor epoch. Do not write to the file
    while its arrays are in use.

    Args:
        path: the file; its name does not matter, as its first bytes say what it is.

    Returns:
        Name -> read-only array, in the file's order; a `module.` before every name is taken off.

    Raises:
        CheckpointError: no such file, not a checkpoint, damaged, it names code that could do harm or
            stands where tensors are read from (all names are listed and nothing was run), or it holds no
            tensors.
    """
    return CheckpointFile(path).tensors()


class CheckpointFile:
    """A checkpoint, opened once: what is read from it and what is hashed are the same bytes.

    If the file is replaced meanwhile, this is still the old one; only writing into it changes it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Map a file.

        Args:
            path: the file; its name does not matter, as its first bytes say what it is.

        Raises:
            CheckpointError: no such file, or not a checkpoint.
        """
        self.path = Path(path)
        self._data = self._reading(lambda: _mapped(self.path))
        self._container = self._reading(lambda: _container(bytes(self._data[:HEAD_BYTES])))
        self._contents: Contents | None = None

    def reading(self, read: Callable[[Contents], T]) -> T:
        """Read something of what the file holds; errors name the file.

        Raises:
            CheckpointError: damaged, or it names code that could do harm.
        """

        def of_contents() -> T:
            if self._contents is None:
                self._contents = self._container.read(self._data)
            return read(self._contents)

        return self._reading(of_contents)

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Read the tensors; see `read_checkpoint`.

        Raises:
            CheckpointError: damaged, it names code, or it holds no tensors.
        """
        return self.reading(tensors_of)

    def note(self, name: str) -> str | None:
        """Read a text that the checkpoint carries beside its tensors; None if absent.

        Args:
            name: of the text.

        Raises:
            CheckpointError: damaged.
        """
        container = self._container
        if not isinstance(container, Annotated):
            return None
        return self._reading(lambda: container.note(self._data, name))

    @contextmanager
    def unchanged(self) -> Iterator[FileFacts]:
        """Guard a block that uses the tensors, which are views of the file.

        Yields:
            Size and hash of the bytes that the block uses.

        Raises:
            CheckpointError: the file was written into during the block; in place of any error that
                this caused in the block.
        """
        facts = self._facts()
        try:
            yield facts
        finally:
            if self._facts() != facts:
                raise CheckpointError(
                    f"{self.path} was written to while it was used. Try again when it is complete."
                )

    def _facts(self) -> FileFacts:
        return FileFacts(len(self._data), hashlib.sha256(self._data).hexdigest())

    def _reading(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except CheckpointError as error:
            raise CheckpointError(f"{self.path} {error}") from error
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be read: {error.strerror or error}."
            ) from error
        except _DAMAGE as error:
            raise CheckpointError(
                f"{self.path} is damaged: reading it ended in {type(error).__name__} {excerpt(error.args)}."
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
