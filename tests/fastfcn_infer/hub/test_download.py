import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_line import python
from fastfcn_infer.errors import BackendMissing, DownloadError
from fastfcn_infer.hub import download as module
from fastfcn_infer.hub.download import download_artifact, download_file
from web_server import BODY, Server

SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.pdparams"


def held(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.glob("*"))


def test_a_file_arrives_whole_under_its_name_and_nothing_is_printed(
    server: Server, target: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert download_file(server.url(), target) == target
    assert target.read_bytes() == BODY
    assert held(target) == ["model.pdparams"]
    assert capfd.readouterr() == ("", "")


def test_a_file_that_was_downloaded_before_is_not_requested_again(
    server: Server, target: Path
) -> None:
    download_file(server.url(), target)
    download_file(server.url(), target)
    download_file(server.url(), target, sha256=SHA256.upper(), local_files_only=True)
    assert len(server.paths) == 1


def test_a_file_that_was_changed_is_downloaded_again(server: Server, target: Path) -> None:
    download_file(server.url(), target, sha256=SHA256)
    target.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(DownloadError, match="missing or was changed"):
        download_file(server.url(), target, sha256=SHA256, local_files_only=True)
    download_file(server.url(), target, sha256=SHA256)
    assert target.read_bytes() == BODY


@pytest.mark.skipif(os.name == "nt", reason="modes say little there")
def test_the_users_umask_decides_who_may_read_the_file(server: Server, target: Path) -> None:
    before = os.umask(0o027)
    try:
        download_file(server.url(), target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("status 404", "404"),
        ("status 503", "503"),
        ("cut 100000", "IncompleteRead"),
        ("page text/html", "a web page came in its place"),
        ("page binary/octet-stream", "a web page came in its place"),
        ("to /a", "redirects"),
        ("to file:///etc/passwd", "No connection adapters"),
    ],
)
def test_a_failure_says_why_names_the_address_and_leaves_nothing(
    server: Server, target: Path, fault: str, message: str
) -> None:
    server.faults = [fault] * 40
    with pytest.raises(DownloadError, match=message) as caught:
        download_file(server.url(), target)
    assert server.url() in str(caught.value)
    assert held(target) == []
    server.faults = []
    assert download_file(server.url(), target).read_bytes() == BODY


@pytest.mark.parametrize("fault", ["", "nolength 1000"])
def test_a_file_with_another_hash_is_refused_and_leaves_nothing(
    server: Server, target: Path, fault: str
) -> None:
    server.faults = [fault]
    expected = SHA256 if fault == "nolength 1000" else "0" * 64
    with pytest.raises(DownloadError, match=expected):
        download_file(server.url(), target, sha256=expected)
    assert held(target) == []


def test_a_failure_leaves_the_file_that_was_there(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"an older version")
    server.faults = ["cut 1000"]
    with pytest.raises(DownloadError):
        download_file(server.url(), target, sha256=SHA256)
    assert (held(target), target.read_bytes()) == (["model.pdparams"], b"an older version")


def test_a_server_that_stops_sending_is_given_up(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    server.faults = ["slow 30"]
    with pytest.raises(DownloadError, match="timed out"):
        download_file(server.url(), target)


def test_a_server_that_does_not_answer_is_named(server: Server, target: Path) -> None:
    url = server.url()
    server.stop()
    with pytest.raises(DownloadError, match=url):
        download_file(url, target)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "data:,x", "model.pdparams", "http:///x", ""]
)
def test_only_web_addresses_are_downloaded(target: Path, url: str) -> None:
    with pytest.raises(DownloadError):
        download_file(url, target)
    assert held(target) == []


def test_a_redirect_is_followed(server: Server, target: Path) -> None:
    server.faults = ["to /there"]
    assert download_file(server.url(), target).read_bytes() == BODY


@pytest.mark.parametrize("way", ["argument", "variable"])
def test_offline_nothing_is_requested_and_the_error_names_the_switch(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("FASTFCN_OFFLINE", "1" if way == "variable" else "")
    name = "FASTFCN_OFFLINE" if way == "variable" else "local_files_only"
    with pytest.raises(DownloadError, match=name) as caught:
        download_file(server.url(), target, local_files_only=way == "argument")
    assert str(target) in str(caught.value)
    assert server.paths == []
    assert not target.parent.exists()


@pytest.mark.parametrize("at", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_is_full_or_read_only_is_named_with_what_to_do(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(at, os.strerror(at))

    monkeypatch.setattr(module, "_receive", refuse)
    with pytest.raises(DownloadError, match=os.strerror(at)) as caught:
        download_file(server.url(), target)
    for word in (str(target.parent), "FASTFCN_CACHE", "--cache-dir"):
        assert word in str(caught.value)
    assert held(target) == []


def test_a_cache_that_is_a_file_is_named_with_what_to_do(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="FASTFCN_CACHE"):
        download_file(server.url(), tmp_path / "file" / "model.pdparams")


WAYS: list[Callable[[Path], object]] = [
    lambda cache: download_file("http://127.0.0.1:9/model.pdparams", cache / "model.pdparams"),
    lambda cache: download_artifact("hub:owner/name", cache),
]


@pytest.mark.parametrize("way", WAYS, ids=["address", "hub"])
def test_without_the_packages_an_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[Path], object]
) -> None:
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BackendMissing, match=r"pip install .*\[hub\]"):
        way(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_file_that_was_downloaded_before_needs_no_package(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY)
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert download_file("https://host/model.pdparams", target, sha256=SHA256) == target


def test_importing_the_sdk_imports_neither_package() -> None:
    code = (
        "import sys, fastfcn_infer.cli.main, fastfcn_infer.hub.models\n"
        "print({'pooch', 'huggingface_hub', 'requests'} & set(sys.modules))"
    )
    assert python("-c", code).stdout == "set()\n"
