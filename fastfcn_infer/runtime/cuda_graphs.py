"""Runs of an ONNX Runtime session on a CUDA device, with buffers and CUDA graphs for each shape.

A CUDA graph is a recorded run. To replay it launches all kernels of the network at once; a single picture
then takes half as long as with one launch after the other. It reads and writes the buffers that it was recorded
with, so each shape has its own. It also spares what ONNX Runtime does whenever the shape differs from the last
one: it plans every convolution anew, which takes half a second.

A recording belongs to the thread that made it, and ONNX Runtime keeps handles of CUDA's libraries for each
thread, so threads of our own run the session: two, each with its own buffers for every shape. One waits for
the device while the other hands over a result and takes the next batch, and callers copy to and from the
device meanwhile. Copies from pinned memory take a quarter of the time, but batches would have to be copied
into it first.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.system.warn import warn

LANES = 2  # sets of buffers for a shape, and threads that run the session
MOST_RECORDINGS = 32  # each keeps its kernels' arguments; shapes beyond are run without one
WITHOUT_RECORDING = -1  # ONNX Runtime's number for a run that is neither recorded nor replayed

Shape = tuple[int, ...]


@dataclass(eq=False)
class _Lane:
    """Buffers on the device, bound to a recording."""

    source: Any  # OrtValue
    target: Any  # OrtValue
    binding: Any
    options: Any
    runner: ThreadPoolExecutor  # the thread that its recording belongs to
    recorded: bool = False


@dataclass
class _Known:
    """What is kept for a shape of the input."""

    output: Shape
    idle: list[_Lane] = field(default_factory=list)
    lanes: int = 0  # made, or being made


class CudaGraphs:
    """Runs a session on a CUDA device; any thread may call `run`.

    Args:
        onnxruntime: the module.
        session: with one input.
        output: name of the output that is wanted.
        device: index of the GPU.
        failures: what ONNX Runtime raises.
        most: recordings to keep; 0 for a session that was opened without ``enable_cuda_graph``.
    """

    def __init__(
        self,
        onnxruntime: Any,
        session: Any,
        output: str,
        device: int,
        failures: tuple[type[Exception], ...],
        most: int = MOST_RECORDINGS,
    ) -> None:
        self._onnxruntime, self._session, self._device = onnxruntime, session, device
        self._failures, self._output = failures, output
        (given,) = session.get_inputs()
        self._input, self._fixed = given.name, isinstance(given.shape[0], int)
        self._known: dict[tuple[Shape, str], _Known] = {}
        self._recordings, self._most = 0, most
        self._free = threading.Condition()
        # While a run is recorded no other thread may use the device: CUDA forbids to allocate and to
        # copy then, and what is launched would be recorded, too.
        self._device_use = _Shared()
        self._runners = [ThreadPoolExecutor(1, f"fastfcn-cuda-{lane}") for lane in range(LANES)]

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute the output of a batch.

        The first batch of a shape is run as it is; those after it have buffers and a recording. Smaller
        batches than a power of two are padded to it, so that few shapes are met.
        """
        count = len(batch)
        if not self._fixed:
            batch = _padded(batch)
        known = self._known.get((batch.shape, batch.dtype.str))
        output = None
        if known is not None:
            output = self._replayed(known, batch)
        if output is None:
            output = self._runners[0].submit(self._run, batch).result()
            self._known.setdefault((batch.shape, batch.dtype.str), _Known(output.shape))
        return output[:count]

    def close(self) -> None:
        """Release buffers and recordings; runs in progress still complete."""
        for runner in self._runners:
            runner.shutdown()
        self._known.clear()
        self._session = None

    def _run(self, batch: NDArray[Any]) -> NDArray[Any]:
        options = self._options(WITHOUT_RECORDING)
        # It plans for its shape, and must not do so for two at a time.
        with self._device_use.alone():
            output: NDArray[Any]
            (output,) = self._session.run([self._output], {self._input: batch}, options)
        return output

    def _replayed(self, known: _Known, batch: NDArray[Any]) -> NDArray[Any] | None:
        """Compute with a recording; None if there are too many already."""
        lane = self._lane(known, batch)
        if lane is None:
            return None
        try:
            with self._device_use.together():
                lane.source.update_inplace(batch)
            lane.runner.submit(self._replay, lane).result()
            with self._device_use.together():
                output: NDArray[Any] = lane.target.numpy()
        except BaseException:
            # It may still be computing, or be unfit for use.
            self._return(known, None)
            raise
        self._return(known, lane)
        return output

    def _lane(self, known: _Known, batch: NDArray[Any]) -> _Lane | None:
        with self._free:
            while not known.idle:
                if known.lanes < LANES and self._recordings < self._most:
                    runner = self._runners[known.lanes]
                    known.lanes += 1
                    self._recordings += 1
                    number = self._recordings
                    break
                if not known.lanes:
                    return None
                self._free.wait()
            else:
                return known.idle.pop()
        try:
            with self._device_use.together():
                return self._new_lane(known, batch, number, runner)
        except BaseException:
            self._return(known, None)
            raise

    def _new_lane(
        self, known: _Known, batch: NDArray[Any], number: int, runner: ThreadPoolExecutor
    ) -> _Lane:
        values, place = self._onnxruntime.OrtValue, ("cuda", self._device)
        (wanted,) = [each for each in self._session.get_outputs() if each.name == self._output]
        source = values.ortvalue_from_numpy(batch, *place)
        target = values.ortvalue_from_shape_and_type(known.output, _DTYPES[wanted.type], *place)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, source)
        binding.bind_ortvalue_output(self._output, target)
        return _Lane(source, target, binding, self._options(number), runner)

    def _return(self, known: _Known, lane: _Lane | None) -> None:
        with self._free:
            if lane is None:
                known.lanes -= 1
            else:
                known.idle.append(lane)
            self._free.notify()

    def _replay(self, lane: _Lane) -> None:
        if lane.recorded:
            with self._device_use.together():
                self._session.run_with_iobinding(lane.binding, lane.options)
            return
        with self._device_use.alone():
            try:
                self._session.run_with_iobinding(lane.binding, lane.options)
            except self._failures as error:
                lane.options = self._options(WITHOUT_RECORDING)
                warn(f"CUDA could not record the network, which is slower without: {error}")
                self._session.run_with_iobinding(lane.binding, lane.options)
        lane.recorded = True

    def _options(self, number: int) -> Any:
        options = self._onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(number))
        return options


class _Shared:
    """Used by many threads at a time, or by one alone, which comes before those that wait."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._wanted = 0  # threads that use it alone, or wait for that
        self._taken = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Use it with others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._wanted)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Use it when nobody else does."""
        with self._changed:
            self._wanted += 1
            self._changed.wait_for(lambda: not self._users and not self._taken)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._wanted -= 1
                self._taken = False
                self._changed.notify_all()


_DTYPES: dict[str, Callable[..., Any]] = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
}


def _padded(batch: NDArray[Any]) -> NDArray[Any]:
    """Pad a batch to a power of two by repeating its last item."""
    missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
    if not missing:
        return batch
    return np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
