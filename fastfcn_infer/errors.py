"""Every error this project raises on purpose.

::

    FastFCNError
    |- ImageError(ValueError)            cannot be decoded, too large, wrong shape or dtype
    |- ArtifactError(ValueError)         incomplete, contradicts itself, size or hash wrong
    |- CheckpointError(ValueError)       refused (names code), corrupt, unknown dialect, tensors that do not fit
    |- VerificationError(RuntimeError)   the exported graph is not the network it came from
    |- DownloadError(RuntimeError)       a file could not be downloaded or kept, or is not the one expected
    |- UploadError(RuntimeError)         an artifact could not be published
    |- BackendError(RuntimeError)        the runtime failed
    |  |- BackendMissing                 a runtime or another package is not installed; names the extra
    |  |- GraphRefused                   the runtime cannot run the graph; names others that may
    |  |  `- WrongLabels                 it runs it, and too few labels of the golden picture are right
    |  `- DeviceUnavailable              the requested device is not available
    |- DatasetError(ValueError)          the layout is wrong: which file was expected where
    |- WriteError(OSError)               a result cannot be written: disk full, read-only, a file in the way
    |- EvaluationError(ValueError)       model, data set and an earlier run's counts do not match
    `- UnknownName(ValueError)           no such name: lists those that exist
       |- UnknownBackend(BackendError)
       |- UnknownDevice(DeviceUnavailable)
       |- UnknownDataset(DatasetError)
       |- UnknownDialect(CheckpointError)
       `- UnknownClassTable(ArtifactError)

A message says what is wrong, what was found, what was expected and what the user can do.
"""

import errno

_FULL = "Free some space there, or choose another place."
_IN_THE_WAY = (
    "It, or a part of its path, is a file where a folder is needed; choose another place."
)
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "The file system or a limit of this process (ulimit -f) allows no file so large; choose another place.",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: "A folder has this name; choose another.",
    errno.ENOENT: "Its folder does not exist; make it first.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.EBUSY: "Wait until it is free, or choose another name.",
}


class FastFCNError(Exception):
    """Base of all errors raised on purpose; catch it to catch every one of them."""


class ImageError(FastFCNError, ValueError):
    """The picture cannot be decoded, is too large, or has the wrong shape or dtype."""


class ArtifactError(FastFCNError, ValueError):
    """The artifact is incomplete, contradicts itself, or a size or hash is wrong."""


class CheckpointError(FastFCNError, ValueError):
    """The checkpoint is refused, corrupt, of no known dialect, or its tensors do not fit."""


class VerificationError(FastFCNError, RuntimeError):
    """The exported graph does not compute what the network it came from computes."""


class DownloadError(FastFCNError, RuntimeError):
    """A file could not be downloaded or cached, or is not the one expected."""


class UploadError(FastFCNError, RuntimeError):
    """An artifact could not be published."""


class BackendError(FastFCNError, RuntimeError):
    """The runtime refused the graph or failed while running it."""


class BackendMissing(BackendError):  # noqa: N818 - what users read is better without "Error"
    """A runtime, or another package that is needed, is not installed."""


class GraphRefused(BackendError):  # noqa: N818 - as above
    """The runtime cannot read, compile or run the graph."""


class WrongLabels(GraphRefused):
    """The runtime runs the graph, but its labels of the golden picture are wrong."""


class DeviceUnavailable(BackendError):  # noqa: N818 - as above
    """The requested device is not available."""


class DatasetError(FastFCNError, ValueError):
    """A data set's folder is not laid out as expected."""


class WriteError(FastFCNError, OSError):
    """A file or folder cannot be written: the disk is full, the place read-only, or something in the way.

    It has `errno`, `strerror` and `filename`, which is the path that was asked for.
    """

    def __str__(self) -> str:
        """Name the path, the reason and what to do."""
        if self.filename is None:
            return super().__str__()
        advice = _ADVICE.get(
            self.errno or 0, "Choose another place, or give yourself the right to write there."
        )
        return f"{self.filename} cannot be written: {self.strerror}. {advice}"


class EvaluationError(FastFCNError, ValueError):
    """A model, a data set and the counts of an earlier evaluation do not match."""


class UnknownName(FastFCNError, ValueError):  # noqa: N818 - as above
    """Nothing has the name that was given: a wrong request, whatever is installed and on the disk."""


class UnknownBackend(UnknownName, BackendError):  # noqa: N818 - as above
    """No runtime has that name."""


class UnknownDevice(UnknownName, DeviceUnavailable):
    """No kind of device has that name."""


class UnknownDataset(UnknownName, DatasetError):  # noqa: N818 - as above
    """No data set has that name."""


class UnknownDialect(UnknownName, CheckpointError):  # noqa: N818 - as above
    """No dialect of checkpoints has that name."""


class UnknownClassTable(UnknownName, ArtifactError):  # noqa: N818 - as above
    """No class table has that name."""
