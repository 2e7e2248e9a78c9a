"""Hostile files run, open, import and allocate nothing; each is refused with a reason."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastfcn_export.checkpoint.read import read_checkpoint
from hostile import archives, bombs, endless, names, safetensors_files
from hostile.assembler import GOOD_BARE, GOOD_LEGACY, GOOD_ZIP, Hostile

ROOT = Path(__file__).parents[3]
CASES = [
    case
    for module in (names, bombs, endless, archives, safetensors_files)
    for case in module.cases()
]
GOOD = {
    "paddle": GOOD_BARE,
    "zip": GOOD_ZIP,
    "legacy": GOOD_LEGACY,
    "safetensors": safetensors_files.GOOD,
}
MEBIBYTE = 1 << 20

# Reads every file of a folder while a hook watches what Python does, and with little memory to spare.
CHILD = """
import json, os, sys, time
from pathlib import Path
from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_infer.errors import CheckpointError
try:
    import resource
except ImportError:
    resource = None

folder, warm = Path(sys.argv[1]), Path(sys.argv[2])
for file in sorted(warm.iterdir()):
    read_checkpoint(file)
try:
    read_checkpoint(warm)
except CheckpointError:
    pass
watching, events = False, []
HARMLESS = {"builtins.id", "open", "mmap.__new__", "os.listdir", "os.scandir", "object.__getattr__", "sys._getframe"}

def hook(event, arguments):
    if not watching:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        events.append(f"open for writing: {arguments[0]}")
    elif event not in HARMLESS:
        events.append(event)

def limit(size):
    if resource and Path("/proc/self/statm").exists():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2 * size + (64 << 20), hard))

sys.addaudithook(hook)
modules = set(sys.modules)
found = {}
for file in sorted(folder.iterdir()):
    limit(file.stat().st_size)
    begin, events, outcome = time.process_time(), [], "read"
    watching = True
    try:
        read_checkpoint(file)
    except CheckpointError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = "ESCAPED " + repr(error)
    watching = False
    found[file.name] = [outcome, time.process_time() - begin, events]
json.dump([found, sorted(set(sys.modules) - modules)], sys.stdout)
"""


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    folder, warm = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("good")
    for index, case in enumerate(CASES):
        (folder / f"{index:04}").write_bytes(case.data)
    for name, data in GOOD.items():
        (warm / name).write_bytes(data)
    path = os.pathsep.join([str(ROOT), str(ROOT / "export")])
    # One thread of linear algebra: each would take address space that is counted here.
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(warm)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, modules = json.loads(done.stdout)
    yield found, modules


@pytest.mark.parametrize(
    ("index", "case"), list(enumerate(CASES)), ids=[case.name for case in CASES]
)
def test_a_hostile_file_is_refused_at_once_and_does_nothing(
    index: int, case: Hostile, outcomes: tuple[dict[str, Any], list[str]]
) -> None:
    message, seconds, events = outcomes[0][f"{index:04}"]
    assert not events
    assert message != "read"
    assert not message.startswith("ESCAPED")
    assert "MemoryError" not in message
    assert all(word in message for word in case.finds), message
    assert len(message) < 20_000
    assert seconds < 1


def test_reading_hostile_files_imports_no_module(
    outcomes: tuple[dict[str, Any], list[str]],
) -> None:
    assert outcomes[1] == []


def test_there_are_more_than_150_different_hostile_files() -> None:
    assert len({case.data for case in CASES}) > 150
    assert len({case.name for case in CASES}) == len(CASES)


def test_no_hostile_file_is_refused_by_the_net_for_unforeseen_errors(
    outcomes: tuple[dict[str, Any], list[str]],
) -> None:
    unforeseen = [
        f"{CASES[int(index)].name}: {message}"
        for index, (message, _, _) in outcomes[0].items()
        if "reading it ended in" in message
    ]
    assert unforeseen == []


@pytest.mark.parametrize("kind", GOOD)
def test_the_file_that_the_hostile_ones_are_made_from_is_read(kind: str, tmp_path: Path) -> None:
    file = tmp_path / kind
    file.write_bytes(GOOD[kind])
    assert len(read_checkpoint(file)) == 1
