"""Keep a model from being scored on pictures that it was trained on, unless that is asked for."""

from collections.abc import Callable, Sequence

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.data.dataset import Dataset, Sample, layout
from fastfcn_infer.data.trained_on import known_parts, recognised
from fastfcn_infer.errors import EvaluationError
from fastfcn_infer.system.excerpt import listing, printable

DEFAULT_SPLITS = ("val", "test")  # in this order
_SHOWN = 3  # pictures named in a message


def trained_warnings(
    model: Model, dataset: Dataset, samples: Sequence[Sample], *, allowed: bool
) -> tuple[str, ...]:
    """Say which of the pictures to be scored the model was trained on.

    Args:
        model: whose manifest records what it was trained on.
        dataset: a part of a data set.
        samples: those of its pictures that will be scored.
        allowed: whether the user accepts such scores.

    Returns:
        One sentence; nothing if the model was trained on none of them, or if that is unknown.

    Raises:
        EvaluationError: it was trained on some, which is not allowed.
    """
    parts = known_parts(model.trained_on, dataset.name, dataset.split)
    if parts:
        what = f"{dataset.name}, part {' and part '.join(parts)}"
    elif found := recognised(model.trained_on, samples):
        names = listing([printable(name) for name in found], most=_SHOWN)
        what = f"pictures of {dataset.name}, part {dataset.split}, known by their content: {names}"
    else:
        return ()
    if not allowed:
        raise EvaluationError(
            f"{model.name} was trained on {what}. Scores on these pictures are too high and say "
            "little about others. Score another part (--split), or give --allow-trained "
            "(allow_trained=True)"
        )
    return (
        f"the model was trained on {what}; these scores are too high and say little about other "
        "pictures",
    )


def open_default_part(model: Model, dataset: str, open_part: Callable[[str], Dataset]) -> Dataset:
    """Open the part that a model is scored on by default: val, or test if val was trained on.

    Args:
        model: to be scored.
        dataset: name of the data set.
        open_part: opens a part by its name.

    Raises:
        DatasetError: the part is not laid out as expected.
        EvaluationError: the model was trained on all parts that have labels.
    """
    published = layout(dataset).SPLITS
    for split in DEFAULT_SPLITS:
        if known_parts(model.trained_on, dataset, split) or (published and split not in published):
            continue
        found = open_part(split)
        labelled = all(sample.label is not None for sample in found.samples)
        if labelled and not recognised(model.trained_on, found.samples):
            return found
    raise EvaluationError(
        f"{model.name} was trained on {dataset}, and neither {' nor '.join(DEFAULT_SPLITS)} is a part "
        "with labels that it was not trained on. Name the part to score with --split, and give "
        "--allow-trained if the model was trained on it"
    )
