"""How the labels of two opened models differ: two artifacts, precisions, devices, runtimes or procedures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import RGB, Model
from fastfcn_infer.data.dataset import IGNORE, NO_CHANGES, Dataset, Sample, with_label_rules
from fastfcn_infer.data.label_options import Orientation
from fastfcn_infer.data.learnable import nothing_to_score
from fastfcn_infer.data.pairs import check_pairs, with_orientation
from fastfcn_infer.errors import DatasetError, EvaluationError, ImageError
from fastfcn_infer.evaluation.agreement import NEAR, Agreement, agreement
from fastfcn_infer.evaluation.metrics import (
    MOST_COUNTED,
    Confusion,
    mean_iou_of_true_classes,
    scores,
)
from fastfcn_infer.inference.multiband import read_oriented
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.system.excerpt import listing

_OF_ONE_PICTURE = (ImageError, DatasetError, MemoryError)


@dataclass(frozen=True)
class PictureDifference:
    """A picture, and how far its two label maps agree."""

    name: str
    agreement: Agreement


@dataclass(frozen=True, eq=False)
class Difference:
    """What two models made of the same pictures. A is the reference of agreement and of boundaries.

    Args:
        provenance: of A and of B: model, runtime, precision, procedure, versions.
        names: of the classes, in the order of A.
        pictures: in the order in which they were compared.
        between: pixels by the class that A and that B gives them.
        truths: pixels by true class and the class that A, or B, gives them; None without label maps.
        failed: names of the pictures that could not be compared -> why.
        notes: what was assumed of the models and of the label maps, one sentence each.
    """

    provenance: tuple[Mapping[str, str], Mapping[str, str]]
    names: tuple[str, ...]
    pictures: tuple[PictureDifference, ...]
    between: Confusion
    truths: tuple[Confusion, Confusion] | None
    failed: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def agreement(self) -> Agreement:
        """The agreement over the pixels of all pictures."""
        return sum((picture.agreement for picture in self.pictures), Agreement())

    @property
    def mean_iou(self) -> float:
        """Mean IoU of B's labels, those of A being the truth, over the classes that either of them has."""
        return scores(self.between, "mmseg").mean_iou

    @property
    def true_mean_ious(self) -> tuple[float, float] | None:
        """Mean IoU of A and of B on the label maps, over `true_classes`; None without label maps."""
        if self.truths is None:
            return None
        first, second = map(mean_iou_of_true_classes, self.truths)
        return first, second

    @property
    def true_classes(self) -> tuple[int, ...]:
        """Labels of the classes that the label maps have; empty without label maps."""
        if self.truths is None:
            return ()
        return tuple(np.flatnonzero(self.truths[0].counts.any(axis=1)).tolist())

    @property
    def worst(self) -> tuple[PictureDifference, ...]:
        """The pictures, the one with the smallest agreement first; those with the same agreement by name."""
        return tuple(sorted(self.pictures, key=lambda each: (each.agreement.overall, each.name)))


def matching_labels(
    a: Predictor, b: Predictor, *, ignore_names: bool = False
) -> NDArray[np.uint16]:
    """Return the label of A for every label of B, and refuse models whose labels do not mean the same.

    Classes of the same names in another order are matched by name.

    Args:
        a: the reference.
        b: the other model.
        ignore_names: match the classes by number, whatever they are called.

    Returns:
        (classes,), the numbers from 0 on if the order is the same.

    Raises:
        EvaluationError: they have other classes, take other pictures, or have too many classes to count.
    """
    first, second = (tuple(c.name for c in each.model.classes) for each in (a, b))
    if len(first) != len(second):
        raise EvaluationError(
            f"{a.model.name} has {len(first)} classes and {b.model.name} {len(second)}: their labels do not "
            "mean the same. Compare models of the same classes."
        )
    if len(first) > MOST_COUNTED:
        raise EvaluationError(f"{len(first)} classes; at most {MOST_COUNTED} can be compared")
    others = [f"{x!r} and {y!r}" for x, y in zip(first, second, strict=True) if x != y]
    reordered = bool(others) and set(first) == set(second) and len(set(first)) == len(first)
    if others and not (ignore_names or reordered):
        raise EvaluationError(
            f"{len(others)} of {len(first)} classes have other names in {a.model.name} and {b.model.name}, such "
            f"as {others[0]}. If they mean the same, give --ignore-names (ignore_names=True)."
        )
    channels = {each.model.input.channels for each in (a, b)}
    if len(channels) > 1:
        raise EvaluationError(
            f"{a.model.name} and {b.model.name} take pictures of {a.model.input.channels} and "
            f"{b.model.input.channels} channels. Compare models that take the same pictures."
        )
    if reordered and not ignore_names:
        return np.array([first.index(name) for name in second], np.uint16)
    return np.arange(len(first), dtype=np.uint16)


def labelled(
    samples: Sequence[Sample],
    model: Model,
    *,
    map_labels: Mapping[int, int] = NO_CHANGES,
    label_orientation: Orientation = "auto",
    accept_labels: bool = False,
) -> tuple[Dataset, tuple[str, ...]]:
    """Return pictures with the label maps of a folder as a data set, and what was assumed of them.

    A value of a label map is the class of that number; 255 belongs to none.

    Args:
        samples: pictures with their label maps.
        model: whose classes the labels are of.
        map_labels: as of `open_dataset`.
        label_orientation: as of `open_dataset`.
        accept_labels: compare even if no pixel is labelled, or all are of one class.

    Raises:
        DatasetError: no pixel is labelled, or all are of one class, and `accept_labels` is false.
        EvaluationError: the model has more classes than label maps can hold.
        ValueError: `map_labels` has values or labels that cannot be, or `label_orientation` is unknown.
    """
    if len(model.classes) > IGNORE:
        raise EvaluationError(
            f"{model.name} has {len(model.classes)} classes, and label maps are read with at most {IGNORE}. "
            "Compare without label maps."
        )
    values = {label: label for label in range(len(model.classes))} | {IGNORE: IGNORE}
    dataset = Dataset("labels", "all", model.classes, tuple(samples), values)
    dataset = with_label_rules(dataset, map_labels, label_orientation)
    shortage = nothing_to_score(dataset, samples).sentences
    if shortage and not accept_labels:
        raise DatasetError(
            f"{'. '.join(shortage)}. To compare all the same, give --accept-labels (accept_labels=True)"
        )
    # A pair that does not fit fails alone, when its turn comes.
    pairs = check_pairs(dataset, is_rgb=model.input.channels == RGB)
    return with_orientation(dataset, pairs), (*shortage, *pairs.notes)


def samples_of(pictures: Mapping[Path, Path], labels: Path | None) -> list[Sample]:
    """Name pictures, by their paths if two have one name, and find their label maps.

    Args:
        pictures: files, and their paths below the folders that were searched.
        labels: folder with a PNG of the same name, in the same sub-folder, for each picture; None: without
            label maps.

    Raises:
        DatasetError: some label maps are missing, or are those of two pictures; names them.
    """
    names = [path.name for path in pictures]
    if len(set(names)) < len(names):
        names = [str(path) for path in pictures]
    if labels is None:
        return [Sample(name, path, None) for name, path in zip(names, pictures, strict=True)]
    files = [_label_map(labels / below) for below in pictures.values()]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} of {len(pictures)} pictures have no label map: for each picture a PNG of the same "
            f"name was expected in {labels}, in the same sub-folder. Not found: {listing(missing, most=5)}"
        )
    owners: dict[Path, str] = {}
    for name, file in zip(names, files, strict=True):
        if file in owners:
            raise DatasetError(
                f"{owners[file]} and {name} have one label map, {file}, and which of them it is of is unknown. "
                "Give their common folder with --recursive, and label maps in the same sub-folders; or "
                "compare them one after the other."
            )
        owners[file] = name
    return [Sample(*parts) for parts in zip(names, pictures, files, strict=True)]


def _label_map(picture: Path) -> Path:
    """Name the label map of a picture; cameras write endings in capitals, and some programs keep them."""
    lower, upper = picture.with_suffix(".png"), picture.with_suffix(".PNG")
    return upper if upper.is_file() and not lower.is_file() else lower


def compare(
    a: Predictor,
    b: Predictor,
    samples: Sequence[Sample],
    dataset: Dataset | None = None,
    *,
    notes: tuple[str, ...] = (),
    ignore_names: bool = False,
    near: int = NEAR,
    advance: Callable[[], None] = lambda: None,
) -> Difference:
    """Label pictures with both models, and compare.

    Args:
        a: the reference.
        b: the other model.
        samples: the pictures.
        dataset: reads their label maps; None: they have none.
        notes: what was assumed of the label maps.
        ignore_names: accept classes of other names.
        near: pixels, see `agreement`.
        advance: called after every picture.

    Raises:
        EvaluationError: the models cannot be compared.
        BackendError: a runtime failed.
    """
    matching = matching_labels(a, b, ignore_names=ignore_names)
    classes = len(a.model.classes)
    between = Confusion(classes)
    truths = None if dataset is None else (Confusion(classes), Confusion(classes))
    found: list[PictureDifference] = []
    failed: dict[str, str] = {}
    for sample in samples:
        try:
            picture, truth = _read(sample, a, dataset)
            first, second = a.predict(picture).labels, matching[b.predict(picture).labels]
        except _OF_ONE_PICTURE as error:
            failed[sample.name] = str(error)
        else:
            found.append(PictureDifference(sample.name, agreement(second, first, near=near)))
            between.add(second, first)
            if truths is not None and truth is not None:
                for counts, labels in zip(truths, (first, second), strict=True):
                    counts.add(labels, truth)
        advance()
    return Difference(
        (a.provenance, b.provenance),
        tuple(c.name for c in a.model.classes),
        tuple(found),
        between,
        truths,
        failed,
        (*_about_sides(a, b, matching), *notes),
    )


def _about_sides(a: Predictor, b: Predictor, matching: NDArray[np.uint16]) -> tuple[str, ...]:
    """Say what a reader of the figures has to know of the two models."""
    notes = []
    if dict(a.provenance) == dict(b.provenance):
        notes.append(
            "A and B are the same files, run in the same way: this says nothing about a change"
        )
    if (matching != np.arange(len(matching))).any():
        notes.append("the classes of B are in another order; they were matched by name")
    elif [each.name for each in a.model.classes] != [each.name for each in b.model.classes]:
        notes.append("the classes of B have other names; they were matched by number")
    return tuple(notes)


def _read(
    sample: Sample, a: Predictor, dataset: Dataset | None
) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    """Read the values that a picture holds, which each model scales for itself, and its labels if there are any."""
    if dataset is None:
        return read_oriented(sample.picture, a.model.input)[0], None
    return dataset.read(sample, a.model.input)
