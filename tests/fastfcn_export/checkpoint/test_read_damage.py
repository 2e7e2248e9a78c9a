"""A damaged checkpoint ends in arrays or in `CheckpointError`, and a cut one in `CheckpointError`."""

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_infer.errors import CheckpointError
from hostile.assembler import GOOD_BARE, GOOD_LEGACY, GOOD_ZIP, without_checksums
from hostile.safetensors_files import GOOD as GOOD_SAFETENSORS

FORMATS = Path(__file__).parents[2] / "data" / "formats"
SMALL = {
    "paddle": GOOD_BARE,
    "zip": GOOD_ZIP,
    "legacy": GOOD_LEGACY,
    "safetensors": GOOD_SAFETENSORS,
    "paddle, protocol 4": (FORMATS / "paddle_layer_protocol4.pdparams").read_bytes(),
    "paddle, training": (FORMATS / "paddle_training_protocol2.pdparams").read_bytes(),
    "torch's legacy": (FORMATS / "torch_legacy.pth.tar").read_bytes(),
    "torch's zip": (FORMATS / "torch_part_prefixed_zip.pth").read_bytes(),
}
SEEDS = {
    **SMALL,
    "zip without checksums": without_checksums(GOOD_ZIP),
    "torch's views without checksums": without_checksums(
        (FORMATS / "torch_types_zip.pth").read_bytes()
    ),
    "torch's legacy views": (FORMATS / "torch_types_legacy.pth").read_bytes(),
    "split arrays": pickle.dumps(
        {
            "w@@.0": np.arange(3.0),
            "w@@.1": np.arange(2.0),
            "UnpackBigParamInfor@@": {"w": {"OriginShape": (5,), "slices": ["w@@.0", "w@@.1"]}},
        },
        3,
    ),
    "protocol 5": pickle.dumps(
        {"state_dict": {"a": ("n", np.ones((2, 3, 4)).transpose(1, 0, 2))}}, 5
    ),
}
EXAMPLES, MUTANTS = 200, 100
# What a mutation puts in beside noise: opcodes, numbers at the edge of their type, marks.
TOKENS = (
    *(bytes([opcode]) for opcode in b"().NRbtq]}aeusQcXCBK\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95"),
    bytes(4), b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"cos\nsystem\n", b"PK\x01\x02", b"h\x00R", b"{", b"}",
    b'"', b"[", b"99999999999", b"-1",
)  # fmt: skip


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        length = chance.choice((1, 1, 2, 4, 8, 40))
        match chance.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes(
                    byte ^ 1 << chance.randrange(8) for byte in changed[at : at + 1]
                )
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = chance.choice(TOKENS)
            case 4:
                token = chance.choice(TOKENS)
                changed[at : at + len(token)] = token
            case _:
                start = chance.randrange(len(data))
                changed[at : at + chance.choice((0, length))] = data[start : start + length]
    return bytes(changed)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage") / "checkpoint"


@pytest.mark.parametrize("kind", SMALL)
def test_a_file_cut_at_any_place_is_refused(kind: str, file: Path) -> None:
    data = SMALL[kind]
    for length in range(len(data)):
        file.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            read_checkpoint(file)


# Slow: 11,000 files are written, mapped and read.
@pytest.mark.slow
def test_a_file_with_any_single_byte_changed_gives_arrays_or_is_refused(file: Path) -> None:
    for data in (GOOD_BARE, GOOD_SAFETENSORS, GOOD_LEGACY, SEEDS["zip without checksums"]):
        for at in range(len(data)):
            for byte in (0, 0xFF, data[at] ^ 0x80, (data[at] + 1) % 256):
                assert_arrays_or_refusal(file, data[:at] + bytes([byte]) + data[at + 1 :])


# Slow: 20,000 files are written, mapped and read.
@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(kind=st.sampled_from(sorted(SEEDS)), seed=st.integers(0, 2**32))
def test_a_mutant_gives_arrays_or_is_refused(kind: str, seed: int, file: Path) -> None:
    chance = random.Random(seed)
    for _ in range(MUTANTS):
        assert_arrays_or_refusal(file, mutated(SEEDS[kind], chance))


def test_the_fuzz_reads_at_least_20000_mutants() -> None:
    assert EXAMPLES * MUTANTS >= 20_000


def assert_arrays_or_refusal(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        found = read_checkpoint(file)
    except CheckpointError as error:
        # The net for unforeseen errors is there, but nothing should fall into it.
        assert "reading it ended in" not in str(error), data
        return
    for name, value in found.items():
        assert type(name) is str
        assert isinstance(value, np.ndarray)
        assert not value.flags.writeable
        # Copied, so that a view past the end of the file would be noticed.
        assert value.copy().nbytes <= len(data) + (1 << 25)
