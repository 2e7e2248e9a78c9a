"""Find data from which nothing can be learned, or on which every model scores alike.

A network that is trained on pictures without labels, or with labels of a single class, has a loss of 0
and an accuracy of 1 from the first step on. The commonest cause are masks of 0 and 255 for two classes:
255 is the value of ignored pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_infer.data.label_count import LabelCount, count_labels
from fastfcn_infer.errors import DatasetError, ImageError
from fastfcn_infer.picture.label_map import read_label_file
from fastfcn_infer.system.excerpt import listing, printable

_SHOWN = 5  # classes named in a message
_LOOKED_AT = 20  # label files that are searched for the value 255


@dataclass(frozen=True)
class Shortage:
    """What a part of a data set lacks, in sentences.

    Args:
        nothing: why nothing can be learned or told from it; None: something can.
        absent: which classes have no pixel; None: all have some.
        hint: what may be the cause, and the option that mends it.
    """

    nothing: str | None = None
    absent: str | None = None
    hint: str | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of them; empty if the part lacks nothing."""
        return tuple(text for text in (self.nothing, self.absent, self.hint) if text is not None)


def find_shortage(dataset: Dataset, counted: LabelCount) -> Shortage:
    """Find what a part lacks by its counted labels.

    Args:
        dataset: the part; a few of its label files are read again if it lacks something.
        counted: of its label files, or of so many that everything was found.
    """
    names = [printable(info.name) for info in dataset.classes]
    where = f"{dataset.name}, part {dataset.split}"
    labelled = [name for name, pixels in zip(names, counted.pixels, strict=True) if pixels]
    absent = [name for name in names if name not in labelled]
    nothing = missing = None
    if len(names) == 1:
        nothing = (
            f"{where}: {names[0]!r} is the only class, so every labelled pixel is right whatever a "
            "network does; add a class for everything else, such as 'background', as label 0"
        )
    elif not labelled:
        nothing = (
            f"{where}: no pixel of its {counted.files} label maps has a class; all are ignored"
        )
    elif len(labelled) == 1:
        nothing = (
            f"{where}: every labelled pixel is {labelled[0]!r}, so a network that never looks at the "
            "picture is always right"
        )
    if absent and labelled:
        missing = (
            f"{where}: {len(absent)} of {len(names)} classes have no pixel in its {counted.files} label "
            f"maps: {listing(absent, most=_SHOWN)}"
        )
    if not (nothing or missing):
        return Shortage()
    return Shortage(nothing, missing, _hint(dataset, names, absent))


def shortage_to_learn(dataset: Dataset) -> Shortage:
    """Read label files, in random order, until every class was found, and say what the part lacks.

    Raises:
        DatasetError: a label file that was read is bad; names it.
    """
    order = np.random.default_rng(0).permutation(len(dataset.samples))
    samples = [dataset.samples[index] for index in order.tolist()]
    counted = count_labels(dataset, samples=samples, enough=max(len(dataset.classes), 2))
    if counted.faults:
        raise DatasetError(counted.faults[0])
    return find_shortage(dataset, counted)


def nothing_to_score(dataset: Dataset, samples: Sequence[Sample]) -> Shortage:
    """Read label files until two classes were found, and say why scores would mean nothing.

    Classes without a pixel are not looked for. Bad label files are left out.
    """
    counted = count_labels(dataset, samples=samples, enough=2)
    found = find_shortage(dataset, counted)
    if found.nothing is None or (not counted.files and len(dataset.classes) > 1):
        return Shortage()
    return Shortage(found.nothing, None, found.hint)


def _hint(dataset: Dataset, names: Sequence[str], absent: Sequence[str]) -> str | None:
    """Name the option that gives the value of ignored pixels a class, if label files have it."""
    if len(names) < 2 or not absent or not _has_ignored_value(dataset):
        return None
    label = names.index(absent[-1])
    return (
        f"Pixels of value {IGNORE} are in the label maps, and ignored. If {IGNORE} means "
        f"{names[label]!r}, give --map-labels {IGNORE}={label} (map_labels={{{IGNORE}: {label}}})"
    )


def _has_ignored_value(dataset: Dataset) -> bool:
    """Search the first label files for the value 255."""
    if dataset.values.get(IGNORE) != IGNORE:
        return False
    for sample in dataset.samples[:_LOOKED_AT]:
        if sample.label is None:
            continue
        try:
            if (read_label_file(sample.label) == IGNORE).any():
                return True
        except ImageError:
            continue
    return False
