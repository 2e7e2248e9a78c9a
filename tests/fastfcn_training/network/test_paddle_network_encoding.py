"""The encoding without residuals is exact enough for training, compared with the textbook in float64."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

paddle = pytest.importorskip("paddle")
torch = pytest.importorskip("torch")

from fastfcn_training.network.paddle_network import PaddleOps  # noqa: E402 - needs Paddle

Array = NDArray[Any]
CHANNELS, CODES, SIDE = 512, 32, 12
# Of the largest value. Where every pixel lies on a code word the terms of a distance of 8 are 250;
# elsewhere both forms are right to 1e-6.
ALLOWED = 3e-5


class Bare(PaddleOps):
    """Keeps the encoding (N, K, C) as it is before its norm."""

    def _batch_norm(self, x: Any, layer: str) -> Any:
        self.encoding = x.squeeze(-1)
        return x


def live(pixels: Array, words: Array, scale: Array, factors: Array) -> list[Array]:
    """Encoding, and gradients of pixels, code words and scale."""
    x, d, s = (paddle.to_tensor(a, stop_gradient=False) for a in (pixels, words, scale))
    ops = Bare({"e.codewords": d, "e.scale": s}, {}, learn_norms=True, dropout=False)
    ops.encode(x, "e", CODES)
    (ops.encoding * paddle.to_tensor(factors)).sum().backward()
    return [t.numpy() for t in (ops.encoding.detach(), x.grad, d.grad, s.grad)]


def textbook(pixels: Array, words: Array, scale: Array, factors: Array) -> list[Array]:
    """The same by the definition, with every residual written out, in float64."""
    x, d, s = (
        torch.from_numpy(a.astype(np.float64)).requires_grad_() for a in (pixels, words, scale)
    )
    residuals = x.flatten(2).transpose(1, 2).unsqueeze(2) - d  # (N, P, K, C)
    share = torch.softmax(s * (residuals**2).sum(3), 2)
    encoding = (share.unsqueeze(3) * residuals).sum(1)
    (encoding * torch.from_numpy(factors.astype(np.float64))).sum().backward()
    return [t.numpy() for t in (encoding.detach(), x.grad, d.grad, s.grad)]


def drawn(kind: str) -> tuple[Array, Array, Array, Array]:
    random = np.random.default_rng(3)
    pixels = np.maximum(random.normal(size=(2, CHANNELS, SIDE, SIDE)), 0)
    words = random.uniform(-1, 1, (CODES, CHANNELS)) / np.sqrt(CODES * CHANNELS)
    scale = random.uniform(-1, 0, CODES)
    if kind == "trained":
        words, scale = random.normal(0, 0.3, words.shape), scale * 0.02
    if kind == "every pixel near a code word":
        words = np.maximum(random.normal(size=words.shape), 0)
        nearest = words[random.integers(CODES, size=(2, SIDE, SIDE))].transpose(0, 3, 1, 2)
        pixels = nearest + random.normal(0, 0.03, pixels.shape)
    factors = random.normal(size=(2, CODES, CHANNELS))
    made = (pixels, words, scale, factors)
    first, second, third, fourth = (np.asarray(array, np.float32) for array in made)
    return first, second, third, fourth


@pytest.mark.parametrize("kind", ["at first", "trained", "every pixel near a code word"])
def test_distances_as_a_matrix_product_keep_encoding_and_gradients(kind: str) -> None:
    case = drawn(kind)
    for mine, theirs in zip(live(*case), textbook(*case), strict=True):
        assert np.abs(mine - theirs).max() <= ALLOWED * np.abs(theirs).max()


def test_half_precision_pixels_are_encoded_in_float32() -> None:
    pixels, words, scale, factors = drawn("trained")
    half = pixels.astype(np.float16)
    found = live(half, words, scale, factors)
    expected = live(half.astype(np.float32), words, scale, factors)
    assert found[0].dtype == np.float32
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[2], expected[2])


@pytest.mark.gpu  # Paddle's mixed precision does nothing on a CPU
@pytest.mark.skipif(not paddle.device.is_compiled_with_cuda(), reason="a Paddle without CUDA")
def test_mixed_precision_leaves_the_encoding_in_float32() -> None:
    case = drawn("trained")
    expected = live(*case)
    with paddle.amp.auto_cast(level="O1"):
        product = paddle.matmul(*(paddle.to_tensor(case[1]) for _ in range(2)), False, True)
        found = live(*case)
    assert product.dtype == paddle.float16  # mixed precision is on
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6 * np.abs(theirs).max())
