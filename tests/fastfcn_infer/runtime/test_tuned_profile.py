import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.runtime import backend, gpu, opening, tuned_profile
from fastfcn_infer.runtime.tuned_profile import (
    Choice,
    Measured,
    TunedProfile,
    UnusableProfileError,
    forget_profile,
    installed_versions,
    profile_path,
    read_profile,
    summary_of_profile,
    this_machine,
    tuned_here,
    write_profile,
)
from models import tiny_artifact

MEASURED = "fastfcn tune measured it fastest here on 2026-01-02"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu, "find_gpu", lambda index: "no GPU")
    return tmp_path / "cache"


def profile(model: Path, **changes: object) -> TunedProfile:
    """A profile that chooses what nobody else would: ONNX Runtime, one thread, batches of three."""
    return TunedProfile(
        **{  # type: ignore[arg-type]
            "format_version": 1,
            "model": "tiny",
            "fingerprint": open_artifact(model).fingerprint,
            "machine": this_machine(),
            "versions": installed_versions(),
            "date": "2026-01-02T03:04:05+00:00",
            "size": (64, 96),
            "allowed": ("fp32",),
            "precision": "fp32",
            "choices": {"fp32": Choice("onnx_runtime", 1, 3, 0.1)},
            "measured": (Measured("onnx_runtime", "fp32", 1, 1, 0.1),),
            **changes,
        }
    )


def test_what_is_kept_reads_back_and_is_forgotten(model: Path, cache: Path) -> None:
    kept = profile(model)
    assert read_profile(cache, kept.fingerprint) is None
    assert tuned_here(cache) == ()
    assert not forget_profile(cache, kept.fingerprint)
    path = write_profile(cache, kept)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert read_profile(cache, kept.fingerprint) == kept
    assert tuned_here(cache) == (f"tiny: {kept.summary}",)
    assert "onnx_runtime in fp32, 1 thread, batches of 3, measured on 2026-01-02" in kept.summary
    assert forget_profile(cache, kept.fingerprint)
    assert read_profile(cache, kept.fingerprint) is None


def test_auto_chooses_what_was_measured_and_says_so(model: Path, cache: Path) -> None:
    write_profile(cache, profile(model))
    with Segmenter.from_pretrained(model) as segmenter:
        facts = segmenter.runtime
        assert (facts.backend, facts.threads, facts.batch) == ("onnx_runtime", 1, 3)
        assert segmenter._planner.profile.batch == 3
        assert segmenter._together((64, 96), segmenter.procedure) == 3
    for what in ("backend onnx_runtime", "threads 1", "batch 3"):
        assert f"{what}: {MEASURED}" in facts.chosen
    assert not [note for note in facts.chosen if note.startswith("precision")]


def test_what_the_user_says_is_never_overruled(model: Path, cache: Path) -> None:
    write_profile(cache, profile(model))
    with Segmenter.from_pretrained(model, threads=2) as segmenter:
        assert (segmenter.runtime.backend, segmenter.runtime.threads) == ("onnx_runtime", 2)
    with Segmenter.from_pretrained(model, backend="onnx_runtime") as segmenter:
        assert segmenter.runtime.batch is None
        assert MEASURED not in " ".join(segmenter.runtime.chosen)
    with Segmenter.from_pretrained(model, cache_dir=cache / "other") as segmenter:
        assert segmenter.runtime.batch is None
    with pytest.raises(ValueError, match="threads is 0"):
        Segmenter.from_pretrained(model, threads=0)


def test_a_lower_precision_that_was_allowed_is_named(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What opens the graph is told to; whether it can is its own matter."""
    asked = []

    def open_backend(name: str, artifact: object, *, precision: str, **options: object) -> object:
        asked.append((name, precision))
        return real(name, artifact, precision="auto", **options)  # type: ignore[arg-type]

    real = backend.open_backend
    monkeypatch.setattr(opening, "open_backend", open_backend)
    both = {"fp32": Choice("onnx_runtime", 1, 3, 0.2), "int8": Choice("onnx_runtime", 2, 4, 0.1)}
    write_profile(cache, profile(model, allowed=("fp32", "int8"), precision="int8", choices=both))
    with Segmenter.from_pretrained(model) as segmenter:
        assert f"precision int8: {MEASURED}, and its user allowed it" in segmenter.runtime.chosen
    with Segmenter.from_pretrained(model, precision="fp32") as segmenter:
        assert (segmenter.runtime.threads, segmenter.runtime.batch) == (1, 3)
        assert "int8" not in " ".join(segmenter.runtime.chosen)
    assert asked == [("onnx_runtime", "int8"), ("onnx_runtime", "fp32")]


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 9),
    "huge": lambda path: path.write_text(" " * (1 << 20)),
    "a folder": unreadable,
    "a link": linked,
    "another format": lambda path: change(path, format_version=2),
    "another model": lambda path: change(path, fingerprint="0" * 64),
    "another machine": lambda path: change(path, machine={"cpu": "abacus"}),
    "other versions": lambda path: change(path, versions={"numpy": "0.1"}),
    "a precision that was not allowed": lambda path: change(path, precision="int8"),
    "no threads": lambda path: change(
        path, choices={"fp32": {"backend": "onnx_runtime", "threads": 0, "batch": 1, "seconds": 1}}
    ),
    "more threads than there are": lambda path: change(
        path,
        choices={"fp32": {"backend": "onnx_runtime", "threads": 9999, "batch": 1, "seconds": 1}},
    ),
    "a backend that does not exist": lambda path: change(
        path, choices={"fp32": {"backend": "abacus", "threads": 1, "batch": 1, "seconds": 1}}
    ),
    "a backend that cannot run it": lambda path: change(
        path,
        choices={"fp32": {"backend": "paddle_inference", "threads": 1, "batch": 1, "seconds": 1}},
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_profile_that_cannot_be_used_is_one_warning_and_changes_nothing(
    model: Path, cache: Path, damage: str
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with Segmenter.from_pretrained(model) as segmenter:
        expected, facts = segmenter.predict(picture).labels, segmenter.runtime
    path = write_profile(cache, profile(model))
    DAMAGE[damage](path)
    with pytest.warns(RuntimeWarning, match="what fastfcn tune measured is not used") as warned:
        segmenter = Segmenter.from_pretrained(model)
    assert len(warned) == 1
    assert "Run fastfcn tune again, or with --forget" in str(warned[0].message)
    assert ".. " not in str(warned[0].message)
    with segmenter:
        assert segmenter.runtime == facts
        assert np.array_equal(segmenter.predict(picture).labels, expected)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owner there")
def test_a_profile_of_another_user_is_not_used(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = profile(model)
    write_profile(cache, kept)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UnusableProfileError, match="another user's"):
        read_profile(cache, kept.fingerprint)
    assert tuned_here(cache)[0].startswith("not used: ")
    summary = summary_of_profile(open_artifact(model), cache)
    assert summary is not None
    assert summary.startswith("not used: ")


def test_machines_that_share_a_cache_have_a_profile_each(
    model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = profile(model)
    write_profile(cache, kept)
    monkeypatch.setattr(tuned_profile, "cpu_model", lambda: "abacus")
    assert read_profile(cache, kept.fingerprint) is None
    assert profile_path(cache, kept.fingerprint).parent.is_dir()
