"""What an mmsegmentation configuration says about pictures and labels, of its versions 0.x and 1.x."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastfcn_export.dialect.changes import PIXELS, Changes, Triple, exact
from fastfcn_export.dialect.config.python_literals import NotLiteral, read_python
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_MOST_TRANSFORMS = 1000
_THRESHOLD = 0.3  # of mmsegmentation, where a configuration has none


def read(path: Path, said: Changes) -> Changes:
    """Read a configuration without running it, except for what is said already.

    Raises:
        CheckpointError: it cannot be read, says nothing, or something that is not a literal or not possible.
    """
    return _Config(read_python(path), path.name).changes(said)


class _Config:
    def __init__(self, found: Mapping[str, Any], name: str) -> None:
        self._found, self._name = found, name

    def changes(self, said: Changes) -> Changes:
        found = Changes(
            resize=self._resize() if said.resize is None else None,
            threshold=self._threshold() if said.threshold is None else None,
        )
        if said.channel_order is None or said.mean is None:
            given, is_rgb = self._normalisation()
            if said.mean is None:
                mean = self._triple("mean", self._at(given, "mean", (0.0, 0.0, 0.0)))
                std = self._triple("std", self._at(given, "std", (1.0, 1.0, 1.0)))
                found = replace(found, mean=mean, std=std, pixel_range=PIXELS)
            # Pictures are read as BGR.
            found = replace(found, channel_order="rgb" if is_rgb else "bgr")
        return found

    def _wrong(self, what: str, value: object) -> CheckpointError:
        if isinstance(value, NotLiteral):
            return CheckpointError(
                f"{self._name}: {what} is not a literal ({value.where}), and configurations are not run. Write its "
                "value into the file, or give it as an option (--mean, --std, --channel-order, --resize)."
            )
        return CheckpointError(f"{self._name}: {what} is {excerpt(value)}, which is not supported")

    def _at(self, where: Any, key: str, default: Any = None) -> Any:
        """Look up a key of a dict; what is not a literal is an error."""
        if isinstance(where, NotLiteral):
            raise self._wrong(key, where)
        found = where.get(key, default) if isinstance(where, dict) else default
        if isinstance(found, NotLiteral):
            raise self._wrong(key, found)
        return found

    def _normalisation(self) -> tuple[Any, bool]:
        """Find the dict that holds mean and std, and whether channels are swapped to RGB."""
        top = dict(self._found)
        given = self._at(self._at(top, "model"), "data_preprocessor") or self._at(
            top, "data_preprocessor"
        )
        if given is not None:
            swapped = self._at(given, "bgr_to_rgb", False) or self._at(given, "rgb_to_bgr", False)
        else:
            given = self._step("Normalize")
            swapped = self._at(given, "to_rgb", True)
        if given is None:
            raise CheckpointError(
                f"{self._name} has neither a data_preprocessor nor a Normalize in its test pipeline, so it says nothing "
                "about normalisation. Is it the whole configuration? Training programs save one beside the checkpoints."
            )
        return given, bool(swapped)

    def _triple(self, what: str, found: Any) -> Triple:
        numbers = found if isinstance(found, list | tuple) else ()
        if len(numbers) != 3 or not all(type(value) in (int, float) for value in numbers):
            bad = next((value for value in numbers if isinstance(value, NotLiteral)), found)
            raise self._wrong(what, bad)
        red, green, blue = map(float, numbers)
        return red, green, blue

    def _pipeline(self) -> Any:
        top = dict(self._found)
        for path in (
            ("test_pipeline",),
            ("test_dataloader", "dataset", "pipeline"),
            ("data", "test", "pipeline"),
        ):
            found: Any = top
            for key in path:
                found = self._at(found, key)
            if found is not None:
                return found
        return []

    def _transforms(self) -> Iterator[dict[str, Any]]:
        """Walk over the test pipeline, and over transforms that stand in other transforms."""
        waiting = [self._pipeline()]
        for _ in range(_MOST_TRANSFORMS):
            if not waiting:
                return
            value = waiting.pop()
            if isinstance(value, NotLiteral):
                raise self._wrong("a part of the test pipeline", value)
            if isinstance(value, list | tuple):
                waiting.extend(reversed(value))
            elif isinstance(value, dict):
                yield value
                waiting.append(value.get("transforms", ()))
        raise CheckpointError(f"{self._name}: the test pipeline has no end")

    def _step(self, kind: str) -> Any:
        """Find a transform of the test pipeline; None if there is none."""
        return next((step for step in self._transforms() if step.get("type") == kind), None)

    def _resize(self) -> Resize | str:
        for named in (step.get("type") for step in self._transforms()):
            if isinstance(named, str) and "Resize" in named and named != "Resize":
                raise self._wrong("a transform of the test pipeline", named)
        step = self._step("Resize")
        if step is None:
            return "none"
        around = self._step("MultiScaleFlipAug")
        scale = (
            self._at(step, "scale") or self._at(step, "img_scale") or self._at(around, "img_scale")
        )
        if not isinstance(scale, list | tuple) or [type(side) for side in scale] != [int, int]:
            raise self._wrong("the scale of Resize", scale)
        width, height = scale
        if self._at(step, "keep_ratio", around is not None):
            return Resize("fit", max(scale), align_corners=False, limit=min(scale))
        return exact(height, width)

    def _threshold(self) -> float | None:
        head = self._at(self._at(dict(self._found), "model"), "decode_head")
        logits = self._at(head, "out_channels") or self._at(head, "num_classes")
        if logits != 1:
            return None
        threshold = self._at(head, "threshold")
        return _THRESHOLD if threshold is None else float(threshold)
