"""Exactly one container knows a checkpoint by its first bytes, whatever the file is called."""

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_export.checkpoint.container import HEAD_BYTES, Container
from fastfcn_infer.system import registry
from hostile.assembler import GOOD_BARE, GOOD_LEGACY, GOOD_ZIP
from hostile.safetensors_files import GOOD as GOOD_SAFETENSORS

PACKAGE = "fastfcn_export.checkpoint.containers"
CONTAINERS = {
    name: cast(Container, registry.load(PACKAGE, name)) for name in registry.names(PACKAGE)
}
SAMPLES = {
    "paddle_pickle": GOOD_BARE,
    "torch_legacy": GOOD_LEGACY,
    "torch_zip": GOOD_ZIP,
    "safetensors_file": GOOD_SAFETENSORS,
}
FORMATS = Path(__file__).parents[3] / "data" / "formats"
FILES = [file for file in sorted(FORMATS.iterdir()) if file.suffix not in (".npz", ".py")]


def matching(head: bytes) -> list[str]:
    return [name for name, container in CONTAINERS.items() if container.matches(head[:HEAD_BYTES])]


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_a_file_of_torch_or_paddle_is_known_to_one_container(file: Path) -> None:
    expected = "paddle_pickle" if "paddle" in file.name else "torch_zip"
    if "legacy" in file.name:
        expected = "torch_legacy"
    assert matching(file.read_bytes()) == [expected]


@pytest.mark.parametrize("name", SAMPLES)
def test_each_kind_of_file_is_known_to_its_container(name: str) -> None:
    assert matching(SAMPLES[name]) == [name]


@given(head=st.binary(max_size=40))
def test_no_container_claims_what_another_does(head: bytes) -> None:
    for start in (b"", b"\x80\x02", b"\x80\x04\x95", b"PK\x03\x04", b"\x80\x02\x8a"):
        assert len(matching(start + head)) <= 1


def test_there_is_a_sample_for_every_container() -> None:
    assert set(CONTAINERS) == set(SAMPLES)
