import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastfcn_infer.system import atomic

CHILD = """
import os, random, signal, sys, time, warnings
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from fastfcn_infer.system import atomic
folder, swap = Path(sys.argv[1]), sys.argv[2] == "True"
if not swap:
    atomic._exchange = lambda first, second: False
FILES = {which: {f"{i}/{j}": which.encode() * 300 for i in range(3) for j in range(3)} | {"manifest.json": which.encode()} for which in "AB"}

OURS = set(FILES["A"])
KEPT = {"notes.txt": b"mine", "0/more/picture.png": b"mine too"}

def write(which):
    with atomic.write_folder(folder, replace=lambda folder: OURS) as partial:
        for name, data in FILES[which].items():
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_bytes(data)

def loop():
    while True:
        write("B")
        write("A")

def read():
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

random.seed(7)
warnings.simplefilter("ignore")
write("A")
for name, data in KEPT.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
began = time.monotonic()
write("A")
usual = time.monotonic() - began  # on this machine, however busy its disk is
kills, seen = 0, set()
while kills < 40 or (len(seen) < 2 and kills < 400):
    pid = os.fork()
    if pid == 0:
        loop()
    patience = 1 + kills // 40  # the machine may have become slower since `usual` was measured
    time.sleep(0.002 + random.random() * 3 * usual * patience)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    kills += 1
    if not swap:
        atomic.recover(folder)
    found = read()
    seen.update(which for which in "AB" if found == FILES[which] | KEPT)
    if found not in [files | KEPT for files in FILES.values()]:
        sys.exit(f"a mixture after kill {kills}: {sorted(found)}")
if len(seen) < 2:
    sys.exit("the child never came to replace anything")
atomic.sweep(folder.parent, older_than=-1)
names = [entry.name for entry in folder.parent.iterdir()]
sys.exit(0 if names == [folder.name] else f"left behind: {names}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the child is made by forking")
@pytest.mark.parametrize("swap", [True, False])
def test_forty_kills_never_leave_a_mixture(tmp_path: Path, swap: bool) -> None:
    root = str(Path(atomic.__file__).parents[2])
    command = [sys.executable, "-c", CHILD, str(tmp_path / "artifact"), str(swap), root]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("swap", [True, False])
def test_two_processes_writing_one_folder_leave_one_of_the_two_results(
    tmp_path: Path, writers: list["subprocess.Popen[bytes]"], swap: bool
) -> None:
    root = str(Path(atomic.__file__).parents[2])
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "from fastfcn_infer.system import atomic\n"
        "if sys.argv[4] != 'True': atomic._exchange = lambda first, second: False\n"
        "ours = {'manifest.json', 'twin'}\n"
        "for _ in range(40):\n"
        "    with atomic.write_folder(Path(sys.argv[1]), replace=lambda folder: ours) as p:\n"
        "        (p / 'manifest.json').write_text(sys.argv[2])\n"
        "        (p / 'twin').write_text(sys.argv[2])\n"
    )
    (tmp_path / "artifact" / "sub").mkdir(parents=True)
    (tmp_path / "artifact" / "sub" / "mine").write_text("mine")
    for which in "AB":
        arguments = [str(tmp_path / "artifact"), which, root, str(swap)]
        writers.append(subprocess.Popen([sys.executable, "-c", script, *arguments]))
    assert [process.wait(60) for process in writers] == [0, 0]
    found = {p.name: p.read_text() for p in (tmp_path / "artifact").rglob("*") if p.is_file()}
    assert found.pop("mine") == "mine"
    assert found["manifest.json"] == found["twin"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]
