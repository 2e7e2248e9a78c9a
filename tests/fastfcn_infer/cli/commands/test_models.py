import json
import socket

import pytest

from command_line import python
from fastfcn_infer.cli.main import main
from fastfcn_infer.hub import catalogue
from fastfcn_infer.hub.models import EMBEDDED
from fastfcn_infer.system import record


def test_as_json_the_catalogue_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    out, err = capsys.readouterr()
    entries = [record.from_data(catalogue.Entry, entry) for entry in json.loads(out)]
    assert tuple(entries) == catalogue.entries()
    assert err == ""


def test_every_model_is_listed_with_its_figures_and_where_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    embedded, lines = out.splitlines()[:3], out.splitlines()[3:]
    assert embedded[0] == EMBEDDED
    assert "in the package" in embedded[2]
    assert lines[::3] == [entry.name for entry in catalogue.entries()]
    for entry, facts, where in zip(catalogue.entries(), lines[1::3], lines[2::3], strict=True):
        assert entry.title in facts
        for name, value in entry.figures.items():
            assert f"{name} {value}" in facts
        assert ("no published figure" in facts) == (not entry.figures)
        assert ("downloaded when first used" in where) == (entry.url is not None)
        assert entry.url is not None or entry.page in where


def test_listing_loads_no_runtime() -> None:
    code = (
        "import sys\n"
        "from fastfcn_infer.cli.main import main\n"
        "main(['models'])\n"
        "print([m for m in ('onnxruntime', 'openvino', 'onnx', 'paddle') if m in sys.modules])"
    )
    ended = python("-c", code)
    assert ended.stdout.endswith("\n[]\n")
    assert (ended.returncode, ended.stderr) == (0, "")
