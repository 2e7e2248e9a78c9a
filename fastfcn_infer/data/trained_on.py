"""Recognise the pictures that a model was trained on, whichever folder they lie in.

Parts of a published data set are recognised by their names. Any pictures, such as those of the user's
own lists, are also recognised by their bytes: a model records the fingerprints of a sample of its
training pictures, those whose fingerprints are the smallest. As a fingerprint is a hash, that is a
random sample, and the same one on every machine; a set that shares a tenth of the training pictures
contains about a tenth of the sample.
"""

import hashlib
import heapq
import os
from collections.abc import Sequence
from pathlib import Path

from fastfcn_infer.artifact.manifest import TrainedOn
from fastfcn_infer.data.dataset import Dataset, Sample, dataset_names, layout

SAMPLE = 64  # pictures whose fingerprints are recorded
_READ = (
    1 << 16
)  # bytes of a file: enough to tell photographs apart, and quickly read from 20,000 files
_DIGITS = 16  # of a fingerprint, hexadecimal

# Parts that are made of others. What SBD adds to VOC's train is in no other part.
_MADE_OF = {"trainval": ("train", "val"), "trainaug": ("train", "trainaug")}


def describe_training(
    dataset: Dataset, earlier: Sequence[TrainedOn] = ()
) -> tuple[TrainedOn, ...]:
    """Describe what a training on a part of a data set will have learned from.

    Args:
        dataset: the training part.
        earlier: what the weights that the training starts from were trained on.
    """
    marks = {fingerprint(entry.picture) for entry in dataset.samples}
    sample = heapq.nsmallest(SAMPLE, (mark for mark in marks if mark is not None))
    found = TrainedOn(dataset.name, _parts(dataset.split), len(dataset.samples), tuple(sample))
    return (*(entry for entry in earlier if entry != found), found)


def known_parts(trained: Sequence[TrainedOn], dataset: str, split: str) -> tuple[str, ...]:
    """Return which parts of a published data set, among those of a split, were trained on by name.

    Args:
        trained: of a model.
        dataset: name of a data set.
        split: name of a part.

    Returns:
        Names of parts; empty if none was trained on, or if users name the parts of the data set.
    """
    if dataset not in dataset_names() or not layout(dataset).SPLITS:
        return ()
    seen = {
        part
        for entry in trained
        if _same_pictures(entry.dataset, dataset)
        for name in entry.parts
        for part in _parts(name)
    }
    return tuple(part for part in _parts(split) if part in seen)


def recognised(trained: Sequence[TrainedOn], samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return the names of the pictures whose fingerprints a model has recorded.

    Args:
        trained: of a model.
        samples: the pictures; those that cannot be read are left out.
    """
    sample = {mark for entry in trained for mark in entry.sample}
    if not sample:
        return ()
    return tuple(entry.name for entry in samples if fingerprint(entry.picture) in sample)


def fingerprint(path: Path) -> str | None:
    """Hash the size of a file and its first 64 KiB; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_READ)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return None
    return hashlib.sha256(b"%d:" % size + head).hexdigest()[:_DIGITS]


def _parts(split: str) -> tuple[str, ...]:
    return _MADE_OF.get(split, (split,))


def _same_pictures(one: str, other: str) -> bool:
    """Tell whether two data sets have the same pictures, as PASCAL Context with 59 and 60 classes."""
    if one == other:
        return True
    return one in dataset_names() and layout(one).PAGE == layout(other).PAGE
