"""Random state dicts, written by the frameworks that are installed here, come back as those read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastfcn_export.checkpoint.read import read_checkpoint

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAMES = st.lists(
    st.from_regex(r"[a-zé][a-z0-9_.]{0,20}", fullmatch=True).filter(lambda name: name not in ("model", "net", "network")),
    min_size=1, max_size=6, unique=True,
)  # fmt: skip
DTYPES = (
    "float32",
    "float16",
    "bfloat16",
    "float64",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
)


def tensor(torch: Any, data: st.DataObject) -> Any:
    """A tensor of any type, often a view of a larger storage."""
    shape = data.draw(st.lists(st.integers(0, 5), max_size=4), label="shape")
    value = torch.randint(0, 100, shape).to(getattr(torch, data.draw(st.sampled_from(DTYPES))))
    view = data.draw(st.sampled_from(["whole", "transposed", "sliced", "flipped", "expanded"]))
    if view == "transposed" and value.ndim > 1:
        return value.transpose(0, -1)
    if view == "sliced" and value.ndim:
        return value[data.draw(st.integers(0, 2)) :: data.draw(st.integers(1, 3))]
    if view == "expanded":
        return value.expand(3, *value.shape)
    return value


def as_numpy(torch: Any, value: Any) -> Any:
    return (value.float() if value.dtype is torch.bfloat16 else value).numpy()


@SETTINGS
@given(
    data=st.data(),
    names=NAMES,
    zipped=st.booleans(),
    checksums=st.booleans(),
    nested=st.booleans(),
)
def test_what_torch_saves_is_read_as_torch_loads_it(
    data: st.DataObject,
    names: list[str],
    zipped: bool,
    checksums: bool,
    nested: bool,
    tmp_path: Path,
) -> None:
    torch = pytest.importorskip("torch")
    state = {name: tensor(torch, data) for name in names}
    # One more name for a tensor, and another view of its storage.
    state["again"] = state[names[0]]
    state["flat"] = state[names[0]].reshape(-1)
    file = tmp_path / "checkpoint.pth"
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(checksums)
    try:
        tree = {"epoch": 1, "state_dict": state} if nested else state
        torch.save(tree, file, _use_new_zipfile_serialization=zipped)
    finally:
        torch.serialization.set_crc32_options(before)
    loaded = torch.load(file, weights_only=True)
    expected = loaded["state_dict"] if nested else loaded
    found = read_checkpoint(file)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].shape == tuple(value.shape)
        assert found[name].dtype == as_numpy(torch, value).dtype
        assert found[name].tobytes() == as_numpy(torch, value).tobytes()


@SETTINGS
@given(
    data=st.data(),
    names=NAMES,
    notes=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
)
def test_what_safetensors_saves_is_read_as_it_loads_it(
    data: st.DataObject, names: list[str], notes: dict[str, str], tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    state = {name: tensor(torch, data).clone().contiguous() for name in names}
    file = tmp_path / "checkpoint.safetensors"
    library.save_file(state, file, notes)
    found = read_checkpoint(file)
    assert found.keys() == state.keys()
    for name, value in library.load_file(file).items():
        assert found[name].shape == tuple(value.shape)
        assert found[name].tobytes() == as_numpy(torch, value).tobytes()
        assert not found[name].flags.writeable


@pytest.mark.parametrize(
    "dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
)
def test_every_numpy_type_of_safetensors_comes_back(dtype: str, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    state = {"a": np.arange(6).reshape(2, 3).astype(dtype), "b": np.zeros((0, 2), dtype)}
    library.save_file(state, tmp_path / "checkpoint")
    found = read_checkpoint(tmp_path / "checkpoint")
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_every_bfloat16_is_widened_to_the_float32_torch_makes_of_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    value = bits.view(torch.bfloat16)
    torch.save({"a": value}, tmp_path / "checkpoint")
    found = read_checkpoint(tmp_path / "checkpoint")["a"]
    expected = (np.arange(-(2**15), 2**15).astype("u2").astype("u4") << 16).view("f4")
    assert found.tobytes() == expected.tobytes()
    numbers = ~np.isnan(expected)
    assert np.array_equal(found[numbers], value.float().numpy()[numbers])
