import json
import shutil
from dataclasses import replace
from pathlib import Path

from benchmark_reports import row
from benchmarks.readme_table import RESULTS, tables
from fastfcn_infer.system import record


def folder_with(tmp_path: Path, name: str, results: object) -> Path:
    folder = tmp_path / "results"
    shutil.copytree(RESULTS, folder)
    (folder / name).write_text(json.dumps(results))
    return folder


def test_runtimes_are_in_the_tables_once_they_were_measured(tmp_path: Path) -> None:
    rows = [
        replace(row(seconds=seconds, batch=batch), backend=backend, provider="CPU")
        for backend, seconds in (("onnx_runtime", 0.25), ("open_vino", 0.2))
        for batch in (1, 4)
    ]
    results = {
        "environment": {"versions": {"openvino": "2026.9"}},
        "rows": record.to_data(rows),
        "floor": {
            "seconds": {"open_vino": {"median": 0.2}},
            "ratios": {"open_vino_over_floor": {"median": 1.05}},
        },
        "targets": {"open_vino_over_floor": 1.12},
    }
    text = tables(folder_with(tmp_path, "runtimes.json", results))
    assert "| 480 x 640, batch 1 | 480 x 640, batch 4 | cold start, s | peak MB |" in text
    assert "| `onnx_runtime` (CPU) | 4.00 (4.44) | 16.00 (17.78) | 1.2 | 123 |" in text
    assert "| `open_vino` (CPU) | 5.00 (5.56) | 20.00 (22.22) | 1.2 | 123 |" in text
    assert "| network, OpenVINO 2026.9 | 0.200 | 1.05 x that floor" in text
    assert "| at most 1.12 x |" in text


def test_both_sides_in_paddle_inference_are_in_the_tables_once_they_were_measured(
    tmp_path: Path,
) -> None:
    peer = json.loads((RESULTS / "paddleseg_peer.json").read_text())
    peer["seconds"]["predict, our Paddle export"] = {"median": 0.5}
    peer["ratios"]["paddleseg_over_our_paddle"] = {"median": 7.5}
    peer["targets"]["paddleseg_over_our_paddle"] = 6.0
    peer["environment"]["versions"]["paddlepaddle"] = "3.9.9"
    text = tables(folder_with(tmp_path, "paddleseg_peer.json", peer))
    assert "our own export of the same weights, Paddle Inference 3.9.9 | 0.500 |" in text
    assert "| 7.5 x faster than theirs | at least 6.0 x |" in text
