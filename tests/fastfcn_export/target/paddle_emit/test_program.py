import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from command_line import python
from exports import described, recognised, save_checkpoint, tensors_of
from fastfcn_export import Request, export
from fastfcn_export.target.paddle_emit import program
from fastfcn_export.target.paddle_emit.program import growing
from fastfcn_export.target.target import Options
from fastfcn_infer.errors import BackendError, BackendMissing

QUICK = "wuhuikai_fcn"


@pytest.fixture
def paddle() -> Any:
    pytest.importorskip("paddle")
    return program.load()


def test_paddle_is_left_in_the_mode_it_was_found_in(paddle: Any) -> None:
    assert paddle.in_dynamic_mode()
    with growing(described(recognised(QUICK)), Options()):
        assert not paddle.in_dynamic_mode()
    assert paddle.in_dynamic_mode()
    paddle.enable_static()
    try:
        with growing(described(recognised(QUICK)), Options()):
            assert not paddle.in_dynamic_mode()
        assert not paddle.in_dynamic_mode()
    finally:
        paddle.disable_static()


def test_paddle_is_left_as_it_was_when_the_network_fails(paddle: Any) -> None:
    with pytest.raises(KeyError), growing(described(recognised(QUICK)), Options()):
        raise KeyError("a tensor that is missing")
    assert paddle.in_dynamic_mode()
    assert float(paddle.to_tensor([1.5]).sum()) == 1.5


def test_tensors_of_one_name_stay_two_tensors(paddle: Any) -> None:
    with growing(described(recognised(QUICK)), Options()) as program:
        made = [program.tensor("weight", np.full(3, value)) for value in (1.0, 2.0)]
    assert made[0].name != made[1].name


def test_a_program_in_another_format_is_an_error(
    paddle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(stem: str, *rest: Any, **options: Any) -> None:
        Path(f"{stem}.pdmodel").write_bytes(b"")

    monkeypatch.setattr(paddle.static, "save_inference_model", save)
    with (
        pytest.raises(BackendError, match=r"wrote inference\.pdmodel; inference\.json was expec"),
        growing(described(recognised(QUICK)), Options()) as program,
    ):
        program.write(tmp_path / "paddle", program.image)


def test_without_paddle_the_export_says_what_to_install_before_it_reads_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paddle", None)
    stages = list[str]()
    with pytest.raises(BackendMissing, match=r"'paddle'.*pip install .*\[paddle\]"):
        export("none.pth", tmp_path / "out", Request(formats=("paddle",)), report=stages.append)
    assert stages == []
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_paddle_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, *rest: Any) -> Any:
        raise ModuleNotFoundError("No module named 'setuptools'", name="setuptools")

    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=find)])
    with pytest.raises(BackendMissing, match="needs the package 'setuptools'"):
        program.load()


@pytest.mark.parametrize(("version", "fine"), [("2.6.2", False), ("3.0.0", True), ("0.0.0", True)])
def test_paddle_2_is_too_old(version: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(__version__=version)  # 0.0.0 is what builds from source call themselves
    monkeypatch.setitem(sys.modules, "paddle", fake)
    if fine:
        assert program.load() is fake
        return
    with pytest.raises(BackendMissing, match=r"needs Paddle 3\.0 or later; 2\.6\.2 was found"):
        program.load()


def test_listing_the_formats_imports_no_paddle() -> None:
    code = (
        "import sys; from fastfcn_export.target.target import writers; "
        "print(sorted(writers()), 'paddle' in sys.modules)"
    )
    assert python("-c", code).stdout.strip() == "['onnx', 'paddle'] False"


def test_the_user_s_log_level_stays(paddle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for level in ("0", "3"):
        monkeypatch.setenv("GLOG_minloglevel", level)
        program.load()
        assert os.getenv("GLOG_minloglevel") == level  # noqa: SIM112


def test_paddle_s_log_lines_do_not_mix_with_ours(tmp_path: Path) -> None:
    pytest.importorskip("paddle")
    checkpoint = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    path = os.pathsep.join([str(Path(program.__file__).parents[3]), *sys.path])
    environment = {k: v for k, v in os.environ.items() if k != "GLOG_minloglevel"}
    done = subprocess.run(
        [sys.executable, "-m", "fastfcn_export", str(checkpoint), "-o", str(tmp_path / "out"),
         "--format", "paddle", "--verify", "off"],
        env={**environment, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stages = r" *\S+ s  read\n *\S+ s  write paddle\n *\S+ s  seal\n"
    assert re.fullmatch(stages, done.stderr), done.stderr
