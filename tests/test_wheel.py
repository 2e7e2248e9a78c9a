"""What users install: the wheel holds all three rooms, their data, and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from command_line import ROOT

CODE = {
    "fastfcn_infer": ROOT / "fastfcn_infer",
    "fastfcn_export": ROOT / "export/fastfcn_export",
    "fastfcn_training": ROOT / "training/fastfcn_training",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    for package, needed in (("setuptools", 77), ("pip", 21)):
        try:
            found = int(version(package).split(".")[0])
        except PackageNotFoundError:
            found = 0
        if found < needed:
            pytest.skip(f"a wheel cannot be built without {package} {needed} or newer here")
    # A copy: setuptools leaves its folders beside what it builds, and would pack old ones again.
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("fastfcn_infer", "export", "training"):
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(source), *offline, "--wheel-dir", str(target)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_top_level_is_the_rooms_and_their_metadata(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    (info,) = {name for name in top if name.endswith(".dist-info")}
    assert top == {*CODE, info}
    assert sorted(wheel.read(f"{info}/top_level.txt").decode().split()) == sorted(CODE)


def test_every_file_of_the_rooms_is_in_it_unchanged(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        f"{room}/{path.relative_to(folder).as_posix()}": path
        for room, folder in CODE.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == set(expected)
    assert [name for name, path in expected.items() if wheel.read(name) != path.read_bytes()] == []


def test_what_is_not_code_is_in_it_too(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    model = "fastfcn_infer/assets/models/fastfcn-resnet18-camvid"
    assert {
        "fastfcn_infer/py.typed",
        "fastfcn_export/py.typed",
        "fastfcn_training/py.typed",
        "fastfcn_infer/assets/catalogue.json",
        "fastfcn_infer/assets/classes/ade20k.json",
        "fastfcn_infer/assets/demo/building.jpg",
        "fastfcn_infer/assets/demo/china.jpg",
        "fastfcn_infer/assets/demo/ATTRIBUTION.md",
        f"{model}.md",
        f"{model}/manifest.json",
        f"{model}/model.onnx",
        f"{model}/golden/input.png",
        f"{model}/golden/labels.png",
    } <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_metadata_names_the_commands_the_licence_and_no_framework_among_the_needs(
    wheel: zipfile.ZipFile,
) -> None:
    (entries,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(entries).decode()
    assert "fastfcn = fastfcn_infer.cli.main:main" in text
    assert "fastfcn-export = fastfcn_export.__main__:main" in text
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    lines = wheel.read(metadata).decode().splitlines()
    assert "License-Expression: Apache-2.0" in lines
    needs = [line for line in lines if line.startswith("Requires-Dist") and "extra" not in line]
    assert sorted(need.split()[1].split(">")[0] for need in needs) == [
        "numpy",
        "opencv-python-headless",
    ]


def test_installed_alone_it_imports_says_its_version_and_finds_its_model(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    wheel.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy, fastfcn_infer, fastfcn_export\n"
        f"assert fastfcn_infer.__file__.startswith({str(tmp_path)!r})\n"
        "with fastfcn_infer.Segmenter.from_pretrained(threads=1) as segmenter:\n"
        "    print(segmenter.predict(numpy.zeros((40, 50, 3), numpy.uint8)).size)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "(40, 50)\n", "")
