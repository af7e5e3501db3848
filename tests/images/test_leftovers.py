"""What killed processes left unfinished goes; what living ones write stays."""

import os
import subprocess
import sys
from pathlib import Path

from lib.images.leftovers import remove_leftovers


def test_only_what_dead_processes_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    (tmp_path / f".data.{gone.pid}.tmp").mkdir()
    (tmp_path / f".data.{gone.pid}.tmp/half").touch()
    (tmp_path / f".a.zip.{gone.pid}.tmp").touch()
    kept = {f".data.{os.getppid()}.tmp", ".data.1.tmp", ".notes.tmp", "data", f"data.{gone.pid}.tmp"}
    for name in kept:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
