"""The benchmark of Joint Pyramid Upsampling: what it counts, and that it runs."""

import json
from pathlib import Path
from typing import Any

import pytest

import networks
from benchmarks import jpu
from benchmarks.jpu_stages import by_part
from benchmarks.random_checkpoint import Network
from benchmarks.readme_table import jpu_tables

PAIRS = jpu.pairs()


@pytest.mark.parametrize("name", PAIRS)
def test_the_forms_of_a_pair_differ_in_what_the_jpu_replaces_only(name: str) -> None:
    dilated, with_jpu = (
        jpu.multiply_adds(PAIRS[name].networks[form], 512) for form in (jpu.DILATED, jpu.JPU)
    )
    for part in ("backbone.stem", "backbone.stage1", "backbone.stage2"):
        assert dilated[part] == with_jpu[part]
    # c2, c3 and c4 of 512, 1024 and 2048 channels at strides 8, 16 and 32.
    assert with_jpu["jpu"] == 512 * 9 * (64**2 * 512 + 32**2 * 1024 + 16**2 * 2048)
    assert with_jpu["jpu.branch"] == 4 * 64**2 * 1536 * (9 + 512)
    # Behind its JPU the original EncNet has a 1x1 convolution where there was a 3x3.
    smaller = 64**2 * 2048 * 512 * 8 if name.startswith("encnet") else 0
    assert dilated["head"] - with_jpu["head"] == smaller


def test_what_the_document_says_about_multiply_adds_is_true() -> None:
    ratios, rates = {}, {}
    for name, pair in PAIRS.items():
        totals = {f: sum(jpu.multiply_adds(net, 512).values()) for f, net in pair.networks.items()}
        ratios[name] = round(totals[jpu.DILATED] / totals[jpu.JPU], 1)
        if pair.published is not None:
            without, with_jpu = pair.published
            rates[name] = with_jpu * totals[jpu.JPU] / (without * totals[jpu.DILATED])
    assert ratios["encnet_resnet50"] == 2.3
    assert ratios["mmseg_encnet_resnet50"] == 1.5
    assert ratios["psp_resnet50"] == ratios["deeplab_resnet50"] == 1.4
    assert round(rates["encnet_resnet50"], 2) == 0.87
    assert round(rates["mmseg_encnet_resnet50"], 2) == 0.5
    assert max(ratios.values()) == ratios["encnet_resnet101"] == 2.7


def test_a_figure_without_a_layers_name_belongs_to_the_layer_before() -> None:
    found = by_part(
        [
            ("reorder_backbone.stem.0.conv", 1.0),
            ("backbone.stage3.1.conv1", 2.0),
            ("", 4.0),
            ("jpu.p3.conv", 8.0),
            ("joined", 16.0),
            ("jpu.branch0.depthwise.conv", 32.0),
            ("head.gate", 64.0),
        ]
    )
    assert found == {
        "backbone.stem": 1,
        "backbone.stage3": 6,
        "jpu": 24,
        "jpu.branch": 32,
        "head": 64,
    }


def test_a_pair_is_measured_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    small = {
        form: Network(*networks.CASES[case])
        for form, case in ((jpu.DILATED, "wuhuikai_encnet_no_jpu"), (jpu.JPU, "wuhuikai_encnet"))
    }
    pair = jpu.Pair(small, (2.0, 3.0), staged=True)
    monkeypatch.setattr(jpu, "pairs", lambda: {"encnet_resnet50": pair})
    memory = {"opened": 1_000_000, "peak": 7_000_000}
    monkeypatch.setattr(jpu, "peak_memory", lambda *_: memory)  # each is a process of its own
    path = tmp_path / "jpu.json"
    assert jpu.main(["--rounds", "2", "--size", "64", "--output", str(path)]) == 0
    found: dict[str, Any] = json.loads(path.read_text())
    (row,) = found["rows"]
    assert row["ratios"]["open_vino"]["turns"] == row["ratios"]["onnx_runtime"]["turns"] == 2
    times = row["seconds_by_part"]["jpu open_vino"]
    assert set(times) == set(row["multiply_adds_by_part"]["jpu"])
    assert min(times.values()) > 0
    table = jpu_tables(tmp_path)
    assert "| 7 -> 7 | 2.0 -> 3.0 | 1.50 x |" in table
    assert (
        table.count(f"{row['multiply_adds_ratio']:.2f} x") >= 2
    )  # of the pair, and of all its parts
