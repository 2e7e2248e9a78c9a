"""Verify that the graph of a deployed program computes what the program does in Paddle Inference.

We have no reference implementation of an arbitrary network, so the reference is the program as it was
deployed, in the engine it was deployed for, before any conversion.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.deployed.graph import End
from fastfcn_export.deployed.read import Deployed
from fastfcn_export.target.targets import reference
from fastfcn_export.verify import CREDIT, LIMITS, Proof, difference, judge
from fastfcn_infer.artifact.manifest import Model, Verification
from fastfcn_infer.errors import BackendError, BackendMissing, VerificationError
from fastfcn_infer.inference.merge import labels, merge
from fastfcn_infer.inference.views import View
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.system.machine import cpu_budget

Array = NDArray[Any]

_MINUTES = 30
_LAST_LINES = 12  # of Paddle's output, repeated in a message


def require_judge() -> None:
    """Check that a verification is possible, before anything slow begins.

    Raises:
        BackendMissing: Paddle is not installed.
    """
    if importlib.util.find_spec("paddle") is None:
        raise BackendMissing(
            "Verifying a deployed model runs its own program in Paddle Inference, and paddlepaddle "
            'is not installed. Run: pip install "fastfcn-infer[paddle]", or export without '
            "verification: --verify off."
        )


def prove_deployed(
    deployed: Deployed,
    end: End,
    model: Model,
    facts: RuntimeFacts,
    picture: NDArray[np.uint8],
    views: tuple[View, ...],
    batch: Array,
    logits: Array,
) -> Proof:
    """Compare the graph's output with the program's.

    Args:
        deployed: the program.
        end: the operator that the program ends in.
        model: the description of the graph.
        facts: of the runtime that ran the graph.
        picture: (H, W, 3) uint8, RGB, that both are fed.
        views: of it.
        batch: (N, 3, h, w) float32, the picture prepared.
        logits: (N, C, h, w), the graph's output.

    Raises:
        VerificationError: they differ by more than `verify.LIMITS`.
        BackendError: Paddle could not run the program.
    """
    answers = _run(deployed, end, batch)
    expected = answers["answer" if end == "none" else "scores"]
    worst = difference(logits, expected)
    size = (picture.shape[0], picture.shape[1])
    golden = _golden(expected, views, size)
    ours = labels(merge(views, logits, size), model)
    agreement = min(_agreement(logits, answers["answer"], end), float((ours == golden).mean()))
    record = Verification(
        reference=f"Paddle Inference {answers['version']}, the program as deployed",
        runtime=f"{facts.backend} ({facts.provider})",
        picture=CREDIT,
        worst_difference=worst,
        allowed_difference=LIMITS["fp32"][0],
        label_agreement=agreement,
        required_agreement=LIMITS["fp32"][1],
        versions=dict(facts.versions),
    )
    judge(record)
    return Proof(record, picture, golden.astype(ours.dtype))


def _agreement(logits: Array, answer: Array, end: End) -> float:
    """Return the share of labels that equal those of the whole program, its end included."""
    found = logits.argmax(1)
    if end == "argmax" and answer.size != found.size:
        raise VerificationError(
            f"The program's labels are {answer.shape}, the graph's {found.shape}."
        )
    expected = answer.reshape(found.shape) if end == "argmax" else answer.argmax(1)
    return float((found == expected).mean())


def _golden(scores: Array, views: tuple[View, ...], size: tuple[int, int]) -> Array:
    """Compute PaddleSeg's reverse transform the textbook way: cut, resize, cut, arg max."""
    merged = merge(views, scores, size)
    full = reference.resize(merged.scores[None], merged.size, align_corners=False)
    return np.asarray(full[0].argmax(0)[: size[0], : size[1]])


def _run(deployed: Deployed, end: End, batch: Array) -> dict[str, Array]:
    require_judge()
    with tempfile.TemporaryDirectory() as folder:
        fed, answered = Path(folder, "batch.npy"), Path(folder, "answer.npz")
        np.save(fed, batch)
        files = (deployed.program, deployed.params, fed, answered)
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
        if done.returncode != 0 or not answered.is_file():
            said = done.stdout.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
            raise BackendError(
                f"Paddle Inference could not run {deployed.program} (exit code "
                f"{done.returncode}); it said:\n" + "\n".join(said)
            )
        with np.load(answered) as data:
            return dict(data)
