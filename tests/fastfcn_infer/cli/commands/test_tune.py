import json
from pathlib import Path

import pytest

from fastfcn_infer import Segmenter
from fastfcn_infer.cli.main import main
from models import tiny_artifact

QUICK = ("--size", "32x32", "--seconds", "0.001")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    tiny_artifact(tmp_path / "tiny")
    return tmp_path / "tiny"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["tune", *map(str, words)])
    return code, *capsys.readouterr()


def test_what_is_measured_is_kept_shown_used_and_forgotten(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, model, "--show")[:2] == (0, "not tuned on this machine\n")
    assert run(capsys, model, "--show", "--json")[:2] == (0, "null\n")
    code, out, err = run(capsys, model, *QUICK, "--allow", "fp32,int8")
    assert (code, err) == (0, "")
    assert out.startswith("tiny, 32x32, 20")
    assert "not measured: onnx_runtime in int8: " in out
    assert "--forget removes it" in out
    code, out, _ = run(capsys, model, "--show", "--json")
    kept = json.loads(out)
    assert (code, kept["allowed"], kept["precision"]) == (0, ["fp32", "int8"], "fp32")
    summary = f"auto uses {kept['choices']['fp32']['backend']} in fp32"
    assert summary in run(capsys, model, "--show")[1]
    with Segmenter.from_pretrained(model, device="cpu") as segmenter:
        assert segmenter.runtime.backend == kept["choices"]["fp32"]["backend"]
        assert segmenter.runtime.batch == kept["choices"]["fp32"]["batch"]
    assert main(["info", str(model)]) == 0
    assert summary in capsys.readouterr().out
    assert run(capsys, model, "--forget")[:2] == (0, "forgotten\n")
    assert run(capsys, model, "--forget", "--json")[:2] == (0, '{"forgotten": false}\n')
    assert main(["info", str(model)]) == 0
    assert "tuned" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--allow", "fp32,int3"], "--allow fp32,int3: some of fp32, bf16, int8 were expected"),
        (["--allow", ""], "--allow : some of"),
        (["--size", "480"], "--size 480: height x width was expected"),
        (["--seconds", "0"], "cannot measure for 0.0 seconds"),
        (["--show", "--forget"], "not allowed with argument"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2_in_one_line(
    model: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, out, err = run(capsys, model, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_profile_that_is_not_used_is_shown_with_the_reason(
    model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, model, *QUICK)[0] == 0
    (path,) = (tmp_path / "cache" / "tuned").glob("*/*.json")
    path.write_text("{")
    code, out, _ = run(capsys, model, "--show")
    assert code == 0
    assert out.startswith(f"not used: {path} cannot be read: not JSON")
    assert "unusable" in json.loads(run(capsys, model, "--show", "--json")[1])


def test_a_cache_that_cannot_be_written_is_an_error_before_anything_is_measured(
    model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, model, *QUICK, "--cache-dir", tmp_path / "file")
    assert code == 9
    assert "cannot be written" in err
