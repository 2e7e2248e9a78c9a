import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact import golden
from fastfcn_infer.artifact.artifact import Artifact, open_artifact, seal
from fastfcn_infer.artifact.manifest import Output, Source, Verification
from fastfcn_infer.artifact.procedure import PRESETS, Procedure, Windows
from fastfcn_infer.errors import BackendError, GraphRefused, WrongLabels
from fastfcn_infer.inference.labels import labels_from_logits
from fastfcn_infer.inference.pipeline import segment
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import plan
from fastfcn_infer.runtime.canary import first_right, proven
from models import tiny_artifact, tiny_model, tiny_onnx, tiny_output

CLASSES = 5
RECORD = Verification("algebra", "none", "noise", 0.0, 1e-4, 1.0, 0.999, {})
Spoil = Callable[[NDArray[np.float32]], NDArray[Any]]


class Opened:
    """The tiny network, spoiled."""

    def __init__(self, spoil: Spoil) -> None:
        self.spoil, self.closed, self.shapes = spoil, False, list[tuple[int, ...]]()

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.shapes.append(batch.shape)
        return self.spoil(tiny_output(batch, CLASSES))

    def close(self) -> None:
        self.closed = True


class Settings(dict[str, Callable[[], Opened]]):
    """Settings by name, remembering everything that was opened."""

    def __init__(self, **spoils: Spoil) -> None:
        super().__init__({name: self.opener(name, spoil) for name, spoil in spoils.items()})
        self.opened: list[tuple[str, Opened]] = []

    def opener(self, name: str, spoil: Spoil) -> Callable[[], Opened]:
        def start() -> Opened:
            self.opened.append((name, Opened(spoil)))
            return self.opened[-1][1]

        return start


def right(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    return answer


def fails(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    raise BackendError("not supported by this kernel")


def ten_percent_off(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(1).normal(size=answer.shape)
    return np.asarray(answer + 0.1 * np.abs(answer).max() * noise, np.float32)


def not_a_number(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    return answer * np.float32(np.nan)


def misshapen(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    return answer[:, :, :-1]


def rounding(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(answer * (1 + 1e-6), np.float32)


WRONG = [fails, ten_percent_off, not_a_number, misshapen]


@pytest.fixture
def with_golden(tmp_path: Path) -> Artifact:
    model = tiny_model(CLASSES)
    tiny_onnx(tmp_path / "model.onnx", model)
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    views = plan(model.procedure, (None, None), (96, 128))
    logits = tiny_output(prepare([(picture, view) for view in views], model.input, None), CLASSES)[
        0
    ]
    labels = labels_from_logits(logits, (96, 128), align_corners=False)
    golden.write_golden(tmp_path, picture, labels)
    seal(tmp_path, model, Source("a.pth", 1, "0" * 64), RECORD, {})
    return open_artifact(tmp_path)


@pytest.fixture
def without(tmp_path: Path) -> Artifact:
    tiny_artifact(tmp_path / "bare", tiny_model(CLASSES))
    return open_artifact(tmp_path / "bare")


@pytest.fixture(params=["with_golden", "without"])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    found: Artifact = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    "procedure",
    [
        Procedure(windows=Windows(64, 40), scales=(1, 1.5), mirror="horizontal"),
        Procedure("mmseg", PRESETS["mmseg"].resize, twice=True),
    ],
)
def test_the_golden_picture_is_labelled_by_the_manifests_procedure_whatever_it_is(
    tmp_path: Path, procedure: Procedure
) -> None:
    model = replace(tiny_model(CLASSES), procedure=procedure)
    tiny_onnx(tmp_path / "model.onnx", model)
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    (labels,) = segment([picture], model, Opened(right))
    golden.write_golden(tmp_path, picture, labels)
    seal(tmp_path, model, Source("a.pth", 1, "0" * 64), RECORD, {})
    artifact = open_artifact(tmp_path)
    settings = Settings(fast=rounding, safe=right)
    name, _, notes = first_right("Engine 1", artifact, settings)
    assert (name, notes) == ("fast", ())


def test_a_right_setting_is_taken_in_silence(artifact: Artifact) -> None:
    settings = Settings(fast=rounding, safe=right)
    name, opened, notes = first_right("Engine 1", artifact, settings)
    assert (name, notes, opened.closed) == ("fast", (), False)
    assert all(other.closed for _, other in settings.opened if other is not opened)


def test_with_a_golden_picture_the_safe_setting_is_not_even_opened(with_golden: Artifact) -> None:
    settings = Settings(fast=right, safe=right)
    first_right("Engine 1", with_golden, settings)
    assert [name for name, _ in settings.opened] == ["fast"]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_or_failing_setting_is_replaced_with_one_warning(
    artifact: Artifact, wrong: Spoil
) -> None:
    settings = Settings(fast=wrong, safe=right)
    with pytest.warns(RuntimeWarning, match="Engine 1") as caught:
        name, opened, notes = first_right("Engine 1", artifact, settings)
    assert len(caught) == 1
    assert name == "safe"
    assert len(notes) == 1
    assert notes[0].startswith("not fast: ")
    assert notes[0] in str(caught[0].message)
    assert not opened.closed
    assert all(other.closed for _, other in settings.opened if other is not opened)


def test_a_setting_that_does_not_open_is_replaced_too(artifact: Artifact) -> None:
    settings = Settings(fast=right, safe=right)

    def refuse() -> Opened:
        raise BackendError("no such pass")

    settings["fast"] = refuse
    with pytest.warns(RuntimeWarning, match="no such pass"):
        name, _, _ = first_right("Engine 1", artifact, settings)
    assert name == "safe"


@pytest.mark.parametrize("wrong", WRONG)
def test_with_no_right_setting_there_is_an_error_and_no_answer(
    with_golden: Artifact, wrong: Spoil
) -> None:
    settings = Settings(fast=wrong, safe=wrong)
    with pytest.raises(BackendError, match=r"none of its settings:\n- fast: .*\n- safe: "):
        first_right("Engine 1", with_golden, settings)
    assert all(opened.closed for _, opened in settings.opened)


def test_without_a_golden_picture_fast_and_safe_are_shown_the_same_odd_pixels(
    without: Artifact,
) -> None:
    settings = Settings(fast=right, safe=right)
    first_right("Engine 1", without, settings)
    assert [opened.shapes for _, opened in settings.opened] == [[(1, 3, 97, 97)]] * 2


def described(artifact: Artifact, **changes: Any) -> Artifact:
    return replace(artifact, model=replace(artifact.model, **changes))


def test_a_graph_of_fixed_size_is_shown_pixels_of_that_size(without: Artifact) -> None:
    given = replace(without.model.input, shape=(2, 40, 56))
    settings = Settings(fast=right, safe=right)
    first_right("Engine 1", described(without, input=given), settings)
    assert settings.opened[0][1].shapes == [(2, 3, 40, 56)]


def test_graphs_of_labels_are_judged_by_their_agreement(without: Artifact) -> None:
    artifact = described(without, output=Output("labels", 1))

    def labels(change: int) -> Spoil:
        def answer(logits: NDArray[np.float32]) -> NDArray[Any]:
            found = np.zeros((1, 97, 97), np.uint8)
            found[0, :change] = 1
            return found

        return answer

    with pytest.warns(RuntimeWarning, match="of the labels"):
        assert first_right("E", artifact, Settings(fast=labels(5), safe=labels(0)))[0] == "safe"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert first_right("E", artifact, Settings(fast=labels(0), safe=labels(0)))[0] == "fast"


@pytest.mark.parametrize(
    ("precision", "off", "taken"),
    [
        ("fp32", 0.01, "safe"),
        ("fp16", 0.01, "fast"),
        ("fp16", 0.06, "safe"),
        ("bf16", 0.06, "fast"),
        ("bf16", 0.15, "safe"),
        ("int8", 0.15, "fast"),
        ("int8", 0.3, "safe"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_much_in_float32_is_little_in_less(
    without: Artifact, precision: str, off: float, taken: str
) -> None:
    def rounded(answer: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(answer * (1 + off), np.float32)

    settings = Settings(fast=rounded, safe=right)
    assert first_right("E", without, settings, precision=precision)[0] == taken


def test_a_lone_setting_is_compared_with_another_of_more_precision(without: Artifact) -> None:
    for spoil, fine in ((rounding, True), (ten_percent_off, False)):
        settings = Settings(only=spoil)
        try:
            first_right("E", without, settings, precision="bf16", safest=lambda: Opened(right))
        except WrongLabels:
            assert not fine
        else:
            assert fine


@pytest.mark.parametrize(("share", "opens"), [(0.004, True), (0.006, False)])
def test_in_bfloat16_two_hundredths_more_than_the_golden_picture_allows_are_refused(
    with_golden: Artifact, share: float, opens: bool
) -> None:
    """The labels of some rows are turned into others: 99.5 % have to be right, whatever float32 reaches."""
    picture = golden.read_golden(with_golden)
    wrong = picture.labels.copy()
    wrong.reshape(-1)[: round(share * wrong.size)] += 1
    found = golden.compare(picture, wrong, "bf16")
    assert (found.required, found.passed) == (0.995, opens)
    assert not golden.compare(picture, wrong, "fp32").passed


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_graph_in_less_precision_is_opened_only_if_its_labels_are_right(
    with_golden: Artifact, precision: str
) -> None:
    wrong = Settings(only=ten_percent_off)
    if precision == "fp32":  # its runtimes were measured, and its exporter has proven the file
        assert proven("E", with_golden, precision, wrong["only"]) is wrong.opened[0][1]
        assert wrong.opened[0][1].shapes == []
        return
    with pytest.raises(WrongLabels, match=rf"right in {precision}: wrong: [0-9.]+% of the golden"):
        proven("E", with_golden, precision, wrong["only"])
    assert wrong.opened[0][1].closed
    broken = Settings(only=fails)
    with pytest.raises(GraphRefused, match="not supported by this kernel") as caught:
        proven("E", with_golden, precision, broken["only"])
    assert not isinstance(caught.value, WrongLabels)
    fine = Settings(only=rounding)
    assert not proven("E", with_golden, precision, fine["only"]).closed


def test_an_interruption_closes_what_was_opened(without: Artifact) -> None:
    def interrupt(answer: NDArray[np.float32]) -> NDArray[np.float32]:
        raise KeyboardInterrupt

    settings = Settings(fast=interrupt)
    with pytest.raises(KeyboardInterrupt):
        first_right("E", without, settings)
    assert settings.opened[0][1].closed


def test_probabilities_have_the_size_of_the_picture(without: Artifact) -> None:
    artifact = described(without, output=Output("probabilities", 1))
    with pytest.raises(BackendError, match=r"\(1, 5, 97, 97\) was expected"):
        first_right("E", artifact, Settings(only=right))
