"""A job that is killed again and again ends with what a clean run gives; nothing is done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.cli.job_record import JobRecord
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import WriteError
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact

MADE_BY = {"model": "tiny", "model_sha256": "0", "procedure": "whole"}
COUNT = 40


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "in").mkdir()
    for index in range(COUNT):
        picture = np.random.default_rng(index).integers(0, 256, (40, 50, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "in" / f"{index:02}.png"), picture)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(output: str) -> list[str]:
    kinds = ["--save", "labels,overlay", "--resume", f"{output}.jsonl"]
    return ["predict", "in", "-o", output, "-m", "tiny", "--threads", "1", *kinds]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sources(record: Path) -> list[str]:
    return [json.loads(line)["source"] for line in record.read_text().splitlines()[1:]]


@pytest.mark.slow  # it starts the command a dozen times
def test_a_job_killed_many_times_ends_as_a_clean_run_and_does_nothing_twice(here: Path) -> None:
    assert main(words("clean")) == 0
    record = here / "killed.jsonl"
    command = [sys.executable, "-m", "fastfcn_infer", *words("killed")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    kills, written = 0, 0
    while True:
        job = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while job.poll() is None:
            if record.exists() and len(record.read_bytes().splitlines()) > written + 4:
                job.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        if job.wait() == 0:
            break
        kills, written = kills + 1, len(record.read_bytes().splitlines())
    assert kills >= 5
    assert content(here / "killed") == content(here / "clean")
    assert sorted(sources(record)) == sorted(sources(here / "clean.jsonl"))
    assert len(set(sources(record))) == COUNT


def test_what_a_record_has_is_skipped_and_a_changed_picture_is_looked_at_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words("out"), "--quiet"]) == 0
    for path in (here / "out").iterdir():
        path.unlink()
    assert main([*words("out"), "--json"]) == 0
    statuses = [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()]
    assert statuses == ["exists"] * COUNT
    assert list((here / "out").iterdir()) == []
    cv2.imwrite("in/07.png", np.zeros((40, 50, 3), np.uint8))
    assert main([*words("out"), "--quiet"]) == 0
    assert sorted(content(here / "out")) == ["07_labels.png", "07_overlay.jpg"]


def test_a_line_that_was_cut_off_is_dropped(here: Path) -> None:
    source = here / "in" / "00.png"
    with JobRecord(here / "r", MADE_BY, ["labels"]) as record:
        record.add(source, {"source": "in/00.png", "status": "done"})
    before = (here / "r").read_bytes()
    (here / "r").write_bytes(before + b'{"source": "in/01.pn')
    with JobRecord(here / "r", MADE_BY, ["labels"]) as record:
        assert record.has(source)
        assert not record.has(here / "in" / "01.png")
    assert (here / "r").read_bytes() == before


@pytest.mark.parametrize(
    "damage", [b'{"source": "in/0', b"\0\0\0\0", b"[]", b'{"file": "in/00.png"}']
)
def test_a_damaged_line_costs_its_own_picture_only(damage: bytes, here: Path) -> None:
    pictures = [here / "in" / f"0{number}.png" for number in range(3)]
    with JobRecord(here / "r", MADE_BY, ["labels"]) as record:
        for path in pictures:
            record.add(path, {"source": str(path), "status": "done"})
    lines = (here / "r").read_bytes().split(b"\n")
    lines[2] = damage
    (here / "r").write_bytes(b"\n".join(lines))
    with (
        pytest.warns(RuntimeWarning, match=r"r has damaged lines, 3; their pictures"),
        JobRecord(here / "r", MADE_BY, ["labels"]) as record,
    ):
        assert [record.has(path) for path in pictures] == [True, False, True]


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_two_runs_do_not_share_a_record(here: Path) -> None:
    with JobRecord(here / "r", MADE_BY, ["labels"]):
        before = (here / "r").read_bytes()
        with pytest.raises(WriteError, match="another run of fastfcn predict uses it"):
            JobRecord(here / "r", MADE_BY, ["labels"])
    assert (here / "r").read_bytes() == before
    with JobRecord(here / "r", MADE_BY, ["labels"]):
        pass


def test_results_of_a_picture_that_was_changed_are_made_again_and_others_stay(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words("out"), "--quiet"]) == 0
    before = content(here / "out")
    cv2.imwrite("in/07.png", np.zeros((40, 50, 3), np.uint8))
    os.utime("in/08.png")  # a copy of the folder, say
    assert main([*words("out"), "--json"]) == 0
    statuses = [json.loads(line)["status"] for line in capsys.readouterr().out.splitlines()]
    assert [index for index, status in enumerate(statuses) if status == "done"] == [7]
    after = content(here / "out")
    changed = sorted(name for name in before if after[name] != before[name])
    assert changed == ["07_labels.png", "07_overlay.jpg"]
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        expected = segmenter("in/07.png").labels
    assert np.array_equal(np.asarray(Image.open("out/07_labels.png")), expected)


def test_a_failed_picture_is_not_recorded(here: Path) -> None:
    source = here / "in" / "00.png"
    with JobRecord(here / "r", MADE_BY, ["labels"]) as record:
        record.add(source, {"source": "in/00.png", "status": "failed", "error": "x"})
        assert not record.has(source)


@pytest.mark.parametrize(
    ("made_by", "kinds", "said"),
    [
        ({**MADE_BY, "model": "other"}, ["labels"], "model tiny, now other"),
        ({**MADE_BY, "procedure": "tiles"}, ["labels"], "procedure whole, now tiles"),
        (MADE_BY, ["json", "labels"], "results .*, now"),
        ({**MADE_BY, "every": "2"}, ["labels"], r"frames between \(--every\) 1, now 2"),
    ],
)
def test_the_record_of_another_job_is_refused(
    made_by: dict[str, str], kinds: list[str], said: str, tmp_path: Path
) -> None:
    with JobRecord(tmp_path / "r", MADE_BY, ["labels"]):
        pass
    before = (tmp_path / "r").read_bytes()
    with pytest.raises(ValueError, match=f"is the record of another job: .*{said}"):
        JobRecord(tmp_path / "r", made_by, kinds)
    with pytest.raises(
        ValueError, match=r"another job: folder of the results .*, now .*elsewhere"
    ):
        JobRecord(tmp_path / "r", MADE_BY, ["labels"], tmp_path / "elsewhere")
    assert (tmp_path / "r").read_bytes() == before


@pytest.mark.parametrize(
    "data", [b"text\n", b"{}\n", b"[1]\n", b"no line", b'{"format": 3}\n{}\n']
)
def test_a_file_that_is_no_record_is_refused_and_kept(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "r").write_bytes(data)
    with pytest.raises(ValueError, match="is not a record of fastfcn predict"):
        JobRecord(tmp_path / "r", MADE_BY, ["labels"])
    assert (tmp_path / "r").read_bytes() == data
