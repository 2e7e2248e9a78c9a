"""Groups of classes and certain pixels in rasters: as in pictures, band by band and strip by strip."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_infer import Procedure, Segmenter, Windows
from rasters import labels_of, open_dataset, photograph, write_tiff

OPTIONS: dict[str, Any] = {"groups": {"odd": ["class 1", 3, 5]}, "min_confidence": 0.35}
WINDOWS = Windows(64, 40)


@pytest.mark.parametrize(
    "procedure",
    [
        Procedure(windows=WINDOWS),
        Procedure(windows=WINDOWS, merge="probabilities", mirror="vertical"),
        Procedure(windows=Windows(70, 30, "shift", "gaussian"), merge="exp"),
    ],
)
def test_a_raster_has_the_labels_names_and_colours_of_the_picture(
    procedure: Procedure, segmenter: Segmenter, tmp_path: Path
) -> None:
    picture = photograph(213, 321)
    source, target = write_tiff(tmp_path / "a.tif", picture), tmp_path / "labels.tif"
    found = segmenter.predict_raster(source, target, procedure, **OPTIONS)
    expected = segmenter.predict(picture, procedure, **OPTIONS)
    np.testing.assert_array_equal(labels_of(target), expected.labels)
    assert 0 < (expected.labels == 255).mean() < 1
    assert (found.names, found.nodata) == (expected.names, 255)
    assert found.areas() == expected.areas()
    with open_dataset(target) as dataset:
        assert dataset.nodata == 255
        assert json.loads(dataset.tags()["CLASS_NAMES"]) == list(expected.names)
        assert dataset.colormap(1)[1][:3] == tuple(expected.colors[1])
        made_by = json.loads(dataset.tags()["FASTFCN_PROVENANCE"])
    assert made_by["min_confidence"] == "0.35"
    assert made_by["groups"] == '{"odd": ["class 1", 3, 5]}'


def test_an_interrupted_raster_continues_with_the_same_options_only(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = photograph(400, 90)
    source, target = write_tiff(tmp_path / "a.tif", picture), tmp_path / "labels.tif"
    procedure = Procedure(windows=WINDOWS)
    run, calls = segmenter._backend.run, 0

    def interrupted(batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyboardInterrupt
        return run(batch)

    def begin(**options: Any) -> None:
        nonlocal calls
        calls = 0
        with monkeypatch.context() as patched:
            patched.setattr(segmenter._backend, "run", interrupted, raising=False)
            with pytest.raises(KeyboardInterrupt):
                segmenter.predict_raster(source, target, procedure, **options)

    begin()
    with pytest.warns(RuntimeWarning, match="min_confidence"):
        other = segmenter.predict_raster(source, target, procedure, **OPTIONS)
    assert other.resumed == 0
    target.unlink()
    begin(**OPTIONS)
    same = segmenter.predict_raster(source, target, procedure, **OPTIONS)
    assert same.resumed > 0
    expected = segmenter.predict(picture, procedure, **OPTIONS)
    np.testing.assert_array_equal(labels_of(target), expected.labels)


def test_what_does_not_fit_the_model_is_refused_before_the_raster_is_read(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="there is no class 'clas 1'; did you mean"):
        segmenter.predict_raster(tmp_path / "no.tif", tmp_path / "b.tif", groups={"a": "clas 1"})
