"""Exit codes are those that the README and ``fastfcn --help`` promise to users."""

import errno
import hashlib
import json
import re
import shutil
import signal
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from command_line import EMBEDDED, ROOT, fastfcn
from fastfcn_infer import errors
from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.main import main
from models import tiny_artifact

OURS = sorted(
    {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.FastFCNError)
    },
    key=lambda kind: kind.__name__,
)


def promised(text: str) -> dict[str, int]:
    """Meaning -> code, of a text such as "0 fine, 2 usage, 7 a comparison failed"."""
    found = re.findall(r"\b(\d) ((?:[^,.:0-9])+)", " ".join(text.split()))
    return {meaning.strip(): int(code) for code, meaning in found}


def readme_codes() -> dict[str, int]:
    (sentence,) = re.findall(
        r"[Cc]ommands exit with ([^.]+)\.", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    return promised(sentence)


README_CODES = readme_codes()


def failing(error: BaseException) -> int:
    raise error


def code_of(kind: type[Exception]) -> int:
    return exit_codes.run(lambda: failing(kind("what is wrong")), as_json=False)


def test_readme_and_help_promise_the_same_codes() -> None:
    help_text = fastfcn("--help").stdout.partition("exit codes:")[2]
    told = promised(help_text)
    assert told.pop("a bug of ours") == 1
    assert set(README_CODES.values()) == set(told.values()) == {0, 2, 3, 4, 5, 6, 7, 9}
    for meaning, code in README_CODES.items():
        assert told[next(key for key in told if key.split()[:2] == meaning.split()[:2])] == code


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: models that are whole, damaged and wrong, and a file that is no picture."""
    (tmp_path / "text.png").write_text("text")
    tiny_artifact(tmp_path / "tiny")
    shutil.copytree(tmp_path / "tiny", tmp_path / "damaged")
    (tmp_path / "damaged" / "model.onnx").write_bytes(b"damaged")
    wrong = Path(shutil.copytree(EMBEDDED, tmp_path / "wrong"))
    right = cv2.imread(str(wrong / "golden" / "labels.png"), cv2.IMREAD_GRAYSCALE)
    assert right is not None
    labels = cv2.imencode(".png", np.full_like(right, 10))[1].tobytes()
    (wrong / "golden" / "labels.png").write_bytes(labels)
    manifest = json.loads((wrong / "manifest.json").read_text())
    facts = {"size": len(labels), "sha256": hashlib.sha256(labels).hexdigest()}
    assert set(manifest["files"]["golden/labels.png"]) == set(facts)
    manifest["files"]["golden/labels.png"] = facts
    (wrong / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (["models"], "fine"),
        (["models", "--frob"], "usage"),
        (["predict", "gone.png", "-o", "out"], "usage"),
        (["evaluate", "--dataset", "camvid", "--root", "."], "some inputs failed"),
        (["predict", "text.png", "-o", "out"], "some inputs failed"),
        (["verify", "wrong"], "verification failed"),
        (["predict", "text.png", "-o", "out", "--backend", "frob"], "usage"),
        (["predict", "text.png", "-o", "out", "--device", "npu"], "usage"),
        (["predict", "text.png", "-o", "out", "--classes", "frob"], "usage"),
        (["evaluate", "--dataset", "frob", "--root", "."], "usage"),
        (["datasets", "frob", "--root", "."], "usage"),
        (["predict", "text.png", "-o", "out", "--device", "cuda:77"], "a runtime or device"),
        (["info", "damaged"], "a file is bad"),
        (["predict", "text.png", "-o", "out", "-m", "damaged"], "a file is bad"),
    ],
)
def test_commands_exit_with_the_code_that_the_readme_promises(
    here: Path, words: list[str], meaning: str
) -> None:
    (expected,) = (code for text, code in README_CODES.items() if text.startswith(meaning))
    assert main(words) == expected


@pytest.mark.parametrize("kind", OURS)
def test_every_error_of_ours_has_a_code_of_the_readme_and_so_has_what_is_derived_from_it(
    kind: type[errors.FastFCNError],
) -> None:
    derived = type("Derived", (kind,), {})
    expected = 1 if kind is errors.FastFCNError else code_of(kind)
    assert code_of(derived) == code_of(kind) == expected
    assert kind is errors.FastFCNError or expected in set(README_CODES.values()) - {0}


def test_errors_that_python_raises_for_wrong_input_are_usage() -> None:
    for kind in (FileNotFoundError, PermissionError, IsADirectoryError, ValueError):
        assert code_of(kind) == README_CODES["usage"]


def test_too_little_memory_is_not_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of(MemoryError) == README_CODES["some inputs failed"]
    assert "needs more memory than there is" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [*OURS, FileNotFoundError])
def test_an_error_is_a_line_on_standard_error_or_one_json_object_on_standard_output(
    capsys: pytest.CaptureFixture[str], kind: type[Exception]
) -> None:
    code = exit_codes.run(lambda: failing(kind("what is wrong")), as_json=False)
    assert capsys.readouterr() == ("", f"{kind.__name__}: what is wrong\n")
    assert exit_codes.run(lambda: failing(kind("naïve\n→")), as_json=True) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": kind.__name__, "code": code, "message": "naïve\n→"}
    assert err == ""


def test_a_wrong_argument_is_a_line_that_names_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = ValueError("--size 0 is wrong")
    code = exit_codes.run(lambda: failing(wrong), as_json=False, program="fastfcn some")
    assert code == README_CODES["usage"]
    assert capsys.readouterr() == ("", "fastfcn some: error: --size 0 is wrong\n")
    assert exit_codes.run(lambda: failing(wrong), as_json=True, program="fastfcn some") == code
    assert json.loads(capsys.readouterr().out)["error"] == "ValueError"


def test_an_error_of_the_operating_system_names_the_file_and_no_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = FileExistsError(errno.EEXIST, "exists already; give --force", "model")
    assert exit_codes.run(lambda: failing(error), as_json=False) == README_CODES["usage"]
    assert capsys.readouterr().err == "FileExistsError: model: exists already; give --force\n"
    exit_codes.run(lambda: failing(FileNotFoundError("no picture in x")), as_json=False)
    assert capsys.readouterr().err == "FileNotFoundError: no picture in x\n"


@pytest.mark.parametrize("code", [0, 3, 4])
def test_without_an_error_the_code_is_the_commands_own(
    capsys: pytest.CaptureFixture[str], code: int
) -> None:
    assert exit_codes.run(lambda: code, as_json=True) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [TypeError("x"), AttributeError("x"), KeyError("x")])
def test_a_bug_of_ours_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        exit_codes.run(lambda: failing(error), as_json=True)


def test_an_interrupted_command_ends_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    # 128 + SIGINT, as POSIX shells report a process that Ctrl-C ended.
    expected = 128 + signal.SIGINT
    assert exit_codes.run(lambda: failing(KeyboardInterrupt()), as_json=False) == expected
    assert capsys.readouterr() == ("", "interrupted\n")


def test_other_packages_can_give_their_errors_codes_of_their_own() -> None:
    class Stopped(errors.FastFCNError):
        pass

    codes = ((Stopped, exit_codes.STOPPED),)
    assert exit_codes.run(lambda: failing(Stopped("x")), as_json=False, more=codes) == 8
    assert (
        exit_codes.run(lambda: failing(errors.FastFCNError("x")), as_json=False, more=codes) == 1
    )


def test_a_warning_is_a_line_without_the_code_that_it_points_at() -> None:
    shown: list[str] = []

    def warns() -> int:
        shown.append(warnings.formatwarning("files were left", RuntimeWarning, "here.py", 12))
        return 0

    before = warnings.formatwarning
    assert exit_codes.run(warns, as_json=False) == 0
    assert shown == ["warning: files were left\n"]
    assert warnings.formatwarning is before
