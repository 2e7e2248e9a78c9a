import argparse
import json
import re
import sys

import pytest

from command_line import fastfcn, python
from fastfcn_infer import __version__
from fastfcn_infer.cli.command import command_names, load_command
from fastfcn_infer.cli.main import main

HEAVY = (
    *("numpy", "cv2", "onnx", "onnxruntime", "openvino", "paddle", "torch", "PIL"),
    "importlib.metadata",
)
LOADED = f"import sys\nprint([m for m in {HEAVY} if m in sys.modules])"


def test_importing_the_package_loads_nothing_heavy() -> None:
    ended = python("-c", f"import fastfcn_infer\nfastfcn_infer.__version__\n{LOADED}")
    assert (ended.stdout, ended.stderr) == ("[]\n", "")


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["predict", "--help"]])
def test_version_and_help_load_nothing_heavy(words: list[str]) -> None:
    code = (
        "from fastfcn_infer.cli.main import main\n"
        f"try:\n    main({words})\nexcept SystemExit as ended:\n    assert ended.code == 0\n{LOADED}"
    )
    ended = python("-c", code)
    assert ended.returncode == 0
    assert ended.stdout.endswith("\n[]\n")
    assert ended.stderr == ""


def test_the_version_is_a_line_on_standard_output() -> None:
    ended = fastfcn("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"fastfcn {__version__}\n", "")


def test_help_names_every_command_and_every_exit_code() -> None:
    text = fastfcn("--help").stdout
    for name in command_names():
        assert re.search(rf"\n    {name}\s", text)
        assert load_command(name).SUMMARY.split()[0] in text
    for code in (
        "0 fine",
        "1 a bug",
        "2 usage",
        "3 some",
        "4 verif",
        "5 a runtime",
        "6 a file",
        "7 a",
    ):
        assert code in text


@pytest.mark.parametrize("name", command_names())
def test_every_command_takes_json_and_says_so(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["predict"],
        ["predict", "a.jpg", "-o"],
        ["predict", "a.jpg", "-o", "x", "--threads", "two"],
        ["predict", "a.jpg", "-o", "x", "--output-stride", "7"],
        ["predict", "a.jpg", "-o", "x", "--recurs"],
        ["info"],
        ["verify", "x", "y"],
        ["models", "--frob"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2_also_as_json(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("fastfcn")
    assert ": error: " in err
    assert err.endswith("--help\n")
    assert main([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["code"] == 2
    assert json.loads(out)["error"] == "UsageError"
    assert err == ""


def test_a_wrong_command_line_ends_the_process_with_2() -> None:
    ended = fastfcn("predict", "--json")
    assert ended.returncode == 2
    assert json.loads(ended.stdout)["error"] == "UsageError"
    assert ended.stderr == ""


def test_the_process_takes_its_arguments_from_the_shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["fastfcn", "models", "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)


def test_a_bug_of_ours_leaves_its_traceback_and_exit_code_1() -> None:
    code = (
        "import sys\n"
        "from fastfcn_infer.cli.main import main\n"
        "from fastfcn_infer.cli.commands import models\n"
        "models.run = lambda arguments: 1 / 0\n"
        "sys.exit(main(['models']))"
    )
    ended = python("-c", code)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "ZeroDivisionError" in ended.stderr


@pytest.mark.parametrize("name", command_names())
def test_a_file_of_commands_offers_what_the_contract_asks(name: str) -> None:
    command = load_command(name)
    assert command.SUMMARY
    assert not command.SUMMARY.endswith(".")
    command.add_arguments(argparse.ArgumentParser())
    assert callable(command.run)


def test_the_commands_are_the_files_of_the_folder() -> None:
    assert {"demo", "info", "models", "predict", "verify"} <= set(command_names())
    with pytest.raises(KeyError):
        load_command("frobnicate")
