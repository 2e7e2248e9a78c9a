import pytest

from fastfcn_infer.cli.known_problems import PROBLEMS, Problem, known_problems, parse_version
from fastfcn_infer.system.machine import PACKAGES

ORDERED = ["0.9", "1.9.9", "1.10", "1.31.1", "3.2.2", "3.3.0rc1", "3.3.0", "3.3.1", "2026.4.1"]


def symptoms(**versions: str) -> str:
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    return "\n".join(problem.symptom for problem, _ in known_problems(named))


def test_versions_are_ordered_by_their_numbers() -> None:
    assert sorted(reversed(ORDERED), key=parse_version) == ORDERED


@pytest.mark.parametrize(
    ("text", "equal"),
    [("3.3.0", "3.3"), ("2.13.0+cpu", "2.13"), ("v1.2", "1.2"), ("1.2.post1", "1.2")],
)
def test_what_does_not_change_a_version_is_left_out(text: str, equal: str) -> None:
    assert parse_version(text) == parse_version(equal)


@pytest.mark.parametrize("early", ["3.3.0rc1", "3.3.0.dev20260101", "3.3b2", "3.3.0-beta.1"])
def test_what_comes_before_a_release_is_older(early: str) -> None:
    assert parse_version("3.2.99") < parse_version(early) < parse_version("3.3.0")


@pytest.mark.parametrize("text", ["", "main", "+cpu"])
def test_what_is_not_a_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        parse_version(text)


@pytest.mark.parametrize(
    ("version", "stops", "wrong", "memory"),
    [
        ("3.1.1", False, False, False),
        ("3.2.0", False, True, False),
        ("3.2.2", False, True, False),
        ("3.3.0rc0", False, False, False),
        ("3.3.0", True, False, False),
        ("3.3.1", True, False, True),
        ("3.3.2", False, False, False),
        ("3.10.0", False, False, False),
    ],
)
def test_paddle_problems_are_those_of_its_version(
    version: str, stops: bool, wrong: bool, memory: bool
) -> None:
    found = symptoms(paddlepaddle=version)
    assert ("ConvertPirAttribute2RuntimeAttribute" in found) == stops
    assert ("wrongly" in found) == wrong
    assert ("enable_memory_optim" in found) == memory
    assert "cut inside its last tensor" in found


def test_two_wheels_with_the_same_files_are_a_problem_and_one_is_none() -> None:
    assert "both wheels" not in symptoms(onnxruntime="1.31.1")
    assert "both wheels" in symptoms(onnxruntime="1.31.1", onnxruntime_gpu="1.31.1")
    assert "same cv2" not in symptoms(opencv_python="5.0")
    assert "same cv2" in symptoms(opencv_python="5.0", opencv_python_headless="5.0")


@pytest.mark.parametrize(("version", "concerned"), [("1.20.1", True), ("1.21.0", False)])
def test_onnx_follows_links_before_1_21(version: str, concerned: bool) -> None:
    assert ("external data" in symptoms(onnx=version)) == concerned


@pytest.mark.parametrize(("version", "concerned"), [("4.11.0.86", True), ("4.12.0.88", False)])
def test_opencv_is_named_before_4_12(version: str, concerned: bool) -> None:
    assert ("CVE-2025-53644" in symptoms(opencv_python_headless=version)) == concerned


def test_a_version_that_cannot_be_read_gets_the_warning() -> None:
    problem = Problem(("thing",), "1.0", "2.0", "breaks", "mended")
    assert problem.concerns({"thing": "unknown"}) == ("thing unknown",)
    assert problem.concerns({"thing": "2.0.1"}) == ()
    assert problem.concerns({"other": "1.5"}) == ()


def test_nothing_installed_has_no_problems() -> None:
    assert known_problems({}) == ()


def test_every_problem_is_of_a_package_that_is_looked_for_and_has_both_texts() -> None:
    for problem in PROBLEMS:
        assert set(problem.packages) <= set(PACKAGES)
        assert problem.symptom
        assert problem.response
        ends = [parse_version(end) for end in (problem.first, problem.last) if end is not None]
        assert ends == sorted(ends)
