"""Are the scores of `fastfcn evaluate` right? Computes them independently, from the manifest alone.

    python -m benchmarks.accuracy MODEL --dataset camvid --root DIR [--split test]
        [--procedure "--scales 0.75,1,1.25 --mirror horizontal"] [--limit N]
        [--against EVALUATION.json] [--output benchmarks/results/accuracy.json]

It shares no code with `fastfcn evaluate`: it reads the data set itself, calls ONNX Runtime directly,
upsamples every class to the picture in float64 before the arg max, merges views by
`plain_procedures`, and scores by scikit-learn. MODEL is the folder of an artifact whose procedure
leaves the data set's pictures as they are: whole, not resized. --procedure is what ``fastfcn evaluate``
is given, a key of `PROCEDURES`. With --against it compares its scores with what ``fastfcn evaluate
--json`` wrote, and fails if a score differs by more than 1e-4. The scores of the model's own procedure
are the top of the file, those of the others are under ``procedures``; other runs' are kept.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import sklearn.metrics
from numpy.typing import NDArray

from benchmarks.plain_procedures import PROCEDURES, stretched

IGNORED = -1
ALLOWED = 1e-4  # between two ways to the same score
WHOLE = "--procedure whole"
# Of each data set: folders of its parts, of pictures and labels; the number that the first class
# has in a label file; the numbers that are in no class.
FOLDERS = {
    "camvid": {"train": "train", "val": "val", "test": "test"},
    "ade20k": {"train": "training", "val": "validation"},
}
PLACES = {"camvid": ("images", "labels"), "ade20k": ("images", "annotations")}
FIRST_CLASS = {"camvid": 0, "ade20k": 1}
NO_CLASS = {"camvid": (11, 255), "ade20k": (0,)}


def files(dataset: str, root: Path, split: str) -> list[tuple[Path, Path]]:
    """List pictures and their label maps, by name."""
    pictures, labels = (root / place / FOLDERS[dataset][split] for place in PLACES[dataset])
    pairs = [(path, labels / f"{path.stem}.png") for path in sorted(pictures.glob("*.*"))]
    if not pairs:
        raise FileNotFoundError(f"no picture in {pictures}")
    return pairs


def read(dataset: str, picture: Path, labels: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read a picture (H, W, 3) RGB and its labels (H, W), `IGNORED` where there is none."""
    pixels, numbers = cv2.imread(str(picture)), cv2.imread(str(labels), cv2.IMREAD_UNCHANGED)
    if pixels is None or numbers is None:
        raise FileNotFoundError(f"{picture} or {labels} cannot be read")
    truth = numbers.astype(np.int64) - FIRST_CLASS[dataset]
    truth[np.isin(numbers, NO_CLASS[dataset])] = IGNORED
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), truth


def predict(
    session: onnxruntime.InferenceSession,
    model: Mapping[str, Any],
    picture: NDArray[np.uint8],
    procedure: str,
) -> NDArray[np.int64]:
    """Label every pixel of a picture (H, W, 3) by a key of `PROCEDURES`; returns (H, W)."""
    mean, std = (np.array(model["input"][name], np.float32) for name in ("mean", "std"))

    def normal(pixels: NDArray[Any]) -> NDArray[np.float32]:
        scaled = (pixels.astype(np.float32) / np.float32(255) - mean) / std
        return np.asarray(scaled.transpose(2, 0, 1), np.float32)

    def run(image: NDArray[np.float32]) -> NDArray[np.float64]:
        (logits,) = session.run(["logits"], {"image": np.ascontiguousarray(image[None])})
        size = (image.shape[1], image.shape[2])
        return stretched(logits[0], size, align_corners=model["align_corners"])

    return np.asarray(PROCEDURES[procedure](picture, normal, run).argmax(axis=0), np.int64)


def left_alone(procedure: Mapping[str, Any], size: tuple[int, ...]) -> bool:
    """Tell whether the network sees a picture of `size` (height, width) as it is."""
    resize = procedure["resize"]
    if procedure.keys() != {"kind", "resize"} or resize is None:
        return procedure == {"kind": "whole", "resize": None}
    sides = {"short_side": min(size), "long_side": max(size)}
    return bool(sides.get(resize["rule"]) == resize["size"])


def confusion(
    folder: Path, dataset: str, pairs: Sequence[tuple[Path, Path]], classes: int, procedure: str
) -> Iterator[NDArray[np.int64]]:
    """Count the pixels of one picture after the other, (true class, predicted class)."""
    model = json.loads((folder / "manifest.json").read_text())["model"]
    if model["input"]["name"] != "image":
        raise ValueError(f"{folder} does not take normalised pictures")
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    for picture, labels in pairs:
        pixels, truth = read(dataset, picture, labels)
        if not left_alone(model["procedure"], pixels.shape[:2]):
            raise ValueError(f"{folder} resizes or pads {picture}, which this script does not do")
        kept = truth != IGNORED
        found = predict(session, model, pixels, procedure)
        yield (
            sklearn.metrics.confusion_matrix(truth[kept], found[kept], labels=np.arange(classes))
            if kept.any()
            else np.zeros((classes, classes), np.int64)
        )


def score(counts: NDArray[np.int64], convention: str) -> dict[str, Any]:
    """Score counts (true class, predicted class), by scikit-learn alone."""
    present = counts.sum(axis=0) + counts.sum(axis=1) > 0
    labels = np.flatnonzero(present) if convention == "mmseg" else np.arange(len(counts))
    truth, found = np.nonzero(counts)
    pairs = {"y_true": truth, "y_pred": found, "sample_weight": counts[truth, found]}
    classwise = {"labels": labels, "average": None}
    empty = 1.0 if convention == "paddleseg" else 0.0
    iou = sklearn.metrics.jaccard_score(**pairs, **classwise, zero_division=empty)
    none = np.nan if convention == "mmseg" else 0.0
    _, recall, dice, _ = sklearn.metrics.precision_recall_fscore_support(
        **pairs, **classwise, zero_division=none
    )
    return {
        "mean_iou": float(np.mean(iou)),
        "pixel_accuracy": float(sklearn.metrics.accuracy_score(**pairs)),
        "mean_accuracy": float(np.nanmean(recall)),
        "kappa": float(
            sklearn.metrics.cohen_kappa_score(truth, found, sample_weight=pairs["sample_weight"])
        ),
        "mean_dice": float(np.mean(dice)),
        "iou": dict(zip(map(str, labels.tolist()), map(float, iou), strict=True)),
    }


def differences(found: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    """Compare with what ``fastfcn evaluate --json`` wrote, score by score."""
    theirs = {name: other[name] for name in found if name != "iou"}
    ours = {name: found[name] for name in theirs}
    for row in other["classes"]:
        if row["iou"] is not None:
            theirs[f"iou {row['name']}"] = row["iou"]
            ours[f"iou {row['name']}"] = found["iou"][str(row["label"])]
    return {name: abs(ours[name] - theirs[name]) for name in theirs}


def save(file: Path, procedure: str, results: Mapping[str, Any]) -> None:
    """Add the results of a procedure to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    held = json.loads(file.read_text()) if file.exists() else {}
    others = held.get("procedures", {})
    if procedure == WHOLE:
        held = dict(results)
    else:
        others[procedure] = dict(results)
    held["procedures"] = others
    file.write_text(json.dumps(held, indent=2) + "\n")


def main() -> int:
    """Score a model; 1 if it was compared and differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="folder of an artifact")
    parser.add_argument("--dataset", choices=sorted(FOLDERS), required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--convention", default="paddleseg")
    parser.add_argument("--procedure", choices=PROCEDURES, default=WHOLE, metavar="OPTIONS")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--against", type=Path, help="what fastfcn evaluate --json wrote")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    given = parser.parse_args()

    names = json.loads((given.model / "manifest.json").read_text())["model"]["classes"]
    pairs = files(given.dataset, given.root, given.split)[: given.limit]
    counts = np.zeros((len(names), len(names)), np.int64)
    for one in confusion(given.model, given.dataset, pairs, len(names), given.procedure):
        counts += one
    found = score(counts, given.convention)
    facts = {"dataset": given.dataset, "split": given.split, "convention": given.convention}
    results = {"model": given.model.name, **facts, "pictures": len(pairs), **found}
    for label, iou in found["iou"].items():
        print(f"{names[int(label)]['name']:20} {100 * iou:6.2f}")
    print(*(f"{name} {found[name]:.6f}" for name in found if name != "iou"), sep="\n")
    worst = 0.0
    if given.against:
        results["differences"] = differences(found, json.loads(given.against.read_text()))
        worst = max(results["differences"].values())
        print(f"worst difference from {given.against}: {worst:.2e}")
    if given.output:
        save(given.output, given.procedure, results)
    return int(worst > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
