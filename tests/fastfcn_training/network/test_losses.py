"""The losses, compared with torch, or with NumPy written out if torch is not installed."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_export.network.fastfcn import Outputs
from fastfcn_infer.data.dataset import IGNORE
from fastfcn_training.recipe.recipe import Losses

paddle = pytest.importorskip("paddle")

from fastfcn_training.network import losses  # noqa: E402 - needs it

CLASSES, SIZE = 5, (13, 17)
WEIGHTS = (0.5, 1.0, 2.0, 4.0, 0.25)

Array = NDArray[Any]


def logits(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)


def some_labels(count: int = 2) -> NDArray[np.int64]:
    """Labels of which class 3 is nowhere, class 4 in the second picture only, some ignored."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, (count, *SIZE))
    labels[1:, :3] = 4
    labels[random.random(labels.shape) < 0.2] = IGNORE
    return labels


def parts(
    main: Array,
    labels: Array,
    wanted: Losses | None = None,
    *,
    auxiliary: Array | None = None,
    semantic: Array | None = None,
    align_corners: bool = True,
) -> tuple[Any, Any]:
    """Compute the parts of a loss, and the tensor that its gradient is asked for."""
    tensors = [
        None if array is None else paddle.to_tensor(array, stop_gradient=False)
        for array in (main, auxiliary, semantic)
    ]
    found = losses.parts(
        Outputs(*tensors),
        paddle.to_tensor(labels),
        wanted or Losses(),
        align_corners=align_corners,
    )
    return found, tensors[0]


def entropy(scores: Array, labels: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted cross entropies of the pixels that count, and their weights."""
    scores = scores.astype(np.float64)
    shifted = scores - scores.max(1, keepdims=True)
    shares = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    counts = labels != IGNORE
    known = np.where(counts, labels, 0)
    found = -np.take_along_axis(shares, known[:, None], 1)[:, 0]
    weight = weights[known]
    return (found * weight)[counts], weight[counts]


@pytest.mark.parametrize("weights", [(), WEIGHTS])
@pytest.mark.parametrize("average", ["valid", "all"])
def test_cross_entropy_is_the_mean_over_weights_or_over_all_pixels(
    weights: tuple[float, ...], average: Literal["valid", "all"]
) -> None:
    scores, labels = logits(2, CLASSES, *SIZE), some_labels()
    found, _ = parts(scores, labels, Losses(class_weights=weights, average=average))
    values, of_pixels = entropy(scores, labels, np.asarray(weights or [1.0] * CLASSES))
    divisor = of_pixels.sum() if average == "valid" else labels.size
    assert float(found.main) == pytest.approx(values.sum() / divisor, rel=1e-5)


@pytest.mark.parametrize("weights", [(), WEIGHTS])
@pytest.mark.parametrize("align_corners", [True, False])
def test_cross_entropy_of_small_logits_and_its_gradient_are_torch_s(
    weights: tuple[float, ...], align_corners: bool
) -> None:
    torch = pytest.importorskip("torch")
    scores, labels = logits(2, CLASSES, 4, 5), some_labels()
    found, tensor = parts(
        scores, labels, Losses(class_weights=weights), align_corners=align_corners
    )
    found.main.backward()
    theirs = torch.tensor(scores, requires_grad=True)
    full = torch.nn.functional.interpolate(
        theirs, SIZE, mode="bilinear", align_corners=align_corners
    )
    loss = torch.nn.functional.cross_entropy(
        full,
        torch.tensor(labels),
        torch.tensor(weights) if weights else None,
        ignore_index=IGNORE,
    )
    loss.backward()
    assert float(found.main) == pytest.approx(loss.item(), rel=1e-5)
    np.testing.assert_allclose(tensor.grad.numpy(), theirs.grad.numpy(), atol=1e-6)


@pytest.mark.parametrize("average", ["valid", "all"])
@pytest.mark.parametrize("weights", [(), WEIGHTS])
def test_a_batch_without_any_label_costs_nothing_and_moves_nothing(
    weights: tuple[float, ...], average: Literal["valid", "all"]
) -> None:
    labels = np.full((2, *SIZE), IGNORE)
    wanted = Losses(class_weights=weights, average=average)
    found, tensor = parts(logits(2, CLASSES, *SIZE), labels, wanted)
    found.main.backward()
    assert float(found.main) == 0
    assert np.array_equal(tensor.grad.numpy(), np.zeros_like(tensor.numpy()))


def test_classes_that_weigh_nothing_make_no_loss_of_a_batch_that_has_only_them() -> None:
    labels = np.zeros((1, *SIZE), np.int64)
    found, tensor = parts(
        logits(1, CLASSES, *SIZE), labels, Losses(class_weights=(0.0, 1.0, 1.0, 1.0, 1.0))
    )
    found.main.backward()
    assert float(found.main) == 0
    assert np.isfinite(tensor.grad.numpy()).all()


def test_ignored_pixels_get_no_gradient() -> None:
    labels = some_labels()
    found, tensor = parts(logits(2, CLASSES, *SIZE), labels)
    found.main.backward()
    moved = np.abs(tensor.grad.numpy()).max(1) > 0
    assert np.array_equal(moved, labels != IGNORE)


def test_presence_tells_for_each_picture_which_classes_it_shows() -> None:
    shown = losses.presence(some_labels(3), CLASSES)
    assert shown.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 1], [1, 1, 1, 0, 1]]
    nothing = np.full((1, *SIZE), IGNORE)
    assert losses.presence(nothing, CLASSES).tolist() == [[0, 0, 0, 0, 0]]


def test_the_semantic_loss_is_the_mean_binary_cross_entropy_of_the_presence() -> None:
    scores, labels = logits(2, CLASSES, seed=3), some_labels()
    found, _ = parts(logits(2, CLASSES, 4, 5), labels, semantic=scores)
    truth = losses.presence(labels, CLASSES)
    share = 1 / (1 + np.exp(-scores.astype(np.float64)))
    wanted = -(truth * np.log(share) + (1 - truth) * np.log(1 - share)).mean()
    assert float(found.semantic) == pytest.approx(wanted, rel=1e-5)


def test_the_semantic_loss_of_very_sure_scores_is_finite() -> None:
    scores = np.full((2, CLASSES), 500.0, np.float32)
    found, _ = parts(logits(2, CLASSES, 4, 5), some_labels(), semantic=scores)
    absent = 1 - losses.presence(some_labels(), CLASSES)
    assert float(found.semantic) == pytest.approx(500 * absent.mean(), rel=1e-5)


def test_the_whole_loss_is_the_weighted_sum_of_its_parts() -> None:
    main, auxiliary = logits(2, CLASSES, 4, 5), logits(2, CLASSES, 2, 3, seed=2)
    semantic = logits(2, CLASSES, seed=3)
    wanted = Losses(auxiliary=0.4, semantic=0.3)
    found, _ = parts(main, some_labels(), wanted, auxiliary=auxiliary, semantic=semantic)
    alone, _ = parts(auxiliary, some_labels(), wanted)
    assert float(found.auxiliary) == pytest.approx(float(alone.main), rel=1e-6)
    total = float(found.main) + 0.4 * float(found.auxiliary) + 0.3 * float(found.semantic)
    assert float(losses.total(found, wanted)) == pytest.approx(total, rel=1e-6)


def test_parts_that_the_network_has_not_are_left_out() -> None:
    found, _ = parts(logits(2, CLASSES, 4, 5), some_labels())
    assert found.auxiliary is None
    assert found.semantic is None
    assert float(losses.total(found, Losses())) == float(found.main)
