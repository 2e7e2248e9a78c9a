import numpy as np
import pytest

from fastfcn_export.dialect.checks import check_shapes, check_values
from fastfcn_infer.errors import CheckpointError

UNUSED = {r".*\.counter": "counters", r"fc\..*": "classifier"}


def test_what_is_not_used_is_counted_by_its_reason() -> None:
    tensors = dict.fromkeys(("a", "b.counter", "c.counter", "fc.weight"), np.zeros(2))
    assert check_shapes(tensors, {"a": (2,)}, UNUSED, "any") == {"counters": 2, "classifier": 1}


def test_a_reason_covers_whole_keys_only() -> None:
    with pytest.raises(CheckpointError, match=r"unexpected: my\.fc\.weight"):
        check_shapes({"my.fc.weight": np.zeros(2)}, {}, UNUSED, "any network")


def test_a_key_that_is_expected_is_never_unused() -> None:
    with pytest.raises(CheckpointError, match=r"misshapen: fc\.weight is \(2,\), expected \(3,\)"):
        check_shapes({"fc.weight": np.zeros(2)}, {"fc.weight": (3,)}, UNUSED, "any network")


def test_faults_come_in_the_order_of_the_network_then_of_the_file() -> None:
    tensors = {"z": np.zeros(1), "b": np.zeros(3), "y": np.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        check_shapes(tensors, {"a": (1,), "b": (2,)}, UNUSED, "any network")
    lines = str(caught.value).split("\n  ")
    assert lines[0].startswith("4 of the checkpoint's tensors do not fit the any network")
    assert [line.split()[1] for line in lines[1:]] == ["a", "b", "z", "y"]


def test_a_variance_may_be_zero_but_not_below() -> None:
    keys = {"a.norm.var": "a.running_var"}
    check_values({"a.norm.var": np.zeros(3)}, keys)
    with pytest.raises(CheckpointError, match=r"a\.running_var is a variance"):
        check_values({"a.norm.var": np.array([0.0, -1e-30])}, keys)


def test_only_variances_may_not_be_negative() -> None:
    tensors = {"a.norm.mean": np.array([-1.0]), "a.norm.var": np.array([-1.0])}
    keys = {"a.norm.mean": "a.running_mean", "a.norm.var": "a.running_var"}
    with pytest.raises(CheckpointError) as caught:
        check_values(tensors, keys)
    assert "running_var" in str(caught.value)
    assert "running_mean" not in str(caught.value)
