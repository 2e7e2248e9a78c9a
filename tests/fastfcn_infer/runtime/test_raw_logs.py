"""What a runtime prints itself, such as coloured lines of its log, does not reach the terminal."""

import sys
from pathlib import Path

import pytest

from command_line import EMBEDDED, PHOTOGRAPH, fastfcn, python
from exports import save_checkpoint, tensors_of
from fastfcn_export import export
from fastfcn_infer.runtime.backend import backend_names, format_of, installed

# A batch that is refused, or that there is not enough memory for, and one that is fine before and after.
SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import BackendError
from fastfcn_infer.runtime.backend import open_backend
name, folder, what = sys.argv[1:]
backend = open_backend(name, open_artifact(Path(folder)), device="cpu", threads=1)
small, wrong = np.zeros((1, 3, 64, 64), np.float32), np.zeros((1, 7, 64, 64), np.float32)
before = backend.run(small)
if what == "memory":
    wrong = np.zeros((1, 3, 2048, 2048), np.float32)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (100 << 20), resource.RLIM_INFINITY))
for _ in range(2):
    try:
        print("computed", backend.run(wrong).shape)
    except (BackendError, MemoryError) as error:
        print(type(error).__name__, str(error).isprintable())
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
print(bool((backend.run(small) == before).all()))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {"onnx": EMBEDDED}
    if installed("paddle_inference"):
        folder = tmp_path_factory.mktemp("paddle")
        checkpoint = save_checkpoint(folder, "paddleseg", tensors_of("paddleseg_os32"))
        found["paddle"] = folder / "artifact"
        export(checkpoint, found["paddle"], formats=("paddle",), output_stride=32, verify=False)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("what", ["shape", "memory"])
@pytest.mark.parametrize("name", [name for name in backend_names() if installed(name)])
def test_a_refused_batch_is_an_error_without_a_word_of_the_runtime_and_harms_no_other(
    folders: dict[str, Path], name: str, what: str
) -> None:
    ended = python("-c", SCRIPT, name, folders[format_of(name)], what)
    assert ended.stderr == ""
    first, second, after = ended.stdout.splitlines()
    assert {first, second} <= {"BackendError True", "MemoryError True"}
    assert after == "True"


@pytest.mark.skipif(not installed("onnx_runtime"), reason="it has the telemetry")
def test_onnx_runtime_says_nothing_where_its_telemetry_has_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    words = ("predict", str(PHOTOGRAPH), "-o", "out", "--backend", "onnx_runtime", "--force")
    for home in (tmp_path / "file", tmp_path / "gone" / "deep"):
        ended = fastfcn(*words, cwd=tmp_path, env={"HOME": str(home)})
        assert (ended.returncode, ended.stderr) == (0, "")
