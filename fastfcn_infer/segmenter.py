"""The main class of the library: an opened model that labels the pixels of pictures."""

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.artifact.relabel import with_palette
from fastfcn_infer.evaluation.scored import Scored
from fastfcn_infer.hub.conversion import Conversion
from fastfcn_infer.hub.models import find_model
from fastfcn_infer.hub.published import Published
from fastfcn_infer.hub.reopen import Reopened, remembering
from fastfcn_infer.inference.conventions import check_name, choose_procedure
from fastfcn_infer.inference.forecast import Plan
from fastfcn_infer.inference.multiband import read_pixels, visible
from fastfcn_infer.inference.pipeline import Network, segment
from fastfcn_infer.inference.probability.groups import Groups
from fastfcn_infer.inference.probability.kept import KeptScores
from fastfcn_infer.inference.probability.options import Keep, ResultOptions
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.smoothing import Smoothed
from fastfcn_infer.inference.stream.source import item_of
from fastfcn_infer.inference.stream.stream import Decoded
from fastfcn_infer.inference.stream.streaming import Streaming
from fastfcn_infer.inference.views import Size, check_size
from fastfcn_infer.picture.palette import Palette
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS, PictureSource
from fastfcn_infer.runtime.backend import Backend, RuntimeFacts
from fastfcn_infer.runtime.joined_calls import Caller, JoinedCalls, check_wait
from fastfcn_infer.runtime.opening import open_as_asked
from fastfcn_infer.runtime.pace import Planner
from fastfcn_infer.runtime.parallel_calls import ParallelCalls
from fastfcn_infer.runtime.precision import Precision, check_precision, graph_precision
from fastfcn_infer.runtime.provenance import provenance
from fastfcn_infer.runtime.rasters import RasterLabelling
from fastfcn_infer.system.record import to_json
from fastfcn_infer.system.stopwatch import timed

if TYPE_CHECKING:
    from fastfcn_infer.benchmark.report import Report
    from fastfcn_infer.benchmark.workload import Scenario


class Segmenter(Streaming, RasterLabelling, Scored, Published, Reopened):
    """A model, opened by a runtime. Threads may share it; close it, or use it in a ``with``.

    One that `from_pretrained` opened can be pickled and copied, which opens the model again, with the same
    options: give it to each process once, not with each picture.
    """

    def __init__(
        self,
        artifact: Artifact,
        backend: Backend,
        procedure: str | Procedure | None = None,
        *,
        join_calls: float = 0.0,
    ) -> None:
        """Combine a checked artifact and an opened graph; usually called by `from_pretrained`."""
        graph = graph_precision(backend.facts.precision)
        # Of several graphs this is the one that was opened.
        if graph in artifact.precisions and graph != artifact.model.precision:
            artifact = artifact.in_precision(graph)
        self.procedure: Procedure = choose_procedure(procedure, artifact.model)
        self._backend = backend
        self._planner = Planner(backend, artifact.model)
        self._at_once = self._planner.at_once
        self._parallel = ParallelCalls(backend, 4 * artifact.model.network.parameters)
        self._joined = JoinedCalls(backend, join_calls) if join_calls else None
        self._names = tuple(c.name for c in artifact.model.classes)
        self._colors = np.array([c.color for c in artifact.model.classes], np.uint8)
        self._provenance = provenance(artifact, backend.facts)
        self.model: Model = artifact.model
        self.artifact = artifact

    @classmethod
    @remembering
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        device: str | int = "auto",
        backend: str = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        classes: str | os.PathLike[str] | None = None,
        dialect: str | None = None,
        output_stride: int | None = None,
        procedure: str | Procedure | None = None,
        join_calls: float = 0.0,
    ) -> "Segmenter":
        """Open a model.

        Args:
            model: an artifact's folder, an ``.onnx`` that fastfcn-export wrote, a checkpoint
                (converted into the cache once; needs ``fastfcn-infer[export]``), a name of the
                catalogue (``fastfcn models``), ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@REVISION``
                for an artifact on the Hugging Face Hub (these two need ``fastfcn-infer[hub]``), or
                None for the model that comes with the package.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or N, or ``tensorrt``; only ``auto``
                chooses. The name of a backend is understood, too.
            backend: ``onnx_runtime``, ``open_vino``, ``paddle_inference``, in any spelling such as
                ``openvino``, or ``auto``.
            precision: ``auto``, what the model was made in, or the fastest that ``fastfcn tune`` was allowed;
                ``fp32``; ``bf16``, on processors that have it, from ``fp32``; ``tf32``, on GPUs, from ``fp32``
                with products rounded to 10 bits; ``fp16``, for GPUs, for a checkpoint what it is converted to;
                ``int8``, if the artifact holds a graph in it, which ``fastfcn-export --precision int8`` makes.
            threads: number of threads to compute with; None: one for each processor that this process may use, or what
                ``fastfcn tune`` measured, which also chooses for ``auto``.
            cache_dir: where downloads, conversions and what ``fastfcn tune`` measured are kept; None: the
                user's cache folder.
            local_files_only: download nothing; use what was downloaded before.
            classes: other names and colours of the classes, as many as the model has: name of a
                class table or path of a JSON file; None: those of the model.
            dialect: only for a checkpoint; None: found from its keys.
            output_stride: stride of the backbone, only for a checkpoint; None: its dialect's published
                default.
            procedure: how pictures become labels: a `Procedure`, or the name of a preset, such as
                ``tiles`` or ``fastfcn-ms``, or ``published``, what the checkpoint's authors publish
                their scores with; None: as the model's manifest says.
            join_calls: seconds, such as 0.005, that `predict` waits at most for `predict` in other threads,
                so that pictures of one size share a call of the network; labels are the same except for
                ties. A single caller only loses time. 0: every call is computed at once.

        Raises:
            ValueError: the procedure or the precision is unknown, or the model's output cannot give the one,
                or it was not made in the other; `join_calls` is not from 0 to 1; `dialect` or
                `output_stride` is given and the model is an artifact; or `classes` are not as many as
                the model has.
            ArtifactError: no such model or class table, or its files are not those that its manifest lists.
            CheckpointError: the checkpoint is refused or damaged.
            DownloadError: a file could not be downloaded, or the cache cannot be used.
            BackendMissing: a runtime, an exporter or a download client is not installed.
            GraphRefused: the runtime cannot run the graph; `WrongLabels` if in the precision that was asked
                for too few labels of the golden picture are right.
            DeviceUnavailable: the device is not available, or cannot compute in the precision.
        """
        if isinstance(procedure, str):
            check_name(procedure)  # a wrong name is an error now, not after a conversion
        check_precision(precision)
        check_wait(join_calls)
        conversion = Conversion(classes, dialect, output_stride, graph_precision(precision))
        cache = None if cache_dir is None else Path(cache_dir)
        artifact = find_model(model, cache, conversion, local_files_only=local_files_only)
        opened = open_as_asked(
            backend, artifact, device=device, threads=threads, precision=precision, cache=cache
        )
        try:
            return cls(artifact, opened, procedure, join_calls=join_calls)
        except BaseException:
            opened.close()
            raise

    @property
    def runtime(self) -> RuntimeFacts:
        """Backend, provider, device, threads, versions, and what was chosen for the user."""
        return self._backend.facts

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return self._names

    @property
    def provenance(self) -> Mapping[str, str]:
        """Model, runtime and versions, as every result carries them."""
        return self.made_by(self.procedure, None)

    def made_by(self, procedure: Procedure, depth: int | None) -> dict[str, str]:
        """Return the provenance of a result: everything that its labels depend on except the picture."""
        return {
            **self._provenance,
            "procedure": procedure.kind,
            "procedure_settings": to_json(procedure, indent=None),
            **({} if depth is None else {"depth": str(depth)}),
        }

    def predict(
        self,
        picture: PictureSource,
        procedure: str | Procedure | None = None,
        *,
        color: Literal["rgb", "bgr"] = "rgb",
        depth: int | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        keep: Keep | None = None,
        groups: Groups | None = None,
        min_confidence: float | None = None,
    ) -> Segmentation:
        """Label every pixel of a picture.

        Arrays are taken as RGB. Give ``color="bgr"`` with pictures from OpenCV (`cv2.imread`,
        `cv2.VideoCapture`): nothing can tell the two orders apart, and with the wrong one the labels
        are worse without an error. Files and PIL images know their own order.

        Args:
            picture: path, bytes, open file, PIL image, or array (H, W, 3), (H, W, 4) or (H, W), or of as
                many bands as the model takes; see `read_picture` and `multiband.read_pixels`.
            procedure: how it becomes labels, for this picture; None: as the segmenter was opened.
            color: order of an array's channels.
            depth: bits, 8 to 16, that a picture of 16 bits uses, such as 12 of many cameras and
                microscopes; None: all 16.
            max_pixels: the largest picture to accept, height times width.
            keep: "scores": the result keeps the scores that its labels follow from, at the network's stride,
                for `Segmentation.confidence`, `probabilities`, `top`, `relabel` and more. They take 4 bytes
                for each class and each 8 x 8 pixels of each view, such as 3.3 MB for 150 classes and a
                picture of 512 x 683 pixels that is seen once. None: they are released.
            groups: classes whose probabilities are added up before the most probable one is chosen, such as
                ``{"vehicle": ["car", "bus"]}``; see `Segmentation.relabel`. None: no groups.
            min_confidence: pixels whose class is less probable get the label 255 (or 65535), which means no class;
                see `Segmentation.relabel`. None: every pixel has a class.

        Raises:
            ValueError: the procedure or `depth` is unknown, or the model's output cannot give it; or `groups`
                or `min_confidence` do not fit the model.
            ImageError: the picture cannot be read or is too large.
            BackendError: the runtime failed, or this segmenter was closed.
        """
        chosen = self._chosen(procedure)
        options = ResultOptions(keep, groups, min_confidence)
        options.check(self.model)
        timings: dict[str, float] = {}
        with timed(timings, "decode"):
            pixels = read_pixels(picture, self.model.input, color, depth, max_pixels)
        decoded = Decoded(item_of(picture), pixels, timings["decode"])
        network: Network = self._backend
        if self._joined is not None and self.model.input.shape[0] is None:
            network = Caller(self._joined, self._together(decoded.size, chosen))
        return self._label([decoded], chosen, depth, network, options)[0]

    __call__ = predict

    def _chosen(self, procedure: str | Procedure | None) -> Procedure:
        return self.procedure if procedure is None else choose_procedure(procedure, self.model)

    def _network(self, pictures: int | None) -> tuple[Network, int]:
        """See `Streaming._network`."""
        several = self._parallel.network(pictures)
        return (self._backend, 1) if several is None else (several, several.calls)

    def _together(self, size: Size, chosen: Procedure) -> int:
        """See `Streaming._together`."""
        return self._planner.together(size, chosen)

    def _label(
        self,
        pictures: Sequence[Decoded],
        chosen: Procedure,
        depth: int | None,
        network: Network,
        options: ResultOptions,
    ) -> list[Segmentation]:
        """See `Streaming._label`."""
        for size in {picture.size for picture in pictures}:
            self._planner.warn_if_shrunk(size, chosen)
        if isinstance(network, Smoothed):
            network.start_frame(pictures[0].size)
        taken: dict[str, float] = {}
        kept: list[KeptScores] = []
        found = segment(
            [picture.pixels for picture in pictures],
            self.model,
            network,
            procedure=chosen,
            batch=min(
                self._planner.batch(picture.size, chosen, keep=options.need_scores)
                for picture in pictures
            ),
            timings=taken,
            kept=kept if options.need_scores else None,
        )
        provenance = self.made_by(chosen, depth)
        shares = {stage: seconds / len(pictures) for stage, seconds in taken.items()}
        scores_of: Sequence[KeptScores | None] = kept or [None] * len(found)
        results = [
            Segmentation(
                labels,
                self._names,
                self._colors,
                visible(picture.pixels),
                {"decode": picture.seconds, **shares},
                provenance,
                picture.item.source,
                picture.item.frame,
                scores,
                time=picture.item.time,
            )
            for labels, picture, scores in zip(found, pictures, scores_of, strict=True)
        ]
        return [options.finish(result) for result in results]

    def plan(
        self,
        size: Size,
        procedure: str | Procedure | None = None,
        *,
        keep: Keep | None = None,
    ) -> Plan:
        """Say what labelling a picture would take: views, calls, multiply-adds, memory, time.

        No picture is read. The network is timed with an empty batch of the most frequent size of views,
        which takes a few seconds, or a single view if that takes longer. The segmenter remembers
        the result, also for views of nearly the same size.

        Args:
            size: height and width of the picture, pixels.
            procedure: as in `predict`.
            keep: as in `predict`; "scores" counts the memory of the scores that the result keeps.

        Raises:
            ValueError: `size` is not two positive whole numbers, `keep` is unknown, or the procedure is unknown, or the
                model's output cannot give it.
            ImageError: a picture of this size does not fit the model or the procedure.
            BackendError: the runtime failed, or this segmenter was closed.
        """
        size = check_size(size)
        options = ResultOptions(keep)
        options.check(self.model)
        return self._planner.plan(size, self._chosen(procedure), keep=options.need_scores)

    def benchmark(
        self,
        *,
        sizes: Sequence[Size] = ((480, 480),),
        batches: Sequence[int] = (1,),
        scenarios: Sequence["Scenario"] = ("single",),
        seconds: float = 5.0,
    ) -> "Report":
        """Measure this model as it was opened; see `benchmark.measure`.

        Args:
            sizes: heights and widths of the picture.
            batches: how many pictures a run takes.
            scenarios: how they are labelled: "single", "batch", "stream" or "folder".
            seconds: how long to time each size, batch and scenario.

        Raises:
            ValueError: a scenario is unknown, or a graph of a fixed shape does not take a batch.
            BackendError: the runtime failed, or this segmenter was closed.
        """
        from fastfcn_infer.benchmark.measure import Candidate, measure
        from fastfcn_infer.benchmark.workload import Case, check_scenario

        asked = product(map(check_scenario, scenarios), sizes, batches)
        cases = [Case(size, batch, scenario) for scenario, size, batch in asked]
        candidate = Candidate(self.model.name, self, self._backend)
        return measure([candidate], cases, seconds=seconds)

    def with_palette(self, palette: Palette) -> "Segmenter":
        """Return a segmenter of the same opened model that colours the classes in another way.

        The two share the runtime: whichever is closed first closes it for both.

        Args:
            palette: "dataset", "paddleseg" or "distinct"; see `Segmentation.with_palette`.

        Raises:
            ValueError: there is no such palette.
        """
        other = Segmenter(with_palette(self.artifact, palette), self._backend, self.procedure)
        other._parallel, other._joined = self._parallel, self._joined
        return other

    def close(self) -> None:
        """Release the runtime's memory and threads; calling it again is harmless."""
        self._backend.close()
        self._parallel.close()
        if self._joined is not None:
            self._joined.close()

    def __enter__(self) -> "Segmenter":
        """Use the segmenter in a ``with``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __repr__(self) -> str:
        """Name the model and what runs it."""
        facts = self.runtime
        return (
            f"Segmenter({self.model.name}: {len(self._names)} classes, {facts.backend} on "
            f"{facts.device}, {facts.threads} threads)"
        )
