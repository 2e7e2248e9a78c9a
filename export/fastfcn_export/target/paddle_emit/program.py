"""Build a Paddle program and write it in the format of Paddle Inference.

Paddle is imported when a program is grown, not when this file is: exporting to ONNX needs none.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.target.target import Options
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError, BackendMissing
from fastfcn_infer.runtime.paddle_settings import quiet_import
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package

STEM = "inference"  # the name that PaddleX looks for

_OLDEST = 3  # Paddle 2 has another program format


def load() -> Any:
    """Import Paddle without its log output and return it.

    Raises:
        BackendMissing: it is not installed, or older than 3.0.
    """
    try:
        with quiet_import():
            import paddle
    except ImportError as error:
        raise BackendMissing(
            f"The format paddle needs {missing_package(error)}. Run: {install('paddle')}"
        ) from error
    major = str(paddle.__version__).partition(".")[0]
    if major.isdecimal() and 0 < int(major) < _OLDEST:
        raise BackendMissing(
            f"The format paddle needs Paddle 3.0 or later; {paddle.__version__} was found. Run: {install('paddle')}"
        )
    return paddle


@contextmanager
def growing(model: Model, options: Options) -> Iterator["Program"]:
    """Begin a program; Paddle is in its static mode, which is global, inside the ``with``.

    Args:
        model: the description, which states the input and the output.
        options: fixed shape.

    Raises:
        BackendMissing: see `load`.
    """
    paddle = load()
    with ExitStack() as stack:
        if paddle.in_dynamic_mode():
            paddle.enable_static()
            stack.callback(paddle.disable_static)
        main, startup, scope = (
            paddle.static.Program(),
            paddle.static.Program(),
            paddle.static.Scope(),
        )
        stack.enter_context(paddle.static.scope_guard(scope))
        stack.enter_context(paddle.static.program_guard(main, startup))
        # Else names would count on from the last program's, and equal networks differ in bytes.
        stack.enter_context(paddle.utils.unique_name.guard())
        yield Program(paddle, main, scope, model, options)


class Program:
    """A program under construction; `growing` makes it."""

    def __init__(self, paddle: Any, main: Any, scope: Any, model: Model, options: Options) -> None:
        self.paddle = paddle
        self._main = main
        self._scope = scope
        self._model = model
        self._shape = options.shape
        self._place = paddle.CPUPlace()
        self._names: set[str] = set()
        self._input, self.image = self._begin()

    def tensor(self, name: str, value: NDArray[Any]) -> Any:
        """Add a constant, float32."""
        while name in self._names:
            name += "_"
        self._names.add(name)
        # The initialiser belongs to the startup program, which is never run.
        zero = self.paddle.nn.initializer.Constant(0.0)
        made = self.paddle.create_parameter(
            list(value.shape), "float32", name=name, default_initializer=zero
        )
        held = self._scope.var(name).get_tensor()
        held.set(np.ascontiguousarray(value, np.float32), self._place)
        return made

    def resize(self, x: Any, like: Any, stride: int, *, align_corners: bool) -> Any:
        """Resize `x` bilinearly to the height and width of `like`, a map of that stride."""
        _, height, width = self._shape
        if height and width:
            size: Any = [-(-height // stride), -(-width // stride)]
        else:
            size = self.paddle.shape(like)[2:]
        return self.paddle.nn.functional.interpolate(
            x, size=size, mode="bilinear", align_corners=align_corners
        )

    def write(self, folder: Path, logits: Any) -> None:
        """Append the output that the model describes and write the program and its weights.

        Args:
            folder: made here.
            logits: (N, C, h, w), in the program.

        Raises:
            BackendError: Paddle wrote another format of program.
        """
        paddle = self.paddle
        output = self._end(logits)
        folder.mkdir()
        executor = paddle.static.Executor(self._place)
        paddle.static.save_inference_model(
            os.fspath(folder / STEM), [self._input], [output], executor, program=self._main
        )
        if not (folder / f"{STEM}.json").is_file():
            found = ", ".join(sorted(path.name for path in folder.iterdir()))
            raise BackendError(
                f"Paddle {paddle.__version__} wrote {found}; {STEM}.json was expected. If "
                "FLAGS_enable_pir_api is set in the environment, unset it."
            )

    def _begin(self) -> tuple[Any, Any]:
        """Declare the input; returns it and the normalised picture."""
        data = self.paddle.static.data
        n, height, width = (-1 if size is None else size for size in self._shape)
        given = self._model.input
        if given.name == "image":
            image = data("image", [n, given.channels, height, width], "float32")
            return image, image
        pixels = data("pixels", [n, height, width, 3], "uint8")
        std, mean = (np.array(value)[:, None, None] for value in (given.std, given.mean))
        planes = pixels.astype("float32").transpose([0, 3, 1, 2])
        scale = self.tensor("normalise.scale", 1 / (255 * std))
        return pixels, planes * scale + self.tensor("normalise.shift", -mean / std)

    def _end(self, logits: Any) -> Any:
        model = self._model
        if model.output.name == "logits":
            return logits
        full = self.resize(logits, self.image, 1, align_corners=model.align_corners)
        if model.output.name == "probabilities":
            return self.paddle.nn.functional.softmax(full, 1)
        # Paddle has no uint16: who runs a program of more classes converts its int32.
        small = "uint8" if len(model.classes) <= 256 else "int32"
        return self.paddle.argmax(full, 1).astype(small)
