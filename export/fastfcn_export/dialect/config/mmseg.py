"""What an mmsegmentation configuration says about pictures and labels, of its versions 0.x and 1.x."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastfcn_export.dialect.changes import PIXELS, Changes, exact
from fastfcn_export.dialect.config.python_literals import NotLiteral, read_python
from fastfcn_infer.artifact.manifest import MOST_CHANNELS, RGB, Values
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
            bands=self._bands() if said.bands is None else None,
            resize=self._resize() if said.resize is None else None,
            threshold=self._threshold() if said.threshold is None else None,
        )
        if said.channel_order is None or said.mean is None:
            given, is_rgb = self._normalisation()
            channels = len(said.mean or ()) or said.bands or found.bands or RGB
            if said.mean is None:
                mean = self._values("mean", self._at(given, "mean", (0.0,) * channels))
                std = self._values("std", self._at(given, "std", (1.0,) * len(mean)))
                channels = len(mean)
                # Values are used as they are stored.
                white = None if channels == RGB else PIXELS
                found = replace(found, mean=mean, std=std, pixel_range=PIXELS, white=white)
            if channels == RGB:  # pictures are read as BGR
                found = replace(found, channel_order="rgb" if is_rgb else "bgr")
            elif is_rgb:
                raise self._wrong(f"the swap of channels to RGB, which {channels} have not,", True)
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

    def _bands(self) -> int | None:
        """Return the channels that the backbone is said to take; None if it is not said."""
        said: Any = dict(self._found)
        for key in ("model", "backbone", "in_channels"):
            said = said.get(key) if isinstance(said, dict) else None
        if said is None or isinstance(said, NotLiteral):  # the weights tell
            return None
        if type(said) is not int or not 1 <= said <= MOST_CHANNELS:
            raise self._wrong("in_channels of the backbone", said)
        return said

    def _values(self, what: str, found: Any) -> Values:
        numbers = found if isinstance(found, list | tuple) else ()
        if not numbers or not all(type(value) in (int, float) for value in numbers):
            bad = next((value for value in numbers if isinstance(value, NotLiteral)), found)
            raise self._wrong(what, bad)
        return tuple(map(float, numbers))

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
