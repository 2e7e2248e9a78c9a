import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark_reports import STAMP, report, row, slower
from command_line import EMBEDDED, fastfcn
from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.benchmark import measure as module
from fastfcn_infer.benchmark.measure import Candidate, ColdStart
from fastfcn_infer.benchmark.report import Report, read_report, write_report
from fastfcn_infer.benchmark.workload import Case
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_infer.runtime import opening
from fastfcn_infer.runtime.backend import Backend, Noted, open_backend
from fastfcn_infer.system import record

FOUND = report(row("one"), row("two", batch=4))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Measures nothing: remembers what was asked for and finds `FOUND`."""
    given: dict[str, Any] = {}

    def fake(candidates: list[Candidate], cases: list[Case], **options: Any) -> Report:
        given.update(
            options,
            cases=cases,
            names=[(each.name, each.facts.backend) for each in candidates],
            threads={each.facts.threads for each in candidates},
        )
        return FOUND

    monkeypatch.setattr(module, "measure", fake)
    return given


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["benchmark", *map(str, words)])
    return code, *capsys.readouterr()


def base(folder: Path, found: Report) -> Path:
    path = folder / "base.json"
    path.write_text(write_report(found, "json"))
    return path


def test_sizes_batches_and_runtimes_are_lists(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any]
) -> None:
    pytest.importorskip("openvino")
    words = ["--size", "480x480,512x1024", "--batch", "1,4", "--seconds", "2", "--threads", "1"]
    code, _, err = run(capsys, EMBEDDED, *words, "--backend", "onnx_runtime,open_vino")
    assert (code, err) == (0, "")
    assert seen["cases"] == [
        Case((480, 480), 1),
        Case((480, 480), 4),
        Case((512, 1024), 1),
        Case((512, 1024), 4),
    ]
    name = "fastfcn-resnet18-camvid"
    assert seen["names"] == [(name, "onnx_runtime"), (name, "open_vino")]
    assert seen["seconds"] == 2.0
    assert seen["threads"] == {1}


def test_scenarios_and_precisions_are_lists_and_have_counts_of_their_own(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any]
) -> None:
    words = ["--scenario", "single,batch,stream,folder", "--size", "48x64", "--count", "20"]
    code, _, err = run(
        capsys, EMBEDDED, *words, "--backend", "onnx_runtime", "--precision", "fp32,auto"
    )
    assert (code, err) == (0, "")
    size = (48, 64)
    assert seen["cases"] == [
        Case(size, 1),
        Case(size, 8, "batch"),
        Case(size, 20, "stream"),
        Case(size, 20, "folder"),
    ]
    assert len(seen["names"]) == 1  # fp32 is what auto is


def test_a_precision_that_one_runtime_lacks_is_left_out_there_and_said(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_as_asked(name: str, artifact: Artifact, *, precision: str, **_: Any) -> Backend:
        if (name, precision) in {("a", "bf16"), ("c", "fp32"), ("c", "bf16")}:
            raise DeviceUnavailable(f"{name} has no {precision}")
        found = open_backend("onnx_runtime", artifact, device="cpu", threads=1)
        noted = Noted(found, ())
        noted.facts = replace(found.facts, backend=name, precision=precision)
        return noted

    monkeypatch.setattr(opening, "open_as_asked", open_as_asked)
    words: list[str | Path] = [EMBEDDED, "--precision", "fp32,bf16"]
    said = "fastfcn-resnet18-camvid in a and bf16 is left out: a has no bf16"
    with pytest.warns(RuntimeWarning, match=said):
        assert run(capsys, *words, "--backend", "a,b")[0] == 0
    assert [backend for _, backend in seen["names"]] == ["a", "b", "b"]
    seen.clear()
    for backends in ("a", "b,c"):  # what would not be measured at all
        assert run(capsys, *words, "--backend", backends)[0] == 5
    assert seen == {}


def test_a_report_is_written_to_a_file_as_a_page_too(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    page, data = tmp_path / "new" / "report.html", tmp_path / "report.json"
    code, out, err = run(capsys, EMBEDDED, "--format", "html", "-o", page)
    assert (code, out, err) == (0, "", "")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert run(capsys, EMBEDDED, "--format", "json", "-o", data)[:2] == (0, "")
    assert read_report(data.read_bytes()) == FOUND


def test_two_exports_of_one_name_keep_their_paths(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any]
) -> None:
    lone = EMBEDDED / "model.onnx"
    assert run(capsys, EMBEDDED, lone, "--backend", "onnx_runtime")[0] == 0
    assert [name for name, _ in seen["names"]] == [str(EMBEDDED), str(lone)]


def test_one_graph_in_one_runtime_is_measured_once(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any]
) -> None:
    assert run(capsys, EMBEDDED, "--backend", "onnx_runtime,onnx_runtime")[0] == 0
    assert len(seen["names"]) == 1


def test_each_format_reads_back(capsys: pytest.CaptureFixture[str], seen: dict[str, Any]) -> None:
    for words in (["--json"], ["--format", "json"], ["--json", "--format", "csv"]):
        code, out, err = run(capsys, EMBEDDED, *words)
        assert (code, err) == (0, "")
        assert read_report(out) == FOUND
    _, out, _ = run(capsys, EMBEDDED, "--format", "csv")
    assert [line["model"] for line in csv.DictReader(io.StringIO(out))] == ["one", "two"]
    _, out, _ = run(capsys, EMBEDDED, "--format", "md")
    assert out.startswith("| model | backend |")
    _, out, _ = run(capsys, EMBEDDED)
    assert out.startswith("model ")


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_slower_than_the_base_is_exit_code_7_and_names_the_rows(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any], tmp_path: Path, form: str
) -> None:
    path = base(tmp_path, slower(FOUND, 0.9))
    code, out, err = run(capsys, EMBEDDED, "--compare", path, "--format", form)
    assert code == 7
    if form == "json":
        comparison = read_report(out).comparison
        assert comparison is not None
        assert {change.measure for change in comparison.regressed} == {"network", "end_to_end"}
        text = "\n".join(change.row for change in comparison.regressed)
    else:
        text = err if form == "csv" else out
        assert f"slower than {path}" in text
        assert "+11.1%" in text
    assert "one in onnx_runtime, 480x640, batch 1, 2 threads" in text
    assert "two in onnx_runtime, 480x640, batch 4, 2 threads" in text
    if form == "csv":
        assert len(list(csv.DictReader(io.StringIO(out)))) == 2


@pytest.mark.parametrize(
    ("allowed", "code"), [("5%", 7), ("5", 7), ("11.2%", 0), ("12", 0), ("11.1%", 7)]
)
def test_what_may_be_slower_is_a_percentage(
    capsys: pytest.CaptureFixture[str],
    seen: dict[str, Any],
    tmp_path: Path,
    allowed: str,
    code: int,
) -> None:
    path = base(tmp_path, slower(FOUND, 0.9))
    assert run(capsys, EMBEDDED, "--compare", path, "--max-regress", allowed)[0] == code


def test_as_fast_as_the_base_is_fine(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any], tmp_path: Path
) -> None:
    code, out, _ = run(capsys, EMBEDDED, "--compare", base(tmp_path, FOUND))
    assert code == 0
    assert "2 rows compared" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "480"], "--size 480: height x width"),
        (["--size", "0x480"], "--size 0x480"),
        (["--size", "480x480,"], "--size :"),
        (["--size", "99999999x99999999"], "--size 99999999x"),
        (["--batch", "0"], "--batch 0"),
        (["--batch", "1,x"], "--batch x"),
        (["--seconds", "0"], "0.0 seconds"),
        (["--seconds", "nan"], "nan seconds"),
        (["--seconds", "inf"], "inf seconds"),
        (["--max-regress", "-5%"], "expected one argument"),
        (["--max-regress", "lots"], "--max-regress lots: a percentage"),
        (["--threads", "0"], "threads is 0"),
        (["--format", "xml"], "invalid choice"),
        (["--compare", "gone.json"], "gone.json"),
        (["--scenario", "burst"], "scenario 'burst' is unknown"),
        (["--scenario", "single,"], "scenario '' is unknown"),
        (["--precision", "fp32,int3"], "int3"),
        (["--count", "0"], "--count 0"),
        (["--images", "gone"], "gone: no such file or folder"),
        (["--images", ".", "--size", "64x64"], "leave out --size"),
        (
            ["--scenario", "stream", "--batch", "4"],
            "--batch is for the scenarios single and batch",
        ),
        (["--format", "html"], "--format html needs -o FILE.html"),
        (["-o", "."], "-o . is a folder"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any], words: list[str], message: str
) -> None:
    code, out, err = run(capsys, EMBEDDED, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert seen == {}


def test_a_base_that_is_no_report_or_has_no_such_row_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any], tmp_path: Path
) -> None:
    path = base(tmp_path, report(row("another")))
    code, _, err = run(capsys, EMBEDDED, "--compare", path)
    assert code == 2
    assert "has none of the rows that were measured, so there is nothing to compare" in err
    assert "It has another in" in err
    path.write_text("{}")
    seen.clear()
    code, _, err = run(capsys, EMBEDDED, "--compare", path)
    assert code == 2
    assert f"--compare {path}: a report that `fastfcn benchmark --format json` wrote" in err
    assert "rows: missing" in err
    assert seen == {}


def test_a_runtime_that_is_unknown_is_a_wrong_argument(
    capsys: pytest.CaptureFixture[str], seen: dict[str, Any]
) -> None:
    code, _, err = run(capsys, EMBEDDED, "--backend", "onnx_runtime,frob")
    assert code == 2
    assert "'frob' is unknown" in err


def test_the_embedded_model_is_measured_for_real(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "environment", lambda threads: STAMP)
    monkeypatch.setattr(module, "cold_start", lambda request: ColdStart(1.0, None))
    code, out, _ = run(capsys, EMBEDDED, "--size", "64x64", "--seconds", "0.01", "--json")
    assert code == 0
    (found,) = record.from_json(Report, out).rows
    assert found.end_to_end.runs >= 5
    assert found.end_to_end.median > found.network.median > 0


def test_from_a_shell_with_everything() -> None:
    words = ["--size", "48x64", "--seconds", "0.05", "--threads", "1", "--json"]
    ended = fastfcn("benchmark", EMBEDDED, *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    data = json.loads(ended.stdout)
    assert data["environment"]["matrix_product_gflops"] > 0
    assert data["rows"][0]["cold_start_seconds"] > 0
    assert data["rows"][0]["size"] == [48, 64]
