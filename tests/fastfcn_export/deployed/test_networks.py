"""Networks at their published widths, built, exported and run by PaddleSeg's own package.

Needs an environment with paddleseg 2.8 and what it imports (`deployed_maker.py` stands in for visualdl),
and paddle2onnx in it or on the PATH. The figures are printed by ``pytest -s``.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deployed_maker
from deployed_cases import CASES
from fastfcn_export import export
from fastfcn_export.target.onnx_emit import paddle2onnx_process
from fastfcn_infer import Segmenter
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.replay import replay
from fastfcn_infer.inference.views import plan

pytestmark = [
    pytest.mark.slow,  # builds, exports, converts and proves whole networks
    pytest.mark.skipif(
        not importlib.util.find_spec("paddleseg") or not paddle2onnx_process.available(),
        reason="needs the packages paddleseg and paddle2onnx",
    ),
]


@pytest.mark.parametrize("case", ["fastfcn", "pp_liteseg", "ocrnet", "segformer"])
def test_an_exported_network_labels_pictures_as_paddleseg_itself_does(
    tmp_path: Path, case: str
) -> None:
    maker = [sys.executable, deployed_maker.__file__, str(tmp_path), case]
    made = subprocess.run(maker, capture_output=True, env=os.environ, timeout=600, check=False)
    assert made.returncode == 0, made.stderr.decode(errors="replace")[-2000:]
    with np.load(tmp_path / case / "expected.npz") as data:
        expected = dict(data)

    manifest = export(tmp_path / case, tmp_path / "out")

    record = manifest.verification
    assert record is not None
    assert record.worst_difference < 1e-4
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        model, picture = segmenter.model, expected["picture"]
        views = plan(model.procedure, model.input.shape[1:], CASES[case].size)
        fed = prepare([(picture, view) for view in views], model.input, model.procedure.resize)[0]
        np.testing.assert_allclose(fed, expected["fed"], rtol=0, atol=1e-5)
        agreement = (segmenter.predict(picture).labels == expected["labels"]).mean()
        assert replay(segmenter).passed
    classes = np.unique(expected["labels"]).size
    print(  # noqa: T201 - the figures are asked for by -s
        f"\n{case}: {classes} classes in the picture, labels {agreement:.4%} equal to PaddleSeg's, "
        f"scores {record.worst_difference:.1e} from the program's"
    )
    assert classes > 5  # else equal labels would say little
    assert agreement > 0.999
