"""Files that are whole or not there: their mode, what kills leave behind, a full disk, a closed folder."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lib import atomic


def test_a_file_has_the_mode_that_the_umask_allows(tmp_path: Path) -> None:
    def private(path: Path) -> None:
        """As safetensors does it: a file of its own that takes the temporary one's place."""
        other = path.with_name("other")
        other.write_bytes(b"x")
        other.chmod(0o600)
        other.replace(path)

    before = os.umask(0o022)
    try:
        with atomic.replacing(tmp_path / "a") as temporary:
            private(temporary)
        os.umask(0o027)
        atomic.write_text(tmp_path / "b", "x")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o644, 0o640]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_failure_leaves_the_file_before_and_nothing_else(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "a", "before")

    def fail() -> None:
        with atomic.replacing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "before")]


def test_what_dead_processes_left_goes_and_what_living_ones_write_stays(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    dead, living = f".a.{gone.pid}.tmp", f".a.{os.getppid()}.tmp"
    others = {living, f".ab.{gone.pid}.tmp", "a.1.tmp", ".a.x.tmp", ".a.tmp"}
    for name in {dead, ".a.9999999999.tmp", *others}:
        (tmp_path / name).write_text("half")
    (tmp_path / f".b.{gone.pid}.tmp").mkdir()
    (tmp_path / f".b.{gone.pid}.tmp/file").write_text("half")
    atomic.write_text(tmp_path / "a", "whole")
    atomic.remove_abandoned(tmp_path / "b")
    assert {path.name for path in tmp_path.iterdir()} == {"a", *others}


def _full(*_: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["Path.write_bytes", "os.fsync", "Path.mkdir"])
def test_a_full_disk_is_one_message_with_path_and_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "folder/a" if call == "Path.mkdir" else tmp_path / "a"
    if call != "Path.mkdir":
        atomic.write_bytes(path, b"before")
    usage = shutil.disk_usage(tmp_path)._replace(free=1234)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    owner, name = (os, "fsync") if call == "os.fsync" else (Path, call.split(".")[1])
    monkeypatch.setattr(owner, name, lambda *_, **__: _full())
    said = rf"^{path}: the disk \(or your share of it\) is full; 5,000 bytes are needed and 1,234 are free; make room, then"
    with pytest.raises(ValueError, match=said):
        atomic.write_bytes(path, bytes(5000))
    monkeypatch.undo()
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == (
        [] if "mkdir" in call else [("a", b"before")]
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_device_that_is_really_full(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic.replacing(tmp_path / "a", 9) as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x")

    with pytest.raises(ValueError, match=r"a: the disk .* is full; 9 bytes are needed and [\d,]+ are free"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_closed_folder_is_named_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def touch(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "touch", touch)
    with pytest.raises(
        ValueError, match=rf"^{tmp_path}/a: its folder may not be written to \({os.strerror(number)}\); make it"
    ):
        atomic.write_text(tmp_path / "a", "x")


def test_other_errors_of_the_writer_stay_what_they_are(tmp_path: Path) -> None:
    def read() -> None:
        with atomic.replacing(tmp_path / "a"):
            (tmp_path / "gone").read_text()

    with pytest.raises(FileNotFoundError):
        read()
    assert list(tmp_path.iterdir()) == []
