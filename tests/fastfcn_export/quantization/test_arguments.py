"""Options of int8 that are missing or in vain are errors that give the command."""

import pytest

from fastfcn_export.__main__ import main


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
            "--calibrate photos is none of ade20k, camvid,",
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
