"""Read what PaddleSeg and PaddleX export: a YAML file, a program and its weights.

The YAML names files that need not be there: under Paddle 3 PaddleSeg writes ``.json`` and still says
``.pdmodel``. So the files decide, and the YAML is used only for what the files cannot tell.

Source: reference/fastfcn_semantics.md, 7.1 and 7.3; PaddleSeg 2.8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fastfcn_export.checkpoint.safe_yaml import read_yaml
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt, listing, printable

YAML_NAMES = ("deploy.yaml", "inference.yml", "deploy.yml", "inference.yaml")
PROGRAMS = (".json", ".pdmodel")
PARAMS = ".pdiparams"
_CHECKPOINTS = (".pdparams", ".pth", ".pt", ".tar", ".safetensors")

_SHOWN = 8  # names in a message


@dataclass(frozen=True)
class Deployed:
    """An exported model.

    Args:
        yaml: its description.
        program: the ``.json`` or ``.pdmodel``.
        params: the ``.pdiparams``.
        transforms: of the YAML, as they stand there.
        output_op: what the YAML says the program ends in; None if absent.
        network: what the YAML calls it, if it does.
        labels: names of the classes, where the YAML has them; PaddleX's may.
    """

    yaml: Path
    program: Path
    params: Path
    transforms: tuple[Mapping[str, Any], ...]
    output_op: str | None
    network: str | None
    labels: tuple[str, ...]


def is_deployed(path: Path) -> bool:
    """Tell whether a path can only be an exported model: a folder or a YAML, never a checkpoint."""
    return path.is_dir() or path.suffix.lower() in (".yaml", ".yml")


def read_deployed(path: Path) -> Deployed:
    """Read the YAML of an exported model and find its files.

    Args:
        path: the folder, or the YAML in it.

    Raises:
        CheckpointError: there is no YAML or there are several, it is not what PaddleSeg or PaddleX
            writes, or the files are not there.
        BackendMissing: PyYAML is not installed.
        OSError: a file cannot be read.
    """
    file = _yaml_in(path) if path.is_dir() else path
    said = _mapping(_load(file), str(file))
    deploy = _mapping(said.get("Deploy"), f"'Deploy' of {file}")
    transforms = deploy.get("transforms") or []
    if not isinstance(transforms, list):
        raise CheckpointError(f"'Deploy: transforms' of {file} is not a list.")
    items = tuple(_mapping(x, f"an item of 'Deploy: transforms' of {file}") for x in transforms)
    program = _program(file, deploy.get("model"))
    about = said.get("Global")
    name = about.get("model_name") if isinstance(about, dict) else None
    operation = deploy.get("output_op")
    return Deployed(
        file,
        program,
        _params(file, deploy.get("params"), program),
        items,
        operation if isinstance(operation, str) else None,
        name if isinstance(name, str) else None,
        _names(said.get("label_list")),
    )


def _yaml_in(folder: Path) -> Path:
    found = [folder / name for name in YAML_NAMES if (folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(path.name for path in found)
        raise CheckpointError(f"{folder} holds {names}: give the path of the one that is meant.")
    raise CheckpointError(
        f"{folder} is not a model that PaddleSeg or PaddleX exported: neither deploy.yaml nor "
        f"inference.yml is in it; it holds {_content(folder)}. Give the folder of the export, or "
        f"the file of a checkpoint{_such_as(folder)}."
    )


def _load(file: Path) -> object:
    if not file.is_file():
        raise CheckpointError(f"{file} does not exist, or is not a file.")
    try:
        return read_yaml(file)
    except ValueError as error:
        raise CheckpointError(f"{error}.") from error


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise CheckpointError(
            f"{what} is not a mapping; as PaddleSeg and PaddleX write it, a 'Deploy:' with 'model', "
            "'params' and 'transforms' was expected."
        )
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return ()
    return tuple(value)


def _program(yaml: Path, named: object) -> Path:
    folder = yaml.parent
    first = _inside(yaml, named)
    if first is not None:
        tried = [first, *(first.with_suffix(suffix) for suffix in PROGRAMS)]
        for path in tried:
            if path.is_file() and path.suffix in PROGRAMS:
                return path
    # Renamed, then: whatever stands beside weights of the same name.
    others = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in PROGRAMS and path.with_suffix(PARAMS).is_file()
    ]
    if len({path.stem for path in others}) == 1:
        return others[0]  # .json before .pdmodel
    raise CheckpointError(
        f"{yaml} names the program {excerpt(named)}, which is not there, and no other .json or .pdmodel "
        f"is the only one with a .pdiparams of its name; {folder} holds {_content(folder)}."
    )


def _params(yaml: Path, named: object, program: Path) -> Path:
    tried = [program.with_suffix(PARAMS), _inside(yaml, named)]
    for path in tried:
        if path is not None and path.is_file():
            return path
    raise CheckpointError(
        f"{yaml} names the weights {excerpt(named)}, which are not there, and neither is "
        f"{program.with_suffix(PARAMS).name}; {yaml.parent} holds {_content(yaml.parent)}."
    )


def _inside(yaml: Path, named: object) -> Path | None:
    if not isinstance(named, str) or not named:
        return None
    parts = PurePosixPath(named.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or ":" in named:
        raise CheckpointError(f"{yaml} names a file outside its folder: {excerpt(named)}.")
    return yaml.parent / parts


def _such_as(folder: Path) -> str:
    """Name the first checkpoint in a folder, which may be that of a training."""
    found = min((path for path in folder.iterdir() if path.suffix in _CHECKPOINTS), default=None)
    return "" if found is None else f", such as {printable(str(found))}"


def _content(folder: Path) -> str:
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return listing([printable(name) for name in names], most=_SHOWN) or "nothing"
