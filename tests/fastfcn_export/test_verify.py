from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from exports import described, recognised, write_onnx
from fastfcn_export import verify
from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.network.architecture import Aspp, DeepLab
from fastfcn_export.target import fusion
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import onnx_graph, reference
from fastfcn_infer.artifact.class_table import class_table_names
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.errors import VerificationError
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.runtime.backend import backend_names, format_of, installed, open_backend
from networks import CASES

pytest.importorskip("onnxruntime")
FASTEST = next(n for n in backend_names() if installed(n) and format_of(n) == "onnx")

QUICK = "paddleseg_os32"  # looks at the picture at its own size
Array = NDArray[Any]
Change = Callable[[Array], Array]


def proven(case: str, folder: Path, **asked: Any) -> verify.Proof:
    network = recognised(case)
    write_onnx(network, folder, **asked)
    return verify.prove(folder, ("onnx",), described(network, **asked), network)


@pytest.fixture
def doctored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Let the runtime's outputs be changed before they are compared."""

    def install(change: Change) -> None:
        def opened(*arguments: Any, **options: Any) -> Any:
            real = open_backend(*arguments, **options)
            return SimpleNamespace(
                facts=real.facts, close=real.close, run=lambda batch: change(real.run(batch))
            )

        monkeypatch.setattr(verify, "open_backend", opened)

    return install


@pytest.mark.parametrize("case", CASES)
def test_a_right_graph_of_every_kind_is_proven(case: str, tmp_path: Path) -> None:
    proof = proven(case, tmp_path)
    record = proof.record
    assert 0 < record.worst_difference <= record.allowed_difference == 1e-4
    assert record.required_agreement == 0.999 <= record.label_agreement <= 1
    assert proof.picture.shape == (*proof.labels.shape, 3)
    assert len(np.unique(proof.labels)) > 1


@dataclass(frozen=True)
class Asked:
    output: Literal["logits", "probabilities", "labels"]
    with_preprocess: bool
    options: Options


@pytest.mark.parametrize(
    "asked",
    [
        Asked("probabilities", False, Options()),
        Asked("labels", False, Options()),
        Asked("logits", True, Options()),
        Asked("labels", True, Options((3, 64, 96))),
        Asked("logits", False, Options((1, 250, 330))),
        Asked("logits", False, Options((None, 33, None))),
        Asked("logits", False, Options(precision="fp16")),
        Asked("probabilities", True, Options((2, 128, 128), "fp16")),
    ],
    ids=str,
)
@pytest.mark.parametrize("case", [QUICK, "wuhuikai_encnet"])
def test_a_right_graph_is_proven_whatever_was_asked_of_it(
    case: str, asked: Asked, tmp_path: Path
) -> None:
    proof = proven(case, tmp_path, **vars(asked))
    assert proof.record.worst_difference <= proof.record.allowed_difference
    assert proof.labels.shape == proof.picture.shape[:2]


def test_the_record_says_what_was_compared_with_what(tmp_path: Path) -> None:
    record = proven(QUICK, tmp_path).record
    assert record.reference == "NumPy, unfused, float32"
    assert record.runtime.startswith(f"{FASTEST} (")
    assert len(record.versions) > 1
    assert "CC BY 2.0" in record.picture


@pytest.mark.parametrize(
    ("largest", "size"),
    [
        ((None, None), (214, 320)),
        ((64, 96), (64, 96)),
        ((64, None), (64, 96)),
        ((None, 33), (22, 33)),
        ((4000, 4000), (214, 320)),
    ],
)
def test_the_golden_picture_is_a_photograph_that_fits(
    largest: tuple[int | None, int | None], size: tuple[int, int]
) -> None:
    picture = verify.golden_picture(largest)
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 30  # neither grey nor flat
    assert np.array_equal(picture, verify.golden_picture(largest))


def test_a_graph_that_answers_labels_is_shown_pictures_at_their_own_size() -> None:
    # The dialect's rule would enlarge them, and labels cannot be brought back.
    network = recognised("wuhuikai_encnet")
    assert described(network).procedure.resize is not None
    assert described(network, output="labels").procedure.resize is None


@pytest.mark.parametrize(
    ("fusion_name", "part"),
    [("fold_norm", 0), ("fold_norm", 1), ("fold_separable", 0), ("fold_separable", 2)],
)
def test_a_fusion_that_is_wrong_by_a_few_percent_is_caught(
    fusion_name: str, part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(fusion, fusion_name)

    def wrong(*arguments: Any) -> tuple[Array, ...]:
        made = list(right(*arguments))
        made[part] = made[part] * np.float32(1.03)
        return tuple(made)

    monkeypatch.setattr(fusion, fusion_name, wrong)
    with pytest.raises(
        VerificationError, match="does not compute what its network computes"
    ) as caught:
        proven(QUICK, tmp_path)
    assert "allowed: 0.0001" in str(caught.value)
    assert f"on {FASTEST} (" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logits: logits * np.float32(1.001), "differ by 0.001 of the largest"),
        (lambda logits: logits * np.float32(np.nan), "output holds values that are not finite"),
        (lambda logits: logits[:, ::-1], "of the labels agree"),
        (
            lambda logits: logits[:, :, :-1],
            "output is (1, 6, 26, 40), the network's is (1, 6, 27, 40)",
        ),
    ],
    ids=["scaled", "not a number", "classes mixed up", "a row short"],
)
def test_wrong_answers_are_refused_with_numbers(
    change: Change, message: str, tmp_path: Path, doctored: Callable[[Change], None]
) -> None:
    doctored(change)
    with pytest.raises(VerificationError) as caught:
        proven(QUICK, tmp_path)
    assert message in str(caught.value)


def test_labels_are_judged_by_their_agreement(
    tmp_path: Path, doctored: Callable[[Change], None]
) -> None:
    def two_in_a_thousand(labels: Array) -> Array:
        changed = labels.copy()
        changed.reshape(-1)[::500] ^= 1
        return changed

    doctored(two_in_a_thousand)
    with pytest.raises(VerificationError, match=r"99\.80% of the labels agree"):
        proven(QUICK, tmp_path, output="labels")


def test_the_runtime_is_closed_even_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    def opened(*arguments: Any, **options: Any) -> Any:
        def run(batch: Array) -> Array:
            raise VerificationError("no")

        return SimpleNamespace(run=run, close=lambda: closed.append(True))

    monkeypatch.setattr(verify, "open_backend", opened)
    with pytest.raises(VerificationError, match="no"):
        proven(QUICK, tmp_path)
    assert closed == [True]


@pytest.mark.parametrize("case", ["wuhuikai_deeplab", "mmseg_aspp"])
@pytest.mark.parametrize("tap", [(0, 0), (0, 1), (2, 2), (1, 2)])
def test_a_wrong_weight_at_the_rim_of_the_widest_dilated_kernel_is_caught(
    case: str, tap: tuple[int, int], tmp_path: Path
) -> None:
    # Its taps lie 36 cells apart: on a smaller map they would only ever be multiplied by zero.
    right = recognised(case)
    name = "head.atrous3.conv.weight"
    changed = np.array(right.weights[name])
    changed[:, :, tap[0], tap[1]] *= np.float32(1.1)
    write_onnx(replace(right, weights={**right.weights, name: changed}), tmp_path)
    with pytest.raises(VerificationError):
        verify.prove(tmp_path, ("onnx",), described(right), right)


@pytest.mark.parametrize("case", CASES)
def test_the_photograph_is_no_larger_than_the_proof_needs(case: str, tmp_path: Path) -> None:
    network = recognised(case)
    model = described(network)
    sizes: list[int] = []

    def seen(architecture: Any, weights: Any, image: Array) -> Array:
        sizes.append(image.shape[2] * image.shape[3])
        return logits(architecture, weights, image)

    logits = reference.logits
    write_onnx(network, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "logits", seen)
        proof = verify.prove(tmp_path, ("onnx",), model, network)
    atrous = isinstance(network.architecture.head, Aspp | DeepLab)
    assert sum(sizes) <= (301 * 339 if atrous else 214 * 320)
    assert proof.labels.shape == (214, 320)


@pytest.mark.parametrize("case", ["wuhuikai_encnet", "mmseg_psp", "ncpaddle_fcn"])
def test_the_labels_of_the_self_test_are_those_of_the_authors_procedure(
    case: str, tmp_path: Path
) -> None:
    network = recognised(case)
    model = described(network)
    assert model.procedure.resize is not None
    assert_exact(proven(case, tmp_path), model, network)


def assert_exact(proof: verify.Proof, model: Model, network: Recognised) -> None:
    """Compare the labels of the self-test with those of the reference by the model's procedure."""
    job = Job([proof.picture], model)
    (call,) = job.calls
    expected = job.label(0, {0: logits_of(network, job.batch(call))[0]})
    assert (expected == proof.labels).mean() > 0.999
    assert proof.labels.dtype == expected.dtype


def test_a_costly_procedure_labels_a_strip_of_the_photograph(tmp_path: Path) -> None:
    right = recognised("mmseg_aspp")
    sized = Resize("fit", 2048, align_corners=False, limit=1024)  # as for Cityscapes
    network = replace(right, resize=lambda classes: sized)
    model = described(network)
    assert model.procedure == Procedure("custom", sized, twice=True)
    onnx_graph.write(network.architecture, network.weights, model, tmp_path, Options())
    proof = verify.prove(tmp_path, ("onnx",), model, network)
    assert proof.picture.shape == (96, 640, 3)
    assert proof.picture.std() > 30  # neither grey nor flat
    (view,) = Job([proof.picture], model).views[0]
    assert view.canvas == (307, 2048)
    assert min(-(-side // 8) for side in view.canvas) > 36  # the widest dilation, in cells
    assert_exact(proof, model, network)


@pytest.mark.parametrize("table", [None, *class_table_names()])
@pytest.mark.parametrize("case", ["wuhuikai_fcn", "ncpaddle_fcn", "paddleseg_os32", "mmseg_psp"])
def test_the_self_test_of_no_published_recipe_is_large(case: str, table: str | None) -> None:
    network = recognised(case)
    resize = network.resize(table)
    whole = Procedure("whole", resize)
    model = replace(described(network), procedure=network.evaluation(table, whole))
    model = model if model.procedure.is_one_view else replace(model, procedure=whole)
    picture = verify.self_test_picture(model)
    ((view,),) = Job([picture], model).views
    assert view.canvas[0] * view.canvas[1] <= 640_000


@pytest.mark.parametrize(
    "options", [Options((1, 96, 128)), Options((2, 300, 450)), Options(precision="fp16")], ids=str
)
def test_what_is_proven_at_the_authors_size_is_computed_once(
    options: Options, tmp_path: Path, doctored: Callable[[Change], None]
) -> None:
    ran: list[int] = []

    def counted(output: Array) -> Array:
        ran.append(len(output))
        return output

    doctored(counted)
    network = recognised("mmseg_psp")
    proof = proven("mmseg_psp", tmp_path, options=options)
    assert len(ran) == 1
    assert_exact(proof, described(network, options=options), network)


def logits_of(network: Recognised, batch: Array) -> Array:
    return np.asarray(reference.logits(network.architecture, network.weights, batch))


def test_half_precision_is_proven_at_the_size_of_the_authors() -> None:
    for case in ("wuhuikai_encnet", "mmseg_aspp"):
        network = recognised(case)
        model = described(network, options=Options(precision="fp16"))
        _, procedure = verify._fed(model, network.architecture)
        assert procedure == model.procedure
        full = described(network)
        _, procedure = verify._fed(full, network.architecture)
        assert procedure == Procedure("whole")


@pytest.mark.parametrize(("stride", "side"), [(8, 301), (16, 589), (32, 1165)])
@pytest.mark.parametrize("output", ["logits", "labels"])
def test_every_tap_of_the_widest_dilated_kernel_meets_pixels_at_any_stride(
    stride: int, side: int, output: Literal["logits", "labels"]
) -> None:
    network = recognised("mmseg_aspp")
    backbone = network.architecture.backbone
    one, two, three, four = backbone.stages
    strides = {8: (1, 1), 16: (2, 1), 32: (2, 2)}[stride]
    third, fourth = (
        replace(stage, stride=s) for stage, s in zip((three, four), strides, strict=True)
    )
    stages = (one, two, third, fourth)
    architecture = replace(
        network.architecture, jpu=None, backbone=replace(backbone, stages=stages)
    )
    assert architecture.logits_stride == stride
    picture, procedure = verify._fed(described(network, output=output), architecture)
    assert picture.shape == (side, side + 38, 3)
    assert -(-side // stride) > 36
    assert procedure == Procedure("whole")
