"""What stands beside the weights is skipped, whatever it is: never built, never called, but named."""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_export.checkpoint.pickle_reader.names import refuses
from fastfcn_export.checkpoint.pickle_reader.records import Name
from fastfcn_export.checkpoint.read import CheckpointFile, read_checkpoint
from fastfcn_infer.errors import CheckpointError
from harmless import OBJECTS, STAND_INS, TORCH, body_of, paddle_file, stand_in, torch_files
from hostile.assembler import (
    GOOD_BARE,
    GOOD_LEGACY,
    GOOD_ZIP,
    STORAGE,
    array,
    bare,
    called,
    group,
    mapping,
    named,
    text,
    zipped,
)
from hostile.names import ATTACKS

PROTOCOLS = (2, 3, 4, 5)


@pytest.fixture(autouse=True, scope="module")
def everything_imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Read a file of each kind, so that what Python imports later is due to what a file holds."""
    folder = tmp_path_factory.mktemp("good")
    for index, data in enumerate((GOOD_BARE, GOOD_ZIP, GOOD_LEGACY)):
        (folder / str(index)).write_bytes(data)
        assert read_checkpoint(folder / str(index))


def skipped_in(data: bytes, folder: Path) -> str:
    """Read a file of one tensor `w`, check the tensor, and return the names of what was skipped."""
    file = folder / "checkpoint"
    file.write_bytes(data)
    modules = set(sys.modules)
    opened = CheckpointFile(file)
    (found,) = opened.tensors().items()
    assert set(sys.modules) == modules
    assert found[0] == "w"
    assert found[1].tolist() in ([1, 2], [0, 1, 2, 3])
    return ", ".join(opened.reading(lambda contents: contents.skipped))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("what", OBJECTS)
def test_an_object_beside_the_weights_of_paddle_is_skipped_and_named(
    what: str, protocol: int, tmp_path: Path
) -> None:
    value, name = OBJECTS[what]
    data = paddle_file(body_of(value, protocol), protocol)
    assert type(pickle.loads(data)["beside"]) is type(value)  # the file holds what it claims to
    assert name in skipped_in(data, tmp_path)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("what", OBJECTS)
def test_an_object_beside_the_weights_of_torch_is_skipped_and_named(
    what: str, kind: str, tmp_path: Path
) -> None:
    value, name = OBJECTS[what]
    assert name in skipped_in(torch_files(body_of(value, 2))[kind], tmp_path)


@pytest.mark.parametrize("module", STAND_INS)
def test_an_object_of_another_package_is_skipped_and_named(module: str, tmp_path: Path) -> None:
    name = STAND_INS[module]
    with stand_in(module, name) as kind:
        bodies = {protocol: body_of({"buffer": kind()}, protocol) for protocol in PROTOCOLS}
    for protocol, body in bodies.items():
        assert f"{module}.{name}" in skipped_in(paddle_file(body, protocol), tmp_path)
    for data in torch_files(bodies[2]).values():
        assert f"{module}.{name}" in skipped_in(data, tmp_path)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("what", TORCH)
def test_a_value_of_torch_beside_the_weights_is_skipped(
    what: str, kind: str, tmp_path: Path
) -> None:
    body, name = TORCH[what]
    assert name in skipped_in(torch_files(body)[kind], tmp_path)


def test_objects_among_the_tensors_are_skipped_too(tmp_path: Path) -> None:
    values = {"w": np.array([1, 2], "f4"), **{what: value for what, (value, _) in OBJECTS.items()}}
    del values["an array of objects"], values["an array of texts"]  # arrays, and not readable
    assert "argparse.Namespace" in skipped_in(pickle.dumps(values, 4), tmp_path)


def test_a_default_dict_gives_the_tensors_that_it_holds(tmp_path: Path) -> None:
    made = called(named("collections", "defaultdict"), named("builtins", "list"))
    (tmp_path / "checkpoint").write_bytes(bare(made + text("w") + array() + b"s"))
    assert read_checkpoint(tmp_path / "checkpoint")["w"].tolist() == [1, 2]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_whole_model_is_refused_with_what_to_do(wrapped: bool, tmp_path: Path) -> None:
    body, _ = TORCH["a whole module"]
    data = zipped(mapping({"model": body}) if wrapped else body, {"0": STORAGE})
    (tmp_path / "checkpoint").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(tmp_path / "checkpoint")
    assert "torch.nn.modules.conv.Conv2d" in str(caught.value)
    assert "save the model's state_dict alone" in str(caught.value)


@pytest.mark.parametrize(("module", "attribute"), ATTACKS)
@pytest.mark.parametrize("where", ["in an object", "in a set", "in an object's state"])
def test_a_name_that_could_do_harm_is_refused_wherever_it_hides(
    where: str, module: str, attribute: str, tmp_path: Path
) -> None:
    harm = called(named(module, attribute), text("echo harm"))
    value = {
        "in an object": called(named("argparse", "Namespace"), harm),
        "in a set": b"\x8f(" + harm + b"\x90",
        "in an object's state": named("a", "B") + b")\x81" + mapping({"x": harm}) + b"b",
    }[where]
    (tmp_path / "checkpoint").write_bytes(paddle_file(value, 4))
    with pytest.raises(CheckpointError, match="Nothing was run") as caught:
        read_checkpoint(tmp_path / "checkpoint")
    assert f"{module}.{attribute}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("os.path.join", True), ("shutil.which", True), ("types.FunctionType", True), ("posixpath.join", True),
        ("collections.OrderedDict.fromkeys", True), ("logging.handlers.SocketHandler", True), ("builtins.eval", True),
        ("builtins.set", False), ("builtins.object.__reduce__", True), ("__main__.Config", False), ("__main__.load", True),
        ("numpy.random._pickle.__randomstate_ctor", False), ("numpy.load", True), ("torch.optim.sgd.SGD", False),
        ("torch.hub.HTTPError", True), ("some.package.loader.Loader", False), ("some.package.system", True),
        ("train.<lambda>", False), ("train.main.<locals>.loss", False), ("a\nb.c", True), (".a", True), ("a..b", True),
    ],
)  # fmt: skip
def test_the_rule_of_names(name: str, refused: bool) -> None:
    inner = 2 if name.startswith(("collections.", "builtins.object.", "train.main.")) else 1
    module, *attributes = name.rsplit(".", inner) if inner == 1 else name.split(".", 1)
    assert refuses(Name(module, ".".join(attributes))) is refused


def test_what_real_torch_saves_beside_the_weights_is_skipped(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    model = torch.nn.Conv2d(1, 1, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 1, 2, 2)).sum().backward()
    optimizer.step()
    beside = {
        "optimizer": optimizer.state_dict(), "whole optimizer": optimizer, "whole model": model,
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(), "device": torch.device("cpu"),
        "type": torch.bfloat16, "size": torch.Size([1, 2]), "random": torch.get_rng_state(), "complex": torch.ones(2, dtype=torch.complex64),
        "sparse": torch.eye(3).to_sparse(), "layout": torch.strided,
        "float8": torch.ones(2).to(torch.float8_e4m3fn), "generator": torch.Generator().get_state(),
        **{what: value for what, (value, _) in OBJECTS.items()},
    }  # fmt: skip
    for zip_file in (True, False):
        tree = {"state_dict": model.state_dict(), **beside}
        torch.save(tree, tmp_path / "checkpoint", _use_new_zipfile_serialization=zip_file)
        found = read_checkpoint(tmp_path / "checkpoint")
        assert list(found) == ["weight", "bias"]
        assert np.array_equal(found["weight"], model.weight.detach().numpy())


def test_the_source_text_of_a_model_class_is_skipped_with_it(tmp_path: Path) -> None:
    kind = named("encoding.models.fcn", "FCN")
    source = group(text("module"), kind, text("fcn.py"), text("import os")) + b"Q"
    data = torch_files(source + b")\x81")["legacy"]
    assert "encoding.models.fcn.FCN" in skipped_in(data, tmp_path)
