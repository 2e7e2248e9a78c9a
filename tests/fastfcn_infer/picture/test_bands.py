"""Pictures are prepared, drawn and encoded in the thread of the caller."""

import sys

import cv2
import numpy as np
import pytest

from command_line import PHOTOGRAPH, python
from fastfcn_infer.picture.bands import converted

# Prints the threads of this process before all is done with a picture, after that, and after OpenCV divided work
# among its threads, which it starts when it does so for the first time.
SCRIPT = """
import os, sys
import cv2
import numpy as np
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.views import View
from fastfcn_infer.picture.read import read_picture
cv2.setNumThreads(4)
threads = [len(os.listdir("/proc/self/task"))]
picture = np.tile(read_picture(sys.argv[1]), (2, 2, 1))
labels = np.sort(picture[:, :, 0] % 5, axis=0)
view = View(0, 0, *labels.shape, labels.shape, labels.shape)
prepare([(picture, view)], Input("image", (0.5,) * 3, (0.5,) * 3, (0.5,) * 3), None)
result = Segmentation(labels, tuple("abcde"), np.eye(5, 3, dtype=np.uint8) * 255, picture)
result.overlay().encode(".jpg")
result.areas()
threads.append(len(os.listdir("/proc/self/task")))
cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
threads.append(len(os.listdir("/proc/self/task")))
print(*threads, picture.shape[0] * picture.shape[1])
"""


@pytest.mark.parametrize("size", [(0, 3), (1, 1), (5, 70_000), (300, 700)])
def test_channels_are_those_of_numpy_for_any_size(size: tuple[int, int]) -> None:
    four = np.random.default_rng(0).integers(0, 256, (*size, 4)).astype(np.uint8)
    bgr = four[:, :, :3].copy()
    np.testing.assert_array_equal(converted(bgr, cv2.COLOR_BGR2RGB), bgr[:, :, ::-1])
    np.testing.assert_array_equal(converted(four, cv2.COLOR_BGRA2RGB), bgr[:, :, ::-1])
    np.testing.assert_array_equal(converted(four, cv2.COLOR_RGBA2RGB), bgr)
    for grey in (four[:, :, 0].copy(), four[:, :, :1].copy()):
        repeated = np.repeat(four[:, :, :1], 3, axis=2)
        np.testing.assert_array_equal(converted(grey, cv2.COLOR_GRAY2RGB), repeated)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads in /proc")
def test_opencv_starts_no_threads_to_prepare_draw_and_encode_a_picture() -> None:
    done = python("-c", SCRIPT, str(PHOTOGRAPH))
    assert done.returncode == 0, done.stderr
    before, after, divided, pixels = map(int, done.stdout.split())
    assert pixels > 1 << 18
    assert divided > before  # else the test shows nothing
    assert after == before
