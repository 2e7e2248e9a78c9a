"""Files that are mistaken for checkpoints: what each of them is, and what to do about it."""

from collections.abc import Callable

_GIT_LFS = b"version https://git-lfs.github.com"
_KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (
        lambda head: head.startswith(_GIT_LFS),
        "is a pointer that Git LFS left in place of the file. Fetch the file itself: git lfs pull",
    ),
    (
        lambda head: (
            head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))
        ),
        "is a web page, not a checkpoint: the download got a notice instead of the file. Open the link "
        "in a browser and download the file itself",
    ),
    (
        lambda head: head[257:262] == b"ustar",
        "is a tar archive. Unpack it and give the checkpoint inside; PyTorch's own tar format, of before "
        "2017, is not read: load it with the PyTorch of that time and save it again",
    ),
    (
        lambda head: head[:12] == bytes(12) and len(head) > 12,
        "is a .pdiparams file: Paddle's inference weights, which carry no names. Give the .pdparams "
        "checkpoint that it was exported from",
    ),
    (
        lambda head: (
            head[:1] == b"\x08" and head[1:2] < b"\x20" and head[2:3] in (b"\x12", b"\x3a")
        ),
        "is an ONNX model, already exported. It can be run as it is; to export again, give the checkpoint "
        "that it came from",
    ),
    (
        lambda head: head.startswith(
            (b"\x1f\x8b", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
        ),
        "is compressed. Unpack it and give the checkpoint inside",
    ),
    (
        lambda head: head.startswith(b"\x93NUMPY"),
        "is a NumPy file of one array, without the names of tensors",
    ),
    (
        lambda head: head.startswith(b"\x89HDF"),
        "is an HDF5 file. Save the weights as .safetensors where they can be loaded",
    ),
    (
        lambda head: head.startswith((b"\x80\x00", b"\x80\x01", b"(", b"c", b"]", b"}")),
        "looks like a pickle of protocol 0 or 1, which neither Paddle nor torch write. Nothing was run. "
        "Save it again with protocol 2 to 5",
    ),
    (
        lambda head: head.lstrip().startswith(b"{"),
        "is text (JSON, by its first character), such as a configuration or a Paddle program",
    ),
)


def described(head: bytes) -> str:
    """Say what a file is that no container knows, by its first bytes, and what to do."""
    if not head:
        return "is empty: 0 bytes. The download or the copy did not finish; fetch it again"
    for is_kind, sentence in _KINDS:
        if is_kind(head):
            return sentence
    return (
        f"is no checkpoint of a known kind: it begins with {head[:16]!r}. Supported are .pdparams (Paddle), "
        ".pth and .pth.tar (PyTorch) and .safetensors; a file that was cut at its start looks like this, too"
    )
