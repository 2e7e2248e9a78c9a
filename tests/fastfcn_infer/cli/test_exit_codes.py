import json

import pytest

from fastfcn_infer import errors
from fastfcn_infer.cli import exit_codes

CODES = [
    (errors.VerificationError, 4),
    (errors.BackendError, 5),
    (errors.BackendMissing, 5),
    (errors.DeviceUnavailable, 5),
    (errors.GraphRefused, 5),
    (errors.ArtifactError, 6),
    (errors.CheckpointError, 6),
    (errors.ImageError, 3),
    (errors.DatasetError, 3),
    (errors.DownloadError, 3),
    (errors.EvaluationError, 2),
    (errors.FastFCNError, 1),
    (FileNotFoundError, 2),
    (PermissionError, 2),
    (ValueError, 2),
]


def failing(error: BaseException) -> int:
    raise error


def test_every_error_of_ours_is_in_this_table() -> None:
    ours = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.FastFCNError)
    }
    assert ours <= {kind for kind, _ in CODES}


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_an_error_is_a_line_on_standard_error_and_its_code(
    capsys: pytest.CaptureFixture[str], kind: type[Exception], code: int
) -> None:
    assert exit_codes.run(lambda: failing(kind("what is wrong")), as_json=False) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{kind.__name__}: what is wrong\n")


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_as_json_an_error_is_one_object_on_standard_output(
    capsys: pytest.CaptureFixture[str], kind: type[Exception], code: int
) -> None:
    assert exit_codes.run(lambda: failing(kind("naïve\n→")), as_json=True) == code
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": kind.__name__, "code": code, "message": "naïve\n→"}
    assert err == ""


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
    assert exit_codes.run(lambda: failing(KeyboardInterrupt()), as_json=False) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_errors_of_other_rooms_have_codes_of_their_own() -> None:
    class Stopped(errors.FastFCNError):
        pass

    codes = ((Stopped, exit_codes.STOPPED),)
    assert exit_codes.run(lambda: failing(Stopped("x")), as_json=False, more=codes) == 8
    assert (
        exit_codes.run(lambda: failing(errors.FastFCNError("x")), as_json=False, more=codes) == 1
    )
