"""However OpenCV is broken, every command says so in one line, with the remedy, and the doctor goes on.

Each child process finds a `cv2` first that fails in the words of a real one.
"""

import ast
import json
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

from command_line import PHOTOGRAPH, ROOT, SEARCH_PATH, python
from fastfcn_infer.system import opencv
from fastfcn_infer.system.machine import OPENCV_WHEELS

LIBRARY = (
    'raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")'
)
# What is in the fake cv2/__init__.py, and words of the answer.
BROKEN = {
    "a library of the system is missing": (LIBRARY, ["libGL.so.1", "libgl1"]),
    "another library is missing": (
        'raise ImportError("libgthread-2.0.so.0: cannot open shared object file")',
        ["libgthread-2.0.so.0", "libglib2.0-0"],
    ),
    "two wheels overwrote each other": (
        "raise AttributeError(\"module 'cv2.dnn' has no attribute 'DictValue'\")",
        ["DictValue", "--force-reinstall"],
    ),
    "one of two wheels was removed": (
        "import sys\nsys.OpenCV_LOADER = True\n"
        "raise ImportError('ERROR: recursion is detected during loading of \"cv2\" binary extensions.')",
        ["recursion", "--force-reinstall"],
    ),
    "a folder without its library stayed": (
        "__version__ = '4.10.0'",
        ["is not a whole one", "LUT", "delete"],
    ),
    "compiled for another NumPy": (
        "import sys\nsys.stderr.write('Traceback (most recent call last):\\n  of NumPy')\n"
        "raise ImportError('numpy.core.multiarray failed to import')",
        ["another version of NumPy", "numpy<2"],
    ),
    "compiled for another NumPy, in older words": (
        "raise RuntimeError('module compiled against API version 0x10 but this version is 0xf')",
        ["another version of NumPy"],
    ),
    "its files went with another wheel, and pip believes that it is installed": (
        "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')",
        ["its files are gone", "--force-reinstall"],
    ),
}
# Runs command lines, which come as JSON, in one process; prints exit code and streams of each.
SCRIPT = """
import contextlib, importlib, io, json, sys
for command, *words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = importlib.import_module(command).main(words)
        except SystemExit as error:
            code = error.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
FASTFCN, EXPORT, TRAIN = (
    "fastfcn_infer.cli.main",
    "fastfcn_export.__main__",
    "fastfcn_training.__main__",
)


def without_opencv(folder: Path, content: str, *commands: list[str]) -> list[tuple[int, str, str]]:
    (folder / "broken" / "cv2").mkdir(parents=True)
    (folder / "broken" / "cv2" / "__init__.py").write_text(content)
    path = os.pathsep.join([str(folder / "broken"), SEARCH_PATH])
    ended = python("-c", SCRIPT, json.dumps(commands), cwd=folder, env={"PYTHONPATH": path})
    assert (ended.returncode, ended.stderr) == (0, "")
    return [tuple(json.loads(line)) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_opencv_is_one_line_with_its_remedy_and_a_finding_of_the_doctor(
    tmp_path: Path, kind: str
) -> None:
    content, words = BROKEN[kind]
    predict, again, doctor, data = without_opencv(
        tmp_path,
        content,
        [FASTFCN, "predict", str(PHOTOGRAPH), "-o", "out"],
        [FASTFCN, "predict", str(PHOTOGRAPH), "-o", "out"],
        [FASTFCN, "doctor"],
        [FASTFCN, "doctor", "--json", "--replay"],
    )
    code, out, err = predict
    assert again == predict
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert err.startswith("BackendMissing: OpenCV ")
    for word in (*words, "pip install opencv-python-headless"):
        assert word in err
    code, out, err = doctor
    assert (code, err) == (5, "")
    finding = predict[2].removeprefix("BackendMissing: ").strip()
    assert finding in out
    assert "packages" in out and "cache " in out and "known problems" in out
    found = json.loads(data[1])
    assert (data[0], found["opencv"]) == (5, finding)
    assert found["packages"]["numpy"]


def test_every_command_that_needs_opencv_says_so_and_all_others_work(tmp_path: Path) -> None:
    model = "fastfcn-resnet18-camvid"
    (tmp_path / "x.pdparams").write_bytes(b"x")
    needing = [
        [FASTFCN, "benchmark", model],
        [FASTFCN, "datasets", "camvid", "--root", "."],
        [FASTFCN, "demo"],
        [FASTFCN, "evaluate", "--dataset", "camvid", "--root", "."],
        [FASTFCN, "verify", model],
        [EXPORT, "x.pdparams", "-o", "artifact"],
        [EXPORT, "x.pdparams", "--dry-run", "--json"],
        [TRAIN, "--dataset", "camvid", "--root", ".", "-o", "run"],
        [TRAIN, "--dataset", "camvid", "--dry-run"],
        [TRAIN, "align"],
    ]
    working = [
        [FASTFCN, "--help"],
        [FASTFCN, "models"],
        [FASTFCN, "info", model],
        [EXPORT, "--help"],
        [EXPORT, "--version"],
    ]
    ended = without_opencv(tmp_path, LIBRARY, *needing, *working)
    for words, (code, out, err) in zip(needing, ended, strict=False):
        text = json.loads(out)["message"] if "--json" in words else err
        assert (words, code) == (words, 5)
        assert "libGL.so.1" in text and "pip install opencv-python-headless" in text
    for words, (code, out, err) in zip(working, ended[len(needing) :], strict=True):
        assert (words, code or 0, err) == (words, 0, "")
        assert out
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ""] == ["broken"]


def test_without_any_wheel_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setitem(sys.modules, "cv2", None)
    module, fault = opencv._load()
    assert (module, fault) == (
        None,
        "OpenCV is not installed. Run: pip install opencv-python-headless",
    )


def test_programs_get_the_typed_error_too_each_time(tmp_path: Path) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(LIBRARY)
    script = (
        "import fastfcn_infer, fastfcn_export\n"
        "for get in (lambda: fastfcn_infer.Segmenter, lambda: fastfcn_infer.open_dataset,"
        " lambda: fastfcn_export.export, lambda: fastfcn_infer.Segmenter):\n"
        "    try:\n        get()\n"
        "    except fastfcn_infer.BackendMissing as error:\n        print('libGL.so.1' in str(error))"
    )
    path = os.pathsep.join([str(tmp_path), SEARCH_PATH])
    ended = python("-c", script, env={"PYTHONPATH": path})
    assert (ended.stdout.split(), ended.stderr) == (["True"] * 4, "")


def test_opencv_is_imported_in_one_place_which_knows_everything_that_is_used_of_it() -> None:
    used = set()
    for room in ("fastfcn_infer", "export", "training"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import) and path != Path(opencv.__file__):
                    assert "cv2" not in [alias.name for alias in node.names], path
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    used |= {node.attr} if node.value.id == "cv2" else set()
    constants = {name for name in used if "_" in name and name[:4].isupper()} | {"LINE_AA"}
    assert used - constants - {"Error", "__version__"} == set(opencv.NEEDED)
    assert opencv.fault() is None
    assert opencv.cv2 is sys.modules["cv2"]
    assert len(set(OPENCV_WHEELS)) == 4
