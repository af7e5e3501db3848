"""The line on a run of cells: drawn when something changes, and for the time alone only once a while."""

import time

import pytest

from lib.graph import line


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [text for text in capsys.readouterr().err.split("\r") if text.strip()]


def test_a_change_is_told_at_once_and_the_time_once_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(line, "LOG_SECONDS", 20.0)
    with line.cells(4) as tell:
        capsys.readouterr()
        tell(0, "2 running, 0 failed")
        assert len(_lines(capsys)) == 1
        for now in (1.0, 19.0):  # noqa: B007 (the clock reads it)
            tell(0, "2 running, 0 failed")
        assert _lines(capsys) == []
        now = 20.5
        tell(0, "2 running, 0 failed")
        (told,) = _lines(capsys)
        assert told.startswith("cells: 0 of 4 done, 2 running, 0 failed, ")
        assert told.endswith(" gone, about ? left")
        tell(1, "2 running, 0 failed")
        (told,) = _lines(capsys)
        assert told.startswith("cells: 1 of 4 done")
        assert "about ?" not in told


def test_of_no_cells_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with line.cells(0) as tell:
        tell(0, "0 running, 0 failed")
    assert capsys.readouterr().err == ""
