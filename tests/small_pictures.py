"""Small pictures to change."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fastfcn_training.recipe.recipe import Augmentation

UNCHANGED = Augmentation(resize=None, crop=(40, 60), mirror=0, blur=0)


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    shape = (height, width, channels)
    return np.random.default_rng(5).integers(256, size=shape, dtype=np.uint8)


def photograph() -> NDArray[np.uint8]:
    """A smooth picture with edges, (120, 160, 3)."""
    picture = cv2.GaussianBlur(noise(120, 160), (0, 0), 4)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    picture[30:80, 40:90] = picture[30:80, 40:90] // 2 + 100
    return np.asarray(picture, np.uint8)
