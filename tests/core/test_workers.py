"""Worker processes: not inside daemons, and a sentence for programs that have no guard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ASTRONAUT = Path(__file__).parents[2] / "examples" / "photos" / "astronaut.jpg"
CALLS = {
    "align": "from smoothswap.pipeline import align_folder; align_folder(IN, OUT, size=16, workers=2)",
    "embed": "import smoothswap; smoothswap.embed(IN, OUT + '.npz', workers=2)",
    "embed aligned": "import smoothswap; smoothswap.embed(IN, OUT + '.npz', workers=1, align=True)",
}


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(ASTRONAUT.read_bytes())
    return folder


def _program(call: str, folder: Path) -> str:
    return f"IN, OUT = {str(folder)!r}, {str(folder.parent / 'out')!r}\n{call}\n"


@pytest.mark.parametrize("what", CALLS)
def test_a_program_without_the_guard_is_told_what_to_do(photographs: Path, tmp_path: Path, what: str) -> None:
    (tmp_path / "program.py").write_text(_program(CALLS[what], photographs))
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'put the call below `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]
    assert "memory" not in done.stderr


@pytest.mark.parametrize("what", ["align", "embed"])
def test_a_program_from_standard_input_works_in_its_process(photographs: Path, tmp_path: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-"], input=_program(CALLS[what], photographs), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.glob("out*"))) == 1


DAEMON = """
import multiprocessing
from pathlib import Path

import smoothswap
from smoothswap.core.workers import may_start_processes
from smoothswap.pipeline import align_folder


def inside(folder):
    crops = align_folder(folder, folder.parent / "out", size=16, workers=2).crops
    pictures = smoothswap.embed(folder.parent / "out", folder.parent / "v.npz", workers=2).pictures
    return crops, pictures, may_start_processes()


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(inside, (Path(FOLDER),)), may_start_processes())
"""


def test_inside_a_daemon_it_works_in_that_process(photographs: Path, tmp_path: Path) -> None:
    # A program of its own: a pool hangs where its processes cannot import what they are to call, such as a test.
    (tmp_path / "program.py").write_text(DAEMON.replace("FOLDER", repr(str(photographs))))
    done = subprocess.run([sys.executable, tmp_path / "program.py"], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("(2, 2, False) True", "")


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path

from smoothswap.core.files import write_aside
from smoothswap.core.workers import process_pool, results


def write(path):
    with write_aside(path) as aside:
        aside.with_name(f"begun-{path.name}").touch()
        time.sleep(60)


def stop(folder, whom):
    while len(list(folder.glob("begun-*"))) < 2:
        time.sleep(0.05)
    (os.killpg if whom == "group" else os.kill)(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    threading.Thread(target=stop, args=(folder, sys.argv[2]), daemon=True).start()
    began = time.monotonic()
    try:
        with process_pool(2) as pool:
            for _ in results(pool, write, [folder / "a", folder / "b", folder / "c"], 4):
                pass
    except KeyboardInterrupt:
        print(sorted(file.name for file in folder.iterdir()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize("whom", ["process", "group"])
def test_an_interruption_ends_workers_at_once_and_what_they_half_wrote(tmp_path: Path, whom: str) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "out"
    folder.mkdir()
    program.write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, program, folder, whom],
        capture_output=True, text=True, check=False, timeout=50, start_new_session=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['begun-a', 'begun-b']\n"
