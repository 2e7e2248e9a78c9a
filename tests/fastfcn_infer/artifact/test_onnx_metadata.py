import hashlib
from pathlib import Path

import onnx
import pytest

from fastfcn_infer.artifact import onnx_metadata
from fastfcn_infer.errors import ArtifactError
from models import tiny_model, tiny_onnx


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tiny_onnx(tmp_path / "model.onnx", tiny_model())
    return tmp_path / "model.onnx"


def test_metadata_and_graph_hash_are_those_the_onnx_package_sees(path: Path) -> None:
    proto = onnx.load(path)
    found = onnx_metadata.read_onnx(path)
    assert found.metadata == {entry.key: entry.value for entry in proto.metadata_props}
    graph = proto.graph.SerializeToString(deterministic=True)
    assert found.graph_sha256 == hashlib.sha256(graph).hexdigest()


def test_the_description_comes_back_equal(path: Path) -> None:
    assert onnx_metadata.read_model_of(path) == tiny_model()


def test_metadata_before_the_graph_is_found_too(path: Path) -> None:
    # Protobuf allows any order: move the first field behind everything else, field by field.
    proto = onnx.load(path)
    graph = onnx.ModelProto()
    graph.graph.CopyFrom(proto.graph)
    rest = onnx.ModelProto()
    rest.CopyFrom(proto)
    rest.ClearField("graph")
    path.write_bytes(rest.SerializeToString() + graph.SerializeToString(deterministic=True))
    assert onnx_metadata.read_model_of(path) == tiny_model()


def test_a_file_cut_at_any_byte_is_refused(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    cut = tmp_path / "cut.onnx"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(ArtifactError, match=r"cut\.onnx"):
            onnx_metadata.read_model_of(cut)


def test_a_flipped_bit_in_graph_or_description_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    proto = onnx.load(path)
    for part in (
        proto.graph.initializer[0].raw_data,
        proto.metadata_props[0].value.encode()[40:60],
    ):
        start = data.index(part)
        for position in range(start, start + len(part)):
            changed = bytearray(data)
            changed[position] ^= 1
            path.write_bytes(changed)
            with pytest.raises(ArtifactError):
                onnx_metadata.read_model_of(path)


def test_no_change_of_a_byte_raises_anything_but_our_error(path: Path) -> None:
    data = path.read_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x55
        path.write_bytes(changed)
        try:
            onnx_metadata.read_model_of(path)
        except ArtifactError as error:
            assert str(path) in str(error)


def test_an_onnx_file_of_somebody_else_is_told_from_a_broken_one(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.onnx"
    tiny_onnx(foreign, tiny_model(), described=False)
    with pytest.raises(ArtifactError, match="not an export of fastfcn-export: no 'fastfcn'"):
        onnx_metadata.read_model_of(foreign)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "not a complete ONNX file"),
        (b"PK\x03\x04" + b"\0" * 30, "not a complete ONNX file"),
        (b"\x08\x01", "no graph"),
        (b"\x3a\x00\x3a\x00", "2 graphs"),
        (b"\x38\x01", "the graph is a number"),
        (b"\x08" + b"\xff" * 11, "longer than ten bytes"),
        (b"\x08\x01" * 10_001, "more than 10000 fields"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends at byte"),
        (b"\x3a\x00\x72\x04\x0a\x02\xff\xff", "utf-8"),
    ],
)
def test_bytes_that_are_no_onnx_file_are_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=says):
        onnx_metadata.read_model_of(path)
