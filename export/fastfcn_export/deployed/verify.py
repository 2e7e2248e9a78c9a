"""Verify that the graph of a deployed program computes what the program does in Paddle Inference.

We have no reference implementation of an arbitrary network, so the reference is the program as it was
deployed, in the engine it was deployed for, before any conversion.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.deployed.graph import End
from fastfcn_export.deployed.read import Deployed
from fastfcn_export.target.targets import reference
from fastfcn_export.verify import (
    CREDIT,
    LIMITS,
    Proof,
    comparable,
    decided,
    difference,
    require_agreement,
)
from fastfcn_infer.artifact.manifest import Model, Verification
from fastfcn_infer.errors import BackendError, BackendMissing, VerificationError
from fastfcn_infer.inference.merge import Merged
from fastfcn_infer.inference.pipeline import Job, labels
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.install import install
from fastfcn_infer.system.machine import cpu_budget

Array = NDArray[Any]


@dataclass(frozen=True)
class Trial:
    """A run of the converted graph on the golden picture."""

    picture: NDArray[np.uint8]  # (H, W, 3), RGB
    job: Job  # of the picture; one call
    batch: Array  # (N, 3, h, w) float32, of that call
    logits: Array  # (N, C, h, w)
    facts: RuntimeFacts  # of the runtime that ran it


_MINUTES = 30
_LAST_LINES = 12  # of Paddle's output, repeated in a message


def require_paddle() -> None:
    """Check that a verification is possible, before anything slow begins.

    Raises:
        BackendMissing: Paddle is not installed.
    """
    if importlib.util.find_spec("paddle") is None:
        raise BackendMissing(
            "Verifying a deployed model runs its own program in Paddle Inference, and paddlepaddle "
            f"is not installed. Run: {install('paddle')}, or export without "
            "verification: --verify off."
        )


def prove_deployed(
    deployed: Deployed,
    end: End,
    model: Model,
    trial: Trial,
) -> Proof:
    """Compare the logits of the graph with those of the program.

    Args:
        deployed: the program.
        end: the operator that the program ends in.
        model: the description of the graph.
        trial: a run of the graph.

    Raises:
        VerificationError: they differ by more than `verify.LIMITS`.
        BackendError: Paddle could not run the program.
    """
    outputs = _run(deployed, end, trial.batch)
    expected = outputs["output" if end == "none" else "scores"]
    worst = difference(*comparable(trial.logits, expected, model))
    (exact,), (merged,) = trial.job.merged([expected]), trial.job.merged([trial.logits])
    golden, ours = _golden(exact, model), labels(merged, model)
    whole = outputs["output"]
    if model.output.threshold is not None:
        whole, end = (
            decided(expected, model),
            "argmax",
        )  # labels, where the program's own say nothing
    agreement = min(_agreement(trial.logits, whole, end), float((ours == golden).mean()))
    record = Verification(
        reference=f"Paddle Inference {outputs['version']}, the program as deployed",
        runtime=f"{trial.facts.backend} ({trial.facts.provider})",
        picture=CREDIT,
        worst_difference=worst,
        allowed_difference=LIMITS["fp32"][0],
        label_agreement=agreement,
        required_agreement=LIMITS["fp32"][1],
        versions=dict(trial.facts.versions),
    )
    require_agreement(record)
    return Proof(record, trial.picture, golden.astype(ours.dtype))


def _agreement(logits: Array, output: Array, end: End) -> float:
    """Return the share of labels that equal those of the whole program, its end included."""
    found = logits.argmax(1)
    if end == "argmax" and output.size != found.size:
        raise VerificationError(
            f"The program's labels are {output.shape}, the graph's {found.shape}."
        )
    expected = output.reshape(found.shape) if end == "argmax" else output.argmax(1)
    return float((found == expected).mean())


def _golden(merged: Merged, model: Model) -> Array:
    """Compute PaddleSeg's reverse transform the textbook way: cut, resize, cut, arg max or threshold."""
    height, width = merged.picture
    full = reference.resize(merged.scores[None], merged.size, align_corners=False)
    return decided(full, model)[0, :height, :width]


def _run(deployed: Deployed, end: End, batch: Array) -> dict[str, Array]:
    require_paddle()
    with tempfile.TemporaryDirectory() as folder:
        fed, written = Path(folder, "batch.npy"), Path(folder, "output.npz")
        np.save(fed, batch)
        files = (deployed.program, deployed.params, fed, written)
        command = [sys.executable, "-m", "fastfcn_export.deployed.run_paddle"]
        command += [*map(str, files), str(cpu_budget().threads), end]
        # The process must find this package where this one found it.
        path = os.pathsep.join(part for part in sys.path if part)
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=60 * _MINUTES,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BackendError(
                f"Paddle could not be run on {deployed.program}: {error}."
            ) from error
        if done.returncode != 0 or not written.is_file():
            said = done.stdout.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
            raise BackendError(
                f"Paddle Inference could not run {deployed.program} (exit code "
                f"{done.returncode}); it said:\n"
                + listing([printable(line, 500) for line in said], "\n")
            )
        with np.load(written) as data:
            return dict(data)
