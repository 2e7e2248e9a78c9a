"""Labels by probabilities: of groups of classes, and of pixels that are sure enough."""

import hashlib
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.inference.class_names import Which, as_list
from fastfcn_infer.inference.interpolation import Floats
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.probability.groups import Grouping, Groups
from fastfcn_infer.inference.probability.kept import tiles
from fastfcn_infer.inference.probability.shares import Found, Shares
from fastfcn_infer.inference.scores import Indices
from fastfcn_infer.system.number_range import check_number

_LONGEST_TEXT = 5000  # characters of groups in the provenance; a JPEG has little room for it


def ignore_label(classes: int) -> int:
    """Return the label of pixels without a class: 255, or 65535 where 255 is a class.

    Raises:
        ValueError: there are 65536 classes, so that every label is one.
    """
    if classes > 65535:
        raise ValueError(f"there are {classes} classes: no label is left for uncertain pixels")
    return 255 if classes <= 255 else 65535


@dataclass(frozen=True, eq=False)
class Relabelling:
    """Labels pixels again: by groups of classes, and only where one is sure.

    Args:
        grouping: the new classes.
        min_confidence: pixels whose new class has a smaller probability get the `ignore_label`; None: all
            keep their class.
    """

    grouping: Grouping
    min_confidence: float | None

    @property
    def ignored(self) -> int | None:
        """The label of pixels that are not sure enough; None: there are none."""
        return None if self.min_confidence is None else ignore_label(len(self.grouping.names))

    def new_labels(self, labels: Labels) -> Labels:
        """Return the new class of each old label."""
        dtype = np.uint8 if len(self.grouping.names) <= 256 else np.uint16
        return np.asarray(np.array(self.grouping.new, dtype)[labels])

    def apply(
        self, shares: Shares, labels: Labels, rows: slice, columns: slice
    ) -> tuple[Labels, Labels]:
        """Label some pixels of a picture.

        Args:
            shares: probabilities of the new classes.
            labels: (rows, columns) as `new_labels` returns them.
            rows: of the picture, with start and stop.
            columns: likewise.

        Returns:
            The new class of each pixel, and the same with the ignore label; uint8 or uint16.
        """
        best, ignored, least = labels.copy(), self.ignored, self.min_confidence or 0.0
        shown = best
        if ignored is not None:
            shown = np.empty(labels.shape, np.uint8 if ignored == 255 else np.uint16)
        for down, across in tiles(rows, columns):
            place = (
                slice(down.start - rows.start, down.stop - rows.start),
                slice(across.start - columns.start, across.stop - columns.start),
            )
            found = shares.tile(down, across, wanted=np.unique(labels[place]))
            best[place], largest = _winners(found, labels[place], self.grouping.several)
            if ignored is not None:
                shown[place] = np.where(largest >= least, best[place], shown.dtype.type(ignored))
        return best, shown


def _winners(found: Found, labels: Labels, several: Sequence[int]) -> tuple[Indices, Floats]:
    """Return the class with the largest probability of every pixel, and this probability.

    The largest of all classes was the label before they were grouped, so only the group of the label and
    groups of several classes can win. Ties go to the lowest class.
    """
    largest = found.of(labels)
    best = labels.astype(np.intp)
    for place, label in enumerate(found.classes.tolist()):
        if label in several:
            share = found.shares[place]
            won = (share > largest) | ((share == largest) & (label < best))
            best[won] = label
            np.maximum(largest, share, out=largest)
    return best, largest


def check_options(
    groups: Groups | None, min_confidence: float | None, output: Output, model: str
) -> None:
    """Refuse what cannot be done with the scores of a model.

    Args:
        groups: of classes; None: no groups.
        min_confidence: None: all pixels keep their class.
        output: of the model's graph.
        model: how a message calls it.

    Raises:
        ValueError: `min_confidence` is no probability, or the labels are decided by a threshold that is
            none of groups.
    """
    if min_confidence is not None:
        check_number("min_confidence", min_confidence, most=1)
    if groups and not output.is_balanced:
        raise ValueError(
            f"{model} has one logit, and its labels are decided by a threshold of {output.threshold}, which says "
            "nothing about groups of classes. Export it with --threshold 0.5, or leave the groups out."
        )


def made_by(groups: Groups | None, min_confidence: float | None) -> dict[str, str]:
    """Return what labels depend on besides model and procedure, for their provenance."""
    # 0.0 is added because 1 and 1.0 are the same.
    found = {} if min_confidence is None else {"min_confidence": str(min_confidence + 0.0)}
    if groups:
        plain = {name: [_plain(one) for one in as_list(given)] for name, given in groups.items()}
        text = json.dumps(plain, ensure_ascii=False)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        found["groups"] = text if len(text) <= _LONGEST_TEXT else f"sha256 {digest}"
    return found


def _plain(which: Which) -> str | int:
    return which if isinstance(which, str) else operator.index(which)
