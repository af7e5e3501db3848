"""Folders of living processes stay, those of killed ones go, and nobody takes another's."""

import os
import signal
from pathlib import Path

from lib.graph.owned import owned


def test_a_folder_is_there_meanwhile_and_gone_afterwards(tmp_path: Path) -> None:
    with owned(tmp_path / "all") as folder:
        (folder / "deep").mkdir()
        (folder / "deep/file").write_text("x")
    assert list((tmp_path / "all").iterdir()) == []


def test_a_killed_process_leaves_a_folder_that_the_next_one_removes(tmp_path: Path) -> None:
    with owned(tmp_path) as living:
        child = os.fork()
        if child == 0:
            with owned(tmp_path) as folder:
                (folder / "file").write_text("x")
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        (left,) = (path for path in tmp_path.iterdir() if path.is_dir() and path != living)
        with owned(tmp_path) as third:
            assert not left.exists()
            assert living.is_dir()
            assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {living.name, third.name}
    assert list(tmp_path.iterdir()) == []


def test_what_links_lead_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/object").write_text("kept")
    with owned(tmp_path / "all") as folder:
        (folder / "link").symlink_to(tmp_path / "cache")
    assert (tmp_path / "cache/object").read_text() == "kept"
