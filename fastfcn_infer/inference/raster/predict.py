"""Label a raster of any size: in bands of rows and strips of columns, at flat memory, resumed where it was interrupted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import PRESETS, Procedure
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference import areas
from fastfcn_infer.inference.bands import columns_seen, over_columns
from fastfcn_infer.inference.cost import RuntimeProfile
from fastfcn_infer.inference.pipeline import Job, Network, labelled
from fastfcn_infer.inference.probability.groups import Grouping
from fastfcn_infer.inference.probability.options import ResultOptions
from fastfcn_infer.inference.probability.relabel import Relabelling
from fastfcn_infer.inference.raster import geo, memory
from fastfcn_infer.inference.raster.journal import Progress, Run, identify
from fastfcn_infer.inference.raster.memory import Layout
from fastfcn_infer.inference.raster.rows import Rows
from fastfcn_infer.inference.raster.source import Opened, open_raster
from fastfcn_infer.inference.raster.target import TILE, check_target, write_raster
from fastfcn_infer.inference.views import Size, plan
from fastfcn_infer.system import record
from fastfcn_infer.system.atomic import write_file
from fastfcn_infer.system.json_bytes import json_bytes
from fastfcn_infer.system.progress import Progress as Bar
from fastfcn_infer.system.stopwatch import timed
from fastfcn_infer.system.version import __version__


@dataclass(frozen=True)
class RasterResult:
    """What `Segmenter.predict_raster` wrote.

    Args:
        path: the file of the labels.
        size: height and width, pixels.
        names: names of the C classes.
        pixels: how many each of the C classes has.
        nodata: the label of pixels without data, or that are too uncertain (`min_confidence`); None: there are
            none.
        resumed: rows that an interrupted run had labelled already, of all strips together.
        batch: windows that the network computed at a time.
        strip: columns that were labelled together, from top to bottom; None: all.
        memory: bytes that were estimated to be needed beyond the opened model.
        timings: stage -> seconds.
        provenance: model, runtime and versions.
    """

    path: Path
    size: Size
    names: tuple[str, ...]
    pixels: tuple[int, ...]
    nodata: int | None
    resumed: int
    batch: int
    memory: int
    timings: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    strip: int | None = None

    def areas(self) -> dict[str, float]:
        """Return the share of the pixels with data of every class that is present, the largest first.

        Returns:
            Name -> fraction; they sum to 1. Classes of one name are added up.
        """
        return areas.shares(self.names, self.pixels)

    def save_json(self, path: str | Path) -> None:
        """Write areas, names, timings and provenance, as `Segmentation.save` does.

        Raises:
            OSError: the file could not be written; what was there before still is.
        """
        facts = {
            "size": self.size,
            "areas": areas.rows(self.names, self.pixels),
            "names": self.names,
            "nodata": self.nodata,
            "timings": dict(self.timings),
            "provenance": dict(self.provenance),
        }
        write_file(Path(path), json_bytes(facts, indent=2))

    def to_geojson(self, min_area: int = 0, simplify: float = 0.0) -> dict[str, Any]:
        """Return the regions of the labels as GeoJSON, as `Segmentation.to_geojson` does.

        Coordinates are longitude and latitude in WGS84 where the reference system is known. The labels
        are read from `path`, all at once: about 20 bytes for a pixel are needed, and more for many regions.

        Args:
            min_area: pixels; smaller regions are left out, and their place stays empty.
            simplify: pixels; how far outlines may move to become simpler.

        Raises:
            ValueError: `min_area` or `simplify` is negative.
            ImageError: the raster has more than 100 million pixels, cannot be read, or says where it lies
                in another way than by an affine transform.
        """
        from fastfcn_infer.inference.raster.outlines import raster_geojson

        return raster_geojson(self.path, self.names, min_area, simplify)

    def save_geojson(self, path: str | Path, min_area: int = 0, simplify: float = 0.0) -> None:
        """Write `to_geojson`.

        Raises:
            ValueError: as `to_geojson`.
            ImageError: as `to_geojson`.
            OSError: the file could not be written; what was there before still is.
        """
        write_file(Path(path), json_bytes(self.to_geojson(min_area, simplify)))


def can_be_labelled_in_parts(procedure: Procedure) -> bool:
    """Tell whether windows are cut from the picture at its own size."""
    at_own_size = procedure.resize is None and procedure.scales == (1.0,)
    return procedure.windows is not None and at_own_size


def check_raster_procedure(procedure: Procedure) -> None:
    """Refuse a procedure that has to see the whole raster.

    Raises:
        ValueError: its windows are not cut from the picture at its own size.
    """
    if not can_be_labelled_in_parts(procedure):
        able = [name for name, one in PRESETS.items() if can_be_labelled_in_parts(one)]
        raise ValueError(
            f"The procedure {procedure.kind!r} cannot label a raster in parts: windows at the "
            f"raster's own size are needed, without a resize and at the scale 1. Choose "
            f"{' or '.join(able)}, or Procedure(windows=Windows(480, 320)) with any mirrors, merge "
            "and border (--crop and --stride)."
        )


def predict_raster(
    source: Path,
    target: Path,
    artifact: Artifact,
    network: Network,
    procedure: Procedure,
    *,
    profile: RuntimeProfile,
    runtime: Mapping[str, str],
    max_memory: int,
    max_pixels: int,
    depth: int | None,
    provenance: Mapping[str, str],
    options: ResultOptions,
) -> RasterResult:
    """Label a raster.

    Args:
        source: of any picture; a TIFF is read in bands.
        target: a ``.tif``, replaced in one step when all is labelled.
        artifact: the model.
        network: the same, opened.
        procedure: windows at the raster's own size.
        profile: what the runtime takes.
        runtime: its name, device, threads and versions; an interrupted run continues with the same.
        max_memory: bytes beyond the opened model.
        max_pixels: the largest picture to decode at once, where it is not a TIFF.
        depth: bits that a raster of 16 bits uses; None: all.
        provenance: of the labels, stored in the target.
        options: groups of classes, and the least confidence.

    Raises:
        As `Segmenter.predict_raster`.
    """
    check_raster_procedure(procedure)
    check_target(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target} is the raster itself; choose another target")
    geo.rasterio(f"The raster {target}")
    timings: dict[str, float] = {}
    try:
        with open_raster(source, artifact.model.input, max_pixels, max_memory, depth) as opened:
            labelling = _Labelling(
                source,
                target,
                artifact,
                network,
                procedure,
                profile,
                runtime,
                depth,
                opened,
                options,
            )
            return labelling.run(max_memory, provenance, timings)
    except MemoryError as error:
        raise ImageError(
            f"This machine has not enough memory to label {source} within the "
            f"{memory.shown(max_memory)} that are allowed. Allow less, so that fewer windows are "
            "computed at a time, or free some memory."
        ) from error


def survey_raster(
    source: Path,
    model: Model,
    profile: RuntimeProfile,
    procedure: Procedure,
    *,
    max_memory: int,
    max_pixels: int,
    depth: int | None,
) -> tuple[Size, Layout]:
    """Say how a raster would be labelled, without labelling it.

    Returns:
        Height and width, pixels; and how it would be divided.

    Raises:
        As `Segmenter.plan_raster`.
    """
    check_raster_procedure(procedure)
    with open_raster(source, model.input, max_pixels, max_memory, depth) as opened:
        return opened.source.size, _Jobs(model, procedure, opened).layout(profile, max_memory)


class _Jobs:
    """The jobs of a raster: one for each strip of columns."""

    def __init__(
        self,
        model: Model,
        procedure: Procedure,
        opened: Opened,
        relabelling: Relabelling | None = None,
    ) -> None:
        self._model, self._procedure, self._opened = model, procedure, opened
        self._relabelling = relabelling
        self._views = plan(procedure, model.input.shape[1:], opened.source.size)

    def layout(self, profile: RuntimeProfile, max_memory: int) -> Layout:
        """Choose how the raster is divided."""
        windows = self._procedure.windows
        crop = 0 if windows is None else windows.crop[0]
        return memory.choose_layout(
            lambda batch, columns: self.job(batch, columns)[0],
            self._model,
            profile,
            lambda columns: self._opened.memory(crop, columns),
            self._views,
            self._opened.source.size,
            max_memory,
        )

    def job(self, batch: int, columns: slice | None) -> tuple[Job, Rows]:
        """Make the job of some columns, and what its windows are cut from."""
        source = self._opened.source
        seen = None
        if columns is not None:
            seen = columns_seen(over_columns(self._views, columns), source.size)
        rows = Rows(source, seen)
        job = Job(
            [rows],
            self._model,
            procedure=self._procedure,
            batch=batch,
            columns=columns,
            planned=self._views,
            relabelling=self._relabelling,
        )
        return job, rows


@dataclass(frozen=True, eq=False)
class _Labelling:
    """One raster on its way to its labels."""

    source: Path
    target: Path
    artifact: Artifact
    network: Network
    procedure: Procedure
    profile: RuntimeProfile
    runtime: Mapping[str, str]
    depth: int | None
    opened: Opened
    options: ResultOptions

    def run(
        self, max_memory: int, provenance: Mapping[str, str], timings: dict[str, float]
    ) -> RasterResult:
        """Label all bands and write the target."""
        again = self.options.relabelling(self.artifact.model)
        jobs = _Jobs(
            self.artifact.model,
            self.procedure,
            self.opened,
            again if self.options.change_labels else None,
        )
        layout = jobs.layout(self.profile, max_memory)
        grouping = again.grouping
        dtype, nodata = self._label_type(len(grouping.names), again.ignored is not None)
        run = self._identity(layout)
        with Progress(self.target, run, dtype) as kept:
            resumed = kept.rows
            self._label(jobs, run, kept, nodata, timings)
            if identify(self.source) != run.source:
                raise ImageError(f"{self.source} was changed while it was labelled; start again.")
            with timed(timings, "write"):
                pixels = self._count(kept, run.strips, len(grouping.names))
                self._write(kept, run.strips, dtype, nodata, provenance, grouping)
            kept.finish()
        return RasterResult(
            self.target,
            self.opened.source.size,
            grouping.names,
            pixels,
            nodata,
            resumed,
            layout.batch,
            layout.memory,
            timings,
            provenance,
            layout.strip,
        )

    def _label(
        self,
        jobs: _Jobs,
        run: Run,
        kept: Progress,
        nodata: int | None,
        timings: dict[str, float],
    ) -> None:
        """Label the bands of all strips that are not kept yet."""
        height = run.size[0]
        try:
            with Bar(str(self.target.name), total=kept.total, unit="rows", done=kept.rows) as bar:
                for index, strip in enumerate(run.strips):
                    if kept.rows >= (index + 1) * height:
                        continue
                    columns = None if run.strip is None else strip
                    job, rows = jobs.job(run.batch, columns)
                    # A band is kept as a whole; an earlier run had the same ones.
                    done = kept.rows - index * height
                    first = sum(band.rows.stop <= done for band in job.bands[0])
                    for _, band, labels in labelled(
                        job, self.network, timings=timings, first=first
                    ):
                        valid = rows.valid(band.rows, strip)
                        found = labels
                        if nodata is not None and valid is not None:
                            found = np.where(valid, labels, kept.dtype.type(nodata))
                        with timed(timings, "write"):
                            kept.append(found)
                        bar.advance(len(labels))
        except KeyboardInterrupt as error:
            what = "rows" if run.strip is None else f"rows of strips of {run.strip} columns"
            raise KeyboardInterrupt(
                f"{kept.rows} of {kept.total} {what} of {self.target} are labelled and kept in {kept.folder}; "
                "the same call or command continues there"
            ) from error

    def _label_type(
        self, classes: int, ignored: bool
    ) -> tuple[type[np.uint8] | type[np.uint16], int | None]:
        """Return the type of the labels and the one of pixels without data or without a class."""
        masked = self.opened.source.masked or ignored
        wide = classes + masked > 256
        if not masked:
            return (np.uint16 if wide else np.uint8), None
        return (np.uint16, 65535) if wide else (np.uint8, 255)

    def _identity(self, layout: Layout) -> Run:
        artifact = self.artifact
        return Run(
            identify(self.source),
            self.depth,
            self.opened.source.size,
            artifact.model.name,
            artifact.fingerprint,
            self.procedure,
            layout.batch,
            self.runtime,
            __version__,
            layout.strip,
            self.options.made_by(),
        )

    def _count(self, kept: Progress, strips: Sequence[slice], classes: int) -> tuple[int, ...]:
        """Count the pixels of each class."""
        counts = np.zeros(1 << 16, np.int64)
        height = self.opened.source.size[0]
        for top in range(0, height, TILE):
            for strip in strips:
                labels = kept.read(slice(top, min(top + TILE, height)), strip)
                counts += np.bincount(labels.ravel(), minlength=len(counts))
        return tuple(counts[:classes].tolist())

    def _write(
        self,
        kept: Progress,
        strips: Sequence[slice],
        dtype: type[np.uint8] | type[np.uint16],
        nodata: int | None,
        provenance: Mapping[str, str],
        grouping: Grouping,
    ) -> None:
        write_raster(
            self.target,
            kept.folder / "result.tif",
            self.opened.source.size,
            kept.read,
            columns=strips,
            names=list(grouping.names),
            colors=grouping.colors,
            dtype=dtype,
            nodata=nodata,
            place=self.opened.place,
            tags={
                "FASTFCN_PROCEDURE": record.to_json(self.procedure, indent=None),
                "FASTFCN_PROVENANCE": json.dumps(dict(provenance)),
            },
        )
