"""Check the pictures and labels of a part before a training begins."""

from fastfcn_infer.data.dataset import Dataset
from fastfcn_infer.data.learnable import nothing_to_score, shortage_to_learn
from fastfcn_infer.data.pairs import check_pairs, with_orientation
from fastfcn_infer.errors import DatasetError
from fastfcn_infer.system.progress import Progress
from fastfcn_training.paddle_setup import launch

_SHOWN = 10  # faults in a message


def check_part(dataset: Dataset, *, learn: bool, accept: bool) -> tuple[Dataset, tuple[str, ...]]:
    """Check that label maps have the sizes of their pictures, and that something can be learned.

    Args:
        dataset: the part.
        learn: it is the training part, in which every class has to occur; else the part to validate
            on, in which two classes are enough.
        accept: do not look for classes without pixels.

    Returns:
        The part, which turns label maps as the other pictures' say, and notes for people, a line each.

    Raises:
        DatasetError: sizes do not fit, files cannot be read, or nothing can be learned.
    """
    total, first = len(dataset.samples), launch.rank() == 0
    with Progress("Check pictures", total=total, unit="pictures", visible=first) as bar:
        pairs = check_pairs(dataset, advance=bar.advance)
    if pairs.faults:
        shown = "".join(f"\n- {fault}" for fault in pairs.faults[:_SHOWN])
        raise DatasetError(
            f"{len(pairs.faults)} of {total} pictures of {dataset.name}, part {dataset.split}, do not "
            f"fit their label maps, or cannot be read:{shown}"
        )
    if not accept:
        found = shortage_to_learn(dataset) if learn else nothing_to_score(dataset, dataset.samples)
        if found.sentences:
            raise DatasetError(
                f"{'. '.join(found.sentences)}. To train all the same, give --accept-labels"
            )
    notes = tuple(f"note: {dataset.name}, part {dataset.split}: {note}" for note in pairs.notes)
    return with_orientation(dataset, pairs), notes
