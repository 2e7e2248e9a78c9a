import importlib

import pytest

from fastfcn_infer.system.missing_package import missing_package


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ImportError) as caught:
        importlib.import_module("no_such_package_anywhere")
    assert missing_package(caught.value) == (
        "the package 'no_such_package_anywhere', which is not installed"
    )


def test_a_package_that_is_broken_is_described_by_its_bounded_reason() -> None:
    assert "libbeads.so.1" in missing_package(ImportError("libbeads.so.1 is missing"))
    assert len(missing_package(ImportError("x" * 10**6))) < 2000
