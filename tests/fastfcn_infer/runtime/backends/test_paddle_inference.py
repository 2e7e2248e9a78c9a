import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import python
from fastfcn_infer.artifact.artifact import FORMATS, Artifact, open_artifact, seal
from fastfcn_infer.artifact.manifest import Source
from fastfcn_infer.errors import ArtifactError, BackendError, BackendMissing
from fastfcn_infer.runtime import paddle_settings
from fastfcn_infer.runtime.backends import paddle_inference
from fastfcn_infer.runtime.device import Device
from models import tiny_model, tiny_output
from paddle_models import PADDLE, tiny_paddle

if not PADDLE:
    pytest.skip("paddle not installed", allow_module_level=True)

CLASSES = 5
CPU = Device("cpu")
GRAPH, WEIGHTS = "paddle/inference.json", "paddle/inference.pdiparams"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_paddle(tmp_path / "tiny", tiny_model(CLASSES))
    seal(tmp_path / "tiny", tiny_model(CLASSES), Source("a.pdparams", 1, "0" * 64), None, {})
    return tmp_path / "tiny"


@pytest.fixture
def opened(folder: Path) -> Iterator[paddle_inference.PaddleInference]:
    opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=1)
    yield opened
    opened.close()


def picture(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def test_bfloat16_is_computed_by_onednn_and_is_near_float32(folder: Path) -> None:
    if paddle_inference.refusal("bf16") is not None:
        pytest.skip("this processor has no bfloat16")
    device = Device("cpu", rounding="bf16")
    opened = paddle_inference.open(open_artifact(folder), device=device, threads=1)
    assert (opened.facts.provider, opened.facts.precision) == ("CPU, oneDNN, bfloat16", "bf16")
    batch = picture(1, 3, 64, 96)
    expected = tiny_output(batch, CLASSES)
    difference = np.abs(opened.run(batch) - expected).max() / np.abs(expected).max()
    assert difference < 2e-2
    opened.close()


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


RUN = """
import sys
import numpy as np
from paddle import inference
from fastfcn_infer.runtime.backends import paddle_inference
graph, weights, batch, answer = sys.argv[1:]
config = inference.Config(graph, weights)
config.disable_glog_info()
config.disable_mkldnn()
found = paddle_inference._output(inference.create_predictor(config), np.load(batch))
np.save(answer, found)
"""


def test_paddle_itself_runs_cut_weights_and_answers_garbage(folder: Path, tmp_path: Path) -> None:
    """The reason for everything below; should it ever fail, Paddle has begun to look.

    It computes with what lies in memory. In this process that may be the weights of an earlier test, so
    another one runs it, whose memory glibc fills.
    """
    batch = picture(1, 3, 8, 8)
    np.save(tmp_path / "batch.npy", batch)
    cut(folder / WEIGHTS, 8)
    files = [folder / GRAPH, folder / WEIGHTS, tmp_path / "batch.npy", tmp_path / "answer.npy"]
    filled = {"MALLOC_PERTURB_": "165", "PYTHONWARNINGS": "ignore"}
    ended = python("-c", RUN, *files, env=filled)
    assert ended.returncode == 0, ended.stderr
    answer = np.load(tmp_path / "answer.npy")
    assert np.abs(answer - tiny_output(batch, CLASSES)).max() > 1e-3


@pytest.mark.parametrize("count", [1, 4, 8, 19])
def test_cut_weights_are_never_opened(folder: Path, count: int) -> None:
    cut(folder / WEIGHTS, count)
    with pytest.raises(ArtifactError, match=r"inference\.pdiparams: \d+ bytes"):
        open_artifact(folder)


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS])
def test_a_file_changed_after_the_artifact_was_opened_is_not_opened(
    folder: Path, name: str
) -> None:
    artifact = open_artifact(folder)
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match="was changed since"):
        paddle_inference.open(artifact, device=CPU, threads=1)


def test_weights_that_no_manifest_lists_are_not_opened(folder: Path, tmp_path: Path) -> None:
    (folder / WEIGHTS).rename(tmp_path / "kept")
    seal(folder, tiny_model(CLASSES), Source("a.pdparams", 1, "0" * 64), None, {})
    (tmp_path / "kept").rename(folder / WEIGHTS)
    with pytest.raises(ArtifactError, match=f"lists no {WEIGHTS}"):
        paddle_inference.open(open_artifact(folder), device=CPU, threads=1)


def lone(path: Path) -> Artifact:
    return Artifact(None, tiny_model(CLASSES), None, {FORMATS["paddle"]: path})


def test_a_program_without_weights_is_named(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(BackendError, match=r"inference\.json has no inference\.pdiparams"):
        paddle_inference.open(lone(folder / GRAPH), device=CPU, threads=1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"base_code": {"magic": "pir"', "garbage"])
def test_a_program_that_is_none_is_a_backend_error(folder: Path, text: str) -> None:
    (folder / GRAPH).write_text(text)
    with pytest.raises(BackendError, match=r"CPU, oneDNN: .*\n- CPU: "):
        paddle_inference.open(lone(folder / GRAPH), device=CPU, threads=1)


def test_the_fast_setting_is_taken_in_silence(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=1)
    assert opened.facts.provider == "CPU, oneDNN"
    assert opened.facts.chosen == ()
    opened.close()


def test_a_setting_that_paddle_stops_on_is_replaced_and_the_user_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(config: Any, index: int) -> Any:
        raise NotImplementedError("ConvertPirAttribute2RuntimeAttribute not support")

    settings = {**paddle_settings.SETTINGS["cpu"], "CPU, oneDNN": stops}
    monkeypatch.setitem(paddle_settings.SETTINGS, "cpu", settings)
    with pytest.warns(RuntimeWarning, match="ConvertPirAttribute") as caught:
        opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=1)
    assert len(caught) == 1
    assert opened.facts.provider == "CPU"
    assert "ConvertPirAttribute" in opened.facts.chosen[0]
    batch = picture(2, 3, 17, 9)
    np.testing.assert_allclose(opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-4)
    opened.close()


def test_a_setting_that_computes_wrongly_is_replaced_and_the_user_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = paddle_inference._output
    batch = picture(1, 3, 24, 24)

    def wrong(predictor: Any, given: Any) -> Any:
        return real(predictor, given) * (1.1 if predictor in poisoned else 1.0)

    poisoned: list[Any] = []
    create = paddle_inference.PaddleInference._create

    def poison(self: Any, config: Any) -> Any:
        predictor = create(self, config)
        if self.facts.provider == "CPU, oneDNN":
            poisoned.append(predictor)
        return predictor

    monkeypatch.setattr(paddle_inference, "_output", wrong)
    monkeypatch.setattr(paddle_inference.PaddleInference, "_create", poison)
    with pytest.warns(RuntimeWarning, match="CPU, oneDNN: wrong"):
        opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=1)
    assert opened.facts.provider == "CPU"
    np.testing.assert_allclose(opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-4)
    opened.close()


def test_the_pass_that_stops_and_the_pass_that_is_wrong_are_left_out() -> None:
    calls: list[Any] = []

    class Config:
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments: calls.append((name, *arguments))

    paddle_settings.SETTINGS["cpu"]["CPU, oneDNN"](Config(), 0)
    assert ("delete_pass", "onednn_placement_pass") in calls
    assert not any("memory_optim" in call[0] for call in calls)


def test_every_predictor_lives_in_one_thread_and_there_are_no_more_than_can_compute(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paddle_inference, "cpu_budget", lambda: Budget)
    seen: dict[int, set[int]] = {}
    kept: list[Any] = []
    real = paddle_inference._output

    def watch(predictor: Any, batch: Any) -> Any:
        kept.append(predictor)
        seen.setdefault(id(predictor), set()).add(threading.get_ident())
        return real(predictor, batch)

    opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=2)
    monkeypatch.setattr(paddle_inference, "_output", watch)
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        for _ in range(10):
            opened.run(picture(1, 3, 64, 64))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(seen) <= Budget.threads // 2
    assert all(len(users) == 1 for users in seen.values())
    opened.close()


class Budget:
    threads = 6


def test_closing_ends_the_threads(folder: Path) -> None:
    before = threading.active_count()
    opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=1)
    opened.run(picture(1, 3, 8, 8))
    assert threading.active_count() > before
    opened.close()
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_gets_an_error_and_does_not_hang(
    opened: paddle_inference.PaddleInference,
) -> None:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            opened.run(picture(1, 3, 8, 8))
        except BackendError as error:
            code = 0 if "fork" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_paddle_that_misses_a_package_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "paddle", None)
    with pytest.raises(BackendMissing, match=r"pip install .*\[paddle\]"):
        paddle_inference.open(open_artifact(folder), device=CPU, threads=1)


def test_nothing_is_printed_when_opening_running_and_failing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = paddle_inference.open(open_artifact(folder), device=CPU, threads=1)
    opened.run(picture(1, 3, 33, 33))
    with pytest.raises(BackendError):
        opened.run(picture(1, 4, 8, 8))
    opened.close()
    assert capfd.readouterr() == ("", "")
