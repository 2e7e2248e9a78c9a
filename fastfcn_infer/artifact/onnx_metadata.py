"""The description inside an `.onnx` file of ours, read without onnx or protobuf installed.

Only the outermost fields of the file are walked: enough for the text that describes the model, for
the hash of the graph, and to notice a file that was cut off. `embed` makes what is read here.

Source: onnx.proto3 (ModelProto, StringStringEntryProto); the protobuf wire format.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fastfcn_infer.artifact.manifest import Model, read_model
from fastfcn_infer.artifact.model_api import PREFIX, model_api_metadata
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.record import to_json

MODEL_KEY = "fastfcn"
MODEL_SHA256_KEY = "fastfcn.model_sha256"
GRAPH_SHA256_KEY = "fastfcn.graph_sha256"

_OWN_KEYS = (MODEL_KEY, MODEL_SHA256_KEY, GRAPH_SHA256_KEY)
_GRAPH, _METADATA = 7, 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_FIELDS = 10_000  # a real file has a dozen; reading millions would take minutes
_LONGEST_TEXT = 16 << 20  # bytes


@dataclass(frozen=True)
class OnnxFile:
    """The top-level facts of an ONNX file."""

    metadata: Mapping[str, str]
    graph_sha256: str | None  # of the serialised GraphProto, hexadecimal; None: not asked for


def embed(model: Model, graph_sha256: str) -> dict[str, str]:
    """Write the metadata that makes an ONNX file describe and check itself.

    Args:
        model: the description of the model.
        graph_sha256: of the serialised GraphProto, as it stands in the file; hexadecimal.

    Returns:
        The entries for the file's `metadata_props`.
    """
    text = to_json(model, indent=None)
    # Ours come last, so that a file that was cut off lacks them.
    return {
        **model_api_metadata(model),
        MODEL_KEY: text,
        MODEL_SHA256_KEY: hashlib.sha256(text.encode()).hexdigest(),
        GRAPH_SHA256_KEY: graph_sha256,
    }


def read_onnx(path: Path) -> OnnxFile:
    """Read the metadata of an ONNX file and hash its graph.

    Args:
        path: the file; any size, it is read in pieces.

    Raises:
        ArtifactError: not an ONNX file, or cut off.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _read_onnx(file, str(path), hash_graph=True)


def read_model_of(path: Path, *, check_graph: bool = True) -> Model:
    """Read the model description that our exporter puts into an ONNX file, and check the graph.

    Args:
        path: the ONNX file.
        check_graph: False where the bytes of the whole file were compared with a hash already.

    Raises:
        ArtifactError: not an ONNX file, not one of ours, or changed since it was exported.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return read_model_and_graph(file, str(path), check_graph=check_graph)[0]


def read_model_and_graph(
    file: BinaryIO, where: str, *, check_graph: bool = True
) -> tuple[Model, str | None]:
    """Do what `read_model_of` does with an open file, which `where` names in messages.

    Returns:
        The description, and the SHA-256 of the graph, hexadecimal; None unless `check_graph`.

    Raises:
        ArtifactError: not an ONNX file, not one of ours, or changed since it was exported.
    """
    found = _read_onnx(file, where, hash_graph=check_graph)
    missing = [key for key in (MODEL_KEY, GRAPH_SHA256_KEY) if key not in found.metadata]
    if missing:
        keys = " and no ".join(repr(key) for key in missing)
        raise ArtifactError(
            f"{where} is not an export of fastfcn-export: no {keys} metadata; without it the class "
            "names, the colours and the normalisation would be guesses. Export the checkpoint with "
            "fastfcn-export."
        )
    text = found.metadata[MODEL_KEY]
    hashes = {"description": _description_hashes(text, found.metadata)}
    if found.graph_sha256:
        hashes["graph"] = (found.graph_sha256, found.metadata[GRAPH_SHA256_KEY])
    changed = [
        f"the SHA-256 of its {part} is {is_now}, {was} was exported"
        for part, (is_now, was) in hashes.items()
        if is_now != was
    ]
    if changed:
        raise ArtifactError(f"{where} was changed: {'; '.join(changed)}. Copy or export it again.")
    return read_model(text, where), found.graph_sha256


def copy_described(source: BinaryIO, target: BinaryIO, model: Model) -> None:
    """Copy an ONNX file of ours with another description; the graph stays as it is, byte for byte.

    Args:
        source: the file, open for reading.
        target: empty, open for writing.
        model: the new description.

    Raises:
        ArtifactError: `source` is not a complete ONNX file of ours.
    """
    size = source.seek(0, io.SEEK_END)
    starts, ends, graph = [0], [], ""
    try:
        for number, length in _fields(source, size):
            start, end = source.tell(), source.tell() + (length or 0)
            if number == _METADATA:
                key, text = _entry(_take(source, length))
                if key == GRAPH_SHA256_KEY:
                    graph = text
                if key in _OWN_KEYS or key.startswith(PREFIX):
                    # The field's tag and length stand before its content.
                    ends.append(
                        start - len(_written(_METADATA << 3 | _BYTES)) - len(_written(end - start))
                    )
                    starts.append(end)
    except ValueError as error:
        raise ArtifactError(f"{source.name} is not a complete ONNX file: {error}.") from error
    for start, end in zip(starts, [*ends, size], strict=True):
        _copy(source, target, start, end)
    for key, text in embed(model, graph).items():
        entry = _field(1, key.encode()) + _field(2, text.encode())
        target.write(_field(_METADATA, entry))


def _copy(source: BinaryIO, target: BinaryIO, start: int, end: int) -> None:
    source.seek(start)
    while start < end and (piece := source.read(min(end - start, 1 << 20))):
        target.write(piece)
        start += len(piece)


def _field(number: int, content: bytes) -> bytes:
    return _written(number << 3 | _BYTES) + _written(len(content)) + content


def _written(value: int) -> bytes:
    """Write a number as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _description_hashes(text: str, metadata: Mapping[str, str]) -> tuple[str, str]:
    found = hashlib.sha256(text.encode()).hexdigest()
    return found, metadata.get(MODEL_SHA256_KEY, found)


def _read_onnx(file: BinaryIO, where: str, *, hash_graph: bool) -> OnnxFile:
    size = file.seek(0, io.SEEK_END)
    if not size:
        raise ArtifactError(f"{where} is empty. Copy or export it again.")
    try:
        return _read(file, size, hash_graph)
    except ValueError as error:
        raise ArtifactError(
            f"{where} is not a complete ONNX file: {error}. Copy or export it again."
        ) from error


def _read(file: BinaryIO, size: int, hash_graph: bool) -> OnnxFile:
    metadata: dict[str, str] = {}
    graphs: list[str | None] = []
    for number, length in _fields(file, size):
        if number == _GRAPH:
            graphs.append(_hash(file, length) if hash_graph else None)
        elif number == _METADATA:
            key, text = _entry(_take(file, length))
            if key in metadata:
                raise ValueError(f"its metadata has {excerpt(key)} twice")
            metadata[key] = text
    if len(graphs) != 1:
        raise ValueError(f"it has {len(graphs) or 'no'} graphs")
    return OnnxFile(metadata, graphs[0])


def _entry(data: bytes) -> tuple[str, str]:
    file, parts = io.BytesIO(data), {1: "", 2: ""}
    for number, length in _fields(file, len(data)):
        parts[number] = _take(file, length).decode()
    return parts[1], parts[2]


def _take(file: BinaryIO, length: int | None) -> bytes:
    if length is None:
        raise ValueError("a text is a number")
    if length > _LONGEST_TEXT:
        raise ValueError(f"a text of {length} bytes; at most {_LONGEST_TEXT} were expected")
    return file.read(length)


def _hash(file: BinaryIO, length: int | None) -> str:
    if length is None:
        raise ValueError("the graph is a number")
    digest = hashlib.sha256()
    while length and (piece := file.read(min(length, 1 << 18))):
        digest.update(piece)
        length -= len(piece)
    return digest.hexdigest()


def _fields(file: BinaryIO, size: int) -> Iterator[tuple[int, int | None]]:
    """Walk protobuf fields: number, and the length of the content that can be read now.

    The length is None for numbers, which have none.
    """
    end, count = 0, 0
    while end < size:
        count += 1
        if count > _MOST_FIELDS:
            raise ValueError(f"it has more than {_MOST_FIELDS} fields")
        start = file.seek(end)
        tag = _varint(file)
        number, wire, length = tag >> 3, tag & 7, None
        if number == 0:
            raise ValueError(f"field number 0 at byte {start}")
        if wire == _VARINT:
            _varint(file)
            end = file.tell()
        elif wire == _BYTES:
            length = _varint(file)
            end = file.tell() + length
        elif wire in (_FIXED32, _FIXED64):
            end = file.tell() + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError(f"field type {wire} at byte {start}")
        if end > size:
            raise ValueError(
                f"field {number} at byte {start} ends at byte {end}, the data at {size}"
            )
        yield number, length


def _varint(file: BinaryIO) -> int:
    value = 0
    for index in range(10):
        byte = file.read(1)
        if not byte:
            raise ValueError(f"the data ends inside the number before byte {file.tell()}")
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:
            return value
    raise ValueError(f"the number before byte {file.tell()} is longer than ten bytes")
