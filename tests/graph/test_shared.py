"""The shared folder: proof that it is the driver's, notes of where cells run, and one word for all."""

from pathlib import Path

import pytest

from lib.graph.shared import Shared, sharing


def test_only_who_sees_the_same_folder_sees_the_run(tmp_path: Path) -> None:
    with sharing(tmp_path / "cache", tmp_path / "clone") as shared:
        assert shared.seen()
        assert not Shared(tmp_path / "other", shared.run).seen()
        assert not Shared(shared.cache, "another-run").seen()
    assert not shared.seen()


def test_a_cache_inside_the_clone_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "clone").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "clone")
    for cache in (tmp_path / "clone/.dvc/cache", tmp_path / "link/cache"):
        with (
            pytest.raises(ValueError, match=r"in this clone .*: `dvc cache dir --local /shared/cache`"),
            sharing(cache, tmp_path / "clone"),
        ):
            pass
        assert not cache.exists()


def test_the_driver_learns_where_cells_run_while_they_do(tmp_path: Path) -> None:
    with sharing(tmp_path / "cache", tmp_path / "clone") as shared:
        assert shared.hosts() == {}
        with shared.at_work("prune@l1-0.5-0", "north"), shared.at_work("a/b c", "south"):
            assert shared.hosts() == {"prune@l1-0.5-0": "north", "a/b c": "south"}
            with shared.at_work("prune@l1-0.5-0", "south"):  # the first machine is lost
                assert shared.hosts()["prune@l1-0.5-0"] == "south"
            shared.forget("a/b c")
            assert shared.hosts() == {}
        assert shared.hosts() == {}


def test_the_first_to_speak_settles_it_for_the_run(tmp_path: Path) -> None:
    with sharing(tmp_path / "cache", tmp_path / "clone") as shared:
        assert [shared.settled("gpu", name) for name in ("A100", "T4", "A100")] == ["A100"] * 3
    with sharing(tmp_path / "cache", tmp_path / "clone") as shared:
        assert shared.settled("gpu", "T4") == "T4"
