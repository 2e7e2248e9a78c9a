"""Segment one picture and see what is in it: ``python examples/segment_one.py street.jpg``."""

import sys

from fastfcn_infer import Segmenter


def main(picture: str, overlay: str = "overlay.jpg") -> None:
    """Print the classes by area and write the overlay."""
    with Segmenter.from_pretrained() as segmenter:
        result = segmenter.predict(picture)
    for name, area in result.areas().items():
        print(f"{name:<20} {area:6.1%}")
    result.overlay().save(overlay)


if __name__ == "__main__":
    main(*sys.argv[1:])
