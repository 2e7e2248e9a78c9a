"""The reader gives what torch and Paddle themselves load, byte for byte and in order."""

import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_export.checkpoint.read import read_checkpoint
from hostile.assembler import (
    GOOD_BARE,
    GOOD_LEGACY,
    GOOD_ZIP,
    MAGIC,
    STORAGE,
    VERSION,
    array,
    bare,
    called,
    group,
    integer,
    legacy,
    listed,
    mapping,
    named,
    numpy_array,
    numpy_dtype,
    storage,
    tensor,
    text,
    without_checksums,
    zipped,
)

ROOT = Path(__file__).parents[3]
FORMATS = ROOT / "tests" / "data" / "formats"
EXPECTED = {
    "paddle_nested.pdparams": "paddle_expected",
    **{f"paddle_protocol{number}.pdparams": "paddle_expected" for number in (2, 3, 4)},
    **{f"paddle_layer_protocol{number}.pdparams": "paddle_layer" for number in (2, 3, 4)},
    **{f"paddle_training_protocol{number}.pdparams": "paddle_training" for number in (2, 3, 4)},
    "torch_legacy.pth.tar": "torch_expected",
    "torch_zip.pth.tar": "torch_expected",
    "torch_module_prefix.pth": "torch_expected",
    **{
        f"torch_{what}_{kind}.pth": f"torch_{what}"
        for what in ("types", "nested", "prefixed", "part_prefixed", "module")
        for kind in ("zip", "legacy")
    },
}
Arrays = dict[str, NDArray[Any]]


def read(data: bytes, folder: Path) -> Arrays:
    file = folder / "checkpoint"
    file.write_bytes(data)
    return read_checkpoint(file)


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        # The golden files note float16 as float32.
        assert found[name].dtype == value.dtype or found[name].dtype == np.float16, name
        assert found[name].astype(value.dtype).tobytes() == value.tobytes(), name


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_of_torch_or_paddle_gives_what_they_load(name: str) -> None:
    with np.load(FORMATS / f"{EXPECTED[name]}.npz") as expected:
        assert_same(read_checkpoint(FORMATS / name), dict(expected))


def test_every_checkpoint_among_the_fixtures_is_compared() -> None:
    files = {
        file.name for file in FORMATS.iterdir() if file.suffix in (".pdparams", ".pth", ".tar")
    }
    assert files == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_no_array_of_a_result_can_be_written_to(name: str) -> None:
    for value in read_checkpoint(FORMATS / name).values():
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


# As `paddle.save` lays a state dict out, for protocols and sizes that it was not run with here.
VALUES: Arrays = {
    "conv.weight": np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype("f4"),
    "long.weight": np.random.default_rng(1).standard_normal((9, 200)).astype("f4"),
    "half": np.arange(5, dtype="f2"),
    "brain": np.array([0x3F80, 0xC000], "u2"),
    "double": np.arange(3.0),
    "columns": np.asfortranarray(np.arange(6, dtype="i4").reshape(2, 3)),
    "flags": np.array([True, False]),
    "number": np.array(7, "i8"),
    "empty": np.zeros((0, 3), "f4"),
    "bytes": np.arange(256, dtype="u1"),
}
BOOKKEEPING = {"StructuredToParameterName@@": {name: f"{name}_0" for name in VALUES}}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_flat_state_dict_of_any_protocol_gives_its_arrays(protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps(VALUES | BOOKKEEPING, protocol)
    assert_same(read(data, tmp_path), VALUES)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pairs_of_name_and_array_give_the_array(protocol: int, tmp_path: Path) -> None:
    pairs = {name: (f"{name}_0", value) for name, value in VALUES.items()}
    nested = {"epoch": 3, "state_dict": pairs, "optimizer": {"a": VALUES["half"]}}
    assert_same(read(pickle.dumps(nested, protocol), tmp_path), VALUES)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_that_were_split_are_put_together_after_the_others(
    protocol: int, tmp_path: Path
) -> None:
    big = VALUES["long.weight"]
    flat = big.flatten()
    parts = {f"long.weight@@.{index}": flat[index * 700 : (index + 1) * 700] for index in range(3)}
    note = {"OriginShape": big.shape, "slices": list(parts)}
    state = {
        "before": VALUES["half"], **parts, "after": VALUES["double"], **BOOKKEEPING,
        "UnpackBigParamInfor@@": {"long.weight": note},
    }  # fmt: skip
    expected = {"before": VALUES["half"], "after": VALUES["double"], "long.weight": big}
    assert_same(read(pickle.dumps(state, protocol), tmp_path), expected)


def test_files_of_numpy_1_are_read_like_those_of_numpy_2(tmp_path: Path) -> None:
    data = pickle.dumps(VALUES, 2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core" in data
    assert_same(read(data, tmp_path), VALUES)


def test_axes_in_another_order_are_put_back(tmp_path: Path) -> None:
    value = np.arange(24, dtype="f4").reshape(2, 3, 4).transpose(1, 0, 2)
    assert_same(read(pickle.dumps({"a": value}, 5), tmp_path), {"a": value})


def test_tensors_of_static_programs_are_read_as_the_arrays_they_wrap(tmp_path: Path) -> None:
    old = called(named("__builtin__", "eval"), text("data"), mapping({"data": array()}))
    new = called(named("paddle.framework.io_utils", "_reconstruct_dense_tensor_data"), array())
    expected = np.array([1, 2], "f4")
    data = bare(mapping({"old": old}))
    assert_same(read(data, tmp_path), {"old": expected})
    assert_same(read(bare(mapping({"new": new})), tmp_path), {"new": expected})


def test_a_file_of_python_2_gives_its_tensors(tmp_path: Path) -> None:
    # Python 2 writes texts as byte strings, and the dict's items as an argument.
    def short(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    place = group(short("storage"), named("torch", "FloatStorage"), short("0"), short("cpu"), integer(4), b"N") + b"Q"  # fmt: skip
    pair = b"](" + short("weight") + tensor(place) + b"e"
    body = called(named("collections", "OrderedDict"), listed(pair))
    found = read(legacy(body, {"0": STORAGE}), tmp_path)
    assert_same(found, {"weight": np.arange(4, dtype="f4")})


def test_an_array_whose_bytes_python_2_wrote_as_a_string_is_read(tmp_path: Path) -> None:
    data = bytes(range(250)) * 8
    string = b"T" + len(data).to_bytes(4, "little") + data
    value = numpy_array(group(integer(2000)), string, numpy_dtype("u1", "|"))
    assert_same(read(bare(mapping({"a": value})), tmp_path), {"a": np.frombuffer(data, "u1")})


def test_a_storage_that_is_part_of_another_is_read_from_its_place(tmp_path: Path) -> None:
    part = storage(extra=group(text("1"), integer(1), integer(3)))
    data = legacy(mapping({"w": tensor(part, (2,), offset=1)}), {"0": STORAGE})
    assert_same(read(data, tmp_path), {"w": np.array([2, 3], "f4")})


def test_tensors_that_share_a_storage_share_its_bytes(tmp_path: Path) -> None:
    views = mapping({"a": tensor(storage()), "b": tensor(storage(), (2, 2), (1, 2))})
    found = read(zipped(views, {"0": STORAGE}), tmp_path)
    assert np.shares_memory(found["a"], found["b"])
    assert_same(found, {"a": np.arange(4, dtype="f4"), "b": np.array([[0, 2], [1, 3]], "f4")})


def test_a_view_that_repeats_an_element_takes_no_memory_for_it(tmp_path: Path) -> None:
    repeated = tensor(storage(), (1000, 4), (0, 1))
    found = read(zipped(mapping({"a": repeated}), {"0": STORAGE}), tmp_path)
    assert found["a"].strides == (0, 4)


def test_parameters_and_sizes_are_read_as_what_they_hold(tmp_path: Path) -> None:
    parameter = called(
        named("torch._utils", "_rebuild_parameter"), tensor(storage()), b"\x88", b"}"
    )
    shape = called(named("torch", "Size"), group(integer(2), integer(2)))
    sized = called(
        named("torch._utils", "_rebuild_tensor"), storage(), integer(0), shape,
        group(integer(2), integer(1)),
    )  # fmt: skip
    found = read(zipped(mapping({"a": parameter, "b": sized}), {"0": STORAGE}), tmp_path)
    values = np.arange(4, dtype="f4")
    assert_same(found, {"a": values, "b": values.reshape(2, 2)})


def test_an_archive_without_checksums_is_read(tmp_path: Path) -> None:
    data = without_checksums(GOOD_ZIP)
    assert data != GOOD_ZIP
    assert_same(read(data, tmp_path), {"weight": np.arange(4, dtype="f4")})


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "network", "net"])
def test_a_state_dict_is_found_under_the_usual_keys(key: str, tmp_path: Path) -> None:
    tree = {"epoch": 1, "optimizer": {"m": VALUES["half"]}, key: VALUES, "loss": VALUES["double"]}
    assert_same(read(pickle.dumps(tree, 4), tmp_path), VALUES)


def test_a_state_dict_is_found_under_two_keys_in_each_other(tmp_path: Path) -> None:
    tree = {"model": {"state_dict": VALUES}}
    assert_same(read(pickle.dumps(tree, 4), tmp_path), VALUES)


def test_the_prefix_of_parallel_training_is_taken_off_at_the_start_only(tmp_path: Path) -> None:
    value = VALUES["half"]
    found = read(pickle.dumps({"module.head.encmodule.fc": value}, 4), tmp_path)
    assert list(found) == ["head.encmodule.fc"]


def test_a_prefix_that_not_all_names_have_stays(tmp_path: Path) -> None:
    state = {"module.a": VALUES["half"], "head.encmodule.b": VALUES["half"]}
    assert list(read(pickle.dumps(state, 4), tmp_path)) == list(state)


def test_a_path_may_be_a_text(tmp_path: Path) -> None:
    assert read_checkpoint(os.fspath(FORMATS / "torch_zip.pth.tar"))


def test_large_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    value = np.zeros((4, 1 << 20), "f4")
    (tmp_path / "big").write_bytes(pickle.dumps({"a": value}, 4))
    tracemalloc.start()
    found = read_checkpoint(tmp_path / "big")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["a"].shape == value.shape
    assert peak < value.nbytes / 8


def test_arrays_outlive_the_name_of_their_file(tmp_path: Path) -> None:
    found = read(GOOD_BARE, tmp_path)
    (tmp_path / "checkpoint").rename(tmp_path / "elsewhere")
    assert found["weight"].tolist() == [1.0, 2.0]


def test_neither_torch_nor_paddle_nor_an_unpickler_is_needed() -> None:
    program = """
import sys, numpy, pickle
sys.modules.update(torch=None, paddle=None, safetensors=None)
for name in ("load", "loads", "Unpickler", "_Unpickler"):
    delattr(pickle, name)
from fastfcn_export.checkpoint.read import read_checkpoint
for file in sys.argv[1:]:
    read_checkpoint(file)
"""
    path = os.pathsep.join([str(ROOT), str(ROOT / "export")])
    done = subprocess.run(
        [sys.executable, "-c", program, *(str(FORMATS / name) for name in EXPECTED)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_legacy_header_is_the_one_torch_writes() -> None:
    assert (FORMATS / "torch_legacy.pth.tar").read_bytes().startswith(MAGIC + VERSION)
    assert GOOD_LEGACY.startswith(MAGIC + VERSION)
