"""Options of int8 that are missing or in vain are errors that give the command."""

from pathlib import Path

import pytest

from fastfcn_export.__main__ import main
from quantised import write_labelled


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "model --precision int8 -o out",
            "needs pictures to calibrate on: fastfcn-export model --precision int8 --calibrate PICTURES -o out",
        ),
        (
            "model --calibrate photos -o out",
            "--calibrate: for --precision int8 only. The command is: fastfcn-export model --precision int8 "
            "--calibrate photos -o out",
        ),
        ("model --precision fp16 --max-loss 1 -o out", "--max-loss: for --precision int8 only"),
        ("model --min-agreement 0.9 -o out", "--min-agreement: for --precision int8 only"),
        (
            "model --precision int8 --calibrate camvid",
            "is a data set: give its folder, --root DIR",
        ),
        (
            "model --precision int8 --calibrate photos --split val",
            "--split: only for a data set, and --calibrate photos is none of ade20k, camvid,",
        ),
        (
            "model --precision int8 --calibrate photos --max-loss 0.1 --ignore-names",
            "--ignore-names, --max-loss: only for a data set",
        ),
        (
            "model --precision bf16 -o out",
            "bf16 needs no file of its own: export in fp32, and give --precision bf16 where",
        ),
        ("model --precision int8 --calibrate photos --verify off", "is not written without proof"),
        ("model --precision int8 --calibrate photos --dry-run", "--dry-run describes checkpoints"),
        (
            "model --precision int8 --calibrate photos --min-agreement 95",
            "min_agreement 95.0 (--min-agreement): a share from 0 to 1",
        ),
        (
            "model --precision int8 --calibrate photos --calibration-pictures 2 --search-seconds -1",
            "at least 8 were expected; search_seconds -1.0",
        ),
    ],
)
def test_a_wrong_command_line_is_an_error_of_usage(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err


def test_a_limit_on_the_loss_is_refused_where_no_labels_can_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_labelled(tmp_path / "set", 3)
    rows = (root / "train.txt").read_text().splitlines()
    (root / "train.txt").write_text("\n".join(row.split()[0] for row in rows))
    words = ["model", "--precision", "int8", "--calibrate", "listed", "--root", str(root)]

    assert main([*words, "--max-loss", "0.1"]) == 2
    assert "listed, part train, has none" in capsys.readouterr().err
