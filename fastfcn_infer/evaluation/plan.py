"""Plan an evaluation: check that model and data set fit, and find what an earlier run counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fastfcn_infer.artifact.manifest import RGB, ClassInfo
from fastfcn_infer.data.dataset import Dataset, Orientation, Sample
from fastfcn_infer.data.learnable import nothing_to_score
from fastfcn_infer.data.pairs import check_pairs, with_orientation
from fastfcn_infer.errors import DatasetError, EvaluationError
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_infer.evaluation.state import Run, Tally, describe_run, read_state
from fastfcn_infer.evaluation.trained_parts import trained_warnings
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.system.atomic import has_content
from fastfcn_infer.system.excerpt import excerpt, listing, printable

STATE_NAME = "evaluation.json"  # beside saved predictions

_SHOWN = 5  # classes or pictures named in a message


@dataclass(frozen=True)
class Plan:
    """An evaluation that is about to begin.

    Args:
        run: what the counts depend on.
        samples: the pictures that are asked for.
        predictions: folder to save predicted labels in; None: they are not saved.
        state: file to keep the counts in; None: they are not kept.
        tally: what an earlier run counted.
        trained: whether the model was trained on some of the pictures; None: unknown.
        warnings: what a reader of the scores has to know, one sentence each.
        notes: what was assumed, one sentence each.
        label_orientation: of the label maps of pictures that EXIF turns.
    """

    run: Run
    samples: tuple[Sample, ...]
    predictions: Path | None
    state: Path | None
    tally: Tally
    trained: bool | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    label_orientation: Orientation = "auto"

    @property
    def todo(self) -> list[tuple[int, Sample]]:
        """Pictures to count, those that failed before among them, or whose prediction is missing."""
        return [
            (index, sample)
            for index, sample in enumerate(self.samples)
            if not self.tally.has_counted(index, sample.name) or self._lacks_prediction(sample)
        ]

    def prediction(self, sample: Sample) -> Path | None:
        """Name the file of a picture's predicted labels; None if they are not saved."""
        return None if self.predictions is None else self.predictions / f"{sample.name}.png"

    def _lacks_prediction(self, sample: Sample) -> bool:
        path = self.prediction(sample)
        return path is not None and not has_content(path)


def plan(
    predictor: Predictor,
    dataset: Dataset,
    *,
    limit: int | None = None,
    predictions: Path | None = None,
    state: Path | None = None,
    fresh: bool = False,
    ignore_names: bool = False,
    allow_trained: bool = False,
    accept_labels: bool = False,
) -> Plan:
    """Check that model and data set match, and find what an earlier run counted.

    Args: as of `Segmenter.evaluate`.

    Raises:
        EvaluationError: they do not match, an earlier run's state is of another evaluation, or the
            model was trained on some of the pictures and `allow_trained` is false.
        DatasetError: the labels are all ignored or of one class, and `accept_labels` is false.
        ValueError: `limit` is not positive, or both `predictions` and `state` are given.
        OSError: the state cannot be read.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; at least 1 picture was expected")
    if predictions is not None and state is not None:
        raise ValueError(
            "give predictions or state, not both: the state is kept beside the predictions"
        )
    check_classes(predictor.model.classes, dataset, ignore_names=ignore_names)
    _check_samples(dataset)
    samples = dataset.samples[:limit]
    warnings = trained_warnings(predictor.model, dataset, samples, allowed=allow_trained)
    trained = bool(warnings) if predictor.model.trained_on else None
    shortage = nothing_to_score(dataset, samples).sentences
    if shortage and not accept_labels:
        raise DatasetError(
            f"{'. '.join(shortage)}. To score it all the same, give --accept-labels "
            "(accept_labels=True)"
        )
    pairs = check_pairs(dataset, samples, is_rgb=predictor.model.input.channels == RGB)
    run = describe_run(predictor.artifact, predictor.procedure, predictor.provenance, dataset)
    if predictions is not None:
        state = predictions / STATE_NAME
    found = None
    if state is not None and not fresh:
        found = read_state(state, run, len(dataset.classes))
    if found is None and predictions is not None and not fresh:
        _check_empty(predictions)
    if found is not None and found.seen > len(samples):
        raise EvaluationError(
            f"{state} has counted {found.seen} pictures already, more than the limit of {limit}. "
            "Raise the limit, or give --fresh (fresh=True) to start again."
        )
    return Plan(
        run,
        samples,
        predictions,
        state,
        found or Tally(Confusion(len(dataset.classes))),
        trained=trained,
        warnings=(*warnings, *shortage),
        notes=pairs.notes,
        label_orientation=with_orientation(dataset, pairs).label_orientation,
    )


def check_classes(model: Sequence[ClassInfo], dataset: Dataset, *, ignore_names: bool) -> None:
    """Check that the labels of a data set are those of a model.

    Args:
        model: its classes.
        dataset: any part of it.
        ignore_names: accept classes of other names; their order has to be the same.

    Raises:
        EvaluationError: there are more or fewer classes, or they have other names.
    """
    ours, theirs = [info.name for info in model], [info.name for info in dataset.classes]
    if len(ours) != len(theirs):
        raise EvaluationError(
            f"the model has {len(ours)} classes ({_some(ours)}), {dataset.name} has {len(theirs)} "
            f"({_some(theirs)}); the same classes in the same order were expected"
        )
    pairs = enumerate(zip(ours, theirs, strict=True))
    differing = [
        f"{label} is {excerpt(one)} and {excerpt(other)}"
        for label, (one, other) in pairs
        if one != other
    ]
    if differing and not ignore_names:
        order = " They are the same names in another order." * (sorted(ours) == sorted(theirs))
        raise EvaluationError(
            f"{len(differing)} of {len(ours)} classes of the model have other names in "
            f"{dataset.name}: {_some(differing)}.{order} If they mean the same, give "
            "--ignore-names (ignore_names=True), or convert the checkpoint with --classes."
        )


def _check_samples(dataset: Dataset) -> None:
    where = f"{dataset.name}, part {dataset.split!r}"
    unlabelled = [sample.name for sample in dataset.samples if sample.label is None]
    if unlabelled or not dataset.samples:
        raise EvaluationError(
            f"{where}: {len(unlabelled)} of {len(dataset.samples)} pictures have no labels to "
            "score against; `fastfcn predict` labels pictures"
        )
    leaving = [
        sample.name
        for sample in dataset.samples
        if PurePosixPath(sample.name).is_absolute() or ".." in PurePosixPath(sample.name).parts
    ]
    if leaving:
        raise EvaluationError(
            f"{where}: names of pictures that lead out of the folder of predictions: {_some(leaving)}"
        )


def _check_empty(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise EvaluationError(
            f"{folder} is not empty and holds no {STATE_NAME} to continue from. Give another "
            "folder, or --fresh (fresh=True) to overwrite its files."
        )


def _some(words: Sequence[str]) -> str:
    return listing([printable(word) for word in words], most=_SHOWN)
