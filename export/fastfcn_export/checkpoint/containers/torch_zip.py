"""`.pth` since PyTorch 1.6: an uncompressed ZIP archive of one pickle and one member per storage.

Source: PyTorch's `serialization.py` (reference/reliability.md, 3.2).
"""

from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.pickle_reader.interpreter import read_pickle
from fastfcn_export.checkpoint.pickle_reader.torch_values import (
    ALLOWED,
    TENSORS,
    Storages,
    conversions,
)
from fastfcn_export.checkpoint.pickle_reader.values import PickleTree
from fastfcn_export.checkpoint.zip_members import read_members
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_PICKLE = "data.pkl"


def matches(head: bytes) -> bool:
    """Any ZIP archive; `read` tells a checkpoint from others."""
    return head.startswith(b"PK\x03\x04")


def read(data: memoryview) -> Contents:
    """Read the archive's directory, the pickle, and the storages that its tensors refer to."""
    members = _below_one_folder(read_members(data))
    if members.get("byteorder", b"little") != b"little":
        raise CheckpointError("is of a big-endian machine; only little-endian files are read")

    def storage(key: str, size: int) -> memoryview:
        member = members.get(f"data/{key}")
        if member is None or len(member) != size:
            found = "none" if member is None else f"{len(member)} bytes"
            raise CheckpointError(f"needs {size} bytes of storage {excerpt(key)}; found {found}")
        return member

    pickle = read_pickle(members[_PICKLE], 0, ALLOWED)
    left = len(members[_PICKLE]) - pickle.end
    if left:
        raise CheckpointError(f"has {left} bytes after the end of its {_PICKLE}")
    return PickleTree(conversions(Storages(storage)), len(data)).contents(pickle, TENSORS)


def _below_one_folder(members: dict[str, memoryview]) -> dict[str, memoryview]:
    """Take the folder off the names, after a check that the archive is a checkpoint."""
    pickles = [name for name in members if name.split("/")[-1] == _PICKLE]
    if len(pickles) != 1:
        raise CheckpointError(
            f"is a ZIP archive with {len(pickles)} members called {_PICKLE}; expected one, as in a "
            f"checkpoint that torch.save wrote. Found: {excerpt(list(members)[:20])}"
        )
    folder = pickles[0].removesuffix(_PICKLE)
    if any(not name.startswith(folder) for name in members):
        raise CheckpointError(
            f"is a ZIP archive with members outside its folder {excerpt(folder)}"
        )
    inside = {name[len(folder) :]: member for name, member in members.items()}
    code = [name for name in inside if name == "constants.pkl" or name.startswith("code/")]
    if code:
        raise CheckpointError(
            f"is a TorchScript program, not a checkpoint: it holds code ({excerpt(code[:5])}). Nothing was "
            "run. Expected what torch.save(model.state_dict(), path) writes."
        )
    return inside
