import subprocess
import sys
import threading
import types
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

import fastfcn_infer
from fastfcn_infer.system.warn import warn


def inside(depth: int, package: str = "fastfcn_infer") -> None:
    """Warn from `depth` calls inside of a package."""
    code = "def call(depth):\n    call(depth - 1) if depth else warn('careful')\n"
    module = types.ModuleType(f"{package}.somewhere")
    vars(module)["warn"] = warn
    exec(compile(code, "/inside.py", "exec"), vars(module))
    module.call(depth)


@pytest.mark.parametrize("depth", [0, 1, 7])
@pytest.mark.parametrize("package", ["fastfcn_infer", "fastfcn_export", "fastfcn_training"])
def test_a_warning_points_at_the_callers_line_however_deep_it_arises(
    depth: int, package: str
) -> None:
    with pytest.warns(RuntimeWarning, match="careful") as caught:
        inside(depth, package)
    assert [Path(each.filename) for each in caught] == [Path(__file__)]
    line = Path(__file__).read_text().splitlines()[caught[0].lineno - 1]
    assert line.strip() == "module.call(depth)"


def test_a_warning_in_a_context_manager_of_ours_points_at_the_callers_line() -> None:
    code = "@contextmanager\ndef guard():\n    yield\n    warn('careful')\n"
    code += "def call():\n    with guard():\n        pass\n"
    module = types.ModuleType("fastfcn_infer.somewhere")
    vars(module).update(warn=warn, contextmanager=contextmanager)
    exec(compile(code, "/inside.py", "exec"), vars(module))
    with pytest.warns(RuntimeWarning, match="careful") as caught:
        module.call()
    assert [Path(each.filename) for each in caught] == [Path(__file__)]


def test_a_package_with_a_similar_name_is_not_ours() -> None:
    with pytest.warns(RuntimeWarning) as caught:
        inside(0, "fastfcn_infer_plugin")
    assert caught[0].filename == "/inside.py"


def test_a_warning_in_a_thread_of_ours_is_given_all_the_same() -> None:
    with pytest.warns(RuntimeWarning, match="careful"):
        thread = threading.Thread(target=warn, args=("careful",))
        thread.start()
        thread.join()


def test_the_users_filters_decide() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="careful"):
            inside(1)
        warnings.simplefilter("ignore")
        inside(1)


def test_a_warning_is_shown_once_for_each_line_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "from fastfcn_infer.system.warn import warn\nfor _ in range(3):\n    warn('careful')\n"
    )
    found = subprocess.run(
        [sys.executable, "user.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(fastfcn_infer.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stderr.count("careful") == 2  # the warning, and the line that it quotes
    assert "user.py:3: RuntimeWarning: careful" in found.stderr


def test_no_warning_of_the_packages_counts_frames_by_hand() -> None:
    import fastfcn_export
    import fastfcn_training

    for package in (fastfcn_infer, fastfcn_export, fastfcn_training):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "stacklevel" not in text, path
            assert "warnings.warn(" not in text, path
