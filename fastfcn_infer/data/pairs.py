"""Check that pictures and their label maps have one size, and which way label maps are turned.

A photograph may be stored sideways or upside down, with an EXIF orientation that turns it upright.
Some programs draw labels on the upright picture, others on the pixels as they are stored. The sizes
say which, unless the picture is turned by 180 degrees, mirrored or square.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fastfcn_infer.data.dataset import Dataset, Orientation, Sample, turns_labels
from fastfcn_infer.errors import DatasetError, ImageError
from fastfcn_infer.picture.label_map import read_label_size
from fastfcn_infer.picture.read import read_size
from fastfcn_infer.system.excerpt import listing, printable

_SHOWN = 3  # pictures named in a note


@dataclass(frozen=True)
class Pairs:
    """What the sizes of pictures and label maps say.

    Args:
        faults: what is wrong with each pair that does not fit or cannot be read.
        stored: names of the pictures turned by EXIF whose label map has the size of the stored
            pixels, and not of the upright picture.
        upright: those whose label map has the size of the upright picture, and not of the stored pixels.
        unclear: those where both sizes are the same.
        given: as the user said; ``auto``: unknown.
    """

    faults: tuple[str, ...]
    stored: tuple[str, ...] = ()
    upright: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    given: Orientation = "auto"

    @property
    def assumed(self) -> Orientation:
        """The orientation of the unclear ones: as the user said, or as that of all clear ones."""
        if self.given != "auto":
            return self.given
        return "stored" if self.stored and not self.upright else "upright"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed about pictures that EXIF turns, one sentence each."""
        notes = []
        if self.stored:
            notes.append(
                f"{_some(self.stored)} turned by EXIF, and the label maps have the size of the pixels "
                "as stored: they are turned with the pictures"
            )
        if self.upright:
            notes.append(
                f"{_some(self.upright)} turned by EXIF, and the label maps have the upright size: "
                "they are not turned"
            )
        if self.unclear:
            notes.append(self._unclear_note())
        return tuple(notes)

    def _unclear_note(self) -> str:
        turned = "they are turned with the pictures"
        what = turned if self.assumed == "stored" else "they are not turned"
        if self.given != "auto":
            return f"{_some(self.unclear)} turned by EXIF; as --label-orientation {self.given} says, {what}"
        other, done = (
            ("upright", "drawn on the upright pictures")
            if self.assumed == "stored"
            else ("stored", "drawn on the pixels as stored")
        )
        why = ", as with the other pictures" if self.stored or self.upright else ""
        return (
            f"{_some(self.unclear)} turned by EXIF, and sizes do not tell which way the label maps are "
            f"(180 degrees, mirrored or square): assumed {self.assumed}{why}, so {what}. Look at one; "
            f"if they were {done}, give --label-orientation {other}"
        )


def check_pairs(
    dataset: Dataset,
    samples: Sequence[Sample] | None = None,
    advance: Callable[[], None] = lambda: None,
    *,
    is_rgb: bool = True,
) -> Pairs:
    """Compare the sizes of pictures and label maps; nothing is decoded.

    Args:
        dataset: the part.
        samples: those of its pictures to check; None: all. Those without a label map are left out.
        advance: called after each picture.
        is_rgb: the pictures are for a model of three channels.
    """
    faults: list[str] = []
    names: dict[str, list[str]] = {"stored": [], "upright": [], "unclear": []}
    for sample in dataset.samples if samples is None else samples:
        try:
            kind = _check(dataset, sample, is_rgb=is_rgb)
        except (ImageError, DatasetError) as error:
            faults.append(str(error))
        else:
            if kind is not None:
                names[kind].append(sample.name)
        advance()
    return Pairs(
        tuple(faults),
        tuple(names["stored"]),
        tuple(names["upright"]),
        tuple(names["unclear"]),
        dataset.label_orientation,
    )


def with_orientation(dataset: Dataset, pairs: Pairs) -> Dataset:
    """Let a data set turn the label maps whose sizes do not tell as `pairs` assumes."""
    if dataset.label_orientation == "auto" and pairs.assumed == "stored":
        return replace(dataset, label_orientation="stored")
    return dataset


def _check(dataset: Dataset, sample: Sample, *, is_rgb: bool) -> str | None:
    """Say what the sizes of a pair tell; None if its picture is not turned, or has no label map.

    Raises:
        ImageError, DatasetError: it cannot be read, or its sizes do not fit.
    """
    if sample.label is None:
        return None
    stored, turn = read_size(sample.picture, is_rgb=is_rgb)
    try:
        label = read_label_size(sample.label)
    except ImageError as error:
        raise DatasetError(f"{dataset.name}: {error}") from error
    upright = stored[::-1] if turn >= 5 else stored
    turned = turns_labels(upright, label, turn, dataset.label_orientation)
    if label != (stored if turned else upright):
        raise DatasetError(dataset.other_size(sample, upright, label, turn))
    if turn == 1:
        return None
    if stored == upright:
        return "unclear"
    return "stored" if label == stored else "upright"


def _some(names: Sequence[str]) -> str:
    shown = listing([printable(name) for name in names], most=_SHOWN)
    return f"{len(names)} picture{'s' if len(names) > 1 else ''} ({shown}) {'are' if len(names) > 1 else 'is'}"
