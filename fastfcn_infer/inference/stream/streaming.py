"""The methods of `Segmenter` for many pictures."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

from fastfcn_infer.artifact.manifest import RGB, Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.multiband import read_pixels
from fastfcn_infer.inference.pipeline import Network
from fastfcn_infer.inference.probability.groups import Groups
from fastfcn_infer.inference.probability.options import Keep, ResultOptions
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.smoothing import Smoothed
from fastfcn_infer.inference.stream.source import (
    StreamSource,
    is_picture,
    is_video,
    open_source,
)
from fastfcn_infer.inference.stream.stream import (
    Decoded,
    Failed,
    OnError,
    Steps,
    Stream,
    check_on_error,
)
from fastfcn_infer.inference.views import Size
from fastfcn_infer.picture.read import (
    DEFAULT_MAX_PIXELS,
    PictureSource,
    check_reading,
)
from fastfcn_infer.system.excerpt import excerpt


class Streaming(ABC):
    """Labels many pictures; a subclass labels some at a time."""

    model: Model
    _at_once: int  # batches to label at a time

    def predict_batch(
        self,
        pictures: Iterable[PictureSource],
        procedure: str | Procedure | None = None,
        *,
        on_error: OnError = "raise",
        color: Literal["rgb", "bgr"] = "rgb",
        depth: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep: Keep | None = None,
        groups: Groups | None = None,
        min_confidence: float | None = None,
    ) -> list[Segmentation | Failed]:
        """Label several pictures of any sizes; all results are kept in memory.

        Pictures are decoded while the network runs, and those of equal size share its calls.

        Args:
            pictures: each as in `predict`.
            procedure: as in `predict`.
            on_error: what happens with a picture that cannot be read or labelled: ``raise`` the error,
                ``skip`` it, or ``return`` a `Failed` in its place.
            color: as in `predict`.
            depth: as in `predict`.
            max_pixels: as in `predict`.
            keep: as in `predict`; every result that is held then holds its scores, too.
            groups: as in `predict`.
            min_confidence: as in `predict`.

        Returns:
            The results in the order of the pictures.

        Raises:
            ValueError, ImageError, BackendError: as in `predict`.
        """
        given: object = pictures
        if is_picture(given):
            raise TypeError(
                f"pictures is {excerpt(given)}, one picture; an iterable of pictures was expected, or use "
                "predict, or stream for a folder"
            )
        if not isinstance(given, Iterable) or isinstance(given, Mapping):
            raise TypeError(
                f"pictures is {excerpt(given)}; an iterable of pictures was expected, such as a list"
            )
        with self.stream(
            pictures if isinstance(pictures, Sequence) else iter(pictures),
            procedure,
            on_error=on_error,
            color=color,
            depth=depth,
            max_pixels=max_pixels,
            keep=keep,
            groups=groups,
            min_confidence=min_confidence,
        ) as stream:
            return list(stream)

    def stream(
        self,
        source: StreamSource,
        procedure: str | Procedure | None = None,
        *,
        on_error: OnError = "raise",
        every: int = 1,
        smooth: float = 0.0,
        color: Literal["rgb", "bgr"] = "rgb",
        depth: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep: Keep | None = None,
        groups: Groups | None = None,
        min_confidence: float | None = None,
    ) -> Stream:
        """Label many pictures one after the other, lazily: iterate over what is returned.

        The next pictures are read and labelled while the caller uses a result. Results come in the
        order of the source and name it (`Segmentation.source`, `Segmentation.frame`).

        Args:
            source: a folder, a glob, a list of paths (``.txt``), a video file, ``camera:0`` or an
                address such as ``rtsp://...`` (these three need ``fastfcn-infer[video]``), or an
                iterable of pictures, which another thread then iterates over. A live source drops
                the frames that come while the network is busy and counts them, `Stream.dropped`.
            procedure: as in `predict`.
            on_error: what happens with a picture that cannot be read or labelled: ``raise`` the error,
                ``skip`` it (`Stream.failed` counts), or ``return`` a `Failed` in its place.
            every: of a video, label only every so many frames.
            smooth: for videos: the weight, 0 to below 1, of the frames before in the logits of a frame;
                0: each frame by itself. `Stream.flicker` says how much labels change.
            color: as in `predict`.
            depth: as in `predict`.
            max_pixels: as in `predict`.
            keep: as in `predict`; every result that is held then holds its scores, too.
            groups: as in `predict`.
            min_confidence: as in `predict`.

        Raises:
            FileNotFoundError: the source does not exist, or has no picture.
            ValueError, ImageError, BackendError: as in `predict`; of pictures as they are reached.
            BackendMissing: a video needs PyAV, which is not installed.
        """
        chosen = self._chosen(procedure)
        options = ResultOptions(keep, groups, min_confidence)
        options.check(self.model)
        check_reading(color, depth)
        check_on_error(on_error)
        channels = self.model.input.channels
        if channels != RGB and is_video(source):
            raise ImageError(
                f"{source!s} is a video, whose frames have {RGB} channels, and the model takes {channels} bands. Pass "
                "pictures with as many."
            )
        network, calls = self._network(None)
        if smooth:
            network = Smoothed(network, smooth, self.model)
        opened = open_source(source, every=every)
        if chosen.is_one_view and not smooth and opened.camera is None:
            network, calls = self._network(opened.count)
        alone = bool(smooth) or calls > 1  # a picture has a call of its own
        steps = Steps(
            partial(
                read_pixels,
                given=self.model.input,
                color=color,
                depth=depth,
                max_pixels=max_pixels,
            ),
            partial(self._label, chosen=chosen, depth=depth, network=network, options=options),
            lambda size: 1 if alone else self._together(size, chosen),
            1 if smooth else max(calls, self._at_once),
            ready=1 if calls > 1 else 0,
        )
        return Stream(opened, steps, on_error=on_error, compare=bool(smooth))

    @abstractmethod
    def _network(self, pictures: int | None) -> tuple[Network, int]:
        """Return what computes batches.

        Args:
            pictures: of one view each that will be labelled; None if unknown, or of several.

        Returns:
            The network, and how many calls of a picture each are best at a time; 1: batches are better.
        """

    @abstractmethod
    def _chosen(self, procedure: str | Procedure | None) -> Procedure:
        """Return the procedure that a caller asks for."""

    @abstractmethod
    def _together(self, size: Size, chosen: Procedure) -> int:
        """Return how many pictures of a size to label at a time."""

    @abstractmethod
    def _label(
        self,
        pictures: Sequence[Decoded],
        chosen: Procedure,
        depth: int | None,
        network: Network,
        options: ResultOptions,
    ) -> list[Segmentation]:
        """Label some pictures with shared calls of the network, in their order."""
