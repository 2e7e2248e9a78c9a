"""What the parts of `gpu.py` are told, and how they time; imports little, as each part is a process."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Found = dict[str, Any]


class Form(NamedTuple):
    """A form of the network: how it is exported and computed."""

    precision: str  # asked of the runtime
    made_in: str  # of the graph
    pixels: bool = False  # bytes in
    output: str = "logits"


FORMS: Mapping[str, Form] = {
    "float32": Form("fp32", "fp32"),
    "TF32": Form("tf32", "fp32"),
    "float16": Form("fp16", "fp16"),
    "float16, bytes to logits": Form("fp16", "fp16", pixels=True),
    "float16, bytes to labels": Form("fp16", "fp16", pixels=True, output="labels"),
}


class Settings:
    """What the parts are told."""

    def __init__(self, text: str) -> None:
        given = json.loads(text)
        self.device: str = given["device"]
        self.network: str = given["network"]
        self.size: int = given["size"]
        self.batches: list[int] = given["batches"]
        self.seconds: float = given["seconds"]
        self.pictures: int = given["pictures"]
        self.golden, self.folder = Path(given["golden"]), Path(given["folder"])
        forms = given["forms"] or list(FORMS)
        if self.device == "cpu":  # only GPUs round to TensorFloat-32
            forms = [name for name in forms if FORMS[name].precision != "tf32"]
        self.forms = {name: FORMS[name] for name in forms}

    @property
    def index(self) -> int:
        """Number of the GPU."""
        return int(self.device.partition(":")[2] or 0)


def seconds_of(function: Callable[[], object]) -> float:
    """Time one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def median_of(function: Callable[[], object], seconds: float) -> float:
    """Return the median of calls that take so many seconds together, after three that do not count."""
    for _ in range(3):
        function()
    taken = [seconds_of(function) for _ in range(3)]
    while sum(taken) < seconds:
        taken.append(seconds_of(function))
    return statistics.median(taken)
