"""What users install: a wheel holds the three packages, their data, and nothing else.

It is built in a tree where an earlier build left its folders, as they lie about after a move.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from command_line import ROOT

CODE = {
    "fastfcn_infer": ROOT / "fastfcn_infer",
    "fastfcn_export": ROOT / "export/fastfcn_export",
    "fastfcn_training": ROOT / "training/fastfcn_training",
}
SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"


def run(*words: str | Path, cwd: Path) -> None:
    ended = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def build_wheel(source: Path, target: Path) -> zipfile.ZipFile:
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run("-m", "pip", "wheel", source, *offline, "--wheel-dir", target, cwd=target)
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def leave_behind_an_earlier_build(source: Path) -> None:
    """What setuptools by itself leaves: modules since moved, and newer files of other content."""
    stale = {
        "build/lib/fastfcn_infer/yesterday.py": "",
        "build/lib/fastfcn_infer/errors.py": "yesterday = True",
        "build/lib/fastfcn_infer/assets/yesterday.json": "{}",
        "build/lib/yesterday/__init__.py": "",
        "build/bdist.linux-x86_64/wheel/fastfcn_infer/yesterday.py": "",
        "fastfcn_infer.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: yesterday\nVersion: 9",
        "fastfcn_infer.egg-info/SOURCES.txt": "build/lib/yesterday/__init__.py\nnotes.txt",
        "fastfcn_infer.egg-info/entry_points.txt": "[console_scripts]\nyesterday = yesterday:main",
        "fastfcn_infer.egg-info/top_level.txt": "yesterday",
        "fastfcn_infer/yesterday/__pycache__/moved.cpython-311.pyc": "",
        "notes.txt": "of the developer",
    }
    for name, text in stale.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
        assert (source / name).stat().st_mtime <= time.time()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which an earlier build left its folders."""
    for package, needed in (("setuptools", 77), ("pip", 21)):
        try:
            found = int(version(package).split(".")[0])
        except PackageNotFoundError:
            found = 0
        if found < needed:
            pytest.skip(f"a wheel cannot be built without {package} {needed} or newer here")
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*", "build", "dist", "shared")
    shutil.copytree(ROOT, source, ignore=ignore, dirs_exist_ok=True)
    leave_behind_an_earlier_build(source)
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    before = files(source)
    built = build_wheel(source, tmp_path_factory.mktemp("wheel"))
    assert files(source) == before  # a build leaves nothing behind and changes nothing
    return built


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    target = tmp_path_factory.mktemp("sdist")
    before = files(source)
    run("-c", SDIST, target, cwd=source)
    assert files(source) == before
    (path,) = target.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(target, filter="data")
    return target / path.name.removesuffix(".tar.gz")


def test_a_wheel_made_from_the_source_distribution_is_the_same(
    wheel: zipfile.ZipFile, sdist: Path, tmp_path: Path
) -> None:
    again = build_wheel(sdist, tmp_path)
    assert sorted(again.namelist()) == sorted(wheel.namelist())
    differing = [name for name in wheel.namelist() if wheel.read(name) != again.read(name)]
    assert differing == []


def test_the_source_distribution_holds_the_packages_their_tests_and_how_to_build_them(
    source: Path, sdist: Path
) -> None:
    held = set(files(sdist))
    folders = [*(folder.relative_to(ROOT) for folder in CODE.values())]
    folders += map(Path, ("tests", "docs", "examples", "benchmarks"))
    inside = {
        f"{folder.as_posix()}/{name}" for folder in folders for name in files(source / folder)
    }
    inside -= {name for name in inside if name.startswith("fastfcn_infer/yesterday")}
    build = {"pyproject.toml", "setup.py", "setup.cfg", "MANIFEST.in", "mkdocs.yml"}
    about = {"README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "PKG-INFO"}
    assert held == inside | build | about
    assert {"tests/test_wheel.py", "docs/demo_overlay.jpg", "benchmarks/README.md"} <= held


def test_the_tests_run_from_the_source_distribution(sdist: Path) -> None:
    which = ("tests/test_readme.py", "tests/fastfcn_infer/picture/test_picture.py")
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", *which, cwd=sdist)


def test_the_description_reads_well_outside_the_repository(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    found = message_from_bytes(wheel.read(name))
    assert found["Description-Content-Type"] == "text/markdown"
    text = found.get_payload()
    assert isinstance(text, str)
    assert text.startswith("# fastfcn-infer\n")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links
    assert [link for link in links if not link.startswith("https://")] == []
    assert "`docs/training.md`" in text
    assert text.count("|") == (ROOT / "README.md").read_text(encoding="utf-8").count("|")


def test_the_metadata_tell_what_it_is_and_where_it_comes_from(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    found = message_from_bytes(wheel.read(name))
    assert found["Summary"].startswith("Semantic segmentation with FastFCN")
    assert found["Author"] == "The fastfcn-infer maintainers"
    assert "semantic segmentation" in found["Keywords"].split(",")
    assert "Paper, https://arxiv.org/abs/1903.11816" in found.get_all("Project-URL", [])
    minor = found["Requires-Python"].removeprefix(">=3.")
    assert f"Programming Language :: Python :: 3.{minor}" in found.get_all("Classifier", [])


def test_the_paper_can_be_cited() -> None:
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = cited["preferred-citation"]
    names = [author["family-names"] for author in paper["authors"]]
    assert names == ["Wu", "Zhang", "Huang", "Liang", "Yu"]
    assert (paper["year"], paper["url"]) == (2019, "https://arxiv.org/abs/1903.11816")
    assert {"cff-version", "message", "title", "authors"} <= set(cited)


def test_the_top_level_is_the_packages_and_their_metadata(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    (info,) = {name for name in top if name.endswith(".dist-info")}
    assert top == {*CODE, info}
    assert sorted(wheel.read(f"{info}/top_level.txt").decode().split()) == sorted(CODE)


def test_every_file_of_the_packages_is_in_it_unchanged_and_no_other(
    wheel: zipfile.ZipFile,
) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        f"{package}/{name}": content
        for package, folder in CODE.items()
        for name, content in files(folder).items()
    }
    assert held == set(expected)
    assert [name for name, content in expected.items() if wheel.read(name) != content] == []


def test_what_is_not_code_is_in_it_too(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    model = "fastfcn_infer/assets/models/fastfcn-resnet18-camvid"
    assert {
        "fastfcn_infer/py.typed",
        "fastfcn_export/py.typed",
        "fastfcn_training/py.typed",
        "fastfcn_infer/assets/catalogue.json",
        "fastfcn_infer/assets/classes/ade20k.json",
        "fastfcn_infer/assets/demo/street.jpg",
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
