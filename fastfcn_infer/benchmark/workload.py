"""What a benchmark times: single pictures, batches, streams of them, and folders from files to files."""

import hashlib
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.errors import BackendError
from fastfcn_infer.inference.multiband import read_pixels, with_channels_of
from fastfcn_infer.inference.pipeline import STAGES, Job, Network
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.source import StreamSource, is_video, open_source
from fastfcn_infer.inference.stream.stream import Failed, Stream
from fastfcn_infer.inference.views import Size
from fastfcn_infer.picture.read import SUFFIXES, PictureSource, read_picture, read_upright_size
from fastfcn_infer.system.opencv import cv2

Scenario = Literal["single", "batch", "stream", "folder"]
SCENARIOS: Mapping[Scenario, str] = {
    "single": "one call after the other, of decoded pictures",
    "batch": "predict_batch of decoded pictures",
    "stream": "stream of decoded pictures",
    "folder": "stream of picture files, labels and overlays written",
}
PASS = 16  # pictures of a run of a stream or a folder, unless the user says another number

_ALONE = 16  # pictures that the network alone is timed with
_WRITERS = 2  # threads, as `fastfcn predict` has
_QUALITY = 95  # of the JPEG files that are made

Picture = NDArray[Any]
Taken: TypeAlias = dict[str, float]  # seconds of each of `STAGES`, and of the whole run as "total"


class Opened(Predictor, Protocol):
    """An opened model that also labels many pictures; `Segmenter` is one."""

    def predict_batch(self, pictures: Iterable[PictureSource]) -> list[Segmentation | Failed]:
        """Label some pictures at once."""

    def stream(self, source: StreamSource) -> Stream:
        """Label pictures one after the other."""


@dataclass(frozen=True)
class Case:
    """What the candidates are fed.

    Args:
        size: height and width of the pictures.
        batch: how many pictures a timed run takes.
        scenario: a key of `SCENARIOS`.
    """

    size: Size
    batch: int
    scenario: Scenario = "single"

    @property
    def overlaps(self) -> bool:
        """Tell whether the network runs while other pictures are read or labelled."""
        return self.scenario != "single"


@dataclass(frozen=True)
class Workload:
    """A run to be timed.

    Args:
        run: labels all pictures once.
        alone: runs the network alone for as many pictures, where its time in a run says less, because other
            work happens at the same time; None: its time in a run counts.
        warm_up: runs before the first one that is timed.
    """

    run: Callable[[], Taken]
    alone: Callable[[], Taken] | None = None
    warm_up: int = 1


def check_scenario(name: str) -> Scenario:
    """Return a scenario.

    Raises:
        ValueError: the name is unknown.
    """
    for known in SCENARIOS:
        if name == known:
            return known
    raise ValueError(f"scenario {name!r} is unknown; known: {', '.join(SCENARIOS)}")


def photograph(size: Size, given: Input | None = None) -> Picture:
    """Return the bundled photograph, (H, W, 3) RGB or with as many channels as a model takes.

    Args:
        size: height and width that it is resized to.
        given: the input of the model; None: of three channels.
    """
    file = resources.files("fastfcn_infer") / "assets" / "demo" / "china.jpg"
    resized = np.asarray(cv2.resize(read_picture(file.read_bytes()), size[::-1]), np.uint8)
    return resized if given is None else with_channels_of(resized, given)


def find_images(source: Path, count: int) -> tuple[Path, ...]:
    """Find the user's pictures.

    Args:
        source: folder, glob, list of paths, or a picture.
        count: how many to use, the first ones.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not about picture files, but a video or a camera.
    """
    paths: tuple[Path, ...] = ()
    if not is_video(source):
        items = itertools.islice(open_source(source).items, count)
        paths = tuple(Path(str(item.source)) for item in items)
    if not paths or not all(path.suffix.lower() in SUFFIXES for path in paths):
        raise ValueError(f"{source} is not a folder of picture files, a glob or a list of them")
    return paths


def sizes_of(images: Sequence[Path]) -> list[Size]:
    """Return the heights and widths of the user's pictures, upright, the most frequent first.

    Raises:
        ImageError: one cannot be read.
    """
    sizes = Counter(read_upright_size(path) for path in images)
    return [size for size, _ in sizes.most_common()]


def hash_images(images: Sequence[Path]) -> str:
    """Identify the user's pictures by the content of their files; empty if there are none."""
    digest = hashlib.sha256()
    for path in images:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16] if images else ""


@contextmanager
def files_of(case: Case, images: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Give the files of a folder: the user's, or JPEG files of the photograph, for a while."""
    if images:
        yield tuple(itertools.islice(itertools.cycle(images), case.batch))
        return
    pixels = cv2.cvtColor(photograph(case.size), cv2.COLOR_RGB2BGR)
    with TemporaryDirectory(prefix="fastfcn-benchmark-") as folder:
        paths = tuple(Path(folder) / f"{number:04}.jpg" for number in range(case.batch))
        for path in paths:
            if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]):
                raise OSError(f"{path} cannot be written")
        yield paths


def label_each(predictor: Opened, pictures: Sequence[Picture]) -> Taken:
    """Label each picture before the next one."""
    began = time.perf_counter()
    return _taken(map(predictor.predict, pictures), began)


def label_batch(predictor: Opened, pictures: Sequence[Picture]) -> Taken:
    """Label the pictures with `predict_batch`."""
    began = time.perf_counter()
    return _taken(predictor.predict_batch(pictures), began)


def label_stream(predictor: Opened, pictures: Sequence[Picture]) -> Taken:
    """Label the pictures with `stream`."""
    began = time.perf_counter()
    with predictor.stream(pictures) as stream:
        return _taken(stream, began)


def label_files(predictor: Opened, files: Sequence[Path], folder: Path) -> Taken:
    """Read, label and write labels and overlays, as ``fastfcn predict`` does."""
    began = time.perf_counter()
    with (
        predictor.stream(files) as stream,
        ThreadPoolExecutor(_WRITERS, "fastfcn-benchmark") as writers,
    ):
        return _taken(_written(stream, folder, writers), began)


def _written(
    stream: Iterable[Segmentation | Failed], folder: Path, writers: ThreadPoolExecutor
) -> Iterator[Segmentation | Failed]:
    waiting: deque[Future[None]] = deque()
    for number, found in enumerate(stream):
        if isinstance(found, Segmentation):
            waiting.append(writers.submit(_save, found, folder, number))
        yield found
        if len(waiting) > 2 * _WRITERS:
            waiting.popleft().result()
    for saved in waiting:
        saved.result()


def _save(found: Segmentation, folder: Path, number: int) -> None:
    found.save_each(
        {
            "labels": folder / f"{number:04}_labels.png",
            "overlay": folder / f"{number:04}_overlay.jpg",
        }
    )


def network_alone(
    predictor: Predictor, network: Network, pictures: Sequence[Picture], batch: int, count: int
) -> Callable[[], Taken]:
    """Return what runs the network alone, on batches that are made before.

    Args:
        predictor: whose procedure says what the network is fed.
        network: runs a batch.
        pictures: what it is fed; some of `count` that are alike.
        batch: views in one call.
        count: of pictures; what a few take is scaled to as many.
    """
    seen = list(itertools.islice(itertools.cycle(pictures), min(count, _ALONE)))
    job = Job(seen, predictor.model, procedure=predictor.procedure, batch=batch)
    fed: dict[tuple[Size, int], NDArray[Any]] = {}
    order = []
    for call in job.calls:
        part = call[0]
        key = (job.views[part.picture][part.view].canvas, len(call))
        if key not in fed:
            fed[key] = job.batch(call)
        order.append(key)

    def run() -> Taken:
        began = time.perf_counter()
        for key in order:
            network.run(fed[key])
        seconds = (time.perf_counter() - began) * count / len(seen)
        return {"network": seconds, "total": seconds}

    return run


def faster(calls: Sequence[Callable[[], Taken]]) -> Callable[[], Taken]:
    """Return the call that takes less time, each one warmed up first."""
    for call in calls:
        call()
    return min(calls, key=lambda call: call()["total"])


def pictures_of(case: Case, images: Sequence[Path], given: Input) -> tuple[Picture, ...]:
    """Return the decoded pictures of a case: as many as a run takes; of single runs, all of them.

    Args:
        case: of pictures that have its size, or the user's.
        images: files of the user's pictures, the first ones again where a run takes more; none: the
            bundled photograph.
        given: the input of the model.
    """
    count = min(case.batch, _ALONE) if case.scenario == "folder" else case.batch
    if not images:
        return (photograph(case.size, given),) * count
    most = _ALONE if case.scenario == "folder" else len(images)
    decoded = [read_pixels(path, given) for path in images[:most]]
    if case.scenario == "single":  # whole groups
        count = -(-len(decoded) // case.batch) * case.batch
    return tuple(itertools.islice(itertools.cycle(decoded), count))


def _taken(found: Iterable[Segmentation | Failed], began: float) -> Taken:
    """Add up what each stage took for all results; the total is that of the clock."""
    sums = dict.fromkeys(STAGES, 0.0)
    for one in found:
        if isinstance(one, Failed):
            raise BackendError(f"a picture was not labelled: {one.error}") from one.error
        for stage in STAGES:
            sums[stage] += one.timings.get(stage, 0.0)
    return {**sums, "total": time.perf_counter() - began}
