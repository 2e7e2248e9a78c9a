"""Keep one class of a picture and make everything else white: ``cut_out.py street.jpg car car.png``."""

import sys

import cv2
import numpy as np

from fastfcn_infer import Segmenter


def main(picture: str, name: str, target: str) -> None:
    """Write the pixels of the class called `name`."""
    with Segmenter.from_pretrained() as segmenter:
        result = segmenter.predict(picture)
    kept = np.where(result.mask(name)[:, :, None], result.picture, np.uint8(255))
    cv2.imwrite(target, cv2.cvtColor(kept, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(*sys.argv[1:])
