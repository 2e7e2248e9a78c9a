"""The contract of a container: how one kind of checkpoint file holds named tensors.

Every file in `containers/` is an instance: a module with the two functions of `Container`. The
folder is the registry; the kind of a file is recognised by its first bytes, never by its name.

Where files of a kind carry texts beside the tensors, the module also offers ``note`` (see `Annotated`).
"""

from typing import Protocol, runtime_checkable

HEAD_BYTES = 512
"""How much of a file's start `matches` gets: enough for a tar archive's mark, which lies at 257."""


class Container(Protocol):
    """What a module in `containers/` provides."""

    def matches(self, head: bytes) -> bool:
        """Tell whether a file that starts with `head` (at most `HEAD_BYTES`) is of this kind.

        At most one container may say yes to any head.
        """

    def read(self, data: memoryview) -> object:
        """Read a whole file of this kind without running anything that it names.

        Args:
            data: the bytes of the file, read-only; arrays of the result are views of it.

        Returns:
            Nested dicts, lists, tuples and plain values as the file holds them, with a read-only
            NumPy array in place of every tensor. No kept copy is larger than the file.

        Raises:
            CheckpointError: the file is damaged, names code, or asks for more than it holds.
        """


@runtime_checkable
class Annotated(Protocol):
    """What a module in `containers/` provides if files of its kind carry texts beside the tensors."""

    def note(self, data: memoryview, name: str) -> str | None:
        """Read the text called `name`, as untrusted as the rest; None if absent.

        Raises:
            CheckpointError: the file is damaged.
        """
