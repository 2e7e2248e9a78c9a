"""The pictures that a network is quantised with: some to calibrate on, others held out for the proof."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path

from fastfcn_infer.artifact.manifest import Input, Model
from fastfcn_infer.data.dataset import Dataset, Sample
from fastfcn_infer.errors import DatasetError, ImageError
from fastfcn_infer.inference.multiband import read_pixels
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.preprocess import Batch
from fastfcn_infer.inference.stream.source import LIST, files_below, is_input, listed
from fastfcn_infer.picture.read import SUFFIXES
from fastfcn_infer.system.excerpt import listing
from fastfcn_infer.system.progress import Progress

FEWEST = 8  # pictures
MOST = 60  # to calibrate on, by default
_HELD = 3  # every third picture is held out
# Pixels of an input to calibrate on; ONNX Runtime keeps the values of all layers of it.
_LARGEST = 480 * 480
_NEXT = "\n- "


@dataclass(frozen=True)
class Pictures:
    """Some pictures, with labels or without.

    Args:
        source: what they are, for people.
        samples: their files.
        dataset: that they are of, if they have labels; None: they have none.
    """

    source: str
    samples: tuple[Sample, ...]
    dataset: Dataset | None = None


def of_dataset(dataset: Dataset) -> Pictures:
    """Take the pictures of a part of a data set, and its labels if it has them."""
    labelled = all(sample.label is not None for sample in dataset.samples)
    source = f"{dataset.name}, part {dataset.split}"
    return Pictures(source, dataset.samples, dataset if labelled else None)


def of_files(source: str) -> Pictures:
    """Find pictures without labels.

    Args:
        source: a folder, which is searched with all folders in it; a glob; or a text file with the path of
            a picture in each line, absolute or from the folder of that file.

    Raises:
        FileNotFoundError: there is no such folder or file, and nothing matches it as a glob.
        ImageError: the list is not text.
        DatasetError: it is a file of another kind.
        OSError: a folder cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        files = files_below(path)
    elif path.suffix.lower() == LIST and path.is_file():
        files = listed(path)
        return Pictures(path.name, tuple(Sample(str(f), f, None) for f in files))
    elif path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DatasetError(
                f"{source} is neither a picture nor a list of pictures ({LIST}); a folder, a glob, a list or a data "
                "set was expected"
            )
        files = [path]
    else:
        files = [Path(name) for name in glob.glob(source, recursive=True)]  # noqa: PTH207 - absolute too
        if not files:
            raise FileNotFoundError(
                f"{source}: no such file or folder, no file matches it as a glob, and no data set has this name"
            )
    taken = filter(is_input, sorted(files))
    name = path.name if path.exists() else "/".join(path.parts[-2:])  # of a glob with its folder
    return Pictures(name or source, tuple(Sample(str(f), f, None) for f in taken))


def divided(pictures: Pictures, most: int) -> tuple[Pictures, Pictures]:
    """Choose pictures to calibrate on, and others that are held out: half as many.

    All are spread evenly over those that there are, and the same ones are chosen every time.

    Args:
        pictures: at least `FEWEST`.
        most: pictures to calibrate on, at least `FEWEST`; see `QuantizationSettings`.

    Raises:
        DatasetError: there are fewer pictures; says how many are good.
    """
    found = len(pictures.samples)
    if found < FEWEST:
        raise DatasetError(
            f"{found} {'picture' if found == 1 else 'pictures'} in {pictures.source}; at least {FEWEST} are needed to calibrate on and to prove the "
            f"result with, and about {MOST * _HELD // 2} are good. They should be such as the model will see."
        )
    count = min(found, most * _HELD // 2)
    chosen = [pictures.samples[index * found // count] for index in range(count)]
    held = tuple(chosen[1::_HELD])
    rest = tuple(sample for index, sample in enumerate(chosen) if index % _HELD != 1)
    return replace(pictures, samples=rest[:most]), replace(pictures, samples=held)


def check_readable(calibration: Pictures, held: Pictures, expected: Input) -> None:
    """Read all pictures once, and the labels of those held out, before anything takes minutes.

    Args:
        calibration: their labels are not needed.
        held: with labels or without.
        expected: bands that the model takes.

    Raises:
        ImageError: some cannot be read; all of them are listed.
    """
    chosen = (*calibration.samples, *held.samples)
    faults = []
    with Progress("read", total=len(chosen), unit="pictures") as bar:
        for index, sample in enumerate(chosen):
            try:
                if held.dataset is None or index < len(calibration.samples):
                    read_pixels(sample.picture, expected)
                else:
                    held.dataset.read(sample, expected)
            except (ImageError, DatasetError) as error:
                faults.append(str(error))
            bar.advance()
    if faults:
        raise ImageError(
            f"{len(faults)} of the {len(chosen)} chosen pictures of {held.source} cannot be used:{_NEXT}"
            f"{listing(faults, _NEXT)}\nNothing was written. Remove or replace them."
        )


class Batches:
    """What the network sees of some pictures by the model's procedure, one input of each.

    They are prepared when they are asked for, each time again. Where a procedure looks at a picture several
    times, the pictures take turns in which look is taken. Of a large input the middle is taken, if the graph allows.
    """

    def __init__(self, samples: Sequence[Sample], model: Model) -> None:
        self._samples, self._model = samples, model

    def __len__(self) -> int:
        """Return their number."""
        return len(self._samples)

    def __iter__(self) -> Iterator[Batch]:
        """Prepare one after the other."""
        for index, sample in enumerate(self._samples):
            job = Job([read_pixels(sample.picture, self._model.input)], self._model, batch=1)
            batch = job.batch(job.calls[index % len(job.calls)])
            yield self._middle(batch) if self._model.input.shape == (None, None, None) else batch

    def _middle(self, batch: Batch) -> Batch:
        axis = 1 if self._model.input.name == "pixels" else 2
        height, width = batch.shape[axis : axis + 2]
        if height * width <= _LARGEST:
            return batch
        tall = min(height, max(isqrt(_LARGEST), _LARGEST // width))
        wide = min(width, _LARGEST // tall)
        top, left = (height - tall) // 2, (width - wide) // 2
        rows, columns = slice(top, top + tall), slice(left, left + wide)
        return batch[:, rows, columns] if axis == 1 else batch[:, :, rows, columns]
