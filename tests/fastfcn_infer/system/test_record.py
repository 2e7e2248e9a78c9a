import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastfcn_infer.system import record
from fastfcn_infer.system.record import RecordError, from_data, from_json, to_data, to_json


@dataclass(frozen=True)
class Leaf:
    ratio: float
    even: int = 2

    def __post_init__(self) -> None:
        if self.even % 2:
            raise ValueError(f"even is {self.even}")


@dataclass(frozen=True)
class Tree:
    name: str
    kind: Literal["oak", "ash", 1]
    tall: bool
    ring: int | None
    sizes: tuple[int, ...]
    pair: tuple[float, str]
    leaves: Mapping[str, Leaf]
    crown: Leaf | None = None
    tags: tuple[str, ...] = field(default_factory=tuple)
    either: int | str = 0


TREE: dict[str, Any] = {
    "name": "Linde",
    "kind": "oak",
    "tall": True,
    "ring": None,
    "sizes": [1, 2],
    "pair": [0.5, "x"],
    "leaves": {"a": {"ratio": 1}},
}
FINITE = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.builds(Leaf, FINITE, st.integers().map(lambda half: 2 * half))
TREES = st.builds(
    Tree,
    name=st.text(),
    kind=st.sampled_from(["oak", "ash", 1]),
    tall=st.booleans(),
    ring=st.none() | st.integers(),
    sizes=st.lists(st.integers()).map(tuple),
    pair=st.tuples(FINITE, st.text()),
    leaves=st.dictionaries(st.text(), LEAVES),
    crown=st.none() | LEAVES,
    tags=st.lists(st.text()).map(tuple),
    either=st.integers() | st.text(),
)


def faults(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(RecordError) as caught:
        from_data(Tree, TREE | changes)
    return caught.value.faults


@given(TREES)
def test_what_is_written_is_read_back_equal(tree: Tree) -> None:
    text = to_json(tree)
    assert from_json(Tree, text) == tree
    assert from_json(Tree, text.encode("utf-8", "surrogatepass")) == tree
    assert json.loads(text) == to_data(tree)


def test_whole_numbers_are_floats_where_floats_are_expected_and_defaults_fill_gaps() -> None:
    tree = from_data(Tree, TREE)
    assert tree.leaves["a"] == Leaf(1.0, 2)
    assert type(tree.leaves["a"].ratio) is float
    assert (tree.crown, tree.tags, tree.either) == (None, (), 0)
    assert tree.sizes == (1, 2)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", 3, "name: str was expected, found 3"),
        ("kind", "elm", 'kind: "elm" is none of oak, ash, 1'),
        ("kind", True, "kind: true is none of oak, ash, 1"),
        ("kind", ["oak"], 'kind: ["oak"] is none of oak, ash, 1'),
        ("tall", 1, "tall: bool was expected, found 1"),
        ("ring", True, "ring: int was expected, found true"),
        ("ring", 1.0, "ring: int was expected, found 1.0"),
        ("sizes", "12", 'sizes: a list was expected, found "12"'),
        ("sizes", [1, "2"], 'sizes[1]: int was expected, found "2"'),
        ("pair", [0.5], "pair: 2 items were expected, found 1"),
        ("pair", [True, "x"], "pair[0]: float was expected, found true"),
        ("pair", [float("nan"), "x"], "pair[0]: float was expected, found NaN"),
        ("pair", [float("inf"), "x"], "pair[0]: float was expected, found Infinity"),
        ("leaves", [], "leaves: an object was expected, found []"),
        ("leaves", {"a": None}, "leaves.a: an object was expected, found null"),
        ("leaves", {"a": {"ratio": 1, "even": 3}}, "leaves.a: even is 3"),
        ("crown", {}, "crown.ratio: missing"),
        ("crown", {"ratio": 1, "odd": 3}, "crown.odd: unknown key"),
        ("either", 1.5, "either: 1.5 fits none of int, str"),
        ("extra", 1, "extra: unknown key"),
    ],
)
def test_a_fault_is_named_with_its_place_what_was_expected_and_what_was_found(
    field: str, value: Any, said: str
) -> None:
    assert faults(**{field: value}) == (said,)


def test_all_faults_are_found_at_once() -> None:
    assert faults(name=1, sizes=[None], leaves={"a": {}}, extra=1) == (
        "name: str was expected, found 1",
        "sizes[0]: int was expected, found null",
        "leaves.a.ratio: missing",
        "extra: unknown key",
    )
    with pytest.raises(RecordError) as caught:
        from_data(Tree, {})
    required = ("name", "kind", "tall", "ring", "sizes", "pair", "leaves")
    assert caught.value.faults == tuple(f"{name}: missing" for name in required)


def test_a_number_of_hundreds_of_digits_is_a_fault_and_long_values_are_shortened() -> None:
    (fault,) = faults(pair=[10**400, "x"])
    assert fault.startswith("pair[0]: float was expected, found 1000")
    assert fault.endswith("...")
    assert len(fault) < 100


@pytest.mark.parametrize("depth", [10, 900, 960, 980, 990, 1000, 100_000])
def test_nesting_of_any_depth_is_a_fault(depth: int) -> None:
    with pytest.raises(RecordError):
        from_json(Leaf, '{"ratio": ' + "[" * depth + "]" * depth + "}")


@pytest.mark.parametrize("data", [None, [], "text", 3, True])
def test_the_top_must_be_an_object(data: object) -> None:
    with pytest.raises(RecordError, match=r"^an object was expected"):
        from_data(Leaf, data)


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\x00", b"\x80", '{"ratio": 1} x'])
def test_what_is_not_json_says_so(text: str | bytes) -> None:
    with pytest.raises(RecordError, match="not JSON"):
        from_json(Leaf, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_json_is_a_record_or_a_record_error(data: object) -> None:
    try:
        tree = from_data(Tree, data)
    except RecordError as error:
        assert error.faults
    else:
        assert to_data(tree) == data


@given(st.sampled_from(sorted(TREE)), JSON)
def test_any_value_in_any_field_is_taken_or_a_record_error(field: str, value: object) -> None:
    try:
        tree = from_data(Tree, TREE | {field: value})
    except RecordError as error:
        assert all(fault.startswith(field) for fault in error.faults)
    else:
        assert record.to_data(getattr(tree, field)) == value or field == "leaves"


def test_a_name_that_stands_twice_is_a_fault() -> None:
    with pytest.raises(RecordError, match=r"not JSON: .*'ratio' twice"):
        from_json(Leaf, '{"ratio": 1, "ratio": 2}')


LONG = "x" * 5_000_000
HUGE: dict[str, Any] = {
    "a long text for a number": {"leaves": {"a": {"ratio": LONG}}},
    "a long text for a choice": {"kind": LONG},
    "a long text for a list": {"sizes": LONG},
    "a long key": {"leaves": {LONG: 1}},
    "a long unknown key": {LONG: 1},
    "many unknown keys": {f"{number}" * 50: 1 for number in range(100_000)},
    "many faults in a list": {"sizes": ["x"] * 1_000_000},
    "many faults in a mapping": {"leaves": dict.fromkeys(map(str, range(100_000)))},
    "many values of the wrong kind": {
        "leaves": {str(i): {"ratio": LONG[:5000]} for i in range(1000)}
    },
    "objects that refuse their values": {
        "leaves": {str(i) * 100: {"ratio": 1, "even": 10**4000 + 1} for i in range(1000)}
    },
    "a long text for a text": {"name": LONG},
    "a union of long values": {"either": [LONG]},
}


@pytest.mark.parametrize("changes", HUGE.values(), ids=HUGE)
def test_faults_of_any_size_and_number_make_a_short_message(changes: dict[str, Any]) -> None:
    with pytest.raises(RecordError) as caught:
        from_json(Tree, json.dumps(TREE | changes))
    assert len(str(caught.value)) < 20_000
    assert sum(map(len, caught.value.faults)) < 20_000


def test_where_faults_were_left_out_the_message_says_so() -> None:
    found = faults(sizes=["x"] * 1000)
    assert found[0] == 'sizes[0]: int was expected, found "x"'
    assert len(found) == 101
    assert found[-1] == "... and perhaps more: reading stopped here"
