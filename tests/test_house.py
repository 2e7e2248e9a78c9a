"""The rules of the house that no other tool checks."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import fastfcn_infer
from command_line import ROOT

ROOMS = (
    "fastfcn_infer",
    "export/fastfcn_export",
    "training/fastfcn_training",
    "benchmarks",
    "docs",
    "examples",
)
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# Packages that are registries: the plural of the file beside them that says what each must offer.
REGISTRIES = sorted(
    path.parent
    for room in ROOMS
    for path in (ROOT / room).rglob("__init__.py")
    if path.parent.name.endswith("s")
)
LIBRARIES = {"cv2", "numpy", "onnx", "onnxruntime", "openvino", "paddle", "PIL", "pillow"} | {
    "safetensors",
    "tensorrt",
    "torch",
}
VAGUE = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "misc",
    "core",
    "base",
    "manager",
    "tools",
}
# Of the standard library since Python 3.11 or later; pyproject.toml allows 3.10.
TOO_NEW = {
    "asyncio.TaskGroup",
    "contextlib.chdir",
    "datetime.UTC",
    "enum.StrEnum",
    "hashlib.file_digest",
    "itertools.batched",
    "tomllib",
    "typing.LiteralString",
    "typing.NotRequired",
    "typing.Required",
    "typing.Self",
    "typing.TypeVarTuple",
    "typing.Unpack",
    "typing.assert_never",
    "typing.assert_type",
    "typing.override",
    "typing.reveal_type",
}
LONGEST_FILE = 450
LONGEST_EXAMPLE = 40
# The most files and folders at the root of a package: what a newcomer takes in at a glance.
MOST_ENTRIES = {"fastfcn_infer": 16, "export/fastfcn_export": 13, "training/fastfcn_training": 13}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is tracked is not known")
    listed = subprocess.run(
        [git, "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, text=True
    )
    return [ROOT / line for line in listed.stdout.split("\0") if line and (ROOT / line).is_file()]


def test_there_are_sources_to_look_at() -> None:
    assert len(SOURCES) > 50
    assert {path.name for path in REGISTRIES} >= {
        "annotations",
        "backends",
        "commands",
        "containers",
        "datasets",
        "dialects",
        "targets",
    }


def test_every_file_stays_under_450_lines() -> None:
    long = {name(path): line_count(path) for path in SOURCES + TESTS}
    assert {path: lines for path, lines in long.items() if lines >= LONGEST_FILE} == {}


@pytest.mark.parametrize("package", MOST_ENTRIES)
def test_the_root_of_a_package_is_taken_in_at_a_glance(package: str) -> None:
    entries = [path.name for path in (ROOT / package).iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES[package], sorted(entries)


def test_every_example_stays_under_40_lines() -> None:
    long = {name(path): line_count(path) for path in (ROOT / "examples").glob("*.py")}
    assert {path: lines for path, lines in long.items() if lines >= LONGEST_EXAMPLE} == {}


def test_every_plural_folder_stands_beside_the_file_that_is_its_contract() -> None:
    alone = [
        name(folder)
        for folder in REGISTRIES
        if not (folder.parent / f"{folder.name.removesuffix('s')}.py").is_file()
    ]
    assert alone == []


def test_a_registry_is_its_folder_and_its_init_names_none_of_its_files() -> None:
    for folder in REGISTRIES:
        assert imports(folder / "__init__.py") == set(), name(folder)


@pytest.mark.parametrize(
    "registry", ["annotations", "backends", "commands", "containers", "datasets", "dialects"]
)
def test_nothing_outside_a_registry_imports_one_of_its_files(registry: str) -> None:
    (folder,) = [path for path in REGISTRIES if path.name == registry]
    (package,) = [room for room in map(ROOT.joinpath, ROOMS) if folder.is_relative_to(room)]
    prefix = ".".join(folder.relative_to(package.parent).parts) + "."
    naming = {
        name(path): sorted(module for module in imports(path) if module.startswith(prefix))
        for path in SOURCES
        if folder not in path.parents
    }
    assert {path: modules for path, modules in naming.items() if modules} == {}


def test_no_module_is_named_like_a_library_or_after_nothing() -> None:
    bad = [name(path) for path in SOURCES if {path.stem, path.parent.name} & (LIBRARIES | VAGUE)]
    assert bad == []


def test_no_file_outside_the_tests_uses_assert() -> None:
    using = [
        name(path)
        for path in SOURCES
        if any(isinstance(node, ast.Assert) for node in ast.walk(tree(path)))
    ]
    assert using == []


def test_examples_know_the_sdk_only() -> None:
    ours = ("fastfcn_export", "fastfcn_training", "benchmarks")
    for path in (ROOT / "examples").glob("*.py"):
        assert [module for module in imports(path) if module.startswith(ours)] == [], name(path)


def test_examples_use_public_names_only() -> None:
    for path in (ROOT / "examples").glob("*.py"):
        of_rooms = [module for module in imports(path) if module.startswith("fastfcn_infer.")]
        names = {module.removeprefix("fastfcn_infer.") for module in of_rooms}
        assert names <= set(fastfcn_infer.__all__), name(path)


def test_the_sdk_imports_nothing_of_the_exporter() -> None:
    importing = {
        name(path): sorted(
            module for module in imports(path) if module.startswith("fastfcn_export")
        )
        for path in SOURCES
        if path.is_relative_to(ROOT / "fastfcn_infer")
    }
    assert {path: modules for path, modules in importing.items() if modules} == {}


def test_no_contract_of_the_layers_has_an_exception_for_the_conversion() -> None:
    assert "conversion" not in (ROOT / "setup.cfg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "only"),
    [
        ("yaml", ["export/fastfcn_export/checkpoint/safe_yaml.py"]),
        ("pickle", ["training/fastfcn_training/checkpoint/save_dialect.py"]),  # writes only
    ],
)
def test_files_of_unknown_origin_have_one_reader(module: str, only: list[str]) -> None:
    packages = [
        path for path in SOURCES if not name(path).startswith(("benchmarks", "docs", "examples"))
    ]
    importing = [name(path) for path in packages if module in imports(path)]
    assert importing == only


def test_no_tracked_file_knows_the_machine_it_was_written_on() -> None:
    # Put together here, so that this file does not hold what it looks for.
    places = ["/" + place + "/" for place in ("work", "tmp", "root", "opt/pypi", "opt/wheels")]
    hosts = [".".join(parts) for parts in (("pypi", "org/simple"), ("files", "pythonhosted"))]
    # A place at the start of a path, not "some/work/": what stands before it is no part of a name.
    pattern = re.compile(
        r"(?<![\w.\-/$}])("
        + "|".join(map(re.escape, places))
        + ")|"
        + "|".join(map(re.escape, hosts))
    )
    found = {}
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if match := pattern.search(text):
            found[name(path)] = match[0]
    assert found == {}


def test_the_oldest_python_has_all_that_is_imported() -> None:
    assert {name(path): found for path in SOURCES if (found := imports(path) & TOO_NEW)} == {}
