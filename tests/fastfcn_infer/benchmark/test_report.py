import csv
import io
import json
from dataclasses import replace

import pytest

from benchmark_reports import report, row
from fastfcn_infer.benchmark.compare import compare
from fastfcn_infer.benchmark.report import FORMATS, comparison_lines, read_report, write_report

FOUND = report(row("one", seconds=0.1), row("two", seconds=0.25, batch=4))


def test_json_reads_back_equal_with_its_comparison_too() -> None:
    assert read_report(write_report(FOUND, "json")) == FOUND
    compared = replace(FOUND, comparison=compare(FOUND, FOUND, "base.json", 0.05))
    assert read_report(write_report(compared, "json")) == compared


def test_a_report_of_an_earlier_version_is_still_read_and_compared() -> None:
    data = json.loads(write_report(FOUND, "json"))
    assert set(data) == {"format_version", "environment", "seconds", "rows", "comparison"}
    for each in data["rows"]:
        assert not {"scenario", "images", "labels", "agreement", "distribution"} & set(each)
        for measure in ("end_to_end", "network"):
            del each[measure]["p50"]
    earlier = read_report(json.dumps(data))
    assert earlier.rows[0].end_to_end.p50 is None
    assert compare(FOUND, earlier, "base.json", 0.05).compared == 2


def test_csv_reads_back_with_every_number() -> None:
    first, second = csv.DictReader(io.StringIO(write_report(FOUND, "csv")))
    assert first["model"] == "one"
    assert first["size"] == "480x640"
    assert first["end_to_end.p90"] == ""
    assert float(first["ips"]) == pytest.approx(10.0)
    assert float(second["end_to_end.median"]) == pytest.approx(0.25)
    assert float(second["network.upper_quartile"]) == pytest.approx(0.225)
    assert float(second["stages.labels"]) == pytest.approx(0.015)
    assert int(second["batch"]) == 4
    assert int(second["peak_memory_bytes"]) == 123_000_000
    assert float(first["cold_start_seconds"]) == 1.25


def test_markdown_is_a_table_with_a_cell_for_every_column() -> None:
    named = report(row("a|b"), *FOUND.rows)
    table, _, notes = write_report(named, "md").partition("\n\n")
    lines = table.splitlines()
    assert len(lines) == 2 + 3
    columns = {line.replace("\\|", "").count("|") for line in lines}
    assert len(columns) == 1
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    shown = dict(zip(head, cells, strict=True))
    assert shown["model"] == "one"
    assert shown["ips"] == "10.00"
    assert shown["network ips"] == "11.11"
    assert shown["end to end ms"] == "100.0 [100.0 .. 100.0]"
    assert shown["G multiply-adds"] == "9.00"
    assert shown["of matrix product"] == "50%"
    assert shown["peak MB"] == "123"
    assert "a processor" in notes
    assert "load average 0.50" in notes
    assert "onnxruntime 1.20.0" in notes


def test_the_table_has_its_columns_under_each_other() -> None:
    lines = write_report(FOUND, "table").partition("\n\n")[0].splitlines()
    assert len(lines) == 3
    edge = lines[0].index("batch") + len("batch")
    assert [line[edge - 1] for line in lines[1:]] == ["1", "4"]


@pytest.mark.parametrize(("runs", "known"), [(4, 0), (5, 1), (63, 1), (64, 2), (662, 3)])
def test_percentiles_without_runs_enough_are_dashes_in_tables_and_missing_in_data(
    runs: int, known: int
) -> None:
    found = report(row(runs=runs))
    lines = write_report(found, "md").splitlines()
    head, cells = ([cell.strip() for cell in lines[at].split("|")] for at in (0, 2))
    shown = dict(zip(head, cells, strict=True))
    names = ("p50", "p90", "p99")
    assert [shown[name] for name in names] == ["100.0"] * known + ["-"] * (3 - known)
    assert all(name in write_report(found, "table").splitlines()[0] for name in names)
    (data,) = csv.DictReader(io.StringIO(write_report(found, "csv")))
    assert [bool(data.get(f"end_to_end.{name}")) for name in names] == [
        at < known for at in range(3)
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_not_known_is_written_as_such(form: str) -> None:
    unknown = replace(
        row(),
        multiply_adds=None,
        share_of_matrix_product=None,
        peak_memory_bytes=None,
        others_took=None,
    )
    text = write_report(report(unknown), form)
    assert "None" not in text
    if form == "json":
        assert json.loads(text)["rows"][0]["peak_memory_bytes"] is None


def test_a_file_that_is_no_report_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        read_report("x")
    data = json.loads(write_report(FOUND, "json"))
    del data["rows"][1]["network"]
    with pytest.raises(ValueError, match=r"rows\[1\]\.network: missing"):
        read_report(json.dumps(data))


def test_a_comparison_without_fault_says_how_much_was_compared() -> None:
    lines = comparison_lines(compare(FOUND, FOUND, "base.json", 0.05))
    assert lines == ["2 rows compared with base.json: none is more than 5% slower"]
