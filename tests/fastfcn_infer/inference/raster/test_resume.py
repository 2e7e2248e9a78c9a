import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from command_line import SEARCH_PATH
from fastfcn_infer import ImageError, Procedure, Segmenter, Windows
from fastfcn_infer.inference.cost import RuntimeProfile
from fastfcn_infer.inference.raster import journal, memory
from fastfcn_infer.inference.raster.journal import Progress, Run
from models import tiny_artifact, tiny_model
from rasters import PLACE, names_in, photograph, write_tiff

SMALL = Procedure(windows=Windows(64, 40), mirror="horizontal")
RUN = Run("a file", None, (100, 30), "tiny", "0" * 64, SMALL, 8, {"backend": "one"}, "1")
UNFINISHED = ".labels.tif.unfinished"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny", tiny_model(7))
    write_tiff(tmp_path / "map.tif", photograph(700, 300), photometric="rgb", **PLACE)
    (tmp_path / "out").mkdir()
    return tmp_path


@pytest.fixture
def segmenter(here: Path) -> Iterator[Segmenter]:
    with Segmenter.from_pretrained(here / "tiny", threads=1) as opened:
        yield opened


class StopError(Exception):
    """The run ends here."""


def stop_after(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    append = journal.Progress.append

    def stopping(self: Progress, labels: NDArray[Any]) -> None:
        append(self, labels)
        if self.rows >= rows:
            raise StopError

    monkeypatch.setattr(journal.Progress, "append", stopping)


def begin(segmenter: Segmenter, here: Path, rows: int = 300) -> None:
    """Label a part of the raster."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(rows, patch)
        with pytest.raises(StopError):
            segmenter.predict_raster(here / "map.tif", here / "out" / "labels.tif", SMALL)
    assert names_in(here / "out") == [UNFINISHED]


def test_an_interrupted_run_continues_with_the_same_bytes(
    segmenter: Segmenter, here: Path
) -> None:
    clean = segmenter.predict_raster(here / "map.tif", here / "clean.tif", SMALL)
    assert clean.resumed == 0
    begin(segmenter, here)
    found = segmenter.predict_raster(here / "map.tif", here / "out" / "labels.tif", SMALL)
    assert 300 <= found.resumed < 700
    assert found.path.read_bytes() == clean.path.read_bytes()
    assert found.areas() == clean.areas()
    assert names_in(here / "out") == ["labels.tif"]


def test_rows_that_the_journal_does_not_know_are_written_again(
    segmenter: Segmenter, here: Path
) -> None:
    clean = segmenter.predict_raster(here / "map.tif", here / "clean.tif", SMALL)
    begin(segmenter, here)
    with (here / "out" / UNFINISHED / "labels").open("ab") as file:
        file.write(b"\x05" * 12345)  # killed between the labels and the journal
    found = segmenter.predict_raster(here / "map.tif", here / "out" / "labels.tif", SMALL)
    assert found.resumed >= 300
    assert found.path.read_bytes() == clean.path.read_bytes()


@pytest.mark.parametrize("what", ["procedure", "source", "model", "batch"])
def test_labels_of_something_else_are_not_used(
    what: str, segmenter: Segmenter, here: Path
) -> None:
    begin(segmenter, here)
    target, procedure = here / "out" / "labels.tif", SMALL
    if what == "procedure":
        procedure = replace(SMALL, mirror="none")
    elif what == "source":
        write_tiff(here / "map.tif", photograph(700, 300, seed=1), photometric="rgb", **PLACE)
    with pytest.warns(RuntimeWarning, match=rf"not used.*{what}") as caught:
        if what == "model":
            tiny_artifact(here / "other", replace(tiny_model(7), align_corners=True))
            with Segmenter.from_pretrained(here / "other", threads=1) as other:
                found = other.predict_raster(here / "map.tif", target, procedure)
        elif what == "batch":
            with pytest.MonkeyPatch.context() as patch:
                profile = RuntimeProfile(batch=4)
                patch.setattr(segmenter._planner, "profile", profile)
                found = segmenter.predict_raster(here / "map.tif", target, procedure)
        else:
            found = segmenter.predict_raster(here / "map.tif", target, procedure)
    assert len(caught) == 1
    assert found.resumed == 0
    assert names_in(here / "out") == ["labels.tif"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": 1}', b"\xff" * 99])
def test_a_damaged_journal_is_not_used(content: bytes, segmenter: Segmenter, here: Path) -> None:
    begin(segmenter, here)
    (here / "out" / UNFINISHED / "journal.json").write_bytes(content)
    with pytest.warns(RuntimeWarning, match="is damaged"):
        found = segmenter.predict_raster(here / "map.tif", here / "out" / "labels.tif", SMALL)
    assert found.resumed == 0


@pytest.mark.parametrize("rows", [-1, 50, 10**6])
def test_a_journal_that_does_not_fit_its_labels_is_not_used(rows: int, tmp_path: Path) -> None:
    with Progress(tmp_path / "a.tif", RUN, np.uint8) as kept:
        kept.append(np.ones((40, 30), np.uint8))
        path = kept.folder / "journal.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": rows}))
    with (
        pytest.warns(RuntimeWarning, match="does not fit"),
        Progress(tmp_path / "a.tif", RUN, np.uint8) as kept,
    ):
        assert kept.rows == 0


def test_a_name_may_be_as_long_as_the_file_system_allows(segmenter: Segmenter, here: Path) -> None:
    target = here / "out" / f"{'x' * 251}.tif"
    segmenter.predict_raster(here / "map.tif", target, SMALL)
    assert names_in(here / "out") == [target.name]


def test_nothing_is_left_of_a_run_that_kept_nothing(tmp_path: Path) -> None:
    with Progress(tmp_path / "a.tif", RUN, np.uint8) as kept:
        assert names_in(tmp_path) == [kept.folder.name]
    assert names_in(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_two_runs_of_one_target_do_not_mix(tmp_path: Path) -> None:
    with (
        Progress(tmp_path / "a.tif", RUN, np.uint8),
        pytest.raises(OSError, match="another process is labelling"),
    ):
        Progress(tmp_path / "a.tif", RUN, np.uint8)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_computed(tmp_path: Path) -> None:
    huge = replace(RUN, size=(1 << 20, 1 << 30))
    with pytest.raises(OSError, match="MiB of free space"):
        Progress(tmp_path / "a.tif", huge, np.uint8)
    assert names_in(tmp_path) == []


def test_a_target_that_cannot_be_written_keeps_the_labels(
    segmenter: Segmenter, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = here / "out" / "labels.tif"
    target.write_bytes(b"older")
    with monkeypatch.context() as patch:

        def refused(*_: object) -> None:
            raise OSError("no space left")

        patch.setattr("fastfcn_infer.inference.raster.target._check", refused)
        with pytest.raises(OSError, match="no space left"):
            segmenter.predict_raster(here / "map.tif", target, SMALL)
    assert target.read_bytes() == b"older"
    assert names_in(here / "out") == [UNFINISHED, "labels.tif"]
    found = segmenter.predict_raster(here / "map.tif", target, SMALL)
    assert found.resumed == 700  # only written


CHILD = """
import sys
from pathlib import Path
from fastfcn_infer import Procedure, Segmenter, Windows
from fastfcn_infer.inference.raster import memory
here = Path(sys.argv[1])
if sys.argv[2] == "strips":
    memory._layouts = lambda best, views, width: [(best, 512)]
procedure = Procedure(windows=Windows(64, 40), mirror="horizontal")
with Segmenter.from_pretrained(here / "tiny", threads=1, backend="onnx_runtime") as segmenter:
    print("ready", flush=True)
    found = segmenter.predict_raster(here / "map.tif", here / "out" / "labels.tif", procedure)
    print(found.resumed, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are killed by a signal")
@pytest.mark.slow  # starts a process for each of 20 kills and more
@pytest.mark.parametrize("division", ["bands", "strips"])
def test_a_run_that_is_killed_twenty_times_writes_the_bytes_of_a_clean_one(
    division: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if division == "strips":
        monkeypatch.setattr(memory, "_layouts", lambda best, views, width: [(best, 512)])
    with Segmenter.from_pretrained(here / "tiny", threads=1, backend="onnx_runtime") as segmenter:
        path = write_tiff(here / "map.tif", photograph(3000, 900), photometric="rgb", **PLACE)
        began = time.monotonic()
        clean = segmenter.predict_raster(path, here / "clean.tif", SMALL).path.read_bytes()
        usual = time.monotonic() - began
    target, seed = here / "out" / "labels.tif", random.Random(5)
    kills, resumed = 0, set()
    while kills < 20:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(here), division],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SEARCH_PATH},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(seed.random() * usual / 4)
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.wait()
        child.stdout.close()
        if rest:  # it was quicker
            resumed.add(int(rest))
            assert target.read_bytes() == clean
            target.unlink()
        else:
            assert not target.exists() or target.read_bytes() == clean
            kills += 1
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(here), division],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": SEARCH_PATH},
    )
    resumed.add(int(done.stdout.split()[1]))
    assert max(resumed) > 0
    assert target.read_bytes() == clean
    assert names_in(here / "out") == ["labels.tif"]


def test_a_raster_that_cannot_be_read_leaves_nothing(segmenter: Segmenter, here: Path) -> None:
    (here / "map.tif").write_bytes((here / "map.tif").read_bytes()[:3000])
    with pytest.raises(ImageError):
        segmenter.predict_raster(here / "map.tif", here / "out" / "labels.tif", SMALL)
    assert names_in(here / "out") == []
