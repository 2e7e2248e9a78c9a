"""Label what a command line names, pictures, rasters and videos, and write the results."""

import argparse
import queue
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.cli import earlier_results, films
from fastfcn_infer.cli.inputs import Job
from fastfcn_infer.cli.job_record import JobRecord
from fastfcn_infer.cli.output import ANNOTATIONS, FILM_KINDS, KINDS, RASTER_KINDS, Output
from fastfcn_infer.errors import FastFCNError, ImageError, WriteError
from fastfcn_infer.inference.probability.options import ResultOptions
from fastfcn_infer.inference.raster.source import survey_tiff
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.stream.source import LIST
from fastfcn_infer.picture import annotation
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.atomic import has_content
from fastfcn_infer.system.opencv import cv2, short_of_memory
from fastfcn_infer.system.writing import DISK_ERRORS, make_folder

if TYPE_CHECKING:
    from fastfcn_infer.inference.stream.stream import Stream
    from fastfcn_infer.picture.tiff import Survey

LARGEST_PICTURE = 2048 * 2048  # pixels of a TIFF; larger ones are labelled as rasters
_DRAWN = (*(suffix for suffix in KINDS["overlay"][1] if suffix != ".mp4"), ".json", ".geojson")
Report = dict[str, Any]
Turn = Callable[[], Report]  # completes a task, or waits until it is completed
_ERRORS = (FastFCNError, MemoryError, OSError, cv2.error)


@dataclass
class Task:
    """What is to be done for a picture.

    Args:
        job: the picture, and where its results belong.
        targets: kind -> path of the results that are to be made.
        kept: paths of those that exist.
        survey: of a raster; None for other pictures.
        error: why nothing can be done.
        again: results that exist are replaced.
    """

    job: Job
    targets: dict[str, Path] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    survey: "Survey | None" = None
    error: Exception | None = None
    again: bool = False

    @property
    def is_picture(self) -> bool:
        """Tell whether it is labelled as pictures are, together with others."""
        other = self.survey is not None or films.is_film(self.job.source)
        return bool(self.targets) and self.error is None and not other


class Labelling:
    """Labels pictures with the options of a command line.

    Args:
        segmenter: the opened model.
        output: which results are written, and where.
        windows: procedure of rasters; None: they are labelled as all other pictures.
        arguments: of ``fastfcn predict``.
        options: what is done with the scores.
        record: of the pictures that are done; None: there is none.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        output: Output,
        windows: Procedure | None,
        arguments: argparse.Namespace,
        options: ResultOptions,
        record: JobRecord | None = None,
    ) -> None:
        self._segmenter, self._output, self._windows = segmenter, output, windows
        self._arguments, self._options, self._record = arguments, options, record
        limit = arguments.max_pixels
        self._limit = {} if limit is None else {"max_pixels": limit}

    def reports(self, jobs: Sequence[Job]) -> Iterator[Report]:
        """Make the results that are missing, all of them with ``--force``.

        The next pictures are read and labelled while results are written.

        Yields:
            What became of each picture, in the order of the jobs.

        Raises:
            OSError: the disk is full or read-only, so no other result could be written either.
        """
        tasks = [self._task(job) for job in jobs]
        pictures = [task.job.source for task in tasks if task.is_picture]
        stream = self._segmenter.stream(
            pictures,
            on_error="return",
            depth=self._arguments.depth,
            **self._limit,
            **self._options.as_arguments(),
        )
        with stream, ThreadPoolExecutor(self._arguments.jobs, "fastfcn-write") as writers:
            begin = partial(self._begin, stream=stream, writers=writers)
            turns = _Turns(tasks, begin, ahead=2 * self._arguments.jobs)
            try:
                for task, turn in zip(tasks, turns, strict=True):
                    report = turn()
                    if self._record is not None:
                        self._record.add(task.job.source, report)
                    yield report
            finally:
                stream.close()
                turns.close()
                writers.shutdown(cancel_futures=True)

    def _begin(self, task: Task, stream: "Stream", writers: ThreadPoolExecutor) -> "Turn":
        """Wait for the labels of a picture and let them be written; all else waits for its turn."""
        if task.is_picture:
            found = next(stream)
            if isinstance(found, Segmentation):
                return writers.submit(_reported, task, lambda: self._save(task, found)).result
            if not isinstance(found.error, _ERRORS):
                raise found.error
            task.error = found.error
        return lambda: _reported(task, lambda: self._other(task))

    def _task(self, job: Job) -> Task:
        """Find out what is to be done; what cannot be is an error in the task."""
        if self._record is not None and self._record.has(job.source) and self._is_part(job):
            return Task(job)
        try:
            if job.source.suffix.lower() == LIST:
                raise ImageError(
                    f"{job.shown} is a list by its name, and there are other sources: give a list alone"
                )
            if films.is_film(job.source):
                self._refuse(job, "a video", FILM_KINDS)
                self._check_file(job, "a video", (".mp4", ".json"))
                return self._missing(job, self._output.film_paths(job))
            found = None if self._windows is None else survey(job.source)
            if found is None:
                labels = self._output.kinds == ("labels",)
                self._check_file(job, "a picture", (".png",) if labels else _DRAWN)
                return self._missing(job, self._output.paths(job))
            return replace(self._missing(job, self._raster_paths(job)), survey=found)
        except _ERRORS as error:
            return Task(job, error=error)

    def _missing(self, job: Job, targets: dict[str, Path]) -> Task:
        found = {k: p for k, p in targets.items() if _exists(p)}
        again = self._arguments.force or self._is_outdated(job, found.values())
        kept = {} if again else found
        missing = {kind: path for kind, path in targets.items() if kind not in kept}
        return Task(job, missing, [str(path) for path in kept.values()], again=again)

    def _is_outdated(self, job: Job, found: Collection[Path]) -> bool:
        """Tell whether results are of what the picture was when the record was written."""
        if self._record is None or not found or not self._record.is_changed(job.source):
            return False
        digest = earlier_results.hash_picture(job.source)
        return not all(earlier_results.is_of(path, digest) for path in found)

    def _raster_paths(self, job: Job) -> dict[str, Path]:
        shown = " The labels have their colours; a program for maps shows them."
        self._refuse(job, "a raster", RASTER_KINDS, shown)
        self._check_file(job, "a raster", (".tif",))
        return self._output.raster_paths(job)

    def _refuse(self, job: Job, what: str, possible: Collection[str], more: str = "") -> None:
        """Refuse kinds of results that what a job turned out to be does not have."""
        impossible = [kind for kind in self._output.kinds if kind not in possible]
        if impossible:
            raise ImageError(
                f"{job.shown} is labelled as {what}, and --save {','.join(impossible)} is for pictures "
                f"only: of {what}, {', '.join(possible)} can be saved.{more}"
            )

    def _is_part(self, job: Job) -> bool:
        """Tell whether a picture that is done has its part of each file over all pictures."""
        paths = self._output.paths(job)
        return films.is_film(job.source) or all(
            has_content(path) for kind, path in paths.items() if kind in ANNOTATIONS
        )

    def collect(self, jobs: Sequence[Job]) -> list[Path]:
        """Write the files over all pictures, from those of each that is done, also in earlier runs.

        Returns:
            What was written.

        Raises:
            ImageError: the files of the pictures are damaged, or do not fit together.
            OSError: a file could not be written.
        """
        written = []
        for kind in self._output.kinds:
            if kind in ANNOTATIONS and self._output.file is None:
                done = [job for job in jobs if has_content(self._output.paths(job)[kind])]
                entries = [self._output.entry(job) for job in done]
                names = {entry.name: entry.picture for entry in entries}
                if names:
                    written += annotation.write_collection(kind, self._output.folder, names)
        return written

    def _check_file(self, job: Job, what: str, suffixes: Sequence[str]) -> None:
        """Refuse a file, named by ``-o``, that cannot hold the result of what a job turned out to be."""
        file = self._output.file
        if file is not None and file.suffix.lower() not in suffixes:
            raise ImageError(
                f"{job.shown} is {what}, whose {self._output.kinds[0]} cannot be written to {file}: give -o "
                f"a folder, or a file that ends in {' or '.join(suffixes)}."
            )

    def _save(self, task: Task, found: Segmentation) -> Report:
        try:
            digest = earlier_results.hash_picture(task.job.source)
        except OSError as error:
            raise ImageError(
                f"{task.job.source} cannot be read any more: {error.strerror}"
            ) from error
        made_by = {**found.provenance, earlier_results.PICTURE: digest}
        # The file in which standard input was kept is gone soon.
        source = found.source if task.job.name is None else None
        result = replace(found, provenance=made_by, source=source)
        for path in task.targets.values():
            make_folder(path.parent)
        files = {kind: path for kind, path in task.targets.items() if kind not in ANNOTATIONS}
        result.save_each(files)  # type: ignore[arg-type] # those of `KINDS`
        for kind in task.targets:
            if kind in ANNOTATIONS:
                annotation.write(kind, result, self._output.entry(task.job))
        return {"areas": result.areas(), "seconds": sum(result.timings.values())}

    def _other(self, task: Task) -> Report:
        if not task.targets:
            return {"status": "exists"}
        for path in task.targets.values():
            make_folder(path.parent)
        if task.survey is not None and self._windows is not None:
            return self._raster(task, task.survey, self._windows)
        digest = {earlier_results.PICTURE: earlier_results.hash_picture(task.job.source)}
        facts = films.made_by(self._segmenter, self._arguments, self._options) | digest
        return films.label_film(
            self._segmenter, task.job.source, task.targets, facts, self._arguments, self._options
        )

    def _raster(self, task: Task, survey: "Survey", windows: Procedure) -> Report:
        job, arguments = task.job, self._arguments
        labels = self._output.raster_labels(job)
        if has_content(labels) and not task.again:
            raise ImageError(
                f"{labels} exists, and {' and '.join(map(str, task.targets.values()))} of this raster "
                "would be made together with it; --force makes both."
            )
        line = "\r\x1b[K" if sys.stderr.isatty() else ""  # over the bar
        if not arguments.quiet:
            sys.stderr.write(
                f"{line}{job.shown}: {survey.height} x {survey.width} pixels (height x width), labelled "
                f"as a raster with the procedure {windows.kind}\n"
            )
        task.targets["labels"] = labels
        result = self._segmenter.predict_raster(
            job.source,
            labels,
            windows,
            max_memory=arguments.max_memory,
            depth=arguments.depth,
            groups=self._options.groups,
            min_confidence=self._options.min_confidence,
            **self._limit,
        )
        if "json" in task.targets:
            result.save_json(task.targets["json"])
        if "geojson" in task.targets:
            output = self._output
            result.save_geojson(task.targets["geojson"], output.min_area, output.simplify)
        return {
            "areas": result.areas(),
            "seconds": sum(result.timings.values()),
            "resumed_rows": result.resumed,
        }


class _Turns:
    """Begins tasks in a thread, a few ahead of the caller, who completes them one by one in order.

    So a report is there as soon as its picture is done, while other pictures are labelled and written;
    and what takes long, such as a raster, runs in the caller's thread, where Ctrl-C ends it.
    """

    def __init__(
        self, tasks: Sequence[Task], begin: Callable[[Task], "Turn"], *, ahead: int
    ) -> None:
        self._tasks, self._begin = tasks, begin
        self._ready: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self._ahead = threading.Semaphore(ahead)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="fastfcn-turns", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator["Turn"]:
        while (turn := self._ready.get()) is not None:
            yield turn
            self._ahead.release()

    def close(self) -> None:
        """Begin no other task."""
        self._closed = True
        self._ahead.release()
        self._thread.join()

    def _run(self) -> None:
        try:
            for task in self._tasks:
                self._ahead.acquire()
                if self._closed:
                    return
                self._ready.put(self._begin(task))
            self._ready.put(None)
        except StopIteration:  # the stream was closed
            self._ready.put(None)  # who still waits is told that nothing follows
        except Exception as error:  # noqa: BLE001 - raised where the caller waits
            self._ready.put(partial(_raise, error))


def _raise(error: Exception) -> Report:
    raise error


def survey(path: Path) -> "Survey | None":
    """Look at a TIFF that is to be labelled as a raster; None for all other pictures."""
    if not path.is_file():
        return None  # what reads pictures says what it is
    found = survey_tiff(path)
    if found is None or (
        not found.georeferenced and found.width * found.height <= LARGEST_PICTURE
    ):
        return None
    return found


def _reported(task: Task, work: Callable[[], Report]) -> Report:
    """Do what a task needs, unless it failed already; say what became of it.

    Raises:
        OSError: of the disk, so no other result can be written either.
    """
    report: Report = {"source": task.job.shown, "kept": task.kept}
    try:
        if task.error is None:
            with short_of_memory():
                done = work()
            written = [str(path) for path in task.targets.values()]
            return report | {"status": "done", "written": written} | done
        why = _why(task.error, task.job)
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise
        what = "" if isinstance(error, WriteError) else "a result could not be written: "
        why = f"{what}{error}"
    except _ERRORS as error:
        why = _why(error, task.job)
    return report | {"status": "failed", "error": why}


def _why(error: Exception, job: Job) -> str:
    if isinstance(error, MemoryError):
        return f"{job.shown} needs more memory than there is: {error}"
    return job.told(error)


def _exists(path: Path) -> bool:
    """Tell whether a result is there: a file with content, or the folder of a video's label maps."""
    return has_content(path) or (path.is_dir() and any(path.iterdir()))
