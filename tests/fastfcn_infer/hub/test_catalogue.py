import dataclasses
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastfcn_infer.artifact.class_table import class_table_names
from fastfcn_infer.errors import ArtifactError, DownloadError
from fastfcn_infer.hub import catalogue
from web_server import BODY, Server

NAMES = [entry.name for entry in catalogue.entries()]
DOWNLOADED = "fastfcn-resnet50-ade20k"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    server = Server()
    entry = dataclasses.replace(
        catalogue.find(DOWNLOADED), url=server.url(), sha256=hashlib.sha256(BODY).hexdigest()
    )
    monkeypatch.setattr(catalogue, "entries", lambda: (entry,))
    yield server
    server.stop()


def test_the_published_checkpoints_of_all_four_families_are_listed_once() -> None:
    families = [entry.dialect for entry in catalogue.entries()]
    counts = {family: families.count(family) for family in families}
    assert counts == {"paddleseg": 1, "wuhuikai": 8, "ncpaddle": 1, "mmseg": 12}
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("entry", catalogue.entries(), ids=NAMES)
def test_an_entry_is_complete(entry: catalogue.Entry) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", entry.name)
    assert entry.classes in class_table_names()
    assert entry.output_stride in (8, 16, 32)
    assert entry.page.startswith("https://")
    assert entry.url is None or entry.url.startswith("https://")
    assert entry.licence and entry.procedure and entry.title
    assert all(0 < value < 100 for value in entry.figures.values())


def test_the_figures_of_paddleseg_are_those_it_publishes() -> None:
    assert catalogue.find(DOWNLOADED).figures == {
        "mIoU": 43.76,
        "mIoU_flip": 44.11,
        "mIoU_ms_flip": 44.91,
    }


def test_the_error_for_an_unknown_name_suggests_similar_ones_and_the_command() -> None:
    with pytest.raises(ArtifactError, match="fastfcn models") as caught:
        catalogue.find("fastfcn-resnet50-ade")
    assert repr(DOWNLOADED) in str(caught.value)
    with pytest.raises(ArtifactError) as caught:
        catalogue.find("%%%")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("entry", [e for e in catalogue.entries() if e.url is None])
def test_a_checkpoint_without_an_address_names_its_page(
    entry: catalogue.Entry, tmp_path: Path
) -> None:
    with pytest.raises(DownloadError, match="give its path") as caught:
        catalogue.fetch(entry.name, tmp_path)
    assert entry.page in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_name_is_downloaded_once_and_then_taken_from_the_cache(
    server: Server, tmp_path: Path
) -> None:
    path = catalogue.fetch(DOWNLOADED, tmp_path)
    assert path.read_bytes() == BODY
    assert path == tmp_path / "checkpoints" / DOWNLOADED / "model.pdparams"
    assert catalogue.fetch(DOWNLOADED, tmp_path, local_files_only=True) == path
    assert len(server.paths) == 1


def test_with_local_files_only_nothing_is_requested(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="local_files_only"):
        catalogue.fetch(DOWNLOADED, tmp_path, local_files_only=True)
    assert server.paths == []


def test_without_a_folder_the_users_cache_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    assert catalogue.fetch(DOWNLOADED).is_relative_to(tmp_path / "cache")


def test_importing_and_listing_opens_no_connection() -> None:
    root = str(Path(catalogue.__file__).parents[2])
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith('socket.') else None)\n"
        "from fastfcn_infer.hub import catalogue\n"
        "assert catalogue.entries()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, root], check=False)
    assert done.returncode == 0
