"""Uploads to a hub on this machine by the real huggingface_hub; cards are read by its own classes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCard, constants

from command_line import python
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import ArtifactError, UploadError
from fastfcn_infer.hub.card import write_card
from fastfcn_infer.hub.card_facts import (
    CardFacts,
    Score,
    Speed,
    read_facts,
    read_score,
    read_speeds,
)
from fastfcn_infer.hub.models import find_artifact
from fastfcn_infer.hub.upload import check_repository, push, save
from fastfcn_infer.system.record import to_json
from hub_server import HubServer
from models import add_tiny_variant, tiny_artifact, tiny_model


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Serve no repository at all."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    server = HubServer()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield server
    server.stop()


@pytest.fixture
def tiny(tmp_path: Path) -> Artifact:
    tiny_artifact(tmp_path / "tiny")
    return open_artifact(tmp_path / "tiny")


def measured(artifact: Artifact, **changes: Any) -> Score:
    provenance = {
        "model": artifact.model.name,
        "model_sha256": artifact.fingerprint,
        "procedure": "tiles",
        "precision": "int8",
    }
    facts = {"mean_iou": 0.5604, "pixel_accuracy": 0.8652, "pictures": 233} | changes
    return Score("camvid", "test", "paddleseg", provenance=provenance, **facts)


def timed(artifact: Artifact) -> Speed:
    name, size, date = artifact.model.name, (480, 480), "2026-11-27T10:00:00+00:00"
    return Speed(name, "open_vino", "cpu", "fp32", 2, size, 1, 34.6, "AMD | EPYC", date)


def test_what_is_uploaded_is_downloaded_as_the_same_artifact(
    hub: HubServer, tiny: Artifact, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address = push(tiny, "hub:me/new", CardFacts(), private=True, message="First")
    assert address == f"{hub.address}/me/new/commit/{hub.commit('me/new')}"
    assert hub.private == {"me/new"}
    assert hub.messages == ["First"]
    assert "Bearer hf_secret" in hub.tokens
    found = find_artifact("hub:me/new", tmp_path / "cache", local_files_only=False)
    assert found.fingerprint == tiny.fingerprint
    assert b'from_pretrained("hub:me/new")' in hub.repositories["me/new"]["README.md"]
    assert capfd.readouterr() == ("", "")


def test_the_hub_reads_the_scores_of_a_card(tiny: Artifact) -> None:
    other = replace(measured(tiny, mean_iou=0.61, pixel_accuracy=None), dataset="ade20k")
    facts = CardFacts((measured(tiny), other), (timed(tiny),), "apache-2.0", ("Only by day.",))
    card = ModelCard(write_card(tiny, facts, "me/new"))
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "fastfcn-infer")
    assert card.data.pipeline_tag == "image-segmentation"
    results = card.data.eval_results
    assert all(isinstance(result, EvalResult) for result in results)
    assert [(r.dataset_name, r.dataset_split, r.metric_type, r.metric_value) for r in results] == [
        ("camvid", "test", "mean_iou", 0.5604),
        ("camvid", "test", "pixel_accuracy", 0.8652),
        ("ade20k", "test", "mean_iou", 0.61),
    ]
    assert results[0].metric_args == {
        "procedure": "tiles",
        "precision": "int8",
        "convention": "paddleseg",
        "pictures": 233,
    }
    # As the Hub writes it again, the results are still the same.
    assert ModelCard(str(card)).data.eval_results == results
    assert "| camvid | test | 233 | tiles | int8 | paddleseg | 56.04 | 86.52 |" in card.text
    assert "| 34.60 | AMD \\| EPYC, 2026-11-27 |" in card.text
    assert "- Only by day." in card.text


@pytest.mark.parametrize("name", ['a "b": c', "a\n---\nlicense: mit", "<b>", "é\x85\u2028😀"])
def test_no_name_breaks_the_metadata_or_the_tables(tmp_path: Path, name: str) -> None:
    model = tiny_model()
    classes = (replace(model.classes[0], name=name), *model.classes[1:])
    tiny_artifact(tmp_path / "tiny", replace(model, name=name, classes=classes))
    tiny = open_artifact(tmp_path / "tiny")
    card = ModelCard(write_card(tiny, CardFacts((measured(tiny),))))
    assert card.data.license is None
    assert len(card.data.eval_results) == 2
    assert "<b>" not in card.text
    assert len([line for line in card.text.splitlines() if line.startswith("| 0 |")]) == 1


@pytest.mark.parametrize("share", [0.0, 4e-5, 6e-5, 1e-4, 0.1234567890123, 1.0])
def test_scores_of_every_size_are_numbers_of_the_metadata(tiny: Artifact, share: float) -> None:
    card = ModelCard(write_card(tiny, CardFacts((measured(tiny, mean_iou=share),))))
    value = card.data.eval_results[0].metric_value
    assert isinstance(value, float)
    assert value == (share if share >= 1e-4 else pytest.approx(share, abs=5e-5))


def test_a_graph_in_another_precision_has_its_scores_and_its_proof_in_the_card(
    tiny: Artifact, tmp_path: Path
) -> None:
    assert "model.int8.onnx" not in write_card(tiny, CardFacts())
    add_tiny_variant(tmp_path / "tiny")
    both = open_artifact(tmp_path / "tiny")
    assert both.fingerprint == tiny.fingerprint != both.in_precision("int8").fingerprint
    scores = (measured(both), measured(both.in_precision("int8")))
    for opened in (both, both.in_precision("int8")):  # either is published whole
        save(opened, tmp_path / opened.model.precision, CardFacts(scores))
        text = (tmp_path / opened.model.precision / "README.md").read_text()
        assert "The graph is in fp32" in text
        assert "On 8 pictures (camvid, part val) 97.00 % of its labels are those of" in text
        assert "55.90 %, and in fp32 56.10 %" in text
        copied = open_artifact(tmp_path / opened.model.precision)
        assert copied.in_precision("int8").fingerprint == both.in_precision("int8").fingerprint


def test_a_card_without_measurements_says_so(tiny: Artifact) -> None:
    text = write_card(tiny, CardFacts())
    assert text.count("Not measured.") == 2
    assert "Not stated: ask who published this model." in text
    assert "model-index" not in text


def test_figures_of_another_model_are_refused_and_nothing_is_written(
    tiny: Artifact, tmp_path: Path
) -> None:
    other = replace(measured(tiny), provenance={"model": "big", "model_sha256": "0" * 64})
    slow = replace(timed(tiny), model="slow")
    namesake = replace(timed(tiny), backend="paddle", model_sha256="1" * 64)
    said = r"on camvid, part test, is of 'big'.* is of 'slow'.* in paddle is of 'tiny' with the files 1{12}"
    with pytest.raises(ValueError, match=said):
        save(tiny, tmp_path / "copy", CardFacts((measured(tiny), other), (slow, namesake)))
    assert not (tmp_path / "copy").exists()
    # Where the files are known, the name does not matter: two exports may be called by their paths.
    path = replace(timed(tiny), model="exports/tiny", model_sha256=tiny.fingerprint)
    save(tiny, tmp_path / "copy", CardFacts((), (path,)))


def test_a_card_says_what_its_figures_leave_out(tiny: Artifact) -> None:
    settings = '{"kind": "custom", "scales": [1.0, 1.25]}'
    custom = replace(
        measured(tiny),
        provenance=dict(measured(tiny).provenance)
        | {"procedure": "custom", "procedure_settings": settings},
        failed=({"name": "a", "error": "cut off"}, {"name": "b", "error": "cut off"}),
        warnings=("the model saw some of the pictures " * 20,),
    )
    folder = replace(timed(tiny), scenario="folder", gpu="NVIDIA H100")
    limit = "It was\n tried in " + "fair " * 80 + "weather."
    card = ModelCard(write_card(tiny, CardFacts((custom,), (folder,), None, (limit,))))
    assert f"| custom {settings} | int8 |" in card.text
    assert card.data.eval_results[0].metric_args["procedure_settings"] == settings
    assert (
        "| whole | folder | 480 x 480 | 1 | 2 | 34.60 | NVIDIA H100, AMD \\| EPYC, 2026-11-27 |"
        in card.text
    )
    assert "- 2 of the pictures of camvid, part test, could not be labelled" in card.text
    assert "- " + " ".join(limit.split()) in card.text
    assert custom.warnings[0].strip() in card.text


def test_a_saved_folder_opens_and_its_card_may_be_edited(tiny: Artifact, tmp_path: Path) -> None:
    save(tiny, tmp_path / "copy", CardFacts())
    (tmp_path / "copy" / "README.md").write_text("mine")
    assert open_artifact(tmp_path / "copy").fingerprint == tiny.fingerprint
    with pytest.raises(FileExistsError):
        save(tiny, tmp_path / "copy", CardFacts())
    assert (tmp_path / "copy" / "README.md").read_text() == "mine"


def test_a_lone_graph_is_refused(tiny: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"lone .onnx"):
        save(open_artifact(tmp_path / "tiny" / "model.onnx"), tmp_path / "copy", CardFacts())


@pytest.mark.parametrize(
    "name", ["name", "a/b/c", "../b", "a/b..c", "a/.b", "a/b c", "a--b/c", ""]
)
def test_other_names_are_refused_before_anything_is_done(name: str) -> None:
    with pytest.raises(ValueError, match="OWNER/NAME"):
        check_repository(name)


def test_a_branch_is_uploaded_to_and_opened_by_its_name(
    hub: HubServer, tiny: Artifact, tmp_path: Path
) -> None:
    push(tiny, "me/new", CardFacts(), revision="v1")
    assert "POST api/models/me/new/commit/v1" in hub.asked
    assert b'from_pretrained("hub:me/new@v1")' in hub.repositories["me/new"]["README.md"]
    name = "hub:me/new@v1"
    opened = find_artifact(name, tmp_path / "cache", local_files_only=False)
    assert opened.fingerprint == tiny.fingerprint
    with pytest.raises(UploadError, match=r"me/new was not uploaded: .*Revision Not Found"):
        push(tiny, "me/new", CardFacts(), revision="other")
    asked = len(hub.asked)
    for revision in ("", "a b", "../x"):
        with pytest.raises(ValueError, match="the name of a branch was expected"):
            push(tiny, "me/new", CardFacts(), revision=revision)
    assert len(hub.asked) == asked


def test_what_the_hub_refuses_is_one_sentence(hub: HubServer, tiny: Artifact) -> None:
    hub.faults["POST"] = "403"
    with pytest.raises(UploadError, match=r"me/new was not uploaded: .*403.*HF_TOKEN"):
        push(tiny, "me/new", CardFacts())


def test_offline_nothing_is_uploaded(
    hub: HubServer, tiny: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFCN_OFFLINE", "1")
    with pytest.raises(UploadError, match="FASTFCN_OFFLINE"):
        push(tiny, "me/new", CardFacts())
    assert hub.asked == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dataset": 3}', "NaN", "[" * 100_000])
def test_files_that_are_no_reports_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"report.json: a report that `fastfcn evaluate --json`"):
        read_score(path)
    with pytest.raises(ValueError, match=r"report.json: a report that `fastfcn benchmark"):
        read_speeds(path)


@pytest.mark.parametrize("share", [56.04, -0.1])
def test_percentages_are_no_shares(tiny: Artifact, tmp_path: Path, share: float) -> None:
    report = json.loads(to_json(measured(tiny))) | {"mean_iou": share}
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(ValueError, match=rf"report.json: .*mean_iou is {share}; 0 to 1"):
        read_score(tmp_path / "report.json")


def test_reports_of_the_commands_are_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    row = {"model": "m", "backend": "b", "device": "cpu", "precision": "fp32", "threads": 2}
    row |= {"size": [480, 640], "batch": 1, "ips": 3.5, "network_ips": 4.0}
    machine = {"cpu": "AMD", "date": "2026-11-27", "cores": 2}
    path.write_text(json.dumps({"environment": machine, "rows": [row]}))
    assert read_speeds(path) == (
        Speed("m", "b", "cpu", "fp32", 2, (480, 640), 1, 3.5, "AMD", "2026-11-27"),
    )


def test_one_file_and_one_sentence_need_no_list(tiny: Artifact, tmp_path: Path) -> None:
    report = tmp_path / "scores.json"
    report.write_text(to_json(measured(tiny)))
    for path in (report, str(report)):
        facts = read_facts(path, (), None, "Only by day.")
        assert (facts.scores, facts.limits) == ((measured(tiny),), ("Only by day.",))


def test_the_command_uploads_and_says_how_to_open_it(
    hub: HubServer, tiny: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "scores.json"
    report.write_text(to_json(measured(tiny)))
    words = ("push", tmp_path / "tiny", "me/new", "--license", "mit", "--scores", report)
    assert main([*map(str, words), "--dry-run", str(tmp_path / "copy")]) == 0
    assert hub.asked == []
    env = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_a"}
    ended = python("-m", "fastfcn_infer", *map(str, words), env=env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--model hub:me/new" in ended.stdout
    sent = hub.repositories["me/new"]["README.md"]
    assert sent == (tmp_path / "copy" / "README.md").read_bytes()
    assert b"56.04" in sent
    # What is on the Hub is published again without a folder of one's own.
    again = ("push", "hub:me/new", "me/again", "--revision", "v1")
    ended = python("-m", "fastfcn_infer", *again, env=env | {"FASTFCN_CACHE": str(tmp_path / "c")})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--model hub:me/again@v1" in ended.stdout
    assert hub.repositories["me/again"].keys() == hub.repositories["me/new"].keys()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("tiny", "new"), 2, "OWNER/NAME was expected"),
        (("tiny", "me/new", "--license", "MIT License"), 2, "such as apache-2.0"),
        (("nothing", "me/new"), 6, "does not exist"),
        (("tiny", "me/new", "--scores", "tiny/manifest.json"), 2, "fastfcn evaluate --json"),
    ],
)
def test_wrong_command_lines_are_one_sentence(
    tiny: Artifact,
    tmp_path: Path,
    words: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [str(tmp_path / w) if w.startswith(("tiny", "nothing")) else w for w in words]
    assert main(["push", *paths]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
