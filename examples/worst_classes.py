"""What does a model get wrong? ``python examples/worst_classes.py camvid DIR test``."""

import sys

import numpy as np

from fastfcn_infer import Segmenter, open_dataset


def main(name: str, root: str, split: str = "test") -> None:
    """Print the five worst classes, and the class that each was most often mistaken for."""
    with Segmenter.from_pretrained() as segmenter:
        found = segmenter.evaluate(open_dataset(name, root, split))
    print(f"mean IoU {found.scores.mean_iou:.1%} on {found.pictures} pictures")
    counts = found.confusion.counts  # (true class, predicted class)
    for label in np.argsort(found.scores.iou)[:5]:
        wrong = np.where(np.arange(len(counts)) == label, 0, counts[label])
        taken = found.names[wrong.argmax()] if wrong.any() else "nothing"
        print(f"{found.names[label]:<12} {found.scores.iou[label]:6.1%}, mistaken for {taken}")


if __name__ == "__main__":
    main(*sys.argv[1:])
