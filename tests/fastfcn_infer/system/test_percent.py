"""Shares in percent."""

import math

import pytest

from fastfcn_infer.system.percent import percent


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100.000"), (1 - 1e-9, "99.999"), (0.99999, "99.999"), (0.5, "50.000"), (0.0, "0.000")],
)
def test_only_all_is_100_percent(share: float, text: str) -> None:
    assert percent(share) == text
    assert (percent(share, 2) == "100.00") == (share == 1)


def test_a_share_of_nothing_is_a_dash() -> None:
    assert percent(math.nan) == "-"
