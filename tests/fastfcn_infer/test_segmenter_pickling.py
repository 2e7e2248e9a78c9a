"""A pickled or copied segmenter opens its model again, in this process or another, with the same options."""

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command_line import EMBEDDED, PHOTOGRAPH, python
from fastfcn_infer import ArtifactError, Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.runtime.backend import open_backend
from models import tiny_artifact


def through_pickle(segmenter: Segmenter) -> Segmenter:
    found = pickle.loads(pickle.dumps(segmenter))
    assert isinstance(found, Segmenter)
    return found


WAYS: list[Callable[[Segmenter], Segmenter]] = [through_pickle, copy.copy, copy.deepcopy]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_artifact(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_gives_equal_labels_with_the_same_options_and_outlives_the_original(
    here: Path, way: Callable[[Segmenter], Segmenter]
) -> None:
    with Segmenter.from_pretrained(
        "tiny", threads=1, backend="onnx_runtime", device="cpu"
    ) as segmenter:
        segmenter.procedure = replace(segmenter.procedure, kind="custom", mirror="horizontal")
        expected = segmenter(PHOTOGRAPH)
        again = way(segmenter)
    with again:
        found = again(PHOTOGRAPH)
        assert again is not segmenter
        assert (found.labels == expected.labels).all()
        assert found.provenance == expected.provenance
        assert (again.runtime, again.procedure) == (segmenter.runtime, segmenter.procedure)


def test_paths_hold_in_another_folder_and_names_stay_names(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"my {index}" for index in range(11)]
    classes = [{"name": name, "color": [index, 0, 0]} for index, name in enumerate(names)]
    (here / "mine.json").write_text(json.dumps(classes))
    (here / "camvid").mkdir()  # also the name of a class table
    shutil.copytree(EMBEDDED, "street")
    given = [
        Segmenter.from_pretrained("street", classes="mine.json", cache_dir="cache"),
        Segmenter.from_pretrained(Path("street") / "model.onnx", classes="camvid"),
        Segmenter.from_pretrained(threads=1, procedure="tiles"),
    ]
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    for segmenter in given:
        with segmenter, through_pickle(segmenter) as again:
            assert again.identity == segmenter.identity
            assert (again.names, again.procedure) == (segmenter.names, segmenter.procedure)
    assert list(given[0].names) == names


def test_another_process_opens_it_and_gives_the_same_labels(here: Path) -> None:
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        (here / "segmenter.pickle").write_bytes(pickle.dumps(segmenter))
        expected = segmenter(PHOTOGRAPH).labels
    (here / "elsewhere").mkdir()
    script = (
        "import pickle, sys, numpy\n"
        "segmenter = pickle.load(open('../segmenter.pickle', 'rb'))\n"
        "numpy.save('labels.npy', segmenter(sys.argv[1]).labels)"
    )
    ended = python("-c", script, PHOTOGRAPH, cwd=here / "elsewhere")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert (np.load(here / "elsewhere" / "labels.npy") == expected).all()


def test_a_model_that_is_gone_or_another_one_by_now_is_an_error_that_names_it(here: Path) -> None:
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        data = pickle.dumps(segmenter)
    shutil.rmtree("tiny")
    with pytest.raises(ArtifactError, match=f"{here / 'tiny'} does not exist"):
        pickle.loads(data)
    shutil.copytree(EMBEDDED, "tiny")
    with pytest.raises(ArtifactError, match=r"tiny was changed since the Segmenter was pickled"):
        pickle.loads(data)


def test_one_that_was_put_together_by_hand_says_how_to_go_on(here: Path) -> None:
    artifact = open_artifact(here / "tiny")
    backend = open_backend("onnx_runtime", artifact, device="cpu", threads=1)
    with Segmenter(artifact, backend) as segmenter:
        for way in WAYS:
            with pytest.raises(TypeError, match="open it in the process that uses it"):
                way(segmenter)
