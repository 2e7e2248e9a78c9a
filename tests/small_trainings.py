"""Trainings that take seconds: a few generated pictures, a narrow network, few iterations."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.data.dataset import IGNORE, Dataset, Sample
from fastfcn_training.recipe.recipe import Augmentation, Data, Losses, Optimiser, Recipe, Schedule

COLOURS = ((40, 60, 200), (200, 80, 40), (60, 180, 60))
SIZE = (48, 64)
NETWORK = NetworkChoice(
    backbone="resnet18",
    form="plain",
    backbone_width=8,
    jpu_width=8,
    head_width=16,
    codes=4,
    auxiliary_width=8,
)
PLAIN = Augmentation(resize=None, crop=SIZE, mirror=0.0, blur=0.0)
RECIPE = Recipe(
    Data("made"),
    iterations=4,
    batch=2,
    network=NETWORK,
    augmentation=replace(PLAIN, resize="scale", scales=(0.8, 1.2), mirror=0.5),
    losses=Losses(class_weights=(1.0, 2.0, 3.0)),
    optimiser=Optimiser("adamw", head_factor=2.0),
    schedule=Schedule("poly", rate=0.01),
    save_every=2,
)


def pictures(folder: Path, count: int, *, void: bool = True) -> Dataset:
    """Draw rectangles in the colours of three classes, a little noise over them.

    Args:
        folder: for the files.
        count: of pictures; number i is the same for every `count`.
        void: a strip of every picture is in no class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for number in range(count):
        random = np.random.default_rng(number)
        labels = np.full(SIZE, number % 3, np.uint8)
        for _ in range(3):
            y, x = random.integers(0, 32), random.integers(0, 40)
            labels[y : y + 20, x : x + 24] = random.integers(0, 3)
        noise = random.normal(0, 8, (*SIZE, 3))
        pixels = np.clip(np.asarray(COLOURS)[labels] + noise, 0, 255).astype(np.uint8)
        if void:
            labels[:, 10 + number : 14 + number] = IGNORE
        picture, label = folder / f"picture{number}.png", folder / f"labels{number}.png"
        cv2.imwrite(str(picture), pixels[..., ::-1])
        cv2.imwrite(str(label), labels)
        samples.append(Sample(f"s{number}", picture, label))
    classes = tuple(ClassInfo(f"class {i}", colour) for i, colour in enumerate(COLOURS))
    values = {0: 0, 1: 1, 2: 2, IGNORE: IGNORE}
    return Dataset("made", "train", classes, tuple(samples), values)


def log_events(run: Path, event: str = "train") -> list[dict[str, Any]]:
    """Read the events of one kind from a run's log."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [line for line in events if line["event"] == event]
