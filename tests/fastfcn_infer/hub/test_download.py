import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastfcn_infer.errors import DownloadError
from fastfcn_infer.hub import download as module
from fastfcn_infer.hub.download import download
from web_server import BODY, Server

SHA256 = hashlib.sha256(BODY).hexdigest()
ROOT = str(Path(module.__file__).parents[2])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "model.pdparams"


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def partials(target: Path) -> list[Path]:
    return sorted(target.parent.glob("*.partial"))


def test_a_file_arrives_whole_with_its_hash_beside_it(server: Server, target: Path) -> None:
    facts = download(server.url(), target)
    assert target.read_bytes() == BODY
    assert (facts.size, facts.sha256) == (len(BODY), SHA256)
    assert names(target) == ["model.pdparams", "model.pdparams.json"]
    record = json.loads((target.parent / "model.pdparams.json").read_text())
    assert record == {"url": server.url(), "size": len(BODY), "sha256": SHA256}


def test_a_file_that_is_there_is_not_fetched_again(server: Server, target: Path) -> None:
    download(server.url(), target)
    download(server.url(), target, size=len(BODY), sha256=SHA256.upper())
    assert len(server.ranges) == 1


def test_a_file_that_changed_on_the_disk_is_fetched_again(server: Server, target: Path) -> None:
    download(server.url(), target)
    target.write_bytes(BODY[:-1] + b"!")
    download(server.url(), target)
    assert target.read_bytes() == BODY
    assert len(server.ranges) == 2


def test_a_cut_body_is_continued_where_it_stopped(server: Server, target: Path) -> None:
    server.faults = ["cut 100000", "cut 50000"]
    download(server.url(), target, sha256=SHA256)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, "bytes=99999-", "bytes=149998-"]
    assert partials(target) == []


def test_what_came_is_kept_when_all_attempts_fail_and_used_the_next_time(
    server: Server, target: Path
) -> None:
    server.faults = ["cut 1000", "cut 1000", "cut 1000"]
    with pytest.raises(DownloadError, match="the connection ended after 2998 of 300000 bytes"):
        download(server.url(), target)
    assert not target.exists()
    assert [path.stat().st_size for path in partials(target)] == [2998]
    download(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] == "bytes=2997-"


def test_a_part_that_is_complete_already_is_only_finished(server: Server, target: Path) -> None:
    server.faults = ["cut 1", "cut 1", "cut 1"]
    with pytest.raises(DownloadError):
        download(server.url(), target)
    (part,) = partials(target)
    part.write_bytes(BODY)
    download(server.url(), target)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={len(BODY) - 1}-"


@pytest.mark.parametrize("fault", ["whole", "status 416", "wrongrange"])
def test_a_server_that_cannot_continue_makes_it_start_at_zero(
    server: Server, target: Path, fault: str
) -> None:
    server.faults = ["cut 100000", fault]
    download(server.url(), target)
    assert target.read_bytes() == BODY
    assert partials(target) == []


@pytest.mark.parametrize("etag", ['"two"', 'W/"one"', None])
def test_parts_of_different_versions_are_never_joined(
    server: Server, target: Path, etag: str | None
) -> None:
    server.faults = ["cut 1000"] * 3
    with pytest.raises(DownloadError):
        download(server.url(), target)
    server.body, server.etag = BODY[::-1], etag
    download(server.url(), target)
    assert target.read_bytes() == BODY[::-1]


def test_a_part_of_another_address_is_never_continued(server: Server, target: Path) -> None:
    server.faults = ["cut 1000"] * 3
    with pytest.raises(DownloadError):
        download(server.url("other"), target)
    server.body = BODY[::-1]
    download(server.url(), target)
    assert target.read_bytes() == BODY[::-1]


def test_a_damaged_part_is_thrown_away_and_not_blamed_on_the_server(
    server: Server, target: Path
) -> None:
    server.faults = ["cut 1000"] * 3
    with pytest.raises(DownloadError):
        download(server.url(), target)
    (part,) = partials(target)
    part.write_bytes(b"\0" * 2998)
    download(server.url(), target, sha256=SHA256)
    assert target.read_bytes() == BODY


def test_another_file_than_promised_is_refused_and_leaves_nothing(
    server: Server, target: Path
) -> None:
    with pytest.raises(DownloadError, match=SHA256):
        download(server.url(), target, sha256="0" * 64)
    assert names(target) == []
    with pytest.raises(DownloadError, match="has 300000 bytes, 7 were expected"):
        download(server.url(), target, size=7)
    assert names(target) == []


@pytest.mark.parametrize("kind", ["text/html", "text/html; charset=utf-8", "binary/octet-stream"])
def test_a_web_page_in_place_of_the_file_is_recognised(
    server: Server, target: Path, kind: str
) -> None:
    server.faults = [f"page {kind}"] * 3
    with pytest.raises(DownloadError, match="a web page came"):
        download(server.url(), target)
    assert names(target) == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3), (429, 3)])
def test_only_trouble_that_may_pass_is_tried_again(
    server: Server, target: Path, status: int, requests: int
) -> None:
    server.faults = [f"status {status}"] * 3
    with pytest.raises(DownloadError, match=f"answered {status}") as caught:
        download(server.url(), target)
    assert len(server.ranges) == requests
    for part in (server.url(), str(target), "FASTFCN_OFFLINE"):
        assert part in str(caught.value)


def test_a_body_of_unknown_length_needs_a_hash(server: Server, target: Path) -> None:
    server.faults = ["nolength 1000"]
    with pytest.raises(DownloadError, match="does not say how long"):
        download(server.url(), target)
    server.faults = ["nolength 1000"]
    with pytest.raises(DownloadError, match="SHA-256"):
        download(server.url(), target, sha256=SHA256)
    server.faults = ["nolength 300000"]
    download(server.url(), target, sha256=SHA256)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("fault", ["drip 0.02", "slow 30"])
def test_a_sender_that_drips_or_stops_does_not_hold_us(
    server: Server, target: Path, fault: str
) -> None:
    server.faults = [fault] * 3
    start = time.monotonic()
    with pytest.raises(DownloadError, match=r"next to nothing, came for 0\.3 s"):
        download(server.url(), target, timeout=0.3)
    assert time.monotonic() - start < 5


def test_a_server_that_is_not_there_is_named(server: Server, target: Path) -> None:
    url = server.url()
    server.stop()
    with pytest.raises(DownloadError, match=url):
        download(url, target, timeout=2)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "data:,x", "model.pdparams", "http:///x", ""]
)
def test_only_web_addresses_are_fetched(target: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="no http or https address"):
        download(url, target)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_out_of_the_web_is_refused(server: Server, target: Path, place: str) -> None:
    server.faults = [f"to {place}"]
    with pytest.raises(DownloadError, match="leads to"):
        download(server.url(), target)
    assert len(server.ranges) == 1


def test_a_redirect_is_followed_and_a_circle_is_left(server: Server, target: Path) -> None:
    server.faults = ["to /there"]
    download(server.url(), target)
    assert target.read_bytes() == BODY
    server.faults = ["to /a", "to /a"] * 20
    with pytest.raises(DownloadError, match="infinite loop"):
        download(server.url(), target.with_name("other"))


def test_offline_nothing_is_asked_and_what_is_there_is_used(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFCN_OFFLINE", "1")
    with pytest.raises(DownloadError, match="FASTFCN_OFFLINE is set"):
        download(server.url(), target)
    assert server.ranges == []
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert download(server.url(), target, sha256=SHA256).sha256 == SHA256


def test_a_full_disk_is_noticed_before_it_is_full(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(DownloadError, match="the disk has 1000 left"):
        download(server.url(), target)


def test_a_cache_that_cannot_be_written_to_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="FASTFCN_CACHE"):
        download(server.url(), tmp_path / "file" / "model.pdparams")
