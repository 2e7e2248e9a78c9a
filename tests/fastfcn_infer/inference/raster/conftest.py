"""A small model for the tests of rasters."""

from collections.abc import Iterator

import pytest

from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segmenter]:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    tiny_artifact(folder, tiny_model(7))
    with Segmenter.from_pretrained(folder, threads=1, backend="onnx_runtime") as opened:
        yield opened
