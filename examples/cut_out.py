"""Keep one class of a picture, everything else white: ``cut_out.py street.jpg car car.png``."""

import sys

import numpy as np

from fastfcn_infer import Segmenter
from fastfcn_infer.picture.picture import Picture


def main(picture: str, name: str, target: str) -> None:
    """Write the pixels of the class called `name`."""
    with Segmenter.from_pretrained() as segmenter:
        result = segmenter.predict(picture)
    kept = np.where(result.mask(name)[:, :, None], result.picture, np.uint8(255))
    Picture(kept).save(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
