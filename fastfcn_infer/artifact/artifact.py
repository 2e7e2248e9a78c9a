"""The frozen artifact: opened only when every byte of it is what was exported.

Runtimes read cut-off and altered weight files without complaint (reference/reliability.md, 0.1), so
sizes and hashes are checked here, before any runtime opens a file.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fastfcn_infer.artifact import manifest, onnx_metadata
from fastfcn_infer.artifact.manifest import FileFacts, Manifest, Model, Source, Verification
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system import atomic
from fastfcn_infer.system.record import to_json

FORMATS: Mapping[str, str] = {"onnx": "model.onnx", "paddle": "paddle/inference.json"}
GOLDEN_PICTURE = "golden/input.png"
GOLDEN_LABELS = "golden/labels.png"

_ATTEMPTS = 3  # readings, while other processes replace the folder
_LARGEST_MANIFEST = 16 << 20  # bytes
_DEPLOYED = ("deploy.yaml", "inference.yml")
_CHECKPOINTS = (".pdparams", ".pth", ".pt", ".tar", ".safetensors")


@dataclass(frozen=True)
class Artifact:
    """An artifact whose files were found whole.

    `folder` and `manifest` are None where the artifact is a lone ``.onnx``.
    """

    folder: Path | None
    model: Model
    manifest: Manifest | None
    files: Mapping[str, Path]  # name inside the artifact, forward slashes -> where it is
    unlisted: tuple[str, ...] = field(default=())  # in the folder, not in the manifest: never used

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats that the graph is there in, as in `FORMATS`."""
        return tuple(name for name, file in FORMATS.items() if file in self.files)

    def path(self, format: str) -> Path:
        """Say where the graph is.

        Args:
            format: a key of `FORMATS`.

        Raises:
            ArtifactError: the artifact does not hold this format; names those it holds.
        """
        file = FORMATS.get(format)
        if file is None or file not in self.files:
            where = self.folder or self.files[FORMATS["onnx"]]
            raise ArtifactError(
                f"{where} holds no graph in the format {format!r}; it holds "
                f"{', '.join(self.formats)}. Export it with fastfcn-export --format {format}."
            )
        return self.files[file]


def open_artifact(path: Path) -> Artifact:
    """Open an artifact after checking all of it; no runtime is touched.

    Args:
        path: a folder with a `manifest.json`, or an ``.onnx`` that fastfcn-export wrote.

    Raises:
        ArtifactError: not an artifact, not whole, changed, or it contradicts itself; every fault
            is listed.
        OSError: a file cannot be read.
    """
    if path.name == manifest.NAME:
        path = path.parent
    if not path.exists():
        atomic.recover(path)
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise ArtifactError(
            f"{path} does not exist, or is no file. Give the folder that fastfcn-export wrote, "
            "or an .onnx file of it."
        )
    if path.name.lower().endswith(_CHECKPOINTS):
        raise ArtifactError(
            f"{path} is a checkpoint, not an artifact. "
            f"Convert it: fastfcn-export {path.name} -o FOLDER."
        )
    model = onnx_metadata.read_model_of(path)
    return Artifact(None, model, None, {FORMATS["onnx"]: path})


def listed_files(folder: Path) -> tuple[str, ...]:
    """Name the files that the manifest of a folder lists, whether they exist or not.

    Raises:
        ArtifactError: the folder holds no manifest, or not one of ours.
    """
    return tuple(manifest.read_manifest(_manifest_text(folder), str(folder / manifest.NAME)).files)


def hash_file(path: Path) -> FileFacts:
    """Measure a file.

    Args:
        path: a regular file of any size; it is read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    buffer = bytearray(1 << 18)  # larger ones leave the cache and are slower
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
            size += count
    return FileFacts(size, digest.hexdigest())


def seal(
    folder: Path,
    model: Model,
    source: Source,
    verification: Verification | None,
    producer: Mapping[str, str],
) -> Manifest:
    """Hash every file of a folder and write its `manifest.json`, which makes it an artifact.

    Args:
        folder: holds all files already; best the one that `atomic.write_folder` yields.
        model: the description, equal to the one embedded in the ONNX file.
        source: the checkpoint.
        verification: what was compared; None where nothing was.
        producer: package -> version of what made the artifact.

    Raises:
        ArtifactError: there is no graph, the ONNX file says something else, or a file is a link.
        OSError: a file cannot be read or written.
    """
    names = [name for name in _names(folder) if name != manifest.NAME]
    faults = [f"{name}: not a regular file" for name in names if not _is_regular(folder / name)]
    if not set(names) & set(FORMATS.values()):
        faults.append(f"no graph: none of {', '.join(FORMATS.values())}")
    if not faults:
        faults += _contradictions(folder, names, model, check_graph=True)
    _raise(folder, faults)
    files = {name: hash_file(folder / name) for name in names}
    sealed = Manifest(1, model, files, source, verification, dict(producer))
    atomic.write_file(folder / manifest.NAME, (to_json(sealed) + "\n").encode())
    return sealed


def _open_folder(folder: Path) -> Artifact:
    text = _manifest_text(folder)
    for attempt in range(_ATTEMPTS):
        found = manifest.read_manifest(text, str(folder / manifest.NAME))
        faults = _faults(folder, found)
        # Another process may have put a new export in the place of this one while it was read.
        now = _manifest_text(folder) if faults else text
        if now == text or attempt == _ATTEMPTS - 1:
            break
        text = now
    _raise(folder, faults)
    unlisted = tuple(sorted({*_names(folder)} - {*found.files, manifest.NAME}))
    paths = {name: folder / name for name in found.files}
    return Artifact(folder, found.model, found, paths, unlisted)


def _manifest_text(folder: Path) -> bytes:
    path = folder / manifest.NAME
    if not path.is_file():
        raise ArtifactError(_not_an_artifact(folder))
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise ArtifactError(
            f"{path} is larger than {_LARGEST_MANIFEST >> 20} MiB: not a manifest."
        )
    return path.read_bytes()


def _not_an_artifact(folder: Path) -> str:
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    text = f"{folder} is not an artifact: no {manifest.NAME}; it holds {shown or 'nothing'}."
    if set(names) & set(_DEPLOYED):
        return (
            f"{text} PaddleSeg or PaddleX exported it. Convert it: fastfcn-export {folder} -o OUT."
        )
    for name in names:
        if name.lower().endswith(_CHECKPOINTS):
            return f"{text} Convert the checkpoint: fastfcn-export {name} -o FOLDER."
        if name.lower().endswith(".onnx"):
            return f"{text} To use {name} alone, give its path."
    return f"{text} Give the folder that fastfcn-export wrote."


def _faults(folder: Path, found: Manifest) -> list[str]:
    faults = []
    for name, facts in found.files.items():
        fault = _fault(folder, name, facts)
        if fault:
            faults.append(f"{name}: {fault}")
    if not set(found.files) & set(FORMATS.values()):
        faults.append(f"no graph is listed: none of {', '.join(FORMATS.values())}")
    if not faults:
        faults = _contradictions(folder, found.files, found.model, check_graph=False)
    return faults


def _fault(folder: Path, name: str, facts: FileFacts) -> str | None:
    path = folder / name
    try:
        if not Path(os.path.realpath(path)).is_relative_to(_root(folder)):
            return "a link that leaves the folder"
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_size != facts.size:
            return f"{status.st_size} bytes, {facts.size} were exported"
        found = hash_file(path)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if found != facts:
        return f"changed: its SHA-256 is {found.sha256}, {facts.sha256} was exported"
    return None


def _root(folder: Path) -> str:
    """Return the folder that the artifact's files have to lie in, links resolved.

    In the cache of huggingface_hub the files of ``models--OWNER--NAME/snapshots/COMMIT`` are links to
    files elsewhere in that cache.
    """
    real = Path(os.path.realpath(folder))
    cached = real.parent.name == "snapshots" and real.parents[1].name.startswith("models--")
    return str(real.parents[2] if cached else real)


def _contradictions(
    folder: Path, names: Iterable[str], model: Model, *, check_graph: bool
) -> list[str]:
    """Compare the manifest with the description that travels inside the ONNX file."""
    file = FORMATS["onnx"]
    if file not in names:
        return []
    try:
        embedded = onnx_metadata.read_model_of(folder / file, check_graph=check_graph)
    except ArtifactError as error:
        return [str(error)]
    if embedded == model:
        return []
    return [f"{file}: the description inside it is not the one of {manifest.NAME}"]


def _names(folder: Path) -> list[str]:
    paths = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _raise(folder: Path, faults: list[str]) -> None:
    if faults:
        lines = "".join(f"\n- {fault}" for fault in faults)
        raise ArtifactError(f"{folder} is not a whole artifact:{lines}\nCopy or export it again.")
