from pathlib import Path

import pytest

from deployments import write_yaml
from fastfcn_export.deployed.read import is_deployed, read_deployed
from fastfcn_infer.errors import CheckpointError


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


@pytest.mark.parametrize("name", ["deploy.yaml", "inference.yml"])
@pytest.mark.parametrize(
    ("claimed", "there", "found"),
    [
        ("model.pdmodel", ("model.json", "model.pdiparams"), "model.json"),
        ("model.json", ("model.pdmodel", "model.pdiparams"), "model.pdmodel"),
        ("model.pdmodel", ("model.pdmodel", "model.json", "model.pdiparams"), "model.pdmodel"),
        ("model.pdmodel", ("inference.json", "inference.pdiparams"), "inference.json"),
        ("model.txt", ("model.txt", "model.json", "model.pdiparams"), "model.json"),
        ("model.v2.pdmodel", ("model.v2.json", "model.v2.pdiparams"), "model.v2.json"),
    ],
)
def test_the_program_that_is_there_is_found_whatever_the_yaml_claims(
    tmp_path: Path, name: str, claimed: str, there: tuple[str, ...], found: str
) -> None:
    fill(tmp_path, *there)
    yaml = write_yaml(tmp_path, name=name, model=claimed)
    for path in (tmp_path, yaml):
        assert is_deployed(path)
        deployed = read_deployed(path)
        assert deployed.program == tmp_path / found
        assert deployed.params == deployed.program.with_suffix(".pdiparams")


def test_weights_of_another_name_are_found_by_what_the_yaml_says(tmp_path: Path) -> None:
    fill(tmp_path, "model.json", "weights.pdiparams")
    write_yaml(tmp_path, params="weights.pdiparams")
    assert read_deployed(tmp_path).params.name == "weights.pdiparams"


def test_what_the_yaml_says_about_the_end_and_the_name_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, "model.json", "model.pdiparams")
    (tmp_path / "inference.yml").write_text(
        "Global:\n  model_name: PP-LiteSeg-T\nDeploy:\n  model: model.pdmodel\n"
        "  params: model.pdiparams\n  output_op: softmax\n  transforms:\n  - type: Normalize\nHpi: {}\n"
        "label_list: [road, sky]\n"
    )
    deployed = read_deployed(tmp_path)
    assert (deployed.network, deployed.output_op) == ("PP-LiteSeg-T", "softmax")
    assert deployed.transforms == ({"type": "Normalize"},)
    assert deployed.labels == ("road", "sky")


@pytest.mark.parametrize("there", [(), ("model.json",), ("a.json", "a.pdiparams", "b.json", "b.pdiparams")])  # fmt: skip
def test_without_the_files_the_error_says_what_is_there(
    tmp_path: Path, there: tuple[str, ...]
) -> None:
    fill(tmp_path, *there)
    write_yaml(tmp_path)
    with pytest.raises(CheckpointError, match=r"not there.*holds .*deploy\.yaml"):
        read_deployed(tmp_path)


@pytest.mark.parametrize("named", ["/etc/passwd", "../model.json", "a/../../b.json", "C:/x.json"])
@pytest.mark.parametrize("key", ["model", "params"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, named: str, key: str) -> None:
    fill(tmp_path, "model.json")
    write_yaml(tmp_path, None, "deploy.yaml", **{key: named})
    with pytest.raises(CheckpointError, match="outside its folder"):
        read_deployed(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a mapping"),
        ("- 1", "is not a mapping"),
        ("Deploy: 3", "'Deploy' of .* is not a mapping"),
        ("1: 2\nDeploy: {}", "is not a mapping"),
        ("Deploy: {transforms: 5}", "is not a list"),
        ("Deploy: {transforms: [Normalize]}", "an item of"),
        ("Deploy: [", "not YAML that is safe to read"),
        ("Deploy: !!python/object/apply:os.system ['true']", "safe to read.*python/object"),
        ("[" * 3000, "safe to read"),
        ("\x00", "safe to read"),
        ("#" * (1 << 20) + "#", "larger than 1 MiB"),
    ],
)
def test_a_yaml_of_another_kind_is_refused_and_nothing_in_it_is_run(
    tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "deploy.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=said):
        read_deployed(tmp_path)


def test_a_folder_with_two_descriptions_or_none_is_an_error_that_names_them(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "weights.txt")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "best.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"such as \S+run.best\.safetensors\.$"):
        read_deployed(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"neither deploy\.yaml.*holds run/, weights\.txt"):
        read_deployed(tmp_path)
    for name in ("deploy.yaml", "inference.yml"):
        write_yaml(tmp_path, name=name)
    with pytest.raises(CheckpointError, match=r"deploy\.yaml and inference\.yml: give the path"):
        read_deployed(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        read_deployed(tmp_path / "other.yaml")


def test_a_checkpoint_is_no_deployment(tmp_path: Path) -> None:
    for name in ("model.pdparams", "model.pth", "model.pth.tar", "missing"):
        assert not is_deployed(tmp_path / name)
