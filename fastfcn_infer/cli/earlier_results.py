"""Results that an earlier run left: whether this run would make the same ones."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.inference.results import read_any
from fastfcn_infer.system.atomic import has_content
from fastfcn_infer.system.excerpt import printable

PICTURE = "picture_sha256"
OUTLINES = "outlines"
# What a result depends on, and how a message calls it. Runtimes, devices and versions give the same
# labels but for rounding, so results of different ones may stand side by side.
_COMPARED = {
    "model": "model",
    "model_sha256": "files of the model",
    "precision": "precision",
    "procedure": "procedure",
    "procedure_settings": "settings of the procedure",
    "depth": "depth",
    "classes_sha256": "names or colours of the classes",
    "every": "frames between (--every)",
    "smooth": "smoothing",
    "fps": "frames a second (--fps)",
    "min_confidence": "least confidence (--min-confidence)",
    "groups": "groups of classes",
    OUTLINES: "outlines (--min-area, --simplify)",
    PICTURE: "picture",
}
_SHOWN = (
    "model",
    "precision",
    "procedure",
    "depth",
    "every",
    "smooth",
    "fps",
    "min_confidence",
)  # by their values
_OF_SOME = (PICTURE, OUTLINES, "fps")  # which not every result has
_MOST = 5  # results that a message names


def hash_picture(path: Path) -> str:
    """Identify the content of a picture by a SHA-256, hexadecimal."""
    return hash_file(path).sha256


def found_in(path: Path) -> list[Path]:
    """Return a result that exists: the file, or a label map in the folder of a video."""
    if path.is_dir():
        return sorted(path.glob("*.png"))[:1]
    return [path] if has_content(path) else []


def is_of(path: Path, digest: str) -> bool:
    """Tell whether a result says that it is of the picture with this SHA-256."""
    made = [read_any(one) or {} for one in found_in(path)]
    return all(one.get(PICTURE) == digest for one in made)


def differences(path: Path, expected: Mapping[str, str]) -> list[str]:
    """Say in what a result differs from the one that would be made now.

    Args:
        path: of the result.
        expected: what would make it, as `Segmentation.provenance` says it.

    Returns:
        One phrase for each difference; none if they are equal, or the result does not say what made
        it, as those of other programs.
    """
    found = read_any(path)
    return [] if found is None or "model_sha256" not in found else compare(found, expected)


def compare(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Say in what two makers of results differ, one phrase for each difference."""
    asked = {
        key: (found.get(key), expected.get(key))
        for key in _COMPARED
        if key not in _OF_SOME or (key in found and key in expected)
    }
    return [
        f"{_COMPARED[key]} {printable(str(then))}, now {printable(str(now))}"
        if key in _SHOWN
        else f"other {_COMPARED[key]}"
        for key, (then, now) in asked.items()
        if then != now
    ]


def refuse_others(results: Iterable[tuple[Path, Mapping[str, str]]]) -> None:
    """Refuse to leave results alone, and count them as this run's, that another run would not make.

    Args:
        results: those that exist, and what would make each now.

    Raises:
        ValueError: some differ; says in what.
    """
    other = {path: found for path, made in results if (found := differences(path, made))}
    if other:
        lines = [f"{path}: {'; '.join(found)}" for path, found in [*other.items()][:_MOST]]
        more = f"\n... and {len(other) - _MOST} more" if len(other) > _MOST else ""
        raise ValueError(
            "Some results exist already and were made in another way than this run would make them: "
            f"{len(other)}. "
            "Give --force to make them again, or another folder (-o) to keep them:\n"
            + "\n".join(lines)
            + more
        )
