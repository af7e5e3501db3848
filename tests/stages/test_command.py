"""The command line of every stage and tool: what it takes, what it says, and whom it outlives."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from stages.command import run
from stages.command.kinds import BARE
from stages.command.running import LENGTH
from tests import tiny

SAID = "interrupted; with the same command a training continues from its last finished epoch\n"


def _main(
    source: Annotated[Path, "the file"],
    ratios: Annotated[tuple[float, ...], "100 % is 1"],
    order: Annotated[Literal[1, 2], "one or two"],
    class_: Annotated[str | None, "a word"] = None,
    images: Annotated[int, "how many"] = 5,
) -> None:
    SEEN.append((source, ratios, order, class_, images))


SEEN: list[Any] = []
RIGHT = "--source a/b --ratios 0.5,1 --order 2"


def _run(words: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("sys.argv", ["test", *words.split(" ")])
    SEEN.clear()
    run(_main)
    return SEEN[0]


def test_words_become_arguments_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(RIGHT, monkeypatch) == (Path("a/b"), (0.5, 1.0), 2, None, 5)
    assert _run(f"{RIGHT} --class x --images 7", monkeypatch) == (Path("a/b"), (0.5, 1.0), 2, "x", 7)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "the following arguments are required: --source, --ratios, --order"),
        (f"{RIGHT} --images 1.5", "argument --images: wants a whole number, got '1.5'"),
        (f"{RIGHT} --source ", "argument --source: wants a path, got ''"),
        (f"{RIGHT} --ratios 0.5,,1", "argument --ratios: wants a number, got ''"),
        (f"{RIGHT} --order 3", "argument --order: invalid choice: 3 "),
        (f"{RIGHT} --image 3", "unrecognized arguments: --image 3"),
    ],
)
def test_words_that_do_not_fit_are_one_message(words: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["test", *(words.split(" ") if words else [])])
    with pytest.raises(SystemExit) as caught:
        run(_main)
    assert str(caught.value).startswith(f"error: {said}")
    assert str(caught.value).endswith(" --help")


def _study(study: Annotated[Literal["one", "two"], "which", BARE], names: Annotated[tuple[str, ...], "whose", BARE]) -> None:
    SEEN.append((study, names))


def test_bare_words_need_no_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    SEEN.clear()
    monkeypatch.setattr("sys.argv", ["test", "two", "a", "b"])
    run(_study)
    assert SEEN == [("two", ["a", "b"])]
    monkeypatch.setattr("sys.argv", ["test", "three"])
    with pytest.raises(SystemExit, match="argument STUDY: invalid choice: 'three'"):
        run(_study)
    monkeypatch.setattr("sys.argv", ["test", "--help"])
    with pytest.raises(SystemExit):
        run(_study)
    assert "which" in capsys.readouterr().out


def _fails(error: Exception) -> str:
    def main() -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["test"])
        with pytest.raises(SystemExit) as caught:
            run(main)
    return str(caught.value)


def test_a_message_is_bounded_and_holds_nothing_that_a_terminal_acts_on() -> None:
    assert _fails(ValueError("one\ntwo")) == "error: one\ntwo"
    hostile = "\x1b[31mred\x1b[0m\r\x07\x9b1m\u202etxt.exe\u2066\ud800\x7f\0é→"
    assert _fails(OSError(hostile)) == r"error: \x1b[31mred\x1b[0m\r\x07\x9b1m\u202etxt.exe\u2066\ud800\x7f\x00é→"
    for length in (LENGTH, LENGTH + 1, 10**6):
        said = _fails(ValueError("x" * length)).removeprefix("error: ")
        assert len(said) <= LENGTH
        assert (f"(cut; {length:,} characters in all)" in said) == (length > LENGTH)


DEVICE = {
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8.00 GiB\nmore": "make the mini-batches",
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried": "make the mini-b",
    "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors might": "this torch was not b",
    "cumsum_cuda_kernel does not have a deterministic implementation, but you set": "set compute.device to cpu, and tell",
    "CUDA error: unspecified launch failure\nmore": "set compute.device to cpu, or mend the GPU",
}


@pytest.mark.parametrize("text", DEVICE)
def test_what_a_device_cannot_do_is_one_line_with_the_cure(text: str) -> None:
    said = _fails(RuntimeError(text))
    assert said.startswith(f"error: {text.splitlines()[0]}; {DEVICE[text]}")
    assert len(said.splitlines()) == 1


def test_memory_that_this_machine_has_not_is_such_an_error() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    assert "make the mini-batches" in _fails(caught.value)


def test_a_runtime_error_of_the_code_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        msg = "mat1 and mat2 shapes cannot be multiplied"
        raise RuntimeError(msg)

    monkeypatch.setattr("sys.argv", ["test"])
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        run(main)


def test_an_interrupt_is_one_line_and_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["test"])
    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == SAID


BEGUN = "import sys; from stages.command import run; from stages.train_teacher import main; print(flush=True); run(main)"


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8, 1.6])
def test_ctrl_c_in_the_first_seconds_is_one_line(tmp_path: Path, seconds: float) -> None:
    """While torch, numpy and the others are imported, too."""
    words = [
        "--network",
        "resnet8",
        "--seed",
        "0",
        "--data",
        "gone",
        "--resume-dir",
        str(tmp_path),
        "--out",
        "out",
        "--log",
        "log",
    ]
    command, pipe = [sys.executable, "-c", BEGUN, *words], subprocess.PIPE
    started = subprocess.Popen(command, cwd=tiny.ROOT, stdout=pipe, stderr=pipe, text=True)
    assert started.stdout is not None
    started.stdout.readline()
    time.sleep(seconds)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert (started.returncode, said) == (130, SAID) or said.startswith("error: gone holds no complete data set")


CHILD = """
import os, sys, time
def main() -> None:
    print("ready", os.getpid(), flush=True)
    time.sleep(60)
from stages.command import run
from stages.command.kinds import BARE
sys.argv = ["child"]
run(main)
"""
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def _ends(pid: int) -> bool:
    """Whether a process is gone (or only waits to be collected) soon."""
    for _ in range(250):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
@pytest.mark.parametrize("by_dvc", [True, False])
def test_a_stage_ends_with_the_dvc_that_started_it_and_by_hand_lives_on(by_dvc: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    if by_dvc:
        environment["DVC_STAGE"] = "prune@l1"
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, cwd=tiny.ROOT, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[1])
        parent.kill()
        parent.wait()
        ended = _ends(pid)
        if not ended:
            os.kill(pid, signal.SIGKILL)
    assert ended == by_dvc


ORPHAN = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env={**os.environ, "DVC_STAGE": "x"})
os._exit(0)
"""
LATE = f"import time; time.sleep(0.5)\n{CHILD}"


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_stage_whose_dvc_is_gone_before_it_looks_does_not_begin() -> None:
    command = [sys.executable, "-c", ORPHAN, LATE]
    done = subprocess.run(
        command, cwd=tiny.ROOT, capture_output=True, text=True, check=True, timeout=30, start_new_session=True
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_real_dvc_takes_its_stage_with_it(tmp_path: Path, shell: str) -> None:
    """A shell may stay between the two (dash) or become the stage (bash)."""
    from dvc.repo import Repo

    Repo.init(str(tmp_path), no_scm=True).close()
    (tmp_path / "child.py").write_text(
        CHILD.replace('print("ready", os.getpid(), flush=True)', 'open("pid", "w").write(str(os.getpid()))')
    )
    (tmp_path / "dvc.yaml").write_text(f"stages:\n  child:\n    cmd: {sys.executable} child.py\n")
    environment = {**os.environ, "PYTHONPATH": str(tiny.ROOT), "SHELL": shell}
    with subprocess.Popen([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=tmp_path, env=environment) as dvc:
        pid = _read(tmp_path / "pid")
        dvc.kill()
    assert _ends(pid)


def _read(path: Path) -> int:
    for _ in range(1500):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(path)
