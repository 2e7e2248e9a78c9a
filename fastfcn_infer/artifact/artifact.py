"""A frozen artifact, opened only if every byte of it is what was exported.

Runtimes read cut-off and altered weight files without complaint (reference/reliability.md, 0.1), so
sizes and hashes are checked here, before any runtime opens a file.
"""

import functools
import hashlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from fastfcn_infer.artifact import manifest, onnx_metadata
from fastfcn_infer.artifact.checked_file import CheckedFile, check_file, hash_file, measured
from fastfcn_infer.artifact.manifest import FileFacts, Manifest, Model, Source, Verification
from fastfcn_infer.artifact.variant import VARIANTS, GraphPrecision, Variant, faults_of_variants
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system import atomic
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.record import to_json

# Of graphs in the precision that the artifact was made in; those in others are `VARIANTS`.
FORMATS: Mapping[str, str] = {"onnx": "model.onnx", "paddle": "paddle/inference.json"}
GOLDEN_PICTURE = "golden/input.png"
GOLDEN_BANDS = "golden/input.npy"  # in its place, where a picture has other than three channels
GOLDEN_LABELS = "golden/labels.png"

_ATTEMPTS = 3  # readings, while other processes replace the folder
_LARGEST_MANIFEST = 16 << 20  # bytes
_DEPLOYED = ("deploy.yaml", "inference.yml")
_CHECKPOINTS = (".pdparams", ".pth", ".pt", ".tar", ".safetensors")


@dataclass(frozen=True)
class Artifact:
    """An artifact whose files were checked.

    `folder` and `manifest` are None if the artifact is a lone ``.onnx``. The graph is the one in the
    precision of `model`: see `in_precision`.
    """

    folder: Path | None
    model: Model
    manifest: Manifest | None
    files: Mapping[str, Path]  # name inside the artifact, forward slashes -> where it is
    unlisted: tuple[str, ...] = field(
        default=()
    )  # in the folder but not in the manifest: not used
    # Name -> what was checked; without it (a graph that is not sealed yet) files are used as found.
    checked: Mapping[str, CheckedFile] = field(default_factory=dict, compare=False, repr=False)

    @property
    def variant(self) -> Variant | None:
        """How the graph was made from the artifact's own; None if it is that one."""
        return None if self.manifest is None else self.manifest.variants.get(self.model.precision)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that the artifact holds a graph in, the one it was made in first."""
        if self.manifest is None:
            return (self.model.precision,)
        return (self.manifest.model.precision, *self.manifest.variants)

    def in_precision(self, precision: GraphPrecision) -> "Artifact":
        """Return the artifact with its graph in another precision.

        Args:
            precision: one of `precisions`.

        Raises:
            ArtifactError: the artifact holds no such graph.
        """
        if precision not in self.precisions:
            raise ArtifactError(
                f"{self.folder or self.files[FORMATS['onnx']]} holds no graph in {precision}; it holds "
                f"{', '.join(self.precisions)}."
            )
        return replace(self, model=replace(self.model, precision=precision))

    @property
    def graphs(self) -> Mapping[str, str]:
        """Formats of the graph, keys of `FORMATS` -> name of its file, one of `files`."""
        variant = self.variant
        names = FORMATS if variant is None else {"onnx": variant.file}
        return {format: name for format, name in names.items() if name in self.files}

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats of the graph that the artifact holds; keys of `FORMATS`."""
        return tuple(self.graphs)

    def path(self, format: str) -> Path:
        """Return the path of the graph.

        Args:
            format: a key of `FORMATS`.

        Raises:
            ArtifactError: the artifact does not hold this format; the message names those it holds.
        """
        graphs = self.graphs
        if format not in graphs:
            where = self.folder or self.files[FORMATS["onnx"]]
            other, advice = "", f"Export it with fastfcn-export --format {format}."
            if self.variant is not None:
                other = f" in {self.model.precision}"
                advice = f"Use a runtime that reads it, or precision {self.precisions[0]}."
            raise ArtifactError(
                f"{where} holds no graph in the format {format!r}{other}; it holds "
                f"{', '.join(graphs)}. {advice}"
            )
        return self.files[graphs[format]]

    @property
    def fingerprint(self) -> str:
        """Identify the content of all files by a SHA-256, hexadecimal.

        Graphs in other precisions than the model's do not count: adding one changes nothing for
        those who do not use it.

        Raises:
            OSError: as `sha256`.
        """
        if self.manifest is None:
            lines = [self.sha256(name) for name in self.files]
        else:
            others = {*VARIANTS.values()} - {*self.graphs.values()}
            files = {k: v for k, v in self.manifest.files.items() if k not in others}
            lines = [part for name in sorted(files) for part in (name, files[name].sha256)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def read(self, name: str) -> bytes:
        """Read a file of the artifact.

        Args:
            name: one of `files`.

        Returns:
            The bytes that were checked when the artifact was opened.

        Raises:
            ArtifactError: the file was changed or removed since.
            OSError: the artifact was not opened by `open_artifact`, and the file cannot be read.
        """
        checked = self.checked.get(name)
        return self.files[name].read_bytes() if checked is None else checked.read()

    @contextmanager
    def unchanged(self, *names: str) -> Iterator[None]:
        """Guard a block in which a runtime opens files by their names.

        Args:
            names: of `files`.

        Raises:
            ArtifactError: a file was changed since it was checked, or during the block.
        """
        with ExitStack() as stack:
            for name in names:
                if name in self.checked:
                    stack.enter_context(self.checked[name].unchanged())
            yield

    def sha256(self, name: str) -> str:
        """Identify the content of a file by a SHA-256, hexadecimal.

        Args:
            name: one of `files`; of a lone ``.onnx`` the graph and its description are hashed.

        Raises:
            OSError: the artifact was not opened by `open_artifact`, and the file cannot be read.
        """
        checked = self.checked.get(name)
        return hash_file(self.files[name]).sha256 if checked is None else checked.sha256


def open_artifact(path: Path) -> Artifact:
    """Open an artifact after checking all of it; no runtime is touched.

    Args:
        path: a folder with a `manifest.json`, or an ``.onnx`` that fastfcn-export wrote.

    Raises:
        ArtifactError: not an artifact, incomplete, changed, or contradictory; every fault is
            listed.
        OSError: a file cannot be read.
    """
    if path.name == manifest.NAME:
        path = path.parent
    if not path.exists():
        atomic.recover(path)
    outer = None if path.name.lower().endswith(".onnx") else containing(path)
    if outer is not None:
        raise ArtifactError(f"{path} is a part of the artifact {outer}. Give that folder: {outer}")
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise ArtifactError(
            f"{path} does not exist, or is not a file. Give the folder that fastfcn-export wrote, "
            "or an .onnx file of it."
        )
    if path.name.lower().endswith(_CHECKPOINTS):
        raise ArtifactError(
            f"{path} is a checkpoint, not an artifact. Convert it: {_export_command(path)}"
        )
    name = FORMATS["onnx"]
    read = functools.partial(_lone, where=str(path))
    (model, sha256), stamp, settled = measured(path, read)
    checked = CheckedFile(path, sha256, stamp, settled, lambda file: read(file)[1])
    return Artifact(None, model, None, {name: path}, checked={name: checked})


def containing(path: Path) -> Path | None:
    """Return the folder of the artifact that a file or folder is a part of; None if it is of none."""
    if (path / manifest.NAME).exists():
        return None
    folders = (folder for folder in path.parents if (folder / manifest.NAME).is_file())
    folder = next(folders, None)
    if folder is None:
        return None
    try:
        names = listed_files(folder)
    except ArtifactError:
        return None
    inside = path.relative_to(folder).as_posix()
    ours = path.exists() and any(name == inside or name.startswith(f"{inside}/") for name in names)
    return folder if ours else None


def listed_files(folder: Path) -> tuple[str, ...]:
    """Name the files that the manifest of a folder lists, whether they exist or not.

    Raises:
        ArtifactError: the folder holds no manifest, or not one of ours.
    """
    return tuple(manifest.read_manifest(_manifest_text(folder), str(folder / manifest.NAME)).files)


def write_artifact(folder: Path, *, replace: bool) -> AbstractContextManager[Path]:
    """Fill a temporary folder that becomes the artifact `folder`; see `atomic.write_folder`.

    Args:
        folder: where the artifact is to be.
        replace: replace an existing artifact: its manifest and the files that this lists, while all
            others are kept and named in a warning.

    Raises:
        FileExistsError: `folder` exists and `replace` is false.
        ArtifactError: `folder` holds something, but no artifact.
    """
    return atomic.write_folder(folder, replace=_replaceable if replace else None)


def _replaceable(folder: Path) -> tuple[str, ...]:
    try:
        return (manifest.NAME, *listed_files(folder))
    except ArtifactError as error:
        names = sorted(printable(entry.name) for entry in folder.iterdir())
        found = "is not one of an artifact" if manifest.NAME in names else "is missing"
        raise ArtifactError(
            f"{folder} is not replaced: its {manifest.NAME} {found}, and it holds "
            f"{listing(names, most=8)}. Choose another folder, or empty this one yourself."
        ) from error


def _lone(file: BinaryIO, where: str) -> tuple[Model, str]:
    model, graph = onnx_metadata.read_model_and_graph(file, where)
    return model, hashlib.sha256(f"{graph} {to_json(model)}".encode()).hexdigest()


def seal(
    folder: Path,
    model: Model,
    source: Source,
    verification: Verification | None,
    producer: Mapping[str, str],
    variants: Mapping[str, Variant] | None = None,
) -> Manifest:
    """Hash every file of a folder and write its `manifest.json`, which makes it an artifact.

    Args:
        folder: holds all other files; usually the one that `write_artifact` yields.
        model: the description, equal to the one embedded in the ONNX file.
        source: the checkpoint.
        verification: the record of the comparison; None if not verified.
        producer: package -> version of what made the artifact.
        variants: precision -> record of the graph in it, whose file the folder holds.

    Raises:
        ArtifactError: there is no graph, an ONNX file holds another description, a variant lacks its
            file or its record, or a file is a link.
        OSError: a file cannot be read or written.
    """
    names = [name for name in _names(folder) if name != manifest.NAME]
    faults = [f"{name}: not a regular file" for name in names if not _is_regular(folder / name)]
    if not set(names) & set(FORMATS.values()):
        faults.append(f"no graph: none of {', '.join(FORMATS.values())}")
    if not faults:
        faults += faults_of_variants(variants or {}, dict.fromkeys(names), model.precision)
    if not faults:
        faults += _contradictions(folder, names, model, check_graph=True)
    _raise(folder, faults)
    files = {name: hash_file(folder / name) for name in names}
    sealed = Manifest(1, model, files, source, verification, dict(producer), dict(variants or {}))
    atomic.write_file(folder / manifest.NAME, (to_json(sealed) + "\n").encode())
    return sealed


def _open_folder(folder: Path) -> Artifact:
    text = _manifest_text(folder)
    for attempt in range(_ATTEMPTS):
        found = manifest.read_manifest(text, str(folder / manifest.NAME))
        checked, faults = _check(folder, found)
        # Another process may have replaced this artifact while it was read.
        now = _manifest_text(folder) if faults else text
        if now == text or attempt == _ATTEMPTS - 1:
            break
        text = now
    _raise(folder, faults)
    unlisted = tuple(sorted({*_names(folder)} - {*found.files, manifest.NAME}))
    paths = {name: folder / name for name in found.files}
    return Artifact(folder, found.model, found, paths, unlisted, checked)


def _manifest_text(folder: Path) -> bytes:
    path = folder / manifest.NAME
    if not path.is_file():
        raise ArtifactError(_not_an_artifact(folder))
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise ArtifactError(
            f"{path} is larger than {_LARGEST_MANIFEST >> 20} MiB: not a manifest."
        )
    return path.read_bytes()


def _export_command(path: Path) -> str:
    """The command that converts a checkpoint, to be pasted; it ends the sentence."""
    stem = Path(os.path.realpath(path)).name.partition(".")[0]
    return printable(shlex.join(["fastfcn-export", str(path), "-o", f"{stem}-artifact"]))


def _not_an_artifact(folder: Path) -> str:
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    shown = listing([printable(name) for name in names], most=8)
    text = f"{folder} is not an artifact: no {manifest.NAME}; it holds {shown or 'nothing'}."
    if set(names) & set(_DEPLOYED):
        return f"{text} PaddleSeg or PaddleX exported it. Convert it: {_export_command(folder)}"
    for name in names:
        if name.lower().endswith(_CHECKPOINTS):
            return f"{text} Convert the checkpoint: {_export_command(folder / name)}"
        if name.lower().endswith(".onnx"):
            return f"{text} To use {name} alone, give its path."
    return f"{text} Give the folder that fastfcn-export wrote."


def _check(folder: Path, found: Manifest) -> tuple[dict[str, CheckedFile], list[str]]:
    checked, faults = {}, []
    for name, facts in found.files.items():
        try:
            checked[name] = _checked(folder, name, facts)
        except ArtifactError as error:
            faults.append(f"{printable(name)}: {error}")
    if not set(found.files) & set(FORMATS.values()):
        faults.append(f"no graph is listed: none of {', '.join(FORMATS.values())}")
    if not faults:
        faults = _contradictions(folder, found.files, found.model, check_graph=False)
    return checked, faults


def _checked(folder: Path, name: str, facts: FileFacts) -> CheckedFile:
    """Check a file; an ArtifactError says what is wrong with it."""
    path = folder / name
    try:
        if not Path(os.path.realpath(path)).is_relative_to(_root(folder)):
            raise ArtifactError("a link that leaves the folder")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError("not a regular file")
        if status.st_size != facts.size:
            raise ArtifactError(f"{status.st_size} bytes, {facts.size} were exported")
        checked, found = check_file(path)
    except FileNotFoundError as error:
        raise ArtifactError("missing") from error
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror or error}") from error
    if found != facts:
        raise ArtifactError(f"changed: its SHA-256 is {found.sha256}, {facts.sha256} was exported")
    return checked


def _root(folder: Path) -> str:
    """Return the folder that the artifact's files have to lie in, links resolved.

    In the cache of huggingface_hub the files of ``models--OWNER--NAME/snapshots/COMMIT`` are links to
    files elsewhere in that cache.
    """
    real = Path(os.path.realpath(folder))
    cached = real.parent.name == "snapshots" and real.parents[1].name.startswith("models--")
    return str(real.parents[2] if cached else real)


def descriptions(model: Model) -> dict[str, Model]:
    """Say what each ONNX file of an artifact, if it holds it, has to say of itself.

    Args:
        model: of the manifest.
    """
    others = {file: replace(model, precision=precision) for precision, file in VARIANTS.items()}
    return {FORMATS["onnx"]: model, **others}


def _contradictions(
    folder: Path, names: Iterable[str], model: Model, *, check_graph: bool
) -> list[str]:
    """Compare the manifest with the description inside each ONNX file."""
    described = descriptions(model)
    faults = []
    for file in described.keys() & set(names):
        try:
            embedded = onnx_metadata.read_model_of(folder / file, check_graph=check_graph)
        except ArtifactError as error:
            faults.append(str(error))
            continue
        if embedded != described[file]:
            faults.append(f"{file}: it describes another model than {manifest.NAME} does")
    return sorted(faults)


def _names(folder: Path) -> list[str]:
    paths = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _raise(folder: Path, faults: list[str]) -> None:
    if faults:
        lines = "\n- " + listing(faults, "\n- ")
        raise ArtifactError(f"{folder} is damaged or incomplete:{lines}\nCopy or export it again.")
