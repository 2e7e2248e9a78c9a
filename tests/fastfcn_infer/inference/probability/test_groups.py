"""Groups of classes as users write them."""

from typing import Any

import numpy as np
import pytest

from fastfcn_infer.inference.probability.groups import group
from fastfcn_infer.inference.probability.options import ResultOptions
from fastfcn_infer.inference.probability.relabel import made_by
from models import tiny_model

NAMES = tuple(f"class {index}" for index in range(6))
COLORS = np.arange(18, dtype=np.uint8).reshape(6, 3)


def test_groups_may_be_any_iterables_and_are_read_once() -> None:
    given: dict[str, Any] = {
        "b": iter([5, "class 1"]),
        "a": {"class 4", "class 2"},  # sorted, as a set has no order
        "c": np.array([3]),
        "d": "class 0",
    }
    options = ResultOptions(groups=given)
    for _ in range(2):
        options.check(tiny_model(6))
        found = options.relabelling(tiny_model(6)).grouping
        # A group has the place of the class that it names first.
        assert found.names == ("d", "a", "c", "b")
        assert found.new == (0, 3, 1, 2, 1, 3)
        assert found.several == (1, 3)
        made_by = '{"b": [5, "class 1"], "a": ["class 2", "class 4"], "c": [3], "d": ["class 0"]}'
        assert options.made_by() == {"groups": made_by}


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ({1: ["class 1"]}, "1 is no name of a group; a text of 1 to 256"),
        ({None: ["class 1"]}, "None is no name of a group"),
        ({" ": ["class 1"]}, "is no name of a group"),
        ({"x" * 257: [1]}, "is no name of a group"),
        ([], "a mapping such as"),
        ("a=class 1", "a mapping such as"),
        ({"a": b"class 1"}, "is no class"),
        ({"a": [True]}, "group 'a': True is no class"),
        (
            {"a": ["x"], "b": [], "c": [1], "d": [1]},
            "no class 'x'.*'b' has no classes.*'c' and 'd'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_all_of_it_at_once(groups: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        group(NAMES, COLORS, groups)
    with pytest.raises(ValueError, match=said):
        ResultOptions(groups=groups).check(tiny_model(6))


def test_the_provenance_of_many_groups_is_short_and_still_tells_them_apart() -> None:
    many: dict[str, list[str | int]] = {f"group {n}": [f"class {n}"] for n in range(2000)}
    found = [made_by(groups, 1)["groups"] for groups in (many, many | {"group 0": ["class 0", 0]})]
    assert max(map(len, found)) < 100
    assert found[0] != found[1]
    assert made_by(None, 1) == made_by(None, 1.0) == {"min_confidence": "1.0"}
