"""What a picture costs is told from sizes alone, and is what a run then takes."""

import json
import subprocess
import sys
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import PRESETS, Procedure, Windows
from fastfcn_infer.errors import ImageError
from fastfcn_infer.hub.models import EMBEDDED, find_artifact
from fastfcn_infer.inference.cost import (
    RuntimeProfile,
    batch_bytes,
    cost,
    multiply_adds,
    network_bytes,
)
from fastfcn_infer.inference.pipeline import Job

TILES = Procedure(windows=Windows(96, 64))

# Opens the embedded model and tells the peak of labelling a picture above what was resident before.
_RUN = """
import gc, json, sys
from pathlib import Path
import numpy as np
from fastfcn_infer.inference.cost import cost
from fastfcn_infer.runtime.backend import profile_of
from fastfcn_infer.segmenter import Segmenter
backend, size, procedure = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
def resident(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))
segmenter = Segmenter.from_pretrained(None, backend=backend, threads=2, procedure=procedure)
picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
gc.collect()
before = resident("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
for _ in range(2):  # ONNX Runtime takes more in the second run, planned after the first
    segmenter.predict(picture)
peak = resident("VmHWM") - before
facts = profile_of(segmenter.runtime)
told = cost(segmenter.model, [tuple(size)], segmenter.procedure, profile=facts)
print(json.dumps([peak, told.memory.total]))
"""


def embedded() -> Model:
    return find_artifact(EMBEDDED, None, local_files_only=True).model


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("backend", ["onnx_runtime", "open_vino"])
@pytest.mark.parametrize(
    ("size", "procedure"),
    [
        ((1024, 2048), "paddleseg"),
        ((960, 1280), "tiles"),
        pytest.param((512, 683), "fastfcn-ms", marks=pytest.mark.slow),
        pytest.param((512, 683), "mmseg-tta", marks=pytest.mark.slow),
    ],
)
def test_a_run_takes_no_more_memory_than_told_and_not_much_less(
    backend: str, size: tuple[int, int], procedure: str
) -> None:
    pytest.importorskip("onnxruntime" if backend == "onnx_runtime" else "openvino")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, backend, json.dumps(size), procedure],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    peak, told = json.loads(done.stdout.splitlines()[-1])
    assert peak <= told <= 2.5 * peak


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(PRESETS)),
    height=st.integers(1, 1500),
    width=st.integers(1, 1500),
    batch=st.integers(1, 9),
)
def test_the_calls_are_those_of_the_pipeline(
    name: str, height: int, width: int, batch: int
) -> None:
    model, procedure = embedded(), PRESETS[name]
    picture = np.broadcast_to(np.uint8(0), (height, width, 3))
    try:
        job = Job([picture], model, procedure=procedure, batch=batch)
    except ImageError:
        with pytest.raises(ImageError):
            cost(model, [(height, width)], procedure, batch=batch)
        return
    told = cost(model, [(height, width)], procedure, batch=batch)
    views = job.views[0]
    made = sorted((views[call[0].view].canvas, len(call)) for call in job.calls)
    assert sorted((c.canvas, c.views) for c in told.calls for _ in range(c.count)) == made
    assert told.views == (views,)


def test_the_multiply_adds_are_those_of_all_pixels_that_are_fed() -> None:
    model = embedded()
    told = cost(model, [(480, 480)], Procedure(scales=(1, 0.5), mirror="horizontal"))
    each = model.network.multiply_adds
    assert told.multiply_adds == 2 * each + 2 * each // 4


def test_what_was_not_counted_is_unknown_and_the_memory_is_that_of_a_large_network() -> None:
    model = embedded()
    uncounted = replace(model, network=replace(model.network, multiply_adds=0))
    assert multiply_adds(uncounted, 1000) is None
    profile = RuntimeProfile()
    assert network_bytes(uncounted, (480, 480), 1, profile) > network_bytes(
        model, (480, 480), 1, profile
    )


def test_a_graph_that_fixes_the_batch_computes_all_of_it() -> None:
    model = embedded()
    fixed = replace(model, input=replace(model.input, shape=(4, None, None)))
    (call,) = cost(fixed, [(480, 480)], Procedure()).calls
    assert (call.views, call.count) == (4, 1)
    assert batch_bytes(fixed, call.canvas, call.views) == 4 * 3 * 480 * 480 * 4


def test_pictures_of_one_size_share_calls() -> None:
    told = cost(embedded(), [(480, 480)] * 5, Procedure(), batch=4)
    assert [(c.views, c.count) for c in told.calls] == [(4, 1), (1, 1)]


def test_smaller_batches_take_less_memory() -> None:
    taken = [cost(embedded(), [(600, 600)], TILES, batch=n).memory.total for n in (1, 2, 4, 8)]
    assert taken == sorted(set(taken))


def test_the_outputs_of_windows_are_held_for_a_band_only() -> None:
    model, high = embedded(), (9600, 480)
    told = cost(model, [high], PRESETS["tiles"])
    # 30 rows of windows; those of one call, and the two rows that overlap.
    all_outputs = len(told.views[0]) * len(model.classes) * prod((60, 60)) * 4
    assert told.memory.outputs < all_outputs / 2


def test_a_picture_that_does_not_fit_the_model_is_refused() -> None:
    model = embedded()
    labels = replace(
        model,
        procedure=Procedure("whole"),
        output=replace(model.output, name="labels", stride=1),
    )
    with pytest.raises(ValueError, match="exported with --output labels"):
        cost(labels, [(480, 480)], PRESETS["tiles"])
    with pytest.raises(ImageError, match="too long"):
        cost(model, [(1, 1 << 21)])
